// Short words that come and go, and that a screen reader reads.

import { h } from './dom.js'

const shownFor = 6000
const most = 3

// toast shows a text for a while. The same text is not shown twice at a time.
export function toast(text) {
  const place = document.getElementById('toasts')
  if ([...place.children].some(c => c.textContent === text)) return
  const element = h('p', { class: 'toast' }, text)
  place.append(element)
  while (place.children.length > most) place.firstChild.remove()
  setTimeout(() => element.remove(), shownFor)
}
