//go:build e2e

package guest_test

import (
	"bufio"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"testing"
	"time"

	"passerelle/e2e/browser"
	"passerelle/e2e/stack"
)

// wall is the colour before which a white bar moves from left to right: whose camera it is.
type wall struct {
	name    string
	y, u, v byte
}

// The walls of those who meet, in BT.601.
var (
	red   = wall{"red", 90, 100, 200}
	blue  = wall{"blue", 70, 200, 100}
	green = wall{"green", 100, 90, 80}
)

const (
	cameraWidth  = 640
	cameraHeight = 360
	barWidth     = 64
	barStep      = 32 // pixels from one frame to the next
)

// film writes what a camera sees: 20 frames, two seconds at 10 frames a second, again and again.
func (w wall) film(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), w.name+".y4m")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := bufio.NewWriter(f)
	fmt.Fprintf(b, "YUV4MPEG2 W%d H%d F10:1 Ip A1:1 C420\n", cameraWidth, cameraHeight)
	for n := range cameraWidth / barStep {
		b.WriteString("FRAME\n")
		in := func(x int) bool { return (x-n*barStep+cameraWidth)%cameraWidth < barWidth }
		for i := range cameraWidth * cameraHeight {
			if in(i % cameraWidth) {
				b.WriteByte(235)
			} else {
				b.WriteByte(w.y)
			}
		}
		for _, c := range []byte{w.u, w.v} {
			for i := range cameraWidth * cameraHeight / 4 {
				if in(i % (cameraWidth / 2) * 2) {
					b.WriteByte(128)
				} else {
					b.WriteByte(c)
				}
			}
		}
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	return path
}

// read finds the wall's bar in a rendered picture: where it is, from 0 to 1; false: it is not this wall, or there is no bar.
func (w wall) read(i image.Image) (at float64, ok bool) {
	if i == nil {
		return 0, false
	}
	r := i.Bounds()
	var bars, ours, all int
	var sum float64
	for y := r.Min.Y + r.Dy()*3/10; y < r.Min.Y+r.Dy()*6/10; y += 2 {
		for x := r.Min.X + r.Dx()/20; x < r.Max.X-r.Dx()/20; x++ {
			cr, cg, cb, _ := i.At(x, y).RGBA()
			R, G, B := int(cr>>8), int(cg>>8), int(cb>>8)
			all++
			switch {
			case R > 190 && G > 190 && B > 190:
				bars++
				sum += float64(x-r.Min.X) / float64(r.Dx())
			case w == red && R > G+50 && R > B+50, w == blue && B > R+50 && B > G+50, w == green && G > R+25 && G > B+25:
				ours++
			}
		}
	}
	if bars == 0 || bars > all/3 || ours < all/2 {
		return 0, false
	}
	return sum / float64(bars), true
}

// moves waits until an element of a page shows the wall's bar in three places.
func (w wall) moves(b *browser.Page, what, on string) {
	b.T.Helper()
	places := map[int]bool{}
	stack.Eventually(b.T, 30*time.Second, what, func() bool {
		if at, ok := w.read(b.Picture(on)); ok {
			places[int(at*8)] = true
		}
		return len(places) >= 3
	})
}
