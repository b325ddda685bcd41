// Ears for a test in the guest's page: what arrives as sound is kept from record on. It is put into the page before the page's own scripts, and needs
// nothing that the page's policy forbids. The microphone passes as it is, so that it can be compared.
(() => {
  const Connection = window.RTCPeerConnection
  let frames = null
  window.connections = []
  window.RTCPeerConnection = class extends Connection {
    constructor(...options) {
      super(...options)
      window.connections.push(this)
      this.addEventListener('track', ({ track }) => { if (track.kind === 'audio') listen(track) })
    }
  }
  const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices)
  navigator.mediaDevices.getUserMedia = wants => getUserMedia(
    wants.audio ? { ...wants, audio: { ...wants.audio, echoCancellation: false, noiseSuppression: false, autoGainControl: false } } : wants)

  // keep takes in 48 kHz samples that have just been heard.
  function keep(samples) {
    const now = Date.now()
    if (window.firstSound === undefined && samples.some(s => Math.abs(s) > 0.003)) window.firstSound = now
    frames?.push({ at: now - samples.length / 48, samples })
  }

  async function listen(track) {
    if (!window.MediaStreamTrackProcessor) return listenAsFirefox(track)
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 500 }).readable.getReader()
    for (;;) {
      const { value: sound, done } = await reader.read()
      if (done) return
      const samples = new Float32Array(sound.numberOfFrames)
      sound.copyTo(samples, { planeIndex: 0, format: 'f32-planar' })
      sound.close()
      keep(samples)
    }
  }

  function listenAsFirefox(track) {
    const context = new AudioContext(), node = context.createScriptProcessor(1024, 1, 1)
    if (context.sampleRate !== 48000) throw new Error(`sound at ${context.sampleRate} Hz`)
    node.onaudioprocess = e => keep(e.inputBuffer.getChannelData(0).slice())
    context.createMediaStreamSource(new MediaStream([track])).connect(node).connect(context.destination) // what leads nowhere does not run; nothing comes out of it
    window.ears = context // or it is collected
  }

  // The loudspeaker on which the page is heard, once the browser has changed to it.
  const setSink = HTMLMediaElement.prototype.setSinkId
  HTMLMediaElement.prototype.setSinkId = async function (id) {
    await setSink.call(this, id)
    window.sink = this.sinkId
  }

  // When the page can be used, in ms after the link was followed, and when the guest asked to come in.
  new MutationObserver((_, o) => {
    if (!document.querySelector('.form-card')) return
    window.usable = performance.now()
    o.disconnect()
  }).observe(document, { childList: true, subtree: true })
  document.addEventListener('submit', () => { window.asked = Date.now() }, true)

  window.record = () => { frames = [] }
  // recorded is what was heard since record: 16-bit little-endian PCM, 48 kHz, mono, in base64, and when it began, in ms.
  window.recorded = () => {
    const list = frames ?? [], samples = new Int16Array(list.reduce((sum, f) => sum + f.samples.length, 0))
    let at = 0
    for (const f of list) {
      samples.set(f.samples.map(s => Math.max(-1, Math.min(1, s)) * 32767), at)
      at += f.samples.length
    }
    const bytes = new Uint8Array(samples.buffer)
    let text = ''
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
    return { start: list[0]?.at ?? Date.now(), pcm: btoa(text) }
  }
})()
