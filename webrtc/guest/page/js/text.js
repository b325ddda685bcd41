// The words of the page. Each language is one file lang/xx.json with the same keys as en.json; a file more is a language more.

let words = {}, spare = {}, language = 'en'
const formats = {}

// load takes the first of the browser's languages that there is. It answers whether one of them was.
export async function load(wanted = navigator.languages ?? [navigator.language]) {
  const codes = new Set(wanted.map(tag => String(tag).toLowerCase().split('-')[0]).filter(code => /^[a-z]{2,3}$/.test(code)))
  const first = [...codes][0] // most often it is there
  let early
  [spare, early] = await Promise.all([file('en'), first && first !== 'en' ? file(first) : null])
  for (const code of codes) {
    const found = code === 'en' ? spare : code === first ? early : await file(code)
    if (!found) continue
    words = found
    language = code
    document.documentElement.lang = code
    return true
  }
  words = spare
  return false
}

async function file(code) {
  try {
    const answer = await fetch(`page/lang/${code}.json`)
    return answer.ok ? await answer.json() : null
  } catch {
    return null
  }
}

// t is the text of a key. {name} in it is replaced by values.name; a text with "one" and "other" is chosen by values.count.
export function t(key, values = {}) {
  let text = words[key] ?? spare?.[key] ?? key
  if (typeof text === 'object') {
    const rule = formats.plural ??= new Intl.PluralRules(language)
    text = text[rule.select(values.count)] ?? text.other
  }
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '')
}

// has tells whether there is a text.
export function has(key) { return key in words || key in spare }

// moment writes a point in time: the time of day, and the day where it is not today.
export function moment(text) {
  const at = new Date(text)
  const day = at.toDateString() === new Date().toDateString() ? {} : { weekday: 'long', day: 'numeric', month: 'long' }
  return new Intl.DateTimeFormat(language, { ...day, hour: 'numeric', minute: '2-digit' }).format(at)
}

// code is the language in use.
export function code() { return language }
