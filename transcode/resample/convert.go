package resample

// Convert resamples a whole clip. The result is as long in time as the clip (rounded up to a sample) and in step with it: the resampler's delay
// is taken out.
func Convert(pcm []int16, from, to int) ([]int16, error) {
	r, err := New(from, to)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	want := (len(pcm)*to + from - 1) / from
	delay := r.Delay()
	out := make([]int16, want+delay)
	n := r.Process(out, pcm)
	// Silence after the clip pushes its last samples out of the filter.
	tail := make([]int16, delay*from/to+2)
	for n < len(out) {
		got := r.Process(out[n:], tail)
		if got == 0 {
			break
		}
		n += got
	}
	return out[delay:], nil
}
