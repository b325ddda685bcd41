#!/usr/bin/env bash
# Runs every fuzz target of the repository, one after the other. Usage: fuzz.sh TAGS TIME
set -euo pipefail
cd "$(dirname "$0")/../.."
git grep -l '^func Fuzz' -- '*_test.go' | while read -r file; do
  grep -o '^func Fuzz[A-Za-z0-9_]*' "$file" | cut -d' ' -f2 | while read -r target; do
    echo "== $(dirname "$file") $target"
    go test -tags "$1" -run '^$' -fuzz "^$target\$" -fuzztime "$2" "./$(dirname "$file")"
  done
done
