#!/usr/bin/env bash
# Installs the npm packages of the browser tests, pinned by their lock file, when they are not there or have changed.
set -euo pipefail
cd "$(dirname "$0")/../../e2e/browser"
stamp=node_modules/.passerelle-lock
cmp -s package-lock.json "$stamp" && exit 0
echo "installing npm packages: $(node -p 'Object.entries(require("./package.json").dependencies).map(d => d.join("@")).join(", ")')"
npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
cp package-lock.json "$stamp"
