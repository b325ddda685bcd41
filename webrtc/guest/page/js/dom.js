// Small helpers for building elements. Text is only ever set as text: nothing that comes from outside is parsed as markup.

// h makes an element. Properties: "class", "on<event>" functions, booleans and strings as attributes; undefined, null and false leave one out.
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  set(element, properties)
  element.append(...children.flat(3).filter(c => c !== null && c !== undefined && c !== false))
  return element
}

// set sets properties as h does.
export function set(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (value === undefined || value === null || value === false) element.removeAttribute(name)
    else if (value === true) element.setAttribute(name, '')
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value)
  }
  return element
}

const vector = 'http://www.w3.org/2000/svg'

// icon shows a symbol of icons.svg. It is decoration: who uses it gives a label.
export function icon(name, kind = '') {
  const svg = document.createElementNS(vector, 'svg')
  svg.setAttribute('class', `icon ${kind}`)
  svg.setAttribute('aria-hidden', 'true')
  const use = document.createElementNS(vector, 'use')
  use.setAttribute('href', `page/icons.svg#${name}`)
  svg.append(use)
  return svg
}

// swapIcon has an icon show another symbol.
export function swapIcon(svg, name) {
  const use = svg.firstChild, href = `page/icons.svg#${name}`
  if (use.getAttribute('href') !== href) use.setAttribute('href', href)
}

// write changes the text of an element only where it is another: what a screen reader announces, it announces once.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text
}

let last = 0

// id makes an id that the page does not have yet.
export function id(prefix) { return `${prefix}-${++last}` }

// show replaces what the page shows, and gives the focus to its heading, from where a screen reader reads on.
export function show(view) {
  const app = document.getElementById('app')
  app.replaceChildren(view)
  const heading = view.querySelector('h1')
  if (heading) {
    heading.tabIndex = -1
    heading.focus({ preventScroll: true })
  }
  window.scrollTo(0, 0)
}

// throttle calls f at most once in so many milliseconds, the last time after the last call.
export function throttle(f, pause) {
  let timer = 0, again = false
  return function run() {
    if (timer) { again = true; return }
    timer = setTimeout(() => {
      timer = 0
      if (again) { again = false; run() }
    }, pause)
    f()
  }
}
