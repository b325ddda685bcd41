#!/bin/sh
# Makes the Go files from the .proto files, with the protoc-gen-go that belongs to go.mod's protobuf.
set -eu
bin=$(mktemp -d)
trap 'rm -r "$bin"' EXIT
GOBIN=$bin go install google.golang.org/protobuf/cmd/protoc-gen-go
protoc --plugin=protoc-gen-go="$bin/protoc-gen-go" --go_out=. --go_opt=paths=source_relative signal.proto models.proto api.proto
