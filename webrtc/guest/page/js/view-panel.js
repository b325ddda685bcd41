// The panels beside the meeting: who is there, and settings.

import { h, icon, id, write } from './dom.js'
import { sends } from './media.js'
import { choice, choose } from './session.js'
import { t } from './text.js'
import { chooser, level, tester } from './view-choose.js'

// panel frames what is in a panel; close takes it away.
function panel(title, close, ...content) {
  const name = id('panel')
  const heading = h('h2', { id: name, tabindex: '-1' }, title)
  const element = h('aside', { class: 'panel', 'aria-labelledby': name, onkeydown: e => { if (e.key === 'Escape') { e.stopPropagation(); close() } } },
    h('div', { class: 'panel-head' }, heading, h('button', { class: 'plain-button', type: 'button', 'aria-label': t('panel.close'), title: t('panel.close'), onclick: close }, icon('close'))),
    h('div', { class: 'panel-body', tabindex: '0', role: 'group', 'aria-labelledby': name }, content))
  return { element, heading }
}

// peoplePanel lists who is there.
export function peoplePanel(guest, close) {
  const list = h('ul', { class: 'people' }), note = h('p', { class: 'fine' })
  const { element, heading } = panel(t('panel.people'), close, list, note)
  let told = ''
  return {
    element, heading,
    update() {
      const own = { name: t('tile.you'), muted: !guest.talks, hand: guest.handUp, self: true }
      const people = [own, ...guest.people]
      const text = JSON.stringify([people, guest.speakers])
      if (text === told) return
      told = text
      list.replaceChildren(...people.map(p => h('li', { class: guest.speakers.includes(p.seat) ? 'speaking' : '' },
        h('span', { class: 'people-name' }, p.name),
        p.phone && mark('phone', 'tile.phone'), p.screen && mark('screen', 'tile.shares'), p.hand && mark('hand', 'tile.hand'),
        p.muted ? mark('mic-off', 'tile.muted') : mark('mic', 'tile.open'))))
      write(note, guest.people.length ? '' : guest.count > 1 ? t('panel.count', { count: guest.count }) : guest.count === 1 ? t('meeting.alone') : t('panel.unknown'))
    },
    close() {},
  }
}

function mark(symbol, key) {
  return h('span', { class: 'people-mark', title: t(key) }, icon(symbol), h('span', { class: 'unseen' }, t(key)))
}

// settingsPanel lets the guest change devices while the meeting runs, and shows how the line is.
export function settingsPanel(guest, close) {
  const { devices, terms } = guest
  const loud = level()
  const kinds = ['audio', 'video', 'speaker'].filter(k => k === 'speaker' || sends(terms[k]))
  const choosers = kinds.map(kind => chooser(devices, kind, device => guest.use(kind, device)))
  const volumeID = id('volume'), keysID = id('keys')
  const volume = h('input', { id: volumeID, type: 'range', min: 0, max: 1, step: 0.05, value: choice().volume ?? 1, oninput: () => guest.setVolume(Number(volume.value)) })
  const keys = h('input', { id: keysID, type: 'checkbox', onchange: () => choose({ keys: keys.checked }) })
  keys.checked = choice().keys ?? true
  const line = h('dl', { class: 'line' })
  const { element, heading } = panel(t('panel.settings'), close,
    choosers.map(c => c.element), sends(terms.audio) && loud.element,
    h('div', { class: 'test' }, tester(devices)),
    h('div', { class: 'field' }, h('label', { for: volumeID }, t('panel.volume')), volume),
    h('label', { class: 'agree', for: keysID }, keys, h('span', {}, t('panel.keys'))),
    h('dl', { class: 'keys' }, ['space', 'm', 'v', 'h'].map(k => [h('dt', {}, h('kbd', {}, t(`key.${k}`))), h('dd', {}, t(`key.${k}.does`))])),
    h('h3', {}, t('panel.line')), line,
    terms.hosted && h('p', { class: 'fine hosted' }, icon('shield'), t('check.hosted', { where: terms.hosted })))
  return {
    element, heading,
    update() {
      loud.listen(guest.microphone ? devices.tracks.audio : null)
      for (const c of choosers) c.update()
    },
    // quality shows the figures of quality.js.
    quality(q) {
      const row = (key, text) => [h('dt', {}, t(key)), h('dd', {}, text)]
      line.replaceChildren(...[
        row('line.state', t(`quality.${q.level}`)),
        q.roundTrip !== undefined && row('line.delay', `${Math.round(q.roundTrip * 1000)} ms`),
        q.loss !== undefined && row('line.loss', `${(q.loss * 100).toFixed(1)} %`),
        q.down !== undefined && row('line.rate', t('line.rates', { down: Math.round(q.down / 1000), up: Math.round(q.up / 1000) })),
      ].filter(Boolean).flat())
    },
    close() { loud.close() },
  }
}
