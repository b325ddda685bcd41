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
  const getUserMedia = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices) // there is none on an empty page
  if (getUserMedia) navigator.mediaDevices.getUserMedia = wants => getUserMedia(
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

  // Firefox has no such processor, and no AudioContext runs in it on a machine without a sound card. It records in its own way, and tells how loud it is.
  let compressed = null // of the recording
  function listenAsFirefox(track) {
    const recorder = new MediaRecorder(new MediaStream([track]))
    recorder.ondataavailable = e => compressed?.parts.push(e.data)
    window.record = () => {
      if (recorder.state !== 'inactive') recorder.stop()
      recorder.onstop = () => {}
      compressed = { parts: [], start: Date.now() }
      recorder.start(500)
    }
    const timer = setInterval(async () => {
      const receiver = connections.at(-1).getReceivers().find(r => r.track === track)
      for (const s of (await receiver?.getStats() ?? new Map()).values()) if (s.type === 'inbound-rtp' && s.audioLevel > 0.003) { window.firstSound ??= Date.now(); clearInterval(timer) }
    }, 100)
  }
  async function decompressed() {
    if (!compressed?.parts.length) return []
    const sound = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(await new Blob(compressed.parts).arrayBuffer()).catch(() => null)
    return sound ? [{ at: compressed.start, samples: sound.getChannelData(0) }] : []
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
  window.recorded = async () => {
    const list = frames ?? await decompressed(), samples = new Int16Array(list.reduce((sum, f) => sum + f.samples.length, 0))
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
