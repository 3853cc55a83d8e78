#!/usr/bin/env bash
# The browser stories: a real Chromium against the built gateway and against the page that a load test writes, on free ports, in a
# folder of their own.
#   tests/browser.sh            builds the gateway when FAIRWAY_BIN names none
#   SCREENSHOTS=DIR             keeps pictures of the pages there
set -euo pipefail
cd "$(dirname "$0")/.."

CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
if [ ! -x "$CHROMIUM" ]; then
  echo "There is no Chromium at $CHROMIUM: install it, or name another with CHROMIUM=..." >&2
  exit 1
fi
node adapters/webchat/widget/build.mjs --check

if [ -z "${FAIRWAY_BIN:-}" ]; then
  cargo build --quiet --workspace --bins
  FAIRWAY_BIN=${CARGO_TARGET_DIR:-target}/debug/fairway
fi
[ -x "$(dirname "$FAIRWAY_BIN")/fairway-loadtest" ] || { echo "fairway-loadtest is not built beside $FAIRWAY_BIN: cargo build -p loadtest" >&2; exit 1; }
FAIRWAY_BIN=$(realpath "$FAIRWAY_BIN")

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd tests/browser && npm ci --silent --no-audit --no-fund)
CHROMIUM="$CHROMIUM" FAIRWAY_BIN="$FAIRWAY_BIN" FOLDER="$folder" node tests/browser/story.mjs
CHROMIUM="$CHROMIUM" FAIRWAY_BIN="$FAIRWAY_BIN" FOLDER="$folder" node tests/browser/report.mjs
