package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxText is the most bytes of one parameter, or of one part of a path.
const maxText = 256

// query reads the parameters of a request. It collects all that is wrong with them: ask for err at the end.
type query struct {
	values url.Values
	faults []fault
}

// newQuery reads a query in which only known parameters may stand, each once, but for those that end with "[]", which may stand ten times.
func newQuery(raw string, known ...string) *query {
	q := &query{}
	values, err := url.ParseQuery(raw)
	if err != nil {
		q.fault("", "the query is not well formed: write parameters as name=value, with & between them and %% for what is special")
	}
	q.values = values
	for name, list := range values {
		most := 1
		if slices.Contains(known, name+"[]") {
			most = 10
		} else if !slices.Contains(known, name) {
			q.fault(clip(name), "there is no such parameter: expected "+strings.ReplaceAll(strings.Join(known, ", "), "[]", ""))
			continue
		}
		if len(list) > most {
			q.fault(name, fmt.Sprintf("stands %d times: expected at most %d", len(list), most))
		}
		for _, v := range list {
			if !isText(v) {
				q.fault(name, fmt.Sprintf("expected a text of at most %d bytes on one line", maxText))
			}
		}
	}
	slices.SortFunc(q.faults, func(a, b fault) int { return strings.Compare(a.Field, b.Field) })
	return q
}

func (q *query) fault(field, detail string) { q.faults = append(q.faults, fault{field, detail}) }

// err answers the problem of a query that is wrong, or nil.
func (q *query) err() error {
	if len(q.faults) == 0 {
		return nil
	}
	p := refuse(http.StatusBadRequest, "query", "The query is wrong: %s.", q.faults[0].text())
	p.Errors = q.faults
	return p
}

func (f fault) text() string {
	if f.Field == "" {
		return f.Detail
	}
	return f.Field + ": " + f.Detail
}

func (q *query) text(name string) string { return q.values.Get(name) }

// oneOf reads a word of a list; "" where the parameter is not there.
func (q *query) oneOf(name string, words ...string) string {
	v := q.values.Get(name)
	if q.values.Has(name) && !slices.Contains(words, v) {
		q.fault(name, "expected "+strings.Join(words, ", "))
		return ""
	}
	return v
}

// among reads one of several values of a parameter, which is one of the words.
func among[W ~string](q *query, name, v string, words []W) W {
	if !slices.Contains(words, W(v)) {
		q.fault(name, fmt.Sprintf("expected one of %v", words))
	}
	return W(v)
}

// number reads a number between bounds.
func (q *query) number(name string, missing, low, high int) int {
	if !q.values.Has(name) {
		return missing
	}
	n, err := strconv.Atoi(q.values.Get(name))
	if err != nil || n < low || n > high {
		q.fault(name, fmt.Sprintf("expected a number from %d to %d", low, high))
		return missing
	}
	return n
}

// yes reads true or false; nil where the parameter is not there.
func (q *query) yes(name string) *bool {
	v := q.oneOf(name, "true", "false")
	if v == "" {
		return nil
	}
	b := v == "true"
	return &b
}

// time reads a time; zero where the parameter is not there.
func (q *query) time(name string) time.Time {
	if !q.values.Has(name) {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, q.values.Get(name))
	if err != nil {
		q.fault(name, "expected a time such as 2027-01-31T08:00:00Z (write + as %2B)")
	}
	return t
}

// decode reads the body of a request into v: one JSON value without unknown fields. An empty body is taken only where it may be.
func decode(r *http.Request, v any, mayBeEmpty bool) error {
	if kind := r.Header.Get("Content-Type"); kind != "" || r.ContentLength != 0 {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return refuse(http.StatusUnsupportedMediaType, "media-type", "The body is not marked as JSON. Send it with Content-Type: application/json.")
		}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); errors.Is(err, io.EOF) && mayBeEmpty {
		return nil
	} else if err != nil {
		return malformed(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return malformed(errMore)
	}
	return nil
}

// malformed tells what is wrong with a body: 400 where it cannot be read or has a field that there is not, 422 where a value cannot be.
func malformed(err error) error {
	var long *http.MaxBytesError
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	text := strings.TrimPrefix(err.Error(), "json: ")
	switch {
	case errors.As(err, &long):
		return err
	case errors.As(err, &kind):
		return invalid(fault{clip(kind.Field), "a " + clip(kind.Value) + ", expected " + kindName(kind.Type)})
	case errors.Is(err, io.EOF):
		text = "it is empty"
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF), strings.HasPrefix(text, "unknown field"), errors.Is(err, errMore):
	default:
		return invalid(fault{"", clip(text)})
	}
	return refuse(http.StatusBadRequest, "body", "The body cannot be read: %s. /api/v1/openapi.yaml says what it should hold.", clip(text))
}

// errMore is what is wrong with a body that goes on after its value.
var errMore = errors.New("something follows the value")

// invalid is the problem of a body that is well formed and has values that cannot be.
func invalid(faults ...fault) error {
	p := refuse(http.StatusUnprocessableEntity, "value", "The body has a value that cannot be: %s.", faults[0].text())
	p.Errors = faults
	return p
}

// kindName is what JSON calls a type.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "an array"
	}
	return "an object"
}

// isText tells whether s is short, UTF-8, and without control characters.
func isText(s string) bool {
	return len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// clip makes a text from outside fit to be repeated.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
	if len(s) <= 100 {
		return s
	}
	return strings.ToValidUTF8(s[:100], "") + "…"
}
