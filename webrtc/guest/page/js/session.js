// Exchanges a link for a session, and remembers both for as long as the tab lives. The link never stays in the address bar.

const sessionKey = 'passerelle.session', linkKey = 'passerelle.link', choiceKey = 'passerelle.choice'

// Problem is a refusal: code is one of docs/signalling.md, or "network" where nobody answered.
export class Problem extends Error {
  constructor(code, more = {}) {
    super(code)
    this.code = code
    Object.assign(this, more)
  }
}

// takeLink reads the link from the address bar, clears it there and remembers it. It answers whether there was one.
export function takeLink() {
  const link = decodeURIComponent(location.hash.slice(1)).trim()
  if (!link) return false
  history.replaceState(null, '', location.pathname)
  sessionStorage.setItem(linkKey, link)
  sessionStorage.removeItem(sessionKey)
  sessionStorage.removeItem(choiceKey)
  return true
}

// hasLink tells whether this tab came by a link.
export function hasLink() { return sessionStorage.getItem(linkKey) !== null }

// token is the session that this tab has; null: none.
export function token() { return sessionStorage.getItem(sessionKey) }

// forget drops the session, but not the link.
export function forget() {
  sessionStorage.removeItem(sessionKey)
}

// exchange gets a session for the link, and answers its terms.
export async function exchange() {
  let answer
  try {
    answer = await fetch('api/v1/session', {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, credentials: 'omit', cache: 'no-store',
      body: JSON.stringify({ link: sessionStorage.getItem(linkKey) }),
    })
  } catch {
    throw new Problem('network', { retry: true })
  }
  const body = await answer.json().catch(() => ({}))
  if (!answer.ok) {
    const code = body.code ?? 'internal'
    const retry = answer.status === 503 || answer.status === 429 || code === 'link_early' || !body.code
    throw new Problem(code, { text: body.detail, from: body.from, retry, after: Number(answer.headers.get('Retry-After')) || 0 })
  }
  sessionStorage.setItem(sessionKey, body.session)
  return body.terms
}

// choice is what the guest chose in this tab, for a reload: name, microphone, camera, devices, volume …
export function choice() {
  try { return JSON.parse(sessionStorage.getItem(choiceKey)) ?? {} } catch { return {} }
}

// choose remembers more of it.
export function choose(more) {
  sessionStorage.setItem(choiceKey, JSON.stringify({ ...choice(), ...more }))
}
