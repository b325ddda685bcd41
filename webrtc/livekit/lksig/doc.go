// Package lksig holds the subset of LiveKit's protobuf messages that Passerelle uses. The Go files are generated (go generate; Debian's
// protobuf-compiler and the protoc-gen-go of go.mod's protobuf).
package lksig

//go:generate ./gen.sh
