// The peer connection: one offer with all that may ever be needed, then only tracks change in it (docs/signalling.md).
//
// Events: "sound" (detail: the track of the room's mix), "line" (detail: "up", "weak" or "lost"), "fresh": another connection is agreed on, of which the
// gateway does not know yet what it sends and shows.

const layers = [ // from small to large
  { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 1_700_000 },
]
const cameraKbps = 1700, screenKbps = 2500
const screenRate = 15 // pictures a second
const answerTime = 10_000
const weakTime = 2500 // without packets before ICE is begun anew
const restartTime = 6000 // for that to help

// sends and takes tell what a direction of the terms permits.
export const sends = direction => direction === 'send' || direction === 'both'
export const takes = direction => direction === 'receive' || direction === 'both'

export class Media extends EventTarget {
  connection = null
  tiles = [] // mids, in the order of the offer
  receivers = new Map() // tracks of tiles by mid
  #signalling
  #terms
  #maximum
  #uses = {} // transceivers
  #tracks = { voice: null, camera: null, screen: null }
  #wanted = null
  #rates = {} // pictures a second that the rule takes, of camera and screen; 0: no bound
  #wanting = Promise.resolve()
  #answered = null
  #timer = 0

  constructor(signalling, terms, maximum) {
    super()
    this.#signalling = signalling
    this.#terms = terms
    this.#maximum = maximum
    this.#rates = { camera: terms.rate ?? 0, screen: terms.rate ?? 0 }
    signalling.addEventListener('answer', e => this.#answered?.resolve(e.detail.sdp))
    signalling.addEventListener('error', e => { if (['join', 'offer'].includes(e.detail.to)) this.#answered?.reject(new Error(e.detail.code)) })
    signalling.addEventListener('down', () => this.#answered?.reject(new Error('down')))
    this.#open()
  }

  // open makes a connection with all its sections. Nothing is sent before an offer is.
  #open() {
    this.connection?.close()
    this.receivers.clear()
    const c = this.connection = new RTCPeerConnection({ iceServers: this.#terms.ice_servers ?? [], bundlePolicy: 'max-bundle' })
    const { audio, video, content } = this.#terms
    this.#uses = { voice: c.addTransceiver('audio', { direction: 'sendrecv', sendEncodings: [{ maxBitrate: 40_000, priority: 'high', networkPriority: 'high' }] }), tiles: [] }
    if (sends(video)) this.#uses.camera = c.addTransceiver('video', { direction: 'sendonly', sendEncodings: layers.map(l => ({ ...l, ...this.#bound('camera'), active: true })) })
    if (sends(content)) this.#uses.screen = c.addTransceiver('video', { direction: 'sendonly', sendEncodings: [{ maxBitrate: screenKbps * 1000, ...this.#bound('screen') }] })
    const tiles = takes(video) ? this.#maximum : takes(content) ? 1 : 0
    for (let i = 0; i < tiles; i++) this.#uses.tiles.push(c.addTransceiver('video', { direction: 'recvonly' }))
    c.ontrack = e => this.#arrived(e)
    c.onconnectionstatechange = () => this.#follow(c)
    if (!sends(audio)) this.#tracks.voice = null
  }

  // agreed tells whether the gateway knows the connection. A closed one has no descriptions any more, and Firefox throws where it is asked for them.
  get agreed() { return this.connection.signalingState !== 'closed' && this.connection.currentRemoteDescription !== null }

  #arrived({ track, transceiver }) {
    if (track.kind === 'audio') return this.dispatchEvent(new CustomEvent('sound', { detail: track }))
    this.receivers.set(transceiver.mid, track)
  }

  // put has a track sent as "voice", "camera" or "screen"; null: nothing any more.
  async put(use, track) {
    this.#tracks[use] = track
    await this.#uses[use]?.sender.replaceTrack(track)
    if (use !== 'voice') await this.want(this.#wanted)
  }

  // offer begins media, or begins it anew. send gets the members of the message and sends it; the promise is kept when the answer is in force, which has so
  // many milliseconds to come.
  async offer({ fresh = false, restart = false, patience = answerTime, send = o => this.#signalling.send('offer', o) } = {}) {
    this.#answered?.reject(new Error('another offer'))
    if (fresh && this.connection.localDescription) this.#open()
    const c = this.connection
    for (const [use, track] of Object.entries(this.#tracks)) if (this.#uses[use]?.sender.track !== track) await this.#uses[use]?.sender.replaceTrack(track)
    if (fresh) await this.want(null) // what was wanted of the connection before says nothing of this one, which has to show itself first
    if (c.signalingState === 'have-local-offer') await c.setLocalDescription({ type: 'rollback' })
    await c.setLocalDescription(await c.createOffer({ iceRestart: restart }))
    const { voice, camera, screen, tiles } = this.#uses
    this.tiles = tiles.map(t => t.mid)
    const tracks = Object.entries({ voice, camera, screen }).filter(([, t]) => t).map(([use, t]) => ({ mid: t.mid, use }))
    tracks.push(...this.tiles.map(mid => ({ mid, use: 'tile' })))
    const answer = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no answer')), patience)
      const end = f => value => { clearTimeout(timer); f(value) }
      this.#answered = { resolve: end(resolve), reject: end(reject) }
    })
    answer.catch(() => {}) // it may fail before anybody waits for it
    if (send({ sdp: c.localDescription.sdp, tracks, fresh }) === false) throw new Error('down')
    const sdp = await answer
    if (c !== this.connection || c.signalingState !== 'have-local-offer') return
    await c.setRemoteDescription({ type: 'answer', sdp })
    if (fresh) this.dispatchEvent(new Event('fresh'))
  }

  // follow repairs a line that is lost: first by new ways for the same connection, then by a new connection.
  #follow(c) {
    if (c !== this.connection) return
    clearTimeout(this.#timer)
    const tell = line => this.dispatchEvent(new CustomEvent('line', { detail: line }))
    switch (c.connectionState) {
      case 'connected': tell('up'); break
      case 'disconnected':
        tell('weak')
        this.#timer = setTimeout(() => this.repair(), weakTime)
        break
      case 'failed':
        tell('lost')
        this.#timer = setTimeout(() => this.repair({ fresh: true }), 300)
    }
  }

  // repair finds a new way after the network changed.
  async repair({ fresh = false } = {}) {
    clearTimeout(this.#timer)
    if (!this.#signalling.up) return // the next socket calls again
    fresh ||= ['failed', 'closed'].includes(this.connection.connectionState)
    try {
      await this.offer(fresh ? { fresh } : { restart: true })
    } catch (e) {
      if (e.message === 'down' || e.message === 'another offer') return
    }
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => { if (this.connection.connectionState !== 'connected') this.repair({ fresh: true }) }, restartTime)
  }

  // bound is how many pictures a second may be sent: the gateway drops what is beyond, up to the next keyframe.
  #bound(use) {
    const most = Math.min(this.#rates[use] || Infinity, use === 'screen' ? screenRate : Infinity)
    return Number.isFinite(most) ? { maxFramerate: most } : {}
  }

  // want keeps to what the message "sending" says: what nobody watches of the camera is not sent, and no more pictures a second than the rule takes. Changes come one after the other: a browser refuses one
  // that begins while another is under way, and the latest has to win.
  want(sending) {
    this.#wanted = sending
    if (sending) this.#rates = { camera: sending.camera.rate ?? 0, screen: sending.screen.rate ?? 0 }
    return this.#wanting = this.#wanting.then(() => this.#limit()).catch(() => {}) // of a connection that is closed
  }

  async #limit() {
    for (const use of ['camera', 'screen']) {
      const sending = this.#wanted?.[use], sender = this.#uses[use]?.sender, { maxFramerate } = this.#bound(use)
      if (!sender?.track) continue
      const parameters = sender.getParameters()
      let changed = false
      for (const [i, encoding] of (parameters.encodings ?? []).entries()) {
        const active = use === 'screen' || !sending?.live || sending.wanted[i] === true
        changed ||= encoding.active !== active || encoding.maxFramerate !== maxFramerate
        encoding.active = active
        if (maxFramerate) encoding.maxFramerate = maxFramerate
        else delete encoding.maxFramerate
      }
      if (changed) await sender.setParameters(parameters)
    }
  }

  // picture is what the messages "camera" and "screen" say of a track.
  picture(use) {
    const track = this.#tracks[use]
    if (!track) return { on: false }
    const { width = 0, height = 0 } = track.getSettings()
    return { on: true, width: Math.round(width), height: Math.round(height), kbps: use === 'camera' ? cameraKbps : screenKbps }
  }

  close() {
    clearTimeout(this.#timer)
    this.#answered?.reject(new Error('another offer'))
    this.connection.close()
  }
}
