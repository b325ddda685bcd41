package admin

import (
	"net/http"
	"runtime"
	"time"

	"passerelle/admin/tokens"
)

// nodeRoutes are the node itself.
func (a *api) nodeRoutes() []route {
	return []route{{path: "/api/v1/node", role: tokens.Viewer, handle: a.showNode}}
}

// nodeView is the node.
type nodeView struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Go       string    `json:"go"`
	Began    time.Time `json:"began"`
	UptimeS  int64     `json:"uptime_s"`
	Calls    int       `json:"calls"`
	Rooms    int       `json:"rooms"`
	Load     float64   `json:"load"`     // 1 is all that there is
	Headroom int       `json:"headroom"` // how many more calls it would take
	Draining bool      `json:"draining"`
}

func (a *api) showNode(_ http.ResponseWriter, r *http.Request, _ *caller) (any, error) {
	if err := newQuery(r.URL.RawQuery).err(); err != nil {
		return nil, err
	}
	l := a.Load()
	return nodeView{
		Name: a.Name, Version: a.Version, Go: runtime.Version(), Began: a.began.UTC(), UptimeS: int64(time.Since(a.began) / time.Second),
		Calls: len(a.Node.Calls()), Rooms: len(a.Node.Rooms()), Load: l.Share, Headroom: l.Headroom, Draining: l.Draining,
	}, nil
}
