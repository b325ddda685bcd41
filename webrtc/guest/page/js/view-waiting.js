// On the way into the meeting, and the waiting room.

import { h, icon, show, write } from './dom.js'
import { t } from './text.js'
import { button, frame } from './view-frame.js'

// waiting shows that the guest is on the way, or waits for a host. It answers a function that ends it.
export function waiting(guest) {
  const lobby = guest.state === 'waiting'
  const left = h('p', { class: 'fine', 'aria-live': 'off' })
  show(frame('notice', h('section', { class: 'card notice-card waiting-card' },
    h('div', { class: 'notice-icon moving' }, icon('bridge')),
    guest.terms.title && h('p', { class: 'eyebrow' }, guest.terms.title),
    h('h1', {}, t(lobby ? 'waiting.title' : 'connecting.title')),
    h('p', { class: 'lead' }, t(lobby ? 'waiting.text' : 'connecting.text')),
    left,
    h('div', { class: 'actions' }, button('quiet', t('waiting.leave'), () => guest.leave())))))
  document.title = `${t(lobby ? 'waiting.title' : 'connecting.title')} · Passerelle`
  const tick = () => {
    const minutes = guest.until ? Math.ceil((new Date(guest.until) - Date.now()) / 60_000) : 0
    write(left, lobby && minutes > 0 ? t('waiting.left', { count: minutes }) : '')
  }
  tick()
  const timer = setInterval(tick, 5000)
  guest.addEventListener('change', tick)
  return () => {
    clearInterval(timer)
    guest.removeEventListener('change', tick)
  }
}
