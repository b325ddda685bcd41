// Ears for a test in the guest's page: what arrives as sound is kept from record on. It is put into the page before the page's own scripts; driver.mjs
// serves tape.js, as the page's policy lets in no worklet but from its own address. The microphone passes as it is, so that it can be compared.
(() => {
  const Connection = window.RTCPeerConnection
  let context, head, frames = null, zero = Infinity
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

  async function listen(track) {
    if (!head) {
      context = new AudioContext({ sampleRate: 48000 })
      head = context.audioWorklet.addModule('/page/tape.js').then(() => {
        const node = new AudioWorkletNode(context, 'tape', { channelCount: 1, channelCountMode: 'explicit' })
        node.port.onmessage = e => {
          zero = Math.min(zero, Date.now() - e.data.at / 48)
          if (window.firstSound === undefined && e.data.samples.some(s => Math.abs(s) > 0.003)) window.firstSound = zero + e.data.at / 48
          frames?.push(e.data)
        }
        node.connect(context.destination) // a node that leads nowhere does not run
        return node
      })
    }
    context.createMediaStreamSource(new MediaStream([track])).connect(await head)
  }
  window.record = () => { frames = [] }
  // recorded is what was heard since record: 16-bit little-endian PCM, 48 kHz, mono, in base64, and when it began, in ms.
  window.recorded = () => {
    const list = frames ?? [], samples = new Int16Array(list.length * 128)
    list.forEach((f, i) => samples.set(f.samples.map(s => Math.max(-1, Math.min(1, s)) * 32767), i * 128))
    const bytes = new Uint8Array(samples.buffer)
    let text = ''
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
    return { start: list.length ? zero + list[0].at / 48 : Date.now(), pcm: btoa(text) }
  }
})()
