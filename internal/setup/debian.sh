#!/usr/bin/env bash
# Installs the Debian packages that are missing, and says which. Touches nothing that is there already, and needs no root when nothing is missing.
# Usage: debian.sh build|test|bench
set -euo pipefail

case ${1:-} in
build) packages="gcc libc6-dev pkg-config libopus-dev libspeexdsp-dev git" ;;
test) packages="baresip sip-tester ffmpeg sox libsox-fmt-all espeak-ng opus-tools chromium firefox-esr redis-server nodejs openssl postgresql iproute2 tcpdump python3 simple-whip-client gstreamer1.0-nice gstreamer1.0-plugins-good gstreamer1.0-plugins-bad" ;;
bench) packages="util-linux rtpengine-daemon" ;;
*)
  echo "usage: $0 build|test|bench" >&2
  exit 2
  ;;
esac

if ! command -v go >/dev/null; then
  echo "Go 1.26 is needed and was not found: see https://go.dev/doc/install" >&2
  exit 1
fi

missing=()
for p in $packages; do
  # Node may come from elsewhere than Debian; the program is what counts.
  case $p in nodejs) command -v node >/dev/null && command -v npm >/dev/null && continue ;; esac
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
  [ "$p" = nodejs ] && missing+=(npm)
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "installing Debian packages: ${missing[*]}"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "these packages are missing and this is not root: ask an administrator for: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  sudo=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${sudo[@]}" apt-get update -qq &&
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  exit 1
fi
