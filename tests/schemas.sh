#!/usr/bin/env bash
# Writes the checked-in schemas under config/schema/ from the code.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf config/schema
cargo run --quiet -- schema events --out config/schema/events
for part in config openapi asyncapi metrics problems; do
  cargo run --quiet -- schema "$part" --out config/schema
done
