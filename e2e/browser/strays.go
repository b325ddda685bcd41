package browser

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// strays is an HTTP proxy on loopback that refuses all it is asked for, and remembers it.
type strays struct {
	port int
	mu   sync.Mutex
	all  []string
}

// catchStrays starts one, and ends it with the test.
func catchStrays(t *testing.T) *strays {
	s := &strays{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all = append(s.all, r.Method+" "+r.RequestURI)
		http.Error(w, "no other hosts in this test", http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	s.port = server.Listener.Addr().(*net.TCPAddr).Port
	return s
}

func (s *strays) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}
