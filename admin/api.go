package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"passerelle/admin/tokens"
	"passerelle/configs"
)

// Bounds of requests.
const (
	maxProbeBody = 1 << 10          // bytes, where nothing takes a body
	maxBody      = 64 << 10         // bytes, of the admin API
	answerTime   = 15 * time.Second // for an answer of the admin API, event streams excepted
)

// api is what is behind the listener.
type api struct {
	Deps
	cfg     configs.HTTP
	log     *slog.Logger
	began   time.Time
	keeper  *tokens.Keeper // nil: there is no admin API
	limits  *limits
	hub     *hub
	metrics *metrics
	pace    pace
	now     func() time.Time
}

// route is one operation.
type route struct {
	method string // empty: GET
	path   string // as http.ServeMux has it
	role   tokens.Role
	audit  bool // it is recorded when it succeeds, too
	stream bool // it has all the time in the world
	handle handler
	open   http.HandlerFunc // instead of handle: for everybody, and not part of the admin API
}

// handler answers a request of somebody who may ask. The result is sent as JSON; nil is sent as nothing; written has been sent.
type handler func(w http.ResponseWriter, r *http.Request, by *caller) (any, error)

// written is the result of a handler that has sent it itself.
type written struct{}

func newAPI(cfg configs.HTTP, d Deps, log *slog.Logger) (*api, error) {
	a := &api{Deps: d, cfg: cfg, log: log, began: time.Now(), limits: newLimits(max(1, cfg.Rate)), metrics: newMetrics(d.Registry), pace: usualPace(), now: time.Now}
	a.hub = newHub(a.metrics, log)
	if cfg.Tokens == "" {
		return a, nil
	}
	if d.Node == nil || d.Load == nil || d.Rules == nil || d.Journal == nil {
		return nil, errors.New("http.tokens_file: this program has no admin API") // whoever put it together forgot something
	}
	var err error
	if a.keeper, err = tokens.NewKeeper(cfg.Tokens, a.tokensRead); err != nil {
		return nil, fmt.Errorf("http.tokens_file: %w", err)
	}
	return a, nil
}

// routes are all operations. A further kind of resource adds its own here.
func (a *api) routes() []route {
	routes := a.healthRoutes()
	if a.keeper == nil {
		return routes
	}
	return slices.Concat(routes, a.callRoutes(), a.roomRoutes(), a.linkRoutes(), a.ruleRoutes(), a.journalRoutes(), a.nodeRoutes(), a.eventRoutes(), documentRoutes())
}

// handler routes requests. Where there is no admin API, its paths say so.
func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{} // by path of the admin API
	for _, rt := range a.routes() {
		if rt.method == "" {
			rt.method = http.MethodGet
		}
		if rt.open != nil {
			mux.Handle(rt.method+" "+rt.path, http.MaxBytesHandler(rt.open, maxProbeBody))
			continue
		}
		methods[rt.path] = append(methods[rt.path], rt.method)
		mux.Handle(rt.method+" "+rt.path, a.serve(rt))
	}
	for path, allowed := range maps.All(methods) {
		mux.Handle(path, a.serve(route{path: path, role: tokens.Viewer, handle: wrongMethod(allowed)}))
	}
	if a.keeper == nil {
		mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) {
			refuse(http.StatusNotFound, "no-api", "There is no admin API on this node: http.tokens_file is not set in its configuration.").write(w, "")
		})
	} else {
		mux.Handle("/api/", a.serve(route{path: "/api/", role: tokens.Viewer, handle: noRoute}))
	}
	return secure(mux)
}

func wrongMethod(allowed []string) handler {
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	list := strings.Join(allowed, ", ")
	return func(w http.ResponseWriter, r *http.Request, _ *caller) (any, error) {
		w.Header().Set("Allow", list)
		return nil, refuse(http.StatusMethodNotAllowed, "method", "%s is not possible here: use %s.", clip(r.Method), list)
	}
}

func noRoute(http.ResponseWriter, *http.Request, *caller) (any, error) {
	return nil, refuse(http.StatusNotFound, "no-route", "There is nothing at this path. /api/v1/openapi.yaml lists all there is.")
}

// secure keeps browsers from making anything of the answers but text.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// serve has an operation of the admin API done for those who may, and everything recorded that should be before the answer is sent.
func (a *api) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by := newCaller(r)
		w.Header().Set("X-Request-Id", by.id)
		err := a.admit(r, by, rt.role)
		var result any
		if err == nil {
			result, err = a.do(w, r, by, rt)
		}
		if err == nil {
			if result == nil {
				a.record(r, by, rt, http.StatusNoContent, nil)
				w.WriteHeader(http.StatusNoContent)
				return
			}
			a.record(r, by, rt, http.StatusOK, nil)
			if result == (written{}) {
				return
			}
			if err = reply(w, result); err == nil {
				return
			}
		}
		p := toProblem(err)
		if p.Status == http.StatusInternalServerError {
			a.log.Error("a request of the admin API failed", "request", by.id, "route", rt.path, "error", err)
		}
		a.record(r, by, rt, p.Status, p)
		p.write(w, by.id)
	})
}

// do calls the handler within its bounds.
func (a *api) do(w http.ResponseWriter, r *http.Request, by *caller, rt route) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	for _, name := range [...]string{"id", "room", "link"} {
		if !isText(r.PathValue(name)) {
			return noRoute(w, r, by)
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if !rt.stream {
		ctx, stop := context.WithTimeout(r.Context(), answerTime)
		defer stop()
		r = r.WithContext(ctx)
	}
	return rt.handle(w, r, by)
}
