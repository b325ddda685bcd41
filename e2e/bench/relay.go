package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"passerelle/transcode"
)

// relay is the limit: a program that does nothing but send each packet back to where it came from, one socket and one goroutine a call. It ends
// with its standard input.
func relay(calls int, out io.Writer) error {
	var work sync.WaitGroup
	for range calls {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return err
		}
		defer c.Close()
		fmt.Fprintln(out, c.LocalAddr().(*net.UDPAddr).Port)
		work.Go(func() {
			b := make([]byte, 1500)
			for {
				n, from, err := c.ReadFromUDPAddrPort(b)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					_, _ = c.WriteToUDPAddrPort(b[:n], from)
				}
			}
		})
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil // the sockets are closed, and with them the goroutines end
}

// relayed measures the processor time of one relayed call: 50 packets a second each way.
func (b *bench) relayed(ctx context.Context, calls int) (perCall float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := measured(self, "--relay", fmt.Sprint(calls))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	defer stdin.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	measured, err := begin(cmd)
	if err != nil {
		return 0, err
	}
	defer measured.end()
	codec, _ := transcode.Lookup("PCMA", 8000)
	s, err := newSound(codec, b.clip)
	if err != nil {
		return 0, err
	}
	l, err := newLoad()
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(out)
	for n := 0; n < calls && lines.Scan(); n++ {
		var port int
		if _, err := fmt.Sscan(lines.Text(), &port); err != nil {
			return 0, err
		}
		l.add(&phone{number: n, sound: s, remote: &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}})
	}
	return b.packets(ctx, l, measured.pid, calls)
}

// packets runs a load against a process for a while, and says what a call costs it. Loss means that the figure says nothing.
func (b *bench) packets(ctx context.Context, l *load, pid, calls int) (perCall float64, err error) {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.run(ctx)
	}()
	defer func() {
		stop()
		<-ended
	}()
	time.Sleep(1500 * time.Millisecond)
	used, start := cpuTime(pid), time.Now()
	received, expected := l.totals()
	time.Sleep(b.measure)
	took := time.Since(start).Seconds()
	perCall = (cpuTime(pid) - used).Seconds() / took / float64(calls)
	received2, expected2 := l.totals()
	want := float64(len(l.phones)) * took / period.Seconds()
	if got := float64(received2 - received); got < 0.97*want || float64(expected2-expected)-got > 0.01*got {
		return perCall, fmt.Errorf("only %.0f of %.0f packets came back", got, want)
	}
	return perCall, nil
}
