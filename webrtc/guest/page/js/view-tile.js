// A tile of the meeting: the picture of somebody, or their initials, with their name and what they do.

import { h, icon, set, swapIcon, write } from './dom.js'
import { t } from './text.js'

const colours = 6 // classes of style/meeting.css

// initials are one or two letters for a name.
export function initials(name) {
  const words = name.trim().split(/[\s.,()•+-]+/).filter(w => /^\p{L}/u.test(w))
  return words.length ? [words[0], words.length > 1 ? words.at(-1) : ''].map(w => [...w][0] ?? '').join('').toUpperCase() : ''
}

// colour gives a name a colour, always the same.
function colour(name) {
  let sum = 0
  for (const c of name) sum = (sum * 31 + c.codePointAt(0)) % 997
  return sum % colours
}

export class Tile {
  #name = h('span', { class: 'tile-name' })
  #muted = icon('mic-off', 'tile-muted')
  #hand = h('span', { class: 'tile-hand' }, icon('hand'))
  #face = h('div', { class: 'face' })
  #faceIcon = icon('people')
  #word = h('p', { class: 'tile-word' })
  #pin = null
  box = h('div', { class: 'tile-picture' })
  element = h('div', { class: 'tile', role: 'listitem' })
  video = null
  visible = true

  // pinned is called when the guest wants to see this one large, or no more; null: it cannot be.
  constructor(key, pinned) {
    this.key = key
    this.element.tile = this
    this.box.append(this.#face, this.#word)
    this.element.append(this.box, h('div', { class: 'tile-foot' }, this.#hand, h('span', { class: 'tile-label' }, this.#muted, this.#name)))
    if (pinned) {
      this.#pin = h('button', { class: 'tile-pin', type: 'button', onclick: pinned }, icon('pin'))
      this.element.append(this.#pin)
    }
  }

  // update shows: { name, muted, hand, phone, speaking, video, live, mirrored, contain, word, pinned, screen }. video is an element, or null; it is covered
  // until it is live.
  update(s) {
    const e = this.element.classList
    e.toggle('speaking', s.speaking === true)
    e.toggle('live', s.live === true)
    e.toggle('mirrored', s.mirrored === true)
    e.toggle('contain', s.contain === true)
    e.toggle('screen', s.screen === true)
    if (this.video !== s.video) {
      if (this.video?.parentNode === this.box) this.video.remove()
      this.video = s.video
    }
    if (s.video && s.video.parentNode !== this.box) {
      this.box.prepend(s.video)
      s.video.play().catch(() => {}) // moving it in the page paused it
    }
    const name = s.screen ? s.name ? t('tile.screen', { name: s.name }) : t('tile.somebody') : s.name
    write(this.#name, name)
    this.#name.title = name
    this.#muted.classList.toggle('gone', !s.muted)
    this.#hand.hidden = !s.hand
    const letters = initials(s.name)
    swapIcon(this.#faceIcon, s.phone ? 'phone' : s.screen ? 'screen' : 'people')
    if (s.phone || s.screen || !letters) {
      if (this.#face.firstChild !== this.#faceIcon) this.#face.replaceChildren(this.#faceIcon)
    } else if (this.#face.textContent !== letters) this.#face.textContent = letters
    this.#face.className = `face tone-${colour(s.name)}`
    write(this.#word, s.word ?? '')
    this.#word.hidden = !s.word
    const label = [name, s.muted && t('tile.muted'), s.hand && t('tile.hand'), s.speaking && t('tile.speaking'), s.phone && t('tile.phone')].filter(Boolean).join(', ')
    set(this.element, { 'aria-label': label })
    if (this.#pin) {
      const text = t(s.pinned ? 'tile.unpin' : 'tile.pin', { name })
      set(this.#pin, { 'aria-label': text, title: text, 'aria-pressed': String(s.pinned === true) })
    }
  }

  // height is how many pixels of the display its picture takes; 0: it is not to be seen.
  height() {
    return this.visible && !document.hidden ? Math.round(this.box.clientHeight * devicePixelRatio) : 0
  }
}
