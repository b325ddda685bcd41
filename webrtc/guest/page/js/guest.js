// The guest in the meeting: what the gateway says of it, and what the guest may do. Views read it and listen for its events.
//
// Events: "change" (something that is shown), "state" (detail: the new state), "tell" (detail: key of a text and its values), "afresh" (the gateway has
// forgotten the layout), "over" (detail: { reason, text, retry }).

import { Media, sends } from './media.js'
import { choice, choose } from './session.js'
import { Loudspeaker } from './sound.js'

const remembered = 16 // of those who spoke

export class Guest extends EventTarget {
  state = 'new'
  until = null
  people = []
  count = 0
  speakers = []
  recent = []
  shown = new Map() // what each tile shows, by mid
  sending = null
  host = { muted: false, free: true } // what a host did to the microphone
  handUp = false
  recorded = false
  banner = '' // text of the rule, for all of the meeting
  line = 'new' // of media: new, up, weak, lost
  away = false // the socket is lost
  microphone = true
  camera = true
  screen = null // the track that is shared
  loudspeaker = new Loudspeaker()
  #talking = false // for as long as a key is held

  constructor(signalling, welcome, devices) {
    super()
    Object.assign(this, { signalling, devices, terms: welcome.terms, maximum: welcome.maximum })
    this.media = new Media(signalling, this.terms, this.maximum)
    const chosen = choice()
    this.microphone = (chosen.microphone ?? true) && sends(this.terms.audio)
    this.camera = (chosen.camera ?? true) && sends(this.terms.video)
    this.loudspeaker.volume = chosen.volume ?? 1
    this.loudspeaker.use(devices.current('speaker'))
    const on = (target, type, f) => target.addEventListener(type, e => f.call(this, e.detail))
    for (const [type, f] of Object.entries({
      welcome: this.#welcome, down: this.#down, state: this.#state, people: this.#people, speakers: this.#speakers, tiles: this.#tiles,
      sending: this.#sending, microphone: this.#microphone, hand: this.#hand, banner: this.#banner, notice: this.#notice, over: reason => this.#over({ reason, retry: true }),
    })) on(signalling, type, f)
    on(this.media, 'sound', track => this.loudspeaker.play(track).then(() => this.changed()))
    on(this.media, 'fresh', () => { this.#say(); this.dispatchEvent(new Event('afresh')) })
    on(this.media, 'line', line => { this.line = line; this.changed() })
    on(devices, 'change', this.#devices)
    on(devices, 'gone', this.#gone)
  }

  // talks and films tell whether the guest is heard and seen: wants to be, and has a device that works.
  get talks() { return this.microphone && this.devices.tracks.audio !== null }
  get films() { return this.camera && this.devices.tracks.video !== null }

  changed() { this.dispatchEvent(new Event('change')) }

  #tell(key, values) { this.dispatchEvent(new CustomEvent('tell', { detail: { key, values } })) }

  // join asks for the room. The error's message is a code of docs/signalling.md, or "down".
  async join(name, consent) {
    await this.#put()
    await this.media.offer({
      patience: 45_000, // the room may take its time
      send: o => this.signalling.send('join', { name, consent, muted: !this.talks, camera: this.films, ...o }),
    })
    this.#say()
  }

  // resume goes on with a place in the room after the page was loaded anew.
  async resume(state) {
    this.#enter(state)
    await this.#put()
    await this.media.offer({ fresh: true })
  }

  // put has the tracks sent that there are.
  async #put() {
    const { audio, video } = this.devices.tracks
    if (audio) audio.enabled = this.microphone || this.#talking
    if (sends(this.terms.audio)) await this.media.put('voice', audio)
    if (sends(this.terms.video)) await this.media.put('camera', this.camera ? video : null)
    if (sends(this.terms.content)) await this.media.put('screen', this.screen)
  }

  // report tells the gateway of a change, once it has been asked for the room.
  #report(type, members) {
    if (this.state !== 'new') this.signalling.send(type, members)
  }

  // say tells the gateway what is sent.
  #say() {
    if (sends(this.terms.video)) this.signalling.send('camera', this.media.picture('camera'))
    if (sends(this.terms.content)) this.signalling.send('screen', this.media.picture('screen'))
  }

  async #devices() {
    if (this.state === 'new' || this.state === 'ended') return this.changed()
    await this.#put()
    this.#report('camera', this.media.picture('camera'))
    this.changed()
  }

  #gone(kind) {
    if (this.state === 'new' || this.state === 'ended') return // the check says so itself
    if (kind === 'audio') this.#report('microphone', { on: false })
    this.#tell(this.devices.problems[kind] === 'denied' ? `device.${kind}.denied` : `told.${kind}_gone`)
  }

  // setMicrophone opens or closes the microphone. kept: as the guest chose, not for as long as a key is held.
  async setMicrophone(on, kept = true) {
    if (!sends(this.terms.audio)) return
    if (on && !this.host.free) return this.#tell('told.muted_by_host')
    if (on && !this.devices.tracks.audio) await this.devices.open({ audio: true })
    if (kept) choose({ microphone: this.microphone = on })
    else this.#talking = on
    await this.#put()
    this.#report('microphone', { on: on && this.devices.tracks.audio !== null })
    if (on) this.host.muted = false
    if (on && !this.devices.tracks.audio) this.#tell(`device.audio.${this.devices.problems.audio ?? 'failed'}`)
    this.changed()
  }

  async setCamera(on) {
    if (!sends(this.terms.video)) return
    choose({ camera: this.camera = on })
    if (on) await this.devices.open({ video: true })
    else this.devices.close('video')
    if (on && !this.devices.tracks.video) this.#tell(`device.video.${this.devices.problems.video ?? 'failed'}`)
    await this.#put()
    this.#report('camera', this.media.picture('camera'))
    this.changed()
  }

  async setScreen(on) {
    if (!sends(this.terms.content)) return
    this.screen?.stop()
    this.screen = null
    if (on) {
      try {
        const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } }, audio: false })
        this.screen = stream.getVideoTracks()[0]
        this.screen.contentHint = 'detail'
        const track = this.screen
        track.addEventListener('ended', () => { if (this.screen === track) this.setScreen(false) })
      } catch (e) {
        if (e.name !== 'NotAllowedError') this.#tell('told.screen_failed')
      }
    }
    await this.#put()
    this.#report('screen', this.media.picture('screen'))
    this.changed()
  }

  setHand(up) {
    if (this.signalling.send('hand', { up })) this.handUp = up
    this.changed()
  }

  setVolume(volume) {
    choose({ volume })
    this.loudspeaker.volume = volume
  }

  // use changes to another device: "audio", "video" or "speaker". Where there was none it is opened, if the guest wants to be heard or seen.
  async use(kind, device) {
    await this.devices.use(kind, device)
    if (kind === 'speaker') await this.loudspeaker.use(device)
    else if (kind === 'audio' && this.microphone && !this.talks) await this.setMicrophone(true)
    else if (kind === 'video' && this.camera && !this.films) await this.setCamera(true)
  }

  leave() {
    this.signalling.close()
    this.#over({ reason: 'hung_up', retry: true })
  }

  // close lets go of everything, without a word to the gateway.
  close() {
    this.state = 'ended'
    this.media.close()
    this.loudspeaker.close()
    this.screen?.stop()
    this.devices.closeAll()
  }

  #enter(state) {
    if (state === this.state) return
    this.state = state
    this.dispatchEvent(new CustomEvent('state', { detail: state }))
  }

  #over(end) {
    if (this.state === 'ended') return
    this.close()
    this.dispatchEvent(new CustomEvent('over', { detail: end }))
  }

  #down() {
    this.away = true
    this.changed()
  }

  // welcome comes with each new socket: the first was heard before this guest was made.
  async #welcome(m) {
    this.away = false
    this.changed()
    if (m.state === 'new' && this.state === 'new') return
    if (m.state === 'new') return this.#over({ reason: 'session_unknown', retry: true })
    this.#enter(m.state)
    try {
      if (this.media.agreed) await this.media.repair()
      else await this.media.offer({ fresh: true })
    } catch { /* the line's own state follows */ }
  }

  #state({ state, reason, text, retry, until }) {
    this.until = until ?? null
    if (state === 'ended') return this.#over({ reason, text, retry })
    this.#enter(state)
    this.changed()
  }

  #people({ count, people = [] }) {
    this.count = count
    const hands = new Set(this.people.filter(p => p.hand).map(p => p.seat))
    for (const p of people) if (p.hand && !hands.has(p.seat)) this.#tell('told.hand', { name: p.name })
    this.people = people
    this.recent = this.recent.filter(seat => people.some(p => p.seat === seat))
    this.changed()
  }

  #speakers({ seats }) {
    this.speakers = seats ?? []
    this.recent = [...this.speakers, ...this.recent.filter(s => !this.speakers.includes(s))].slice(0, remembered)
    this.changed()
  }

  #tiles({ tiles }) {
    this.shown = new Map((tiles ?? []).map(tile => [tile.mid, tile]))
    this.changed()
  }

  // sending says what of ours may be shown. What may not any more goes off here, too: nobody is filmed for nobody, and it does not come on again by itself.
  #sending(sending) {
    const was = this.sending
    this.sending = sending
    this.media.want(sending)
    if (was?.camera.allowed && !sending.camera.allowed && this.camera) {
      this.setCamera(false)
      this.#tell('told.camera_closed')
    }
    if (was?.screen.allowed && !sending.screen.allowed && this.screen) {
      this.setScreen(false)
      this.#tell('told.screen_closed')
    }
    this.changed()
  }

  // microphone: a host may close it, but only the guest opens it.
  #microphone({ on, by, free }) {
    const was = this.host
    this.host = { muted: !on && by === 'host', free }
    if (this.host.muted && !was.muted) {
      this.microphone = this.#talking = false
      if (this.devices.tracks.audio) this.devices.tracks.audio.enabled = false
      this.#tell('told.muted_by_host')
    } else if (free && !was.free) this.#tell('told.may_speak')
    this.changed()
  }

  #hand({ up, by }) {
    if (this.handUp && !up && by === 'host') this.#tell('told.hand_lowered')
    this.handUp = up
    this.changed()
  }

  #banner({ text }) {
    this.banner = text
    this.changed()
  }

  #notice({ name }) {
    if (name === 'recording' || name === 'recording_over') this.recorded = name === 'recording'
    this.#tell(`notice.${name}`)
    this.changed()
  }
}
