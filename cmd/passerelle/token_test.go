package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"passerelle/admin/tokens"
)

func TestToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	command := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := token(t.Context(), append(args, "--http.tokens_file", path), &out)
		return out.String(), err
	}
	keeper, err := tokens.NewKeeper(path, func(tokens.News) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := command("list"); err == nil || !strings.Contains(err.Error(), "token add") {
		t.Errorf("before there is a file: %v", err)
	}
	secret, err := command("add", "console", "--role", "operator", "--expires", "90d")
	if err != nil {
		t.Fatal(err)
	}
	got, ok := keeper.Find(strings.TrimSpace(secret))
	if !ok || got.Role != tokens.Operator || got.Name != "console" {
		t.Fatalf("the running node finds %+v", got)
	}
	if left := time.Until(got.Expires); left < 89*24*time.Hour || left > 90*24*time.Hour {
		t.Errorf("it is good for %v", left)
	}
	if list, err := command("list"); err != nil || !strings.Contains(list, "console") || !strings.Contains(list, "operator") || strings.Contains(list, got.Hash) {
		t.Errorf("%v\n%s", err, list)
	}
	for _, args := range [][]string{
		{},
		{"add"},
		{"add", "x"},
		{"add", "x", "--role", "root"},
		{"add", "a b", "--role", "viewer"},
		{"add", "console", "--role", "viewer"},
		{"add", "x", "--role", "viewer", "--expires", "soon"},
		{"add", "x", "--role", "viewer", "--expires", "2020-01-01"},
		{"add", "x", "--role", "viewer", "--expires", "0d"},
		{"add", "x", "--role", "viewer", "--expires", "1dd"},
		{"list", "x"},
		{"remove"},
		{"remove", "nobody"},
		{"show"},
	} {
		if out, err := command(args...); err == nil || strings.Contains(out, "pass_") {
			t.Errorf("%q is done: %s", args, out)
		}
	}
	if _, err := command("remove", "console"); err != nil {
		t.Fatal(err)
	}
	if _, ok := keeper.Find(strings.TrimSpace(secret)); ok {
		t.Error("a removed token is still known")
	}
	var out bytes.Buffer
	if err := token(t.Context(), []string{"list"}, &out); err == nil || !strings.Contains(err.Error(), "http.tokens_file") {
		t.Errorf("without a file: %v", err)
	}
}
