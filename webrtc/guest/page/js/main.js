// The page from its beginning to its end: the link, the check, the waiting room, the meeting, and why it is over.

import { Devices } from './devices.js'
import { Guest } from './guest.js'
import { choice, choose, exchange, forget, hasLink, Problem, takeLink, token } from './session.js'
import { Signalling } from './signalling.js'
import { load, t } from './text.js'
import { toast } from './toast.js'
import { check } from './view-check.js'
import { meeting } from './view-meeting.js'
import { notice, wait } from './view-notice.js'
import { waiting } from './view-waiting.js'

let close = () => {} // of the view that is shown

// change shows another view.
function change(view) {
  close()
  close = view?.() ?? (() => {})
}

// able tells whether the browser has what the page needs.
function able() {
  return 'RTCPeerConnection' in window && 'addTransceiver' in RTCPeerConnection.prototype && 'WebSocket' in window && 'ResizeObserver' in window
}

async function start() {
  const ours = await load()
  if (!able()) return change(() => notice({ code: 'unsupported' }))
  const fresh = takeLink()
  window.addEventListener('hashchange', () => { if (location.hash.length > 1) location.reload() })
  if (!fresh && !hasLink()) return change(() => notice({ code: 'no_link' }))
  await enter(ours)
}

// enter gets a session, or goes on with the one that the tab has.
async function enter(ours = true) {
  const resumes = token() !== null
  change(() => wait(t(resumes ? 'wait.again' : 'wait.link')))
  try {
    if (!resumes) {
      const terms = await exchange()
      if (!ours && terms.language) await load([terms.language])
    }
    await connect(resumes)
  } catch (e) {
    if (!(e instanceof Problem)) console.error(e)
    over({ code: e.code ?? 'internal', ...e, retry: e.retry ?? !(e instanceof Problem) })
  }
}

// connect opens the WebSocket and waits for its first word.
async function connect(resumes) {
  const signalling = new Signalling(token())
  const welcome = await new Promise((resolve, reject) => {
    signalling.addEventListener('welcome', e => resolve(e.detail), { once: true })
    signalling.addEventListener('state', e => reject(new Problem(e.detail.reason ?? 'internal', e.detail)), { once: true })
    signalling.addEventListener('over', e => reject(new Problem(e.detail, { retry: true })), { once: true })
  }).catch(async e => {
    signalling.close(false)
    forget()
    if (!resumes || e.code !== 'session_unknown') throw e
    await exchange() // the session did not outlive the page, but the link may
    await connect(false)
  })
  if (welcome) await run(signalling, welcome)
}

// run is a guest's stay.
async function run(signalling, welcome) {
  const devices = new Devices()
  const guest = new Guest(signalling, welcome, devices)
  guest.addEventListener('tell', e => toast(t(e.detail.key, e.detail.values)))
  guest.addEventListener('over', e => {
    signalling.close(false)
    over({ ...e.detail, code: e.detail.reason })
  })
  let shown = ''
  guest.addEventListener('state', e => {
    const view = { connecting: 'waiting', waiting: 'lobby', talking: 'meeting', interrupted: 'meeting' }[e.detail]
    if (!view || view === shown) return
    if (view === 'meeting') toast(t('told.in'))
    shown = view
    change(() => view === 'meeting' ? meeting(guest) : waiting(guest))
  })
  if (welcome.state === 'new') {
    change(() => check(guest, (name, consent) => {
      choose({ name })
      return guest.join(name, consent)
    }))
    return
  }
  if (choice().asked) await devices.open({ audio: guest.microphone, video: guest.camera })
  await guest.resume(welcome.state)
}

// over shows the end, or a problem. Trying again takes the same link.
function over(end) {
  forget()
  change(() => notice(end, () => enter()))
}

start().catch(e => {
  console.error(e)
  notice({ code: 'internal', retry: true }, () => location.reload())
})
