// Devices that a test pulls out and plugs in again, as a browser tells it: they are listed no more, their tracks end, and nothing is to be had of them. The
// browser's fake devices cannot be pulled out themselves. It is put into the page before the page's own scripts.
(() => {
  const devices = navigator.mediaDevices, gone = new Set(), tracks = new Set()
  const enumerate = devices.enumerateDevices.bind(devices), get = devices.getUserMedia.bind(devices)
  const kinds = { audio: 'audioinput', video: 'videoinput' }
  devices.enumerateDevices = async () => (await enumerate()).filter(d => !gone.has(d.deviceId))
  devices.getUserMedia = async wants => {
    const there = await devices.enumerateDevices(), possible = { ...wants }
    for (const [kind, wish] of Object.entries(wants)) {
      const list = there.filter(d => d.kind === kinds[kind])
      if (!list.length) throw new DOMException('it was pulled out', 'NotFoundError')
      const chosen = wish.deviceId?.exact ?? list[0].deviceId
      if (gone.has(chosen)) throw new OverconstrainedError('deviceId', 'it was pulled out')
      possible[kind] = { ...wish, deviceId: { exact: chosen } }
    }
    const stream = await get(possible)
    stream.getTracks().forEach(track => tracks.add(track))
    return stream
  }
  // unplug pulls out one device, or all of "audio" or "video".
  window.unplug = async which => {
    for (const d of await enumerate()) if (d.deviceId === which || d.kind === kinds[which]) gone.add(d.deviceId)
    for (const track of tracks) {
      if (track.readyState !== 'live' || !gone.has(track.getSettings().deviceId)) continue
      track.stop()
      track.dispatchEvent(new Event('ended')) // which stop() leaves out
    }
    devices.dispatchEvent(new Event('devicechange'))
  }
  // plug plugs all in again.
  window.plug = () => {
    gone.clear()
    devices.dispatchEvent(new Event('devicechange'))
  }
})()
