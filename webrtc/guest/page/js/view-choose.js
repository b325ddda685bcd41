// The choice of camera, microphone and loudspeaker, before the meeting and in it.

import { h, icon, id, set } from './dom.js'
import { choosesSpeaker, chime, Meter } from './sound.js'
import { t } from './text.js'

// chooser lets the guest choose a device of a kind: "audio", "video" or "speaker". chosen is told its id.
export function chooser(devices, kind, chosen) {
  const name = id('choose')
  const select = h('select', { id: name, onchange: () => chosen(select.value) })
  const field = h('div', { class: 'field' }, h('label', { for: name }, t(`device.${kind}`)), h('div', { class: 'select' }, icon({ audio: 'mic', video: 'camera', speaker: 'speaker' }[kind]), select))
  const update = () => {
    const list = devices.list(kind)
    if (kind === 'speaker' && !list.length) list.push({ deviceId: 'default', label: '' })
    const options = list.map((d, i) => h('option', { value: d.deviceId }, d.label || t(d.deviceId === 'default' ? 'device.default' : 'device.numbered', { number: i + 1 })))
    const same = options.length === select.options.length && options.every((o, i) => o.value === select.options[i].value && o.text === select.options[i].text)
    if (!same) select.replaceChildren(...options)
    if (!list.length) select.replaceChildren(h('option', {}, t(devices.asked ? 'device.none' : 'device.unknown')))
    select.disabled = !list.length || kind === 'speaker' && !choosesSpeaker
    select.value = devices.current(kind) ?? list[0]?.deviceId ?? ''
    if (select.selectedIndex < 0) select.selectedIndex = 0
  }
  update()
  return { element: field, update }
}

// level shows how loud the microphone is.
export function level() {
  const bars = Array.from({ length: 14 }, () => h('i'))
  const element = h('div', { class: 'level', role: 'meter', 'aria-label': t('device.level'), 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': 0 }, bars)
  let told = 0
  const meter = new Meter(loud => {
    bars.forEach((bar, i) => bar.classList.toggle('on', loud * bars.length > i + 0.3))
    const value = Math.round(loud * 10) * 10
    if (value !== told) set(element, { 'aria-valuenow': told = value })
  })
  return { element, listen: track => meter.listen(track), close: () => meter.close() }
}

// tester plays a test sound on the loudspeaker that is chosen.
export function tester(devices) {
  const b = h('button', { class: 'button small', type: 'button' }, icon('speaker'), h('span', {}, t('device.test')))
  b.addEventListener('click', async () => {
    b.classList.add('playing')
    await chime(devices.current('speaker')).catch(() => {})
    b.classList.remove('playing')
  })
  return b
}
