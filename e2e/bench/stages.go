package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// stage is one line of a Go benchmark.
type stage struct {
	name        string
	nanoseconds float64
	allocations float64
}

// stages runs the benchmarks of the packages that packets and frames go through.
func (b *bench) stages(ctx context.Context) error {
	packages := []string{"./media", "./transcode", "./transcode/mix", "./transcode/playout", "./transcode/resample", "./transcode/vad", "./transcode/tone", "./transcode/plc"}
	args := append([]string{"test", "-tags", "nolibopusfile", "-run", "^$", "-bench", ".", "-skip", "Alarm", "-benchtime", "30ms", "-benchmem"}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go test: %w\n%s", err, out)
	}
	b.report.stages = parseStages(string(out))
	b.say("  %d stages", len(b.report.stages))
	return nil
}

// parseStages reads what go test -bench prints.
func parseStages(out string) (list []stage) {
	pkg := ""
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "pkg:":
			pkg = strings.TrimPrefix(f[1], "passerelle/")
		case len(f) > 3 && strings.HasPrefix(f[0], "Benchmark"):
			name, _, _ := strings.Cut(strings.TrimPrefix(f[0], "Benchmark"), "-2")
			s := stage{name: pkg + " " + strings.ReplaceAll(name, "_", " ")}
			for i := 2; i+1 < len(f); i++ {
				v, err := strconv.ParseFloat(f[i], 64)
				switch {
				case err != nil:
				case f[i+1] == "ns/op":
					s.nanoseconds = v
				case f[i+1] == "allocs/op":
					s.allocations = v
				}
			}
			list = append(list, s)
		}
	}
	return list
}
