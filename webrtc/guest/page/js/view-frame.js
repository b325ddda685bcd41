// What the pages before and after the meeting have in common: the mark, a card, and a foot.

import { h, icon } from './dom.js'
import { t } from './text.js'

// frame puts content between head and foot. kind is a class of its own.
export function frame(kind, ...content) {
  return h('div', { class: `entry ${kind}` },
    h('header', { class: 'entry-head' }, mark()),
    h('main', { class: 'entry-main' }, ...content),
    h('footer', { class: 'entry-foot' }, h('p', {}, t('foot'))))
}

// mark is the footbridge and the name.
export function mark() {
  return h('div', { class: 'mark' }, icon('bridge', 'mark-icon'), h('span', {}, 'Passerelle'))
}

// button is a button with an icon or without.
export function button(kind, text, onclick, symbol) {
  return h('button', { class: `button ${kind}`, type: 'button', onclick }, symbol && icon(symbol), h('span', {}, text))
}
