// A page with one thing to say: why there is no meeting (yet, or any more), and what to do.

import { h, icon, show } from './dom.js'
import { has, moment, t } from './text.js'
import { button, frame } from './view-frame.js'

const symbols = {
  link_early: 'clock', link_expired: 'clock', lobby_timeout: 'clock', max_duration: 'clock', idle: 'clock', too_many: 'clock', busy: 'people',
  link_wrong: 'link-off', link_revoked: 'link-off', link_used_up: 'link-off', no_link: 'link-off', session_unknown: 'link-off',
  hung_up: 'door', room_ended: 'door', ended: 'door', removed: 'door', not_admitted: 'door',
  forbidden: 'shield', rules: 'shield', e2ee: 'shield', not_encrypted: 'shield', taken_over: 'out',
}

// notice shows the page of a problem or of an end: { code, text, from, retry, after }. again is called where trying again makes sense.
export function notice(end, again) {
  const code = has(`end.${end.code}.title`) ? end.code : 'internal'
  const view = frame('notice', h('section', { class: `card notice-card is-${code}` },
    h('div', { class: 'notice-icon' }, icon(symbols[code] ?? 'alert')),
    h('h1', {}, t(`end.${code}.title`)),
    h('p', { class: 'lead' }, t(`end.${code}.text`)),
    end.from && h('p', { class: 'when' }, icon('clock'), t('end.from', { when: moment(end.from) })),
    end.text && h('blockquote', { class: 'said' }, end.text),
    end.retry && again && h('div', { class: 'actions' }, button('primary', t(code === 'hung_up' ? 'end.again.back' : 'end.again'), again)),
    code === 'internal' && end.code && h('p', { class: 'fine' }, t('end.code', { code: end.code }))))
  document.title = `${t(`end.${code}.title`)} · Passerelle`
  show(view)
  document.getElementById('alert').textContent = t(`end.${code}.title`)
}

// wait shows that something is under way.
export function wait(text) {
  show(frame('notice', h('section', { class: 'card notice-card' },
    h('div', { class: 'notice-icon moving' }, icon('bridge')), h('h1', { 'aria-live': 'polite' }, text))))
}
