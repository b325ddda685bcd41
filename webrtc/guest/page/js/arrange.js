// Who is shown where. Pure: from what is known of the meeting to a list of slots, each of which becomes a tile of the page.
//
// A slot: { key, seat, source, self, person }. seat 0 leaves it to the gateway whom to show there; person is who sits there, where that is known.

const most = 24 // slots besides the guest's own; the others are in the list of people

// arrange answers { stage, grid }: the slot that is shown large (null: none) and those beside it, or in equal sizes.
//
//   people: others, as the gateway tells; empty where they are not to be known
//   shown: what the gateway says of each tile, by slot key
//   view: "gallery" or "speaker"; pinned: key of a slot or null; recent: seats of those who spoke, the latest first
//   pictures: how many tiles the gateway fills; self: the guest's own slot, or null
export function arrange({ people, shown, view, pinned, recent, pictures, self }) {
  const anonymous = people.length === 0
  const slots = anonymous ? unknown(pictures) : known(people, recent)
  const screens = slots.filter(s => s.source === 'screen' || anonymous && shown.get(s.key)?.source === 'screen')
  let stage = slots.find(s => s.key === pinned) ?? screens[0] ?? null
  if (!stage && view === 'speaker' && (anonymous || people.some(p => p.camera))) {
    stage = anonymous ? slots.find(s => shown.get(s.key)?.source) : speaker(people, shown, recent)
  } else if (!stage && view === 'speaker') {
    stage = slots.find(s => s.seat === recent[0]) ?? slots[0]
  }
  const beside = s => s.key !== stage?.key && !(stage?.key === 'speaker' && s.person && s.person === stage.person)
  let grid = slots.filter(beside)
  if (self) grid = stage ? [self, ...grid] : [...grid, self]
  return { stage: stage ?? null, grid }
}

// known: a slot for each, and one more for each shared screen. Who is beyond the most that are shown changes places when they speak.
function known(people, recent) {
  const rank = p => { const i = recent.indexOf(p.seat); return i < 0 ? Infinity : i }
  let shown = people
  if (people.length > most) {
    const chosen = new Set([...people].sort((a, b) => rank(a) - rank(b)).slice(0, most))
    shown = people.filter(p => chosen.has(p))
  }
  const screens = people.filter(p => p.screen).map(p => ({ key: `screen-${p.seat}`, seat: p.seat, source: 'screen', person: p }))
  return [...screens, ...shown.map(p => ({ key: `seat-${p.seat}`, seat: p.seat, source: 'camera', person: p }))]
}

// speaker is the slot that the gateway fills with who speaks.
function speaker(people, shown, recent) {
  const seat = shown.get('speaker')?.seat || recent[0]
  return { key: 'speaker', seat: 0, source: 'camera', person: people.find(p => p.seat === seat) ?? people[0] }
}

// unknown: as many slots as the gateway can fill. Those in which it shows nothing are not to be seen, and cost nothing.
function unknown(pictures) {
  return Array.from({ length: pictures }, (_, i) => ({ key: `any-${i}`, seat: 0, source: '' }))
}

// assign gives slots the mids of tiles: the first to what is large, as pictures that come first in the offer are the last to give way to a slow line. Slots
// keep what they have. before and the answer map keys of slots to mids.
export function assign(before, { stage, grid }, mids, recent) {
  const now = new Map(), free = new Set(mids)
  const give = (slot, mid) => { now.set(slot.key, mid); free.delete(mid) }
  const wants = slot => !slot.self && (slot.seat === 0 || slot.source === 'screen' || slot.person?.camera)
  if (mids.length && stage && wants(stage)) give(stage, mids[0])
  const rank = slot => { const i = recent.indexOf(slot.seat); return i < 0 ? recent.length : i }
  const list = grid.filter(wants).sort((a, b) => rank(a) - rank(b)).slice(0, free.size)
  for (const slot of list) if (free.has(before.get(slot.key))) give(slot, before.get(slot.key))
  const order = [...mids.slice(1), ...mids.slice(0, 1)] // the first is kept for what may be large soon
  for (const slot of list) if (!now.has(slot.key)) give(slot, order.find(mid => free.has(mid)))
  return now
}

// fit finds the columns, and the size of each, for so many tiles of a pleasant shape to fill a box.
export function fit(count, width, height, gap) {
  let best = { columns: 1, width: 0, height: 0 }
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns)
    let w = (width - gap * (columns - 1)) / columns, h = (height - gap * (rows - 1)) / rows
    if (h < 84) h = 84 // beyond that it scrolls
    if (w / h > 16 / 9) w = h * 16 / 9
    const tallest = width < 600 ? 1 : 4 / 3
    if (w / h < tallest) h = w / tallest
    if (w * h > best.width * best.height + 1 && w > 0) best = { columns, width: Math.floor(w), height: Math.floor(h) }
  }
  return best
}
