// Sound in the page: how loud a microphone is, a test sound, and the loudspeaker for the meeting.

let context

// audioContext is the page's one AudioContext. A browser lets it run once the guest has done something.
function audioContext() {
  if (!context) {
    context = new AudioContext({ latencyHint: 'interactive' })
    for (const type of ['pointerdown', 'keydown']) document.addEventListener(type, () => { if (context.state === 'suspended') context.resume().catch(() => {}) })
  }
  return context
}

// Meter measures how loud a track is: each(level) is called with 0 … 1 some 12 times a second.
export class Meter {
  #source = null
  #analyser = null
  #timer = 0
  #track = null

  constructor(each) { this.each = each }

  // listen measures another track; null: none.
  listen(track) {
    if (track === this.#track) return
    this.close()
    this.#track = track
    if (!track) return this.each(0)
    const c = audioContext()
    this.#analyser = new AnalyserNode(c, { fftSize: 1024 })
    this.#source = c.createMediaStreamSource(new MediaStream([track]))
    this.#source.connect(this.#analyser)
    const samples = new Float32Array(this.#analyser.fftSize)
    this.#timer = setInterval(() => {
      this.#analyser.getFloatTimeDomainData(samples)
      let sum = 0
      for (const s of samples) sum += s * s
      const decibels = 10 * Math.log10(sum / samples.length + 1e-9) // −90 … 0
      this.each(track.enabled ? Math.min(1, Math.max(0, (decibels + 60) / 50)) : 0)
    }, 80)
  }

  close() {
    clearInterval(this.#timer)
    this.#source?.disconnect()
    this.#source = this.#track = null
  }
}

// chime plays two soft notes on a loudspeaker.
export async function chime(speaker) {
  const c = audioContext()
  await c.resume()
  let out = c.destination
  if (c.setSinkId) await c.setSinkId(!speaker || speaker === 'default' ? '' : speaker).catch(() => {})
  else if (speaker && speaker !== 'default' && choosesSpeaker) { // Firefox leads elements there, not contexts
    out = new MediaStreamAudioDestinationNode(c)
    const element = new Audio()
    element.srcObject = out.stream
    await element.setSinkId(speaker).then(() => element.play()).catch(() => { out = c.destination })
  }
  const at = c.currentTime + 0.05
  for (const [i, pitch] of [523.25, 783.99].entries()) {
    const note = new OscillatorNode(c, { type: 'sine', frequency: pitch })
    const gain = new GainNode(c, { gain: 0 })
    gain.gain.setValueAtTime(0, at + i * 0.28)
    gain.gain.linearRampToValueAtTime(0.22, at + i * 0.28 + 0.03)
    gain.gain.exponentialRampToValueAtTime(0.001, at + i * 0.28 + 0.9)
    note.connect(gain).connect(out)
    note.start(at + i * 0.28)
    note.stop(at + i * 0.28 + 1)
  }
  await new Promise(done => setTimeout(done, 1300))
}

// choosesSpeaker tells whether the browser lets a page choose where it is heard.
export const choosesSpeaker = 'setSinkId' in HTMLMediaElement.prototype

// Loudspeaker plays the room's mix.
export class Loudspeaker {
  element = new Audio()
  blocked = false // the browser wants the guest to do something before it plays

  constructor() { this.element.autoplay = true }

  async play(track) {
    this.element.srcObject = new MediaStream([track])
    return this.start()
  }

  // start tries again to play, after a click.
  async start() {
    try {
      await this.element.play()
      this.blocked = false
    } catch (e) {
      this.blocked = e.name === 'NotAllowedError'
    }
    return !this.blocked
  }

  set volume(v) { this.element.volume = v }

  async use(speaker) {
    if (choosesSpeaker) await this.element.setSinkId(speaker === 'default' ? '' : speaker).catch(() => {})
  }

  close() { this.element.srcObject = null }
}
