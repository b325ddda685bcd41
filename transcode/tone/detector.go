package tone

import "math"

// What makes a block of sound a key. The figures stay within ITU-T Q.24 and are tuned for few mistakes with speech.
const (
	blockRate  = 8000
	block      = 102   // samples at blockRate, 12.75 ms: its spectrum tells the tones apart, and three fit into the shortest press, 40 ms
	quietest   = 400.0 // amplitude of either tone, -38 dBFS
	rowOver    = 6.3   // by how much the row's power may exceed the column's: 8 dB
	columnOver = 4.0   // and the other way round: 6 dB
	clear      = 6.3   // by how much a tone stands over the others of its group: 8 dB
	purity     = 0.75  // share of all power that the two tones have: what speaks has harmonics, what is noise has everything
	hits       = 2     // blocks in a row that begin a press,
	misses     = 2     // and that end it
)

// Detector hears the keys of a telephone in one stream of sound. It is for one goroutine.
type Detector struct {
	size    int // of a block at the stream's rate
	turn    [8]float64
	state   [8][2]float64
	power   float64
	n       int
	seen    byte // the key of the last block, 0: none
	run     int  // for so many blocks
	pressed byte // the key that is down
	heard   []byte
}

// NewDetector makes a detector for mono PCM at rate Hz: 8000 or more.
func NewDetector(rate int) *Detector {
	d := &Detector{size: max(block*rate/blockRate, block), heard: make([]byte, 0, 8)}
	for i := range 4 {
		d.turn[i] = 2 * math.Cos(2*math.Pi*rows[i]/float64(rate))
		d.turn[4+i] = 2 * math.Cos(2*math.Pi*columns[i]/float64(rate))
	}
	return d
}

// Detect listens to the next sound, of any length, and reports each press of a key once, when about 30 ms of it were heard. Where more than one
// can be in pcm, call it again with nil until ok is false.
func (d *Detector) Detect(pcm []int16) (digit byte, ok bool) {
	for len(pcm) > 0 {
		n := min(d.size-d.n, len(pcm))
		d.listen(pcm[:n])
		pcm = pcm[n:]
		if d.n == d.size {
			d.judge(d.key())
			d.state, d.power, d.n = [8][2]float64{}, 0, 0
		}
	}
	if len(d.heard) == 0 {
		return 0, false
	}
	digit = d.heard[0]
	d.heard = d.heard[:copy(d.heard, d.heard[1:])]
	return digit, true
}

// listen runs the samples through Goertzel's filters, one for each tone.
func (d *Detector) listen(pcm []int16) {
	for _, sample := range pcm {
		x := float64(sample)
		for f := range d.state { // inside, because the eight do not wait for each other
			s := &d.state[f]
			s[0], s[1] = x+d.turn[f]*s[0]-s[1], s[0]
		}
		d.power += x * x
	}
	d.n += len(pcm)
}

// key says which one the block holds, 0 for none.
func (d *Detector) key() byte {
	var p [8]float64 // squared amplitudes
	for f, s := range d.state {
		p[f] = (s[0]*s[0] + s[1]*s[1] - d.turn[f]*s[0]*s[1]) * 4 / float64(d.size*d.size)
	}
	row, rowClear := strongest(p[:4])
	column, columnClear := strongest(p[4:])
	r, c := p[row], p[4+column]
	switch {
	case min(r, c) < quietest*quietest,
		r > c*rowOver, c > r*columnOver,
		!rowClear, !columnClear,
		(r+c)/2 < purity*d.power/float64(d.size):
		return 0
	}
	return keys[4*row+column]
}

func strongest(p []float64) (best int, isClear bool) {
	for i := range p {
		if p[i] > p[best] {
			best = i
		}
	}
	for i := range p {
		if i != best && p[i]*clear > p[best] {
			return best, false
		}
	}
	return best, true
}

// judge turns keys seen into presses.
func (d *Detector) judge(key byte) {
	if key != d.seen {
		d.seen, d.run = key, 0
	}
	d.run++
	switch {
	case key == 0 && d.run == misses:
		d.pressed = 0
	case key != 0 && d.run == hits && key != d.pressed:
		d.pressed = key
		if len(d.heard) < cap(d.heard) {
			d.heard = append(d.heard, key)
		}
	}
}
