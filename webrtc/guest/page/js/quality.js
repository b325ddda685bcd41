// How good the connection is, from what the browser measures (webrtc-stats).

const every = 2000

// Quality looks at a connection every other second: each({ level, ... }) with level 0 (not known) to 4 (good), and the figures behind it.
export class Quality {
  #timer = 0
  #before = null

  constructor(media, each) {
    this.#timer = setInterval(async () => {
      const c = media.connection
      if (c.connectionState !== 'connected') {
        this.#before = null
        return each({ level: c.connectionState === 'new' ? 0 : 1 })
      }
      try { each(this.#judge(await c.getStats())) } catch { /* closed meanwhile */ }
    }, every)
  }

  close() { clearInterval(this.#timer) }

  #judge(stats) {
    const now = { at: performance.now(), got: 0, lost: 0, down: 0, up: 0 }
    let roundTrip, jitter, farLoss = 0, limited = false
    for (const s of stats.values()) {
      switch (s.type) {
        case 'inbound-rtp':
          now.got += s.packetsReceived
          now.lost += Math.max(0, s.packetsLost)
          now.down += s.bytesReceived
          if (s.kind === 'audio') jitter = s.jitter
          break
        case 'outbound-rtp':
          now.up += s.bytesSent
          limited ||= s.qualityLimitationReason === 'bandwidth'
          break
        case 'remote-inbound-rtp': farLoss = Math.max(farLoss, s.fractionLost ?? 0); break
        case 'candidate-pair': if (s.nominated && s.state === 'succeeded') roundTrip = s.currentRoundTripTime ?? roundTrip
      }
    }
    const before = this.#before
    this.#before = now
    if (!before || now.got < before.got) return { level: 0 }
    const seconds = (now.at - before.at) / 1000, packets = now.got - before.got, missing = Math.max(0, now.lost - before.lost)
    const loss = Math.max(packets + missing ? missing / (packets + missing) : 0, farLoss)
    const figures = { roundTrip, jitter, loss, down: Math.max(0, now.down - before.down) * 8 / seconds, up: Math.max(0, now.up - before.up) * 8 / seconds }
    return { level: grade(figures, limited), ...figures }
  }
}

// grade is 4 where nothing is to be noticed, 3 where it is just noticed, 2 where it disturbs and 1 where one hardly understands.
function grade({ roundTrip = 0, jitter = 0, loss }, limited) {
  if (loss > 0.12 || roundTrip > 1) return 1
  if (loss > 0.05 || roundTrip > 0.5 || jitter > 0.08) return 2
  if (loss > 0.015 || roundTrip > 0.25 || jitter > 0.04 || limited && loss > 0.005) return 3
  return 4
}
