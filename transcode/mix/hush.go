package mix

// Hush ends every clip that is played or waits.
func (o *Output) Hush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := len(o.queue) - 1; i >= 0; i-- {
		o.stop(o.queue[i])
	}
}
