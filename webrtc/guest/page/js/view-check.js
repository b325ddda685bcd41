// Before the meeting: the guest's name, what they agree to, and whether camera, microphone and loudspeaker work.

import { h, icon, id, set, show, swapIcon, write } from './dom.js'
import { sends, takes } from './media.js'
import { choice, choose } from './session.js'
import { moment, t } from './text.js'
import { chooser, level, tester } from './view-choose.js'
import { frame } from './view-frame.js'
import { initials } from './view-tile.js'

// check shows the page. join(name, consent) is called once the guest wants in; its promise fails with the code of what is wrong. It answers a function
// that ends the page.
export function check(guest, join) {
  const { terms, devices } = guest
  const wants = { audio: sends(terms.audio), video: sends(terms.video) }
  const left = preview(guest, wants)
  const right = form(guest, join)
  show(frame('check',
    h('section', { class: 'invitation' },
      h('p', { class: 'eyebrow' }, t('check.invited')),
      h('h1', {}, terms.title || t('check.meeting')),
      h('ul', { class: 'facts' },
        terms.hosted && h('li', {}, icon('shield'), h('span', {}, t('check.hosted', { where: terms.hosted }))),
        terms.lobby && h('li', {}, icon('door'), h('span', {}, t('check.lobby'))),
        !wants.audio && h('li', {}, icon('mic-off'), h('span', {}, t('check.listen_only'))),
        terms.until && h('li', {}, icon('clock'), h('span', {}, t('check.until', { when: moment(terms.until) }))))),
    h('div', { class: 'check-columns' }, left.element, right.element)))
  document.title = `${terms.title || t('check.meeting')} · Passerelle`
  const update = () => { left.update(); right.update() }
  guest.addEventListener('change', update)
  update()
  devices.granted(wants).then(granted => {
    if (granted && !devices.asked && (wants.audio || wants.video)) devices.open({ audio: wants.audio, video: wants.video && guest.camera })
  })
  return () => {
    guest.removeEventListener('change', update)
    left.close()
  }
}

// preview is the picture of the camera, and the choice of devices.
function preview(guest, wants) {
  const { devices } = guest
  const video = h('video', { autoplay: true, muted: true, playsinline: true, class: 'mirrored', 'aria-label': t('check.preview') })
  video.muted = true
  const face = h('div', { class: 'face' }), word = h('p', { class: 'preview-word' })
  const allow = h('button', { class: 'button primary', type: 'button', onclick: () => devices.open({ audio: wants.audio, video: wants.video && guest.camera }) }, t(wants.video ? 'check.allow' : 'check.allow_audio'))
  const ask = h('div', { class: 'preview-ask' }, h('p', {}, t('check.why')), allow)
  const loud = level()
  const microphone = toggle('m', () => guest.setMicrophone(!guest.talks)), camera = toggle('v', () => guest.setCamera(!guest.films))
  const choosers = ['audio', 'video', 'speaker'].filter(k => k === 'speaker' || wants[k]).map(kind => chooser(devices, kind, device => guest.use(kind, device)))
  const problems = h('div', { class: 'problems', 'aria-live': 'polite' })
  const element = h('section', { class: 'card preview-card', 'aria-label': t('check.devices') },
    h('div', { class: 'preview' }, video, face, word, ask, h('div', { class: 'preview-bar' }, wants.audio && loud.element, wants.audio && microphone.element, wants.video && camera.element)),
    problems,
    h('div', { class: 'choosers' }, choosers.map(c => c.element), h('div', { class: 'test' }, tester(devices))))
  return {
    element,
    update() {
      const { audio, video: picture } = devices.tracks
      const asks = (wants.audio || wants.video) && !devices.asked && !devices.problems.audio
      ask.hidden = !asks
      word.hidden = face.hidden = asks || picture !== null
      video.hidden = !picture
      if ((video.srcObject?.getTracks()[0] ?? null) !== picture) video.srcObject = picture && new MediaStream([picture])
      write(face, initials(choice().name ?? guest.terms.name ?? ''))
      write(word, t(wants.video ? guest.camera ? 'check.no_camera' : 'check.camera_off' : 'check.no_picture'))
      loud.listen(guest.microphone ? audio : null)
      microphone.update(guest.talks, 'mic', t(guest.talks ? 'bar.mute' : 'bar.unmute'), asks)
      camera.update(guest.films, 'camera', t(guest.films ? 'bar.camera_off' : 'bar.camera_on'), asks)
      loud.element.hidden = asks || !audio
      for (const c of choosers) c.update()
      const found = ['audio', 'video'].filter(k => wants[k] && devices.problems[k] && (devices.asked || devices.problems[k] === 'insecure'))
      const key = found.map(k => k + devices.problems[k]).join()
      if (problems.dataset.key !== key) {
        problems.dataset.key = key
        problems.replaceChildren(...found.map(k => h('p', { class: 'problem' }, icon(k === 'audio' ? 'mic-off' : 'camera-off'), h('span', {}, t(`device.${k}.${devices.problems[k]}`)))))
      }
    },
    close() { loud.close(); video.srcObject = null },
  }
}

// toggle is a round button for microphone or camera.
function toggle(key, onclick) {
  const symbol = icon('mic')
  const element = h('button', { class: 'round', type: 'button', onclick, 'aria-keyshortcuts': key }, symbol)
  return {
    element,
    update(on, name, label, disabled) {
      swapIcon(symbol, on ? name : `${name}-off`)
      element.classList.toggle('off', !on)
      set(element, { 'aria-label': label, title: label, disabled })
    },
  }
}

// form asks for the name and for consent.
function form(guest, join) {
  const { terms, devices } = guest
  const nameID = id('name'), needID = id('need'), consentID = id('consent'), consentNeed = id('need')
  const name = h('input', { id: nameID, type: 'text', maxlength: 60, autocomplete: 'name', required: true, 'aria-describedby': needID, value: choice().name ?? terms.name ?? '' })
  const need = h('p', { id: needID, class: 'need' }), agreeNeed = h('p', { id: consentNeed, class: 'need' }), failed = h('p', { class: 'need', role: 'alert' })
  const agree = h('input', { id: consentID, type: 'checkbox', required: true, 'aria-describedby': consentNeed })
  const needsConsent = terms.foreign || terms.consent !== ''
  const enter = h('button', { class: 'button primary wide', type: 'submit' }, t(terms.lobby ? 'check.ask' : 'check.join'))
  const without = h('p', { class: 'fine without' })
  const element = h('form', { class: 'card form-card', novalidate: true },
    terms.ask_name
      ? h('div', { class: 'field' }, h('label', { for: nameID }, t('check.name')), name, need)
      : h('p', { class: 'as' }, t('check.as'), h('strong', {}, terms.name)),
    needsConsent && h('div', { class: 'consent' },
      h('h2', {}, t('consent.title')),
      h('ul', {},
        terms.foreign && h('li', {}, t(terms.hosted ? 'consent.foreign_hosted' : 'consent.foreign', { where: terms.hosted })),
        h('li', {}, t('consent.crosses', { what: crosses(terms) })),
        !takes(terms.audio) && h('li', {}, t('consent.deaf'))),
      terms.consent && h('p', { class: 'consent-text' }, terms.consent),
      h('label', { class: 'agree', for: consentID }, agree, h('span', {}, t('consent.agree'))), agreeNeed),
    failed, enter, without)
  name.addEventListener('input', () => { choose({ name: name.value.trim() }); write(need, ''); name.removeAttribute('aria-invalid'); guest.changed() })
  agree.addEventListener('change', () => { write(agreeNeed, ''); agree.removeAttribute('aria-invalid') })
  element.addEventListener('submit', async e => {
    e.preventDefault()
    const text = terms.ask_name ? name.value.trim() : terms.name
    if (terms.ask_name && !text) return refuse(name, need, 'check.name_needed')
    if (needsConsent && !agree.checked) return refuse(agree, agreeNeed, 'consent.needed')
    write(failed, '')
    enter.disabled = true
    try {
      await join(text, needsConsent && agree.checked)
    } catch (problem) {
      write(failed, t(problem.message === 'down' ? 'check.failed_network' : 'check.failed', { code: problem.message }))
      enter.disabled = false
    }
  })
  return {
    element,
    update() {
      const missing = ['audio', 'video'].filter(k => sends(terms[k]) && !devices.tracks[k] && !(k === 'video' && !guest.camera))
      write(without, missing.length === 2 ? t('check.without_both') : missing.length ? t(`check.without_${missing[0]}`) : '')
    },
  }
}

function refuse(field, place, key) {
  set(field, { 'aria-invalid': 'true' })
  write(place, t(key))
  field.focus()
}

// crosses lists what goes out from the guest.
function crosses({ audio, video, content }) {
  const list = [sends(audio) && t('crosses.voice'), sends(video) && t('crosses.picture'), sends(content) && t('crosses.screen')].filter(Boolean)
  return list.length ? new Intl.ListFormat(document.documentElement.lang, { type: 'conjunction' }).format(list) : t('crosses.nothing')
}
