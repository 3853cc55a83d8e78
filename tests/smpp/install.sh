#!/usr/bin/env bash
# Installs the SMPP library of others that the story's message centre is made of, once.
set -euo pipefail
cd "$(dirname "$0")"
exec 9> "${TMPDIR:-/tmp}/fairway-smpp.lock"
flock 9
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund --silent >&2
