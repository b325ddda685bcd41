// Shortcuts of the meeting. They can be switched off in the settings (WCAG 2.1, 2.1.4), and never take a key from a field.

import { choice } from './session.js'

// shortcuts listens to the keyboard until the function that it answers is called. actions: { m, v, h } are called; talk(on) with the space bar down and up.
export function shortcuts(actions, talk) {
  let talking = false
  const down = e => {
    if (!(choice().keys ?? true) || e.ctrlKey || e.metaKey || e.altKey || e.repeat || typing(e.target)) return
    if (e.key === ' ' && !e.target.closest('button, summary, a, [role=group]')) {
      e.preventDefault()
      talking = true
      talk(true)
    } else actions[e.key.toLowerCase()]?.()
  }
  const up = e => {
    if (e.key === ' ' && talking) release()
  }
  const release = () => {
    if (talking) talk(false)
    talking = false
  }
  document.addEventListener('keydown', down)
  document.addEventListener('keyup', up)
  window.addEventListener('blur', release)
  return () => {
    document.removeEventListener('keydown', down)
    document.removeEventListener('keyup', up)
    window.removeEventListener('blur', release)
  }
}

function typing(target) {
  return target.closest?.('textarea, select, [contenteditable], input:not([type=checkbox])') !== null && target !== document.body
}
