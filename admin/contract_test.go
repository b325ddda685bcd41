package admin

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"passerelle/admin/tokens"
)

// contract holds requests and answers against the document, and remembers which operations were used how.
type contract struct {
	doc    *openapi3.T
	mux    *http.ServeMux
	routes map[string]*routers.Route // by pattern of mux

	mu   sync.Mutex
	seen map[string]map[int]bool // by pattern, the statuses
}

var theContract = sync.OnceValue(func() *contract {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(document)
	if err != nil {
		panic(err)
	}
	c := &contract{doc: doc, mux: http.NewServeMux(), routes: map[string]*routers.Route{}, seen: map[string]map[int]bool{}}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			pattern := method + " " + path
			if path == "/" {
				pattern += "{$}"
			}
			c.mux.Handle(pattern, http.NotFoundHandler())
			c.routes[pattern] = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}
			c.seen[pattern] = map[int]bool{}
		}
	}
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.PlainBodyDecoder)
	return c
})

// check holds one exchange against the document. What is answered with success must have been asked as the document says.
func (c *contract) check(t *testing.T, req *http.Request, body string, a answer) {
	t.Helper()
	_, pattern := c.mux.Handler(req)
	route := c.routes[pattern]
	if route == nil {
		if a.status < http.StatusBadRequest || a.status >= http.StatusInternalServerError {
			t.Errorf("%s %s is not in the document, and the answer is %d", req.Method, req.URL, a.status)
		}
		return
	}
	c.mu.Lock()
	c.seen[pattern][a.status] = true
	c.mu.Unlock()
	options := &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true}
	in := &openapi3filter.RequestValidationInput{Request: req.Clone(t.Context()), PathParams: pathParams(route.Path, req.URL), Route: route, Options: options}
	in.Request.Body = io.NopCloser(strings.NewReader(body))
	if a.status < http.StatusBadRequest {
		if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
			t.Errorf("%s %s is answered with %d, and is not as the document says: %v", req.Method, req.URL, a.status, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: a.status, Header: a.header, Options: options}
	out.SetBodyBytes(a.body)
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
		t.Errorf("%s %s: the answer is not as the document says: %v\n%d %s", req.Method, req.URL, err, a.status, a.body)
	}
}

// schema holds a JSON value against a schema of the document.
func (c *contract) schema(t *testing.T, name string, v any) {
	t.Helper()
	if err := c.doc.Components.Schemas[name].Value.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("%v is no %s: %v", v, name, err)
	}
}

// pathParams finds the values of a path's parameters.
func pathParams(template string, u *url.URL) map[string]string {
	values, names, params := strings.Split(u.EscapedPath(), "/"), strings.Split(template, "/"), map[string]string{}
	for i, n := range names {
		if strings.HasPrefix(n, "{") && i < len(values) {
			params[strings.Trim(n, "{}")], _ = url.PathUnescape(values[i])
		}
	}
	return params
}

func TestDocumentIsValid(t *testing.T) {
	c := theContract()
	if err := c.doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.doc.OpenAPI, "3.1") {
		t.Error(c.doc.OpenAPI)
	}
}

// TestDocumentAndRoutes: each operation of the document has a route with its role, and each route an operation.
func TestDocumentAndRoutes(t *testing.T) {
	r := newRig(t, nil)
	c, have := theContract(), map[string]tokens.Role{}
	for _, rt := range r.server.api.routes() {
		if rt.method == "" {
			rt.method = http.MethodGet
		}
		if (rt.method == http.MethodGet) != (rt.open != nil || !rt.audit || rt.path == "/api/v1/journal") && rt.path != "/api/v1/rules/explain" {
			t.Errorf("%s %s: what changes something is recorded", rt.method, rt.path)
		}
		have[rt.method+" "+rt.path] = rt.role
	}
	if a, b := slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(c.routes)); !slices.Equal(a, b) {
		t.Fatalf("the routes are\n%s\nand the document has\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
	for pattern, role := range have {
		op := c.routes[pattern].Operation
		if got := fmt.Sprint(op.Extensions["x-role"]); role != "" && got != string(role) || role == "" && op.Extensions["x-role"] != nil {
			t.Errorf("%s: the document says %s, the route %q", pattern, got, role)
		}
		if open := op.Security != nil && len(*op.Security) == 0; open != (role == "") {
			t.Errorf("%s: without a token: document %v, route %v", pattern, open, role == "")
		}
	}
}

// TestEveryOperation uses each operation of the document in all the ways in which every operation can be used; the other tests add theirs.
func TestEveryOperation(t *testing.T) {
	r := newRig(t, nil)
	bodies := map[string]string{"POST /api/v1/links": `{"room":"x"}`, "POST /api/v1/calls": `{"to":"livekit://partner/x","room":"y"}`, "POST /api/v1/calls/{id}/move": `{"room":"x"}`, "POST /api/v1/rules/explain": `{"direction":"in"}`}
	for pattern, route := range theContract().routes {
		if route.Path == "/api/v1/events" {
			continue // TestEvents
		}
		path := strings.NewReplacer("{id}", "c1", "{link}", "acme-1", "{room}", "council").Replace(route.Path)
		if a := r.ask(route.Method, path, tokens.Admin, bodies[pattern]); a.status/100 != 2 {
			t.Errorf("%s: %d %s", pattern, a.status, a.body)
		}
		if !strings.HasPrefix(path, "/api/") {
			continue
		}
		if route.Operation.Security == nil {
			r.want(401, "no-token", route.Method, path, "", bodies[pattern])
			r.expect(r.askAs(route.Method, path, "pass_"+strings.Repeat("x", 43), bodies[pattern]), 401, "token", pattern)
			r.want(400, "query", route.Method, path+"?nonsense=1", tokens.Admin, bodies[pattern])
			r.want(405, "method", "PUT", path, tokens.Admin, "")
		}
		if route.Method == http.MethodPost {
			req := r.request(route.Method, path, r.secrets[tokens.Admin], bodies[pattern]+" ")
			req.Header.Set("Content-Type", "text/plain")
			r.expect(r.send(req, " "), 415, "media-type", pattern)
			r.want(413, "too-large", route.Method, path, tokens.Admin, `{"room":"`+strings.Repeat("x", maxBody)+`"}`)
			r.want(400, "body", route.Method, path, tokens.Admin, `{"nonsense":1}`)
			r.want(400, "body", route.Method, path, tokens.Admin, `{`)
			r.want(422, "value", route.Method, path, tokens.Admin, `[]`)
		}
	}
	for _, role := range tokens.Roles() {
		for pattern, route := range theContract().routes {
			need := tokens.Role(fmt.Sprint(route.Operation.Extensions["x-role"]))
			if !strings.HasPrefix(route.Path, "/api/") || route.Path == "/api/v1/events" || route.Operation.Security != nil {
				continue
			}
			path := strings.NewReplacer("{id}", "c1", "{link}", "acme-1", "{room}", "council").Replace(route.Path)
			if a := r.ask(route.Method, path, role, bodies[pattern]); (a.status/100 == 2) != role.Covers(need) || !role.Covers(need) && a.status != 403 {
				t.Errorf("%s as %s: %d %s", pattern, role, a.status, a.body)
			}
		}
	}
}
