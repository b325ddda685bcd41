package plc

import (
	"math"
	"testing"
)

var rates = []int{8000, 16000}

// vowel is a voice of so many Hz: a fundamental and overtones that fall off.
func vowel(rate, n int, hz float64) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		for h := 1.0; h <= 8; h++ {
			pcm[i] += int16(6000 / h * math.Sin(2*math.Pi*hz*h*float64(i)/float64(rate)+h))
		}
	}
	return pcm
}

func steepest(pcm []int16) (step int) {
	for i := 1; i < len(pcm); i++ {
		d := int(pcm[i]) - int(pcm[i-1])
		step = max(step, d, -d)
	}
	return step
}

// A frame lost from a steady voice is put back nearly as it was, wherever it begins in the period, and neither of its ends clicks.
func TestVoiceGoesOn(t *testing.T) {
	for _, rate := range rates {
		frame := rate / 50
		for _, hz := range []float64{80, 101.3, 147, 210, 330} {
			whole := vowel(rate, 12*frame, hz)
			for _, lost := range []int{5, 6, 7, 8} {
				c, heard := New(rate), append([]int16(nil), whole...)
				for i := 0; i < len(heard); i += frame {
					if i/frame == lost {
						clear(heard[i : i+frame])
						c.Conceal(heard[i : i+frame])
					} else {
						c.Accept(heard[i : i+frame])
					}
				}
				var signal, noise float64
				for i := lost * frame; i < (lost+1)*frame; i++ {
					d := float64(heard[i]) - float64(whole[i])
					signal += float64(whole[i]) * float64(whole[i])
					noise += d * d
				}
				if snr := 10 * math.Log10(signal/(noise+1)); snr < 6 {
					t.Errorf("%d Hz, voice of %.0f Hz, frame %d: SNR %.1f dB", rate, hz, lost, snr)
				}
				if a, b := steepest(heard), steepest(whole); a > b+b/3 {
					t.Errorf("%d Hz, voice of %.0f Hz, frame %d: a click of %d, the voice has steps of %d", rate, hz, lost, a, b)
				}
			}
		}
	}
}

func TestFadesToSilence(t *testing.T) {
	for _, rate := range rates {
		c, pcm := New(rate), vowel(rate, rate, 120)
		c.Accept(pcm)
		lost := make([]int16, rate/2)
		for i := 0; i < len(lost); i += rate / 50 {
			c.Conceal(lost[i : i+rate/50])
		}
		ms := rate / 1000
		if p := peak(lost[:10*ms]); p < peak(pcm)/2 {
			t.Errorf("%d Hz: peak %d at once", rate, p)
		}
		if p := peak(lost[50*ms : 66*ms]); p == 0 || p > peak(pcm)*2/3 {
			t.Errorf("%d Hz: peak %d in the fade", rate, p)
		}
		if p := peak(lost[100*ms:]); p != 0 {
			t.Errorf("%d Hz: peak %d after 100 ms", rate, p)
		}
		// What comes back comes softly.
		back := vowel(rate, rate/50, 120)
		c.Accept(back)
		if back[0] > 500 || back[0] < -500 {
			t.Errorf("%d Hz: begins with %d after silence", rate, back[0])
		}
	}
}

func peak(pcm []int16) (p int) {
	for _, s := range pcm {
		p = max(p, int(s), -int(s))
	}
	return p
}

// Extremes: nothing heard yet, nothing asked for, packets of any length, and sound at full scale, which must not wrap.
func TestExtremes(t *testing.T) {
	c := New(8000)
	pcm := make([]int16, 160)
	c.Conceal(pcm)
	c.Conceal(nil)
	c.Accept(nil)
	if peak(pcm) != 0 {
		t.Error("sound out of nothing")
	}
	for _, n := range []int{1, 7, 160, 480, 481, 5000} {
		loud := make([]int16, n)
		for i := range loud {
			if loud[i] = 32767; i/20%2 == 1 {
				loud[i] = -32768
			}
		}
		c.Accept(loud)
		out := make([]int16, n)
		c.Conceal(out)
		c.Accept(loud)
		if n >= 480 && out[0] != 32767 && out[0] != -32768 {
			t.Errorf("%d samples of full scale go on with %d", n, out[0])
		}
	}
}

func TestNothingAllocated(t *testing.T) {
	c, pcm := New(16000), vowel(16000, 320, 120)
	if n := testing.AllocsPerRun(50, func() { c.Accept(pcm); c.Conceal(pcm); c.Conceal(pcm) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzConceal(f *testing.F) {
	f.Add([]byte{160, 1, 160, 0, 80, 1}, int16(1000))
	f.Fuzz(func(t *testing.T, plan []byte, amplitude int16) {
		for _, rate := range rates {
			c := New(rate)
			for i, b := range plan {
				pcm := make([]int16, int(b)*4)
				if i%2 == 1 {
					c.Conceal(pcm)
					continue
				}
				for k := range pcm {
					if pcm[k] = amplitude; k%37 < int(b)%37 {
						pcm[k] = -amplitude / 2
					}
				}
				c.Accept(pcm)
			}
		}
	})
}
