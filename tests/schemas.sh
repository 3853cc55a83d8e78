#!/usr/bin/env bash
# Writes from the code what is generated: the schemas under config/schema/, and the channel table of the README.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf config/schema
cargo run --quiet -- schema events --out config/schema/events
for part in config openapi asyncapi metrics problems; do
  cargo run --quiet -- schema "$part" --out config/schema
done
python3 - "$(cargo run --quiet -- schema channels)" <<'PY'
import re, sys
text = open("README.md").read()
start = text.index("### What each channel can do")
end = text.index("\n## ", start)
text = text[:start] + "### What each channel can do\n\n" + sys.argv[1].rstrip("\n") + "\n" + text[end:]
open("README.md", "w").write(text)
PY
