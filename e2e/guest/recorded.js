// A gateway in the page itself, for looking at states of the page that are hard to bring about: it answers the page's fetch and WebSocket with what a test
// says, and its offers with pictures that move. It is put into the page before the page's own scripts (Playwright's addInitScript).
(() => {
  const canvases = new Map() // by seat
  let peer, sock, tiles = []

  // drawing is a picture that moves: a person-like shape before a wall of a colour of its own.
  function drawing(seat, screen) {
    const key = `${seat}${screen}`
    if (canvases.has(key)) return canvases.get(key)
    const canvas = document.createElement('canvas')
    canvas.width = 640
    canvas.height = 360
    const c = canvas.getContext('2d'), hue = seat * 67 % 360
    let n = 0
    const draw = () => {
      n++
      if (screen) {
        c.fillStyle = '#fbfbf8'; c.fillRect(0, 0, 640, 360)
        c.fillStyle = '#0d5a54'; c.fillRect(40, 36, 300, 22)
        c.fillStyle = '#c9d3cf'
        for (let i = 0; i < 6; i++) c.fillRect(40, 84 + i * 22, 240 - i % 3 * 40, 10)
        c.fillStyle = '#c96a2b'
        for (let i = 0; i < 7; i++) c.fillRect(340 + i * 36, 310 - (i * 53 % 140) - 40, 24, (i * 53 % 140) + 40)
      } else {
        const wall = c.createLinearGradient(0, 0, 640, 360)
        wall.addColorStop(0, `hsl(${hue} 26% 72%)`); wall.addColorStop(1, `hsl(${hue + 30} 24% 48%)`)
        c.fillStyle = wall; c.fillRect(0, 0, 640, 360)
        c.fillStyle = `hsl(${hue + 180} 22% 30%)`
        c.beginPath(); c.ellipse(320, 372, 150, 130, 0, 0, 7); c.fill()
        c.fillStyle = `hsl(${22 + seat * 5} 38% ${62 - seat % 4 * 9}%)`
        c.beginPath(); c.ellipse(320 + 3 * Math.sin(n / 8), 178, 62, 78, 0, 0, 7); c.fill()
        c.fillStyle = `hsl(${seat * 40} 20% 18%)`
        c.beginPath(); c.ellipse(320 + 3 * Math.sin(n / 8), 122, 68, 42, 0, 0, 7); c.fill()
      }
    }
    draw()
    setInterval(draw, 250) // a dozen of them keep two processors busy
    const track = canvas.captureStream(4).getVideoTracks()[0]
    canvases.set(key, track)
    return track
  }

  async function answer({ sdp, tracks }) {
    peer?.close()
    peer = new RTCPeerConnection()
    await peer.setRemoteDescription({ type: 'offer', sdp })
    tiles = []
    for (const t of peer.getTransceivers()) {
      if (tracks.find(track => track.mid === t.mid)?.use === 'tile') {
        t.direction = 'sendonly'
        tiles.push(t)
      }
    }
    await peer.setLocalDescription(await peer.createAnswer())
    await new Promise(done => { if (peer.iceGatheringState === 'complete') done(); else peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && done() })
    gateway.say('answer', { sdp: peer.localDescription.sdp })
  }

  // arrange fills tiles as the layout asks for.
  function arrange(layout) {
    gateway.layout = layout
    const auto = [...gateway.pictures]
    const shown = tiles.map(t => {
      const wish = layout.find(l => l.mid === t.mid)
      if (!wish) return { mid: t.mid }
      const seat = wish.seat || auto.shift()
      const source = wish.source === 'screen' || seat === gateway.screen && wish.source === '' ? 'screen' : 'camera'
      if (!seat || source === 'camera' && !gateway.pictures.includes(seat)) return { mid: t.mid }
      t.sender.replaceTrack(drawing(seat, source === 'screen'))
      return { mid: t.mid, seat: gateway.anonymous ? 0 : seat, source, width: 640, height: 360 }
    })
    gateway.say('tiles', { tiles: shown })
  }

  const gateway = window.gateway = {
    problem: null, terms: {}, state: 'new', pictures: [], screen: 0, anonymous: false, layout: [], said: [],
    say(type, members = {}) { setTimeout(() => sock?.onmessage?.({ data: JSON.stringify({ type, ...members }) })) },
    // people come in: [{ name, camera, … }]; seats count from 1.
    people(list, count = list.length + 1) {
      this.pictures = list.map((p, i) => p.camera ? i + 1 : 0).filter(Boolean)
      this.screen = list.findIndex(p => p.screen) + 1
      this.say('people', { count, people: this.anonymous ? [] : list.map((p, i) => ({ seat: i + 1, ...p })) })
      arrange(this.layout)
    },
  }
  try { Object.assign(gateway, JSON.parse(sessionStorage.getItem('recorded') ?? '{}')) } catch { /* a page without storage */ }

  // A camera that shows a person, where a test's picture is for people to look at.
  const getUserMedia = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices)
  if (gateway.posed) navigator.mediaDevices.getUserMedia = async wants => {
    const stream = await getUserMedia(wants)
    for (const track of stream.getVideoTracks()) {
      track.stop()
      stream.removeTrack(track)
      stream.addTrack(drawing(5, false).clone())
    }
    return stream
  }

  const fetched = window.fetch
  window.fetch = (address, options) => {
    if (!String(address).endsWith('/session')) return fetched(address, options)
    if (gateway.problem) return Promise.resolve(new Response(JSON.stringify(gateway.problem), { status: gateway.problem.status }))
    return Promise.resolve(new Response(JSON.stringify({ session: 's', terms: gateway.terms })))
  }
  window.WebSocket = class {
    constructor() {
      sock = this
      setTimeout(() => this.onopen?.(), 0)
    }
    send(text) {
      const m = JSON.parse(text)
      gateway.said.push(m)
      switch (m.type) {
        case 'hello': return gateway.say('welcome', { version: 1, state: gateway.state, terms: gateway.terms, grace: 30, maximum: 9 })
        case 'join': gateway.say('state', { state: 'connecting' }); return answer(m)
        case 'offer': return answer(m)
        case 'layout': return arrange(m.tiles)
        case 'ping': return gateway.say('pong', { id: m.id })
      }
    }
    close() {}
  }
})()
