// The meeting: pictures, panels, and the two bars.

import { h, icon, set, show, swapIcon, throttle, write } from './dom.js'
import { shortcuts } from './keys.js'
import { sends } from './media.js'
import { Quality } from './quality.js'
import { choose } from './session.js'
import { Meter } from './sound.js'
import { t } from './text.js'
import { peoplePanel, settingsPanel } from './view-panel.js'
import { Stage } from './view-stage.js'

const heard = 0.32 // of the level: the guest speaks
const narrow = matchMedia('(max-width: 760px)') // a panel covers the pictures, as style/meeting.css has it

// meeting shows it. It answers a function that ends it.
export function meeting(guest) {
  const { terms } = guest
  const stage = new Stage(guest)
  let open = null, opener = null, latest = { level: 0 }

  // The bar at the top.
  const recorded = h('span', { class: 'chip record' }, icon('record'), h('span', {}, t('meeting.recorded')))
  const qualityIcon = icon('bars')
  const quality = h('span', { class: 'quality', role: 'img' }, qualityIcon)
  const count = h('span', { class: 'badge' })
  const viewButton = bare('gallery', () => { stage.view = stage.view === 'gallery' ? 'speaker' : 'gallery'; choose({ view: stage.view }); update() })
  const peopleButton = bare('people', () => toggle(peoplePanel, peopleButton.element))
  peopleButton.element.append(count)
  const settingsButton = bare('gear', () => toggle(settingsPanel, settingsButton.element))
  const top = h('header', { class: 'bar top' },
    h('div', { class: 'bar-title' }, icon('bridge', 'mark-icon'), h('h1', {}, terms.title || t('check.meeting'))),
    terms.hosted && h('span', { class: 'chip hosted' }, icon('shield'), h('span', {}, t('meeting.hosted', { where: terms.hosted }))),
    recorded,
    h('div', { class: 'bar-tools' }, quality, viewButton.element, peopleButton.element, settingsButton.element))

  // The bar at the bottom.
  const microphone = tool('m', () => guest.setMicrophone(!guest.talks)), camera = tool('v', () => guest.setCamera(!guest.films))
  const screen = tool(null, () => guest.setScreen(!guest.screen)), hand = tool('h', () => guest.setHand(!guest.handUp))
  const leave = h('button', { class: 'tool leave', type: 'button', 'aria-label': t('bar.leave'), onclick: () => guest.leave() }, h('span', { class: 'tool-face' }, icon('leave')), h('span', { class: 'tool-text', 'aria-hidden': 'true' }, t('bar.leave.short')))
  const shares = sends(terms.content) && navigator.mediaDevices?.getDisplayMedia !== undefined
  const bottom = h('nav', { class: 'bar bottom', 'aria-label': t('bar.label') },
    sends(terms.audio) && microphone.element, sends(terms.video) && camera.element, shares && screen.element, hand.element, leave)

  const marking = h('p', { class: 'marking', role: 'status' }) // what the rule says, for all of the meeting
  const banner = h('div', { class: 'banner', role: 'status' })
  const hear = h('button', { class: 'button primary', type: 'button', onclick: async () => { await guest.loudspeaker.start(); update() } }, icon('speaker'), h('span', {}, t('meeting.hear')))
  const blocked = h('div', { class: 'banner blocked' }, hear)
  const body = h('div', { class: 'meeting-body' }, stage.element)
  const meter = new Meter(level => { stage.loud = level > heard })

  const cover = () => { stage.element.inert = open !== null && narrow.matches }
  narrow.addEventListener('change', cover)

  function toggle(make, button) {
    const same = opener === button
    open?.close()
    open?.element.remove()
    open = null
    opener?.setAttribute('aria-expanded', 'false')
    if (same) {
      opener.focus()
      opener = null
      return cover()
    }
    opener = button
    opener.setAttribute('aria-expanded', 'true')
    open = make(guest, () => toggle(make, button))
    body.append(open.element)
    open.update()
    open.quality?.(latest)
    open.heading.focus()
    cover()
  }

  const update = throttle(() => {
    const { devices, host, talks, films } = guest
    microphone.update(talks, talks ? 'mic' : 'mic-off', t(host.free ? talks ? 'bar.mute' : 'bar.unmute' : 'bar.closed'), t('bar.microphone'), !talks, !host.free)
    camera.update(films, films ? 'camera' : 'camera-off', t(films ? 'bar.camera_off' : 'bar.camera_on'), t('bar.camera'), !films, guest.sending?.camera.allowed === false)
    screen.update(guest.screen, guest.screen ? 'screen-off' : 'screen', t(guest.screen ? 'bar.screen_off' : 'bar.screen_on'), t('bar.screen'), false, guest.sending?.screen.allowed === false)
    hand.update(guest.handUp, 'hand', t(guest.handUp ? 'bar.hand_down' : 'bar.hand_up'), t('bar.hand'), false, false)
    const gallery = stage.view === 'gallery'
    viewButton.update(gallery ? 'stage' : 'gallery', t(gallery ? 'bar.speaker' : 'bar.gallery'))
    viewButton.element.hidden = !guest.media.tiles.length
    peopleButton.update('people', guest.count ? t('bar.people', { count: guest.count }) : t('panel.people'))
    settingsButton.update('gear', t('panel.settings'))
    write(count, guest.count ? String(guest.count) : '')
    recorded.hidden = !guest.recorded
    write(marking, guest.banner)
    marking.hidden = !guest.banner
    const trouble = guest.state === 'interrupted' ? 'meeting.interrupted' : guest.away || guest.line === 'lost' ? 'meeting.rejoining' : guest.line === 'weak' ? 'meeting.weak' : ''
    write(banner, trouble && t(trouble))
    banner.hidden = !trouble
    blocked.hidden = !guest.loudspeaker.blocked
    meter.listen(guest.microphone ? devices.tracks.audio : null)
    stage.update()
    open?.update()
  }, 60)

  const watch = new Quality(guest.media, q => {
    latest = q
    qualityIcon.dataset.level = q.level
    set(quality, { 'aria-label': t('quality.label', { state: t(`quality.${q.level}`) }), title: t(`quality.${q.level}`) })
    open?.quality?.(q)
  })
  qualityIcon.dataset.level = 0
  set(quality, { 'aria-label': t('quality.label', { state: t('quality.0') }), title: t('quality.0') })

  show(h('div', { class: 'meeting' }, top, marking, banner, blocked, body, bottom))
  document.title = `${terms.title || t('check.meeting')} · Passerelle`
  guest.addEventListener('change', update)
  update()
  const unkey = shortcuts({
    m: () => guest.setMicrophone(!guest.talks), v: () => guest.setCamera(!guest.films), h: () => guest.setHand(!guest.handUp),
  }, on => { if (!guest.microphone) guest.setMicrophone(on, false) })
  let lock = null
  const awake = async () => { if (!document.hidden) lock = await navigator.wakeLock?.request('screen').catch(() => null) }
  awake()
  document.addEventListener('visibilitychange', awake)
  return () => {
    guest.removeEventListener('change', update)
    document.removeEventListener('visibilitychange', awake)
    narrow.removeEventListener('change', cover)
    lock?.release()
    unkey()
    open?.close()
    watch.close()
    meter.close()
    stage.close()
  }
}

// tool is a button of the lower bar, with a word under it where there is room.
function tool(key, onclick) {
  const symbol = icon('mic'), text = h('span', { class: 'tool-text', 'aria-hidden': 'true' })
  const element = h('button', { class: 'tool', type: 'button', onclick, 'aria-keyshortcuts': key }, h('span', { class: 'tool-face' }, symbol), text)
  return {
    element,
    update(on, name, label, word, off, disabled) {
      swapIcon(symbol, name)
      element.classList.toggle('on', Boolean(on))
      element.classList.toggle('off', off)
      set(element, { 'aria-label': label, title: key ? `${label} (${key.toUpperCase()})` : label, disabled })
      write(text, word)
    },
  }
}

// bare is a button of the upper bar.
function bare(name, onclick) {
  const symbol = icon(name)
  const element = h('button', { class: 'plain-button', type: 'button', onclick }, symbol)
  return { element, update(name, label) { swapIcon(symbol, name); set(element, { 'aria-label': label, title: label }) } }
}
