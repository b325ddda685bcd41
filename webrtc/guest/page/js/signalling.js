// The WebSocket to the gateway (docs/signalling.md): hello, messages both ways, and a new socket whenever the network took the old one.
//
// Events: "welcome", each message of the gateway by its type (detail is the message), "down" when the socket is lost, "over" (detail: reason) when no
// other will follow.

const subprotocol = 'passerelle.guest.v1'
const pauses = [0, 500, 1000, 2000, 3000, 5000] // milliseconds before each further attempt
const answerTime = 6000 // for the socket to open, and for a ping to be answered
const pingEvery = 8000

export class Signalling extends EventTarget {
  #socket = null
  #token
  #attempt = 0
  #timer = 0
  #watch = 0
  #ping = 0
  #waiting = 0 // since when a ping is unanswered
  #over = false
  #lostAt = 0
  #keep = 60_000 // how long to try

  constructor(token) {
    super()
    this.#token = token
    window.addEventListener('online', this.#online)
    this.#open()
  }

  // up tells whether messages go through now.
  get up() { return !this.#over && this.#socket?.greeted === true }

  // send sends a message; false: there is no socket now, and it is lost.
  send(type, members = {}) {
    if (!this.up) return false
    this.#socket.send(JSON.stringify({ type, ...members }))
    return true
  }

  // close ends it for good. Unless told otherwise, the gateway is told that the guest leaves.
  close(leave = true) {
    if (this.#over) return
    if (leave) this.send('leave')
    this.#end()
  }

  #end(reason) {
    this.#over = true
    window.removeEventListener('online', this.#online)
    clearTimeout(this.#timer)
    clearInterval(this.#watch)
    this.#socket?.close(1000)
    if (reason) this.#tell('over', reason)
  }

  #tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })) }

  #open() {
    const address = new URL('api/v1/ws', document.baseURI)
    address.protocol = address.protocol.replace('http', 'ws')
    const socket = new WebSocket(address, subprotocol)
    this.#socket = socket
    this.#timer = setTimeout(() => this.#lose(socket), answerTime)
    socket.onopen = () => socket.send(JSON.stringify({ type: 'hello', version: 1, session: this.#token }))
    socket.onmessage = e => { if (socket === this.#socket) this.#take(socket, e.data) }
    socket.onclose = () => this.#lose(socket)
  }

  #take(socket, data) {
    let message
    try { message = JSON.parse(data) } catch { return }
    this.#waiting = 0
    if (message.type === 'welcome') {
      clearTimeout(this.#timer)
      clearInterval(this.#watch)
      this.#watch = setInterval(() => this.#beat(socket), 1000)
      this.#attempt = this.#lostAt = 0
      this.#keep = Math.max(this.#keep, 1000 * (message.grace + 15))
      socket.greeted = true
    }
    this.#tell(message.type, message)
    if (message.type === 'state' && message.state === 'ended') this.#end()
  }

  // beat asks whether the line is alive: a lost network closes no socket by itself for minutes.
  #beat(socket) {
    const now = Date.now()
    if (this.#waiting && now - this.#waiting > answerTime) return this.#lose(socket)
    if (!this.#waiting && now - this.#ping > pingEvery) {
      this.#ping = this.#waiting = now
      this.send('ping', { id: now % 2 ** 31 })
    }
  }

  // lose gives up a socket and opens another one after a while.
  #lose(socket) {
    if (socket !== this.#socket || this.#over) return
    const was = socket.greeted
    this.#socket = null
    this.#waiting = 0
    clearTimeout(this.#timer)
    clearInterval(this.#watch)
    socket.close()
    this.#lostAt ||= Date.now()
    if (was) this.#tell('down')
    if (Date.now() - this.#lostAt > this.#keep) return this.#end('network')
    const pause = pauses[Math.min(this.#attempt++, pauses.length - 1)]
    this.#timer = setTimeout(() => this.#open(), pause + Math.random() * pause / 2)
  }

  #online = () => {
    if (this.#over) return
    if (this.up) { this.#ping = 0; return } // ask at once
    if (this.#socket) return // on its way
    clearTimeout(this.#timer)
    this.#open()
  }
}
