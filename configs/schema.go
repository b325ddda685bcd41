package configs

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// field is one key of a section: its name in YAML and the type of its value.
type field struct {
	name string
	typ  reflect.Type
}

// fieldsOf lists the keys of a section in the order of its struct.
func fieldsOf(section reflect.Type) []field {
	var fs []field
	for i := range section.NumField() {
		f := section.Field(i)
		fs = append(fs, field{f.Tag.Get("koanf"), f.Type})
	}
	return fs
}

// leaves lists every key that holds a value of its own, by full path. The lists of trunks and sites are one leaf each.
func leaves() []field { return leavesOf(reflect.TypeFor[Config](), "") }

func leavesOf(section reflect.Type, prefix string) []field {
	var fs []field
	for _, f := range fieldsOf(section) {
		if f.typ.Kind() == reflect.Struct {
			fs = append(fs, leavesOf(f.typ, prefix+f.name+".")...)
		} else {
			fs = append(fs, field{prefix + f.name, f.typ})
		}
	}
	return fs
}

// parse reads the text of one value as its type. The error says what was expected; it holds the text only where that cannot be a secret.
func parse(t reflect.Type, s string) (any, error) {
	var v any
	var err error
	var expected string
	switch t {
	case reflect.TypeFor[string]():
		return s, nil
	case reflect.TypeFor[Secret]():
		return Secret(s), nil
	case reflect.TypeFor[bool]():
		expected = "true or false"
		v = s == "true"
		if s != "true" && s != "false" {
			err = strconv.ErrSyntax
		}
	case reflect.TypeFor[int]():
		expected = "a whole number"
		v, err = strconv.Atoi(s)
	case reflect.TypeFor[float64]():
		expected = "a number"
		v, err = strconv.ParseFloat(s, 64)
	case reflect.TypeFor[time.Duration]():
		expected = "a duration with its unit, such as 500ms, 30s, 5m or 12h"
		v, err = time.ParseDuration(s)
	default:
		return nil, fmt.Errorf("expected no text")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: expected %s", quote(s), expected)
	}
	return v, nil
}

// parseList reads the text of a list, as an environment variable holds it: a,b,c.
func parseList(s string) []string {
	list := []string{}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// quote shows a value in an error, and not all of it where it is long.
func quote(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return strconv.Quote(s)
}
