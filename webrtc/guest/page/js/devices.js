// Camera, microphone and loudspeaker of the guest.
//
// Events: "change": a track began, ended or was replaced, or what there is to choose from changed; "gone" (detail: "audio" or "video"): a device was pulled out, or
// taken back in the browser's own bar, and no other takes its place.

import { choice, choose } from './session.js'

const wanted = {
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
  video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } },
}
const kinds = { audio: 'audioinput', video: 'videoinput', speaker: 'audiooutput' }

export class Devices extends EventTarget {
  tracks = { audio: null, video: null }
  // What stands in the way: "denied", "missing", "busy", "failed", "insecure"; null: nothing that is known of.
  problems = { audio: null, video: null }
  asked = false
  #list = []

  constructor() {
    super()
    if (!navigator.mediaDevices) {
      this.problems = { audio: 'insecure', video: 'insecure' }
      return
    }
    navigator.mediaDevices.addEventListener('devicechange', () => this.#changed())
  }

  // granted tells whether the browser would give the devices without asking.
  async granted(wants) {
    try {
      const asked = []
      if (wants.audio) asked.push(navigator.permissions.query({ name: 'microphone' }))
      if (wants.video) asked.push(navigator.permissions.query({ name: 'camera' }))
      return (await Promise.all(asked)).every(p => p.state === 'granted')
    } catch {
      return false // the browser does not tell
    }
  }

  // open asks for the devices, both in one question, and each alone where that fails: one of them may be missing or denied.
  async open(wants) {
    if (!navigator.mediaDevices) return
    this.asked = true
    choose({ asked: true })
    const kinds = ['audio', 'video'].filter(kind => wants[kind] && !this.tracks[kind])
    if (kinds.length === 2) {
      try {
        const stream = await navigator.mediaDevices.getUserMedia({ audio: this.#wish('audio'), video: this.#wish('video') })
        this.#take('audio', stream.getAudioTracks()[0])
        this.#take('video', stream.getVideoTracks()[0])
        return this.#changed()
      } catch { /* one by one */ }
    }
    for (const kind of kinds) await this.#openOne(kind)
    await this.#changed()
  }

  // openOne opens a device: the one that was chosen before, and where that does not work any other, unless only that one will do.
  async #openOne(kind, only = false) {
    for (const chosen of only ? [true] : [true, false]) {
      try {
        const stream = await navigator.mediaDevices.getUserMedia({ [kind]: this.#wish(kind, chosen) })
        this.#take(kind, stream.getTracks()[0])
        return true
      } catch (e) {
        this.problems[kind] = problem(e)
        if (this.problems[kind] === 'denied') return false
      }
    }
    return false
  }

  // wish is what is asked for: the device that was chosen before, or any. One that is merely preferred (ideal) browsers need not give.
  #wish(kind, chosen = true) {
    const device = choice()[kind]
    return { ...wanted[kind], ...chosen && device && { deviceId: { exact: device } } }
  }

  #take(kind, track) {
    this.#drop(kind)
    this.tracks[kind] = track
    this.problems[kind] = null
    if (kind === 'video') track.contentHint = 'motion'
    track.addEventListener('ended', () => { // pulled out, or taken back in the browser's own bar
      if (this.tracks[kind] !== track) return
      this.tracks[kind] = null
      this.#ended(kind)
    })
  }

  // ended looks for another microphone in the place of one that is gone. Another camera might show what the guest did not mean to.
  async #ended(kind) {
    if (kind === 'audio') await this.#openOne(kind)
    else this.problems[kind] = 'missing'
    await this.#changed()
    if (!this.tracks[kind]) this.dispatchEvent(new CustomEvent('gone', { detail: kind }))
  }

  #drop(kind) {
    this.tracks[kind]?.stop()
    this.tracks[kind] = null
  }

  // close gives a device back: its light goes out.
  close(kind) {
    this.#drop(kind)
    this.dispatchEvent(new Event('change'))
  }

  closeAll() {
    this.#drop('audio')
    this.#drop('video')
  }

  // use changes to another device while everything runs. The old one goes on where the new one does not work.
  async use(kind, device) {
    const before = choice()[kind]
    choose({ [kind]: device })
    if (kind === 'speaker' || !this.tracks[kind]) return this.#changed()
    if (kind === 'video') this.#drop(kind) // many computers open one camera only once
    if (!await this.#openOne(kind, true)) {
      choose({ [kind]: before })
      if (this.tracks[kind]) this.problems[kind] = null
      else await this.#openOne(kind)
    }
    await this.#changed()
  }

  // list is what there is of a kind: audio, video or speaker. Without permission, browsers hide names.
  list(kind) { return this.#list.filter(d => d.kind === kinds[kind] && d.deviceId) }

  // current is the device in use.
  current(kind) {
    if (kind === 'speaker') return choice().speaker ?? 'default'
    return this.tracks[kind]?.getSettings().deviceId ?? choice()[kind]
  }

  async #refresh() {
    try { this.#list = await navigator.mediaDevices.enumerateDevices() } catch { this.#list = [] }
  }

  async #changed() {
    await this.#refresh()
    this.dispatchEvent(new Event('change'))
  }
}

// problem is our word for why a device is not to be had.
function problem(e) {
  switch (e.name) {
    case 'NotAllowedError': case 'SecurityError': return 'denied'
    case 'NotFoundError': case 'OverconstrainedError': return 'missing'
    case 'NotReadableError': case 'AbortError': return 'busy'
    default: return 'failed'
  }
}
