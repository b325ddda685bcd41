package main

import (
	"log/slog"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// profileOnSignal has SIGUSR1 begin a CPU profile, and the next SIGUSR1 end it and write it to the file, again and again until stop. A profile
// tells which functions ran, and nothing of calls.
func profileOnSignal(path string, log *slog.Logger) (stop func()) {
	signals, done, stopped := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		defer close(stopped)
		var file *os.File
		finish := func() {
			if file != nil {
				pprof.StopCPUProfile()
				if err := file.Close(); err != nil {
					log.Error("CPU profile", "error", err)
				}
				file = nil
			}
		}
		defer finish()
		for {
			select {
			case <-done:
				return
			case <-signals:
			}
			if file != nil {
				finish()
				log.Info("CPU profile written", "file", path)
				continue
			}
			var err error
			if file, err = os.Create(path); err == nil {
				err = pprof.StartCPUProfile(file)
			}
			if err != nil {
				log.Error("CPU profile", "error", err)
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		<-stopped
	}
}
