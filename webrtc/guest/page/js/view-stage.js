// The pictures of the meeting: tiles in a gallery, or one large and the others beside it; and what the gateway is told of them.

import { arrange, assign, fit } from './arrange.js'
import { h, throttle } from './dom.js'
import { sends, takes } from './media.js'
import { choice } from './session.js'
import { t } from './text.js'
import { Tile } from './view-tile.js'

const gap = 10 // pixels, as style/meeting.css has it
const probe = 90 // pixels of a tile that waits for whoever comes

export class Stage {
  element = h('main', { class: 'pictures', tabindex: '-1' })
  view = choice().view ?? 'gallery'
  #stage = h('div', { class: 'large', role: 'list' })
  #grid = h('div', { class: 'grid', role: 'list' })
  #empty = h('p', { class: 'empty' })
  #guest
  #tiles = new Map() // by key of the slot
  #videos = new Map() // by mid
  #mids = new Map() // by key of the slot
  #own = videoElement()
  #pinned = null
  #loud = false // the guest speaks
  #sent = ''
  #resized = new ResizeObserver(() => { this.#size(); this.#look() })
  #seen = new IntersectionObserver(entries => {
    for (const e of entries) e.target.tile.visible = e.isIntersecting
    this.#look()
  })
  #hidden = () => this.#look()

  constructor(guest) {
    this.#guest = guest
    this.element.append(this.#stage, this.#grid, this.#empty)
    this.element.setAttribute('aria-label', t('meeting.pictures'))
    this.#resized.observe(this.element)
    document.addEventListener('visibilitychange', this.#hidden)
    guest.addEventListener('afresh', this.#afresh)
  }

  #afresh = () => { this.#sent = ''; this.update(); this.#look() }

  close() {
    this.#resized.disconnect()
    this.#seen.disconnect()
    document.removeEventListener('visibilitychange', this.#hidden)
    this.#guest.removeEventListener('afresh', this.#afresh)
    for (const v of [this.#own, ...this.#videos.values()]) v.srcObject = null
  }

  // loud says that the guest is heard.
  set loud(on) {
    if (on !== this.#loud) { this.#loud = on; this.update() }
  }

  update() {
    const g = this.#guest
    const shown = new Map([...this.#mids].map(([key, mid]) => [key, g.shown.get(mid)]))
    const scene = arrange({
      people: g.people, shown, view: this.view, pinned: this.#pinned, recent: g.recent, pictures: g.media.tiles.length, self: { key: 'self', self: true },
    })
    this.#mids = assign(this.#mids, scene, g.media.tiles, g.recent)
    const anonymous = g.people.length === 0
    const focus = this.element.contains(document.activeElement) ? document.activeElement : null
    const visible = slot => slot.self || !anonymous || g.shown.get(this.#mids.get(slot.key))?.source
    const grid = scene.grid.filter(visible)
    this.#place(this.#stage, scene.stage ? [scene.stage] : [])
    this.#place(this.#grid, grid)
    if (focus && focus !== document.activeElement) (focus.isConnected ? focus : this.element).focus({ preventScroll: true }) // moving it took the focus
    this.element.classList.toggle('has-stage', scene.stage !== null)
    for (const [key, tile] of this.#tiles) {
      if (tile.element.isConnected) continue
      this.#seen.unobserve(tile.element)
      this.#tiles.delete(key)
    }
    const alone = grid.length === 1 && !scene.stage
    this.element.classList.toggle('alone', alone)
    this.#empty.hidden = !alone
    this.#empty.textContent = t(g.count > 1 || g.speakers.length ? 'meeting.only_sound' : g.count === 1 ? 'meeting.alone' : takes(g.terms.video) ? 'meeting.no_pictures' : 'meeting.only_sound')
    this.#probes = scene.grid.filter(slot => !visible(slot))
    this.#scene = scene
    this.#size()
    this.#look()
  }
  #probes = []
  #scene = { stage: null, grid: [] }

  // place puts the tiles of slots into a list, and moves only those that are elsewhere: a picture that is moved stops for a moment.
  #place(list, slots) {
    slots.forEach((slot, i) => {
      let tile = this.#tiles.get(slot.key)
      if (!tile) {
        tile = new Tile(slot.key, slot.self || !slot.person || slot.key === 'speaker' ? null : () => this.#pin(slot.key))
        this.#tiles.set(slot.key, tile)
        this.#seen.observe(tile.element)
      }
      if (list.children[i] !== tile.element) list.insertBefore(tile.element, list.children[i] ?? null)
      tile.update(slot.self ? this.#self() : this.#other(slot))
    })
    while (list.children.length > slots.length) list.lastChild.remove()
  }

  #pin(key) {
    this.#pinned = this.#pinned === key ? null : key
    this.update()
  }

  #self() {
    const g = this.#guest, track = g.films ? g.devices.tracks.video : null
    attach(this.#own, track)
    return {
      name: t('tile.you'), muted: sends(g.terms.audio) && !g.talks, hand: g.handUp, speaking: this.#loud, mirrored: true,
      video: track && this.#own, live: track !== null, word: g.screen ? t('tile.sharing') : '',
    }
  }

  #other(slot) {
    const g = this.#guest, mid = this.#mids.get(slot.key), shown = mid === undefined ? undefined : g.shown.get(mid)
    const fits = shown?.source && (slot.seat === 0 || !shown.seat || shown.seat === slot.seat) && (!slot.source || shown.source === slot.source)
    const person = slot.person ?? g.people.find(p => p.seat === shown?.seat)
    const screen = slot.source === 'screen' || shown?.source === 'screen'
    return {
      name: person?.name ?? '', muted: person?.muted && !screen, hand: person?.hand && !screen, phone: person?.phone, screen,
      speaking: !screen && (person ? g.speakers.includes(person.seat) : shown?.speaking), pinned: this.#pinned === slot.key,
      video: mid === undefined ? null : this.#video(mid), live: fits && !shown.waiting && !shown.unfit, contain: screen || shown?.height > shown?.width,
      word: shown?.unfit ? t('tile.unfit') : fits && shown.waiting ? t('tile.waiting') : '',
    }
  }

  #video(mid) {
    let video = this.#videos.get(mid)
    if (!video) this.#videos.set(mid, video = videoElement())
    attach(video, this.#guest.media.receivers.get(mid) ?? null)
    return video
  }

  // size makes tiles as large as they can be.
  #size() {
    const list = this.#grid, count = list.children.length
    const beside = this.element.classList.contains('has-stage')
    if (!count || beside) return
    const { columns, width, height } = fit(count, this.element.clientWidth - 2 * gap, this.element.clientHeight - 2 * gap - (this.#empty.hidden ? 0 : 60), gap)
    list.style.setProperty('--columns', columns)
    list.style.setProperty('--width', `${width}px`)
    list.style.setProperty('--height', `${height}px`)
  }

  // look tells the gateway what is on the page, and how large.
  #look = throttle(() => {
    const g = this.#guest
    if (!g.media.agreed) return
    const tiles = []
    const { stage, grid } = this.#scene
    for (const slot of [stage, ...grid]) {
      const mid = slot && this.#mids.get(slot.key)
      if (mid === undefined || mid === null) continue
      const height = this.#probes.includes(slot) ? document.hidden ? 0 : probe : this.#tiles.get(slot.key)?.height() ?? 0
      if (height > 0) tiles.push({ mid, seat: slot.seat, source: slot.source, height })
    }
    const text = JSON.stringify(tiles)
    if (text !== this.#sent && g.signalling.send('layout', { tiles })) this.#sent = text
  }, 250)
}

function videoElement() {
  const video = h('video', { autoplay: true, playsinline: true, 'aria-hidden': 'true', tabindex: '-1' })
  video.muted = true // sound comes as one mix
  video.disablePictureInPicture = true
  return video
}

function attach(video, track) {
  if ((video.srcObject?.getTracks()[0] ?? null) !== track) video.srcObject = track && new MediaStream([track])
}
