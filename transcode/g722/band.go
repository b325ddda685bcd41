package g722

import "math/bits"

// band is the adaptive predictor and quantizer of one of the two halves of the spectrum, the same in encoder and decoder. The names in the
// comments are those of G.722's blocks.
type band struct {
	s, sz  int    // what the predictor expects, as a whole and of its zeros
	nb     int    // the quantizer's scale as a logarithm
	det    int    // and as a factor
	a      [2]int // poles
	r, p   [2]int // last reconstructed and partly reconstructed signals
	b      [6]int // zeros
	d      [6]int // last quantized differences
	shift  int    // SCALEL and SCALEH differ by this
	maxLog int    // and LOGSCL and LOGSCH by this
}

func lowBand() band  { return band{det: 32, shift: 8, maxLog: 18432} }
func highBand() band { return band{det: 8, shift: 10, maxLog: 22528} }

// scale moves the quantizer's step by w (LOGSCL, SCALEL, LOGSCH, SCALEH).
func (b *band) scale(w int) {
	b.nb = min(max(b.nb*127>>7+w, 0), b.maxLog)
	down := b.shift - b.nb>>11
	if m := antilog[b.nb>>6&31]; down < 0 {
		b.det = m << -down << 2
	} else {
		b.det = m >> down << 2
	}
}

// adapt feeds a quantized difference to the predictor.
func (b *band) adapt(d int) {
	p, r := saturate(b.sz+d), saturate(b.s+d) // PARREC, RECONS

	// UPPOL2 and UPPOL1: the poles follow the signs of the signal, and stay where the filter is stable.
	pull := saturate(b.a[0] * 4)
	if sameSign(p, b.p[0]) {
		pull = min(-pull, 32767)
	}
	a1 := pull>>7 + b.a[1]*32512>>15
	if sameSign(p, b.p[1]) {
		a1 += 128
	} else {
		a1 -= 128
	}
	a1 = min(max(a1, -12288), 12288)
	a0 := b.a[0] * 32640 >> 15
	if sameSign(p, b.p[0]) {
		a0 += 192
	} else {
		a0 -= 192
	}
	limit := saturate(15360 - a1)
	a0 = min(max(saturate(a0), -limit), limit)

	// UPZERO, DELAYA and FILTEZ in one pass, oldest difference first.
	gain := 128
	if d == 0 {
		gain = 0
	}
	sz := 0
	for i := 5; i >= 0; i-- {
		// minus is -1 where the signs differ, else 0; no branch, for signs are chance and a processor that guesses them wrong waits.
		minus := (b.d[i] ^ d) >> (bits.UintSize - 1)
		b.b[i] = saturate(b.b[i]*32640>>15 + (gain ^ minus) - minus)
		if i > 0 {
			b.d[i] = b.d[i-1]
		} else {
			b.d[i] = d
		}
		sz += b.b[i] * saturate(2*b.d[i]) >> 15
	}

	b.a = [2]int{a0, a1}
	b.p = [2]int{p, b.p[0]}
	b.r = [2]int{r, b.r[0]}
	b.sz = saturate(sz)
	sp := saturate(a0*saturate(2*b.r[0])>>15 + a1*saturate(2*b.r[1])>>15) // FILTEP
	b.s = saturate(sp + b.sz)                                             // PREDIC
}

func sameSign(a, b int) bool { return (a < 0) == (b < 0) }

func saturate(v int) int { return min(max(v, -32768), 32767) }

// saturate15 keeps the signals of a band in their 15 bits.
func saturate15(v int) int { return min(max(v, -16384), 16383) }
