#!/usr/bin/env bash
# Providers' official SDKs against the running gateway: they check the signatures of its twins and sign deliveries to it, their
# clients talk to the twins, and their types read what the adapters make.
#   tests/sdks.sh               builds the gateway when FAIRWAY_BIN names none
# Versions are pinned in tests/sdks/; node modules and the Python environment are installed outside of git.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

say() { echo "sdks.sh: $*"; }

if [ -z "${FAIRWAY_BIN:-}" ]; then
  cargo build --quiet
  FAIRWAY_BIN=${CARGO_TARGET_DIR:-target}/debug/fairway
fi
FAIRWAY_BIN=$(realpath "$FAIRWAY_BIN")

folder=$(mktemp -d)
started=()
finish() {
  for pid in "${started[@]}"; do kill "$pid" 2> /dev/null || true; done
  wait || true
  rm -rf "$folder"
}
trap finish EXIT

(cd tests/sdks && npm ci --silent --no-audit --no-fund --ignore-scripts)
venv=${FAIRWAY_CACHE:-$HOME/.cache/fairway}/sdks-$(sha256sum < tests/sdks/requirements.txt | cut -c1-16)
if [ ! -e "$venv/ready" ]; then
  say "installing the Python libraries in $venv (once)"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/sdks/requirements.txt
  touch "$venv/ready"
fi

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
gateway=$(free_port)
recorder=$(free_port)
base=http://127.0.0.1:$recorder
STANDARD_SECRET=whsec_$(head -c 24 /dev/urandom | base64)
export STANDARD_SECRET

# All that goes between twins and gateway passes the recorder: it is the public URL.
LINE_API=http://127.0.0.1:$(free_port)
export LINE_API
# Apple speaks HTTP/2 over TLS alone.
APNS_API=127.0.0.1:$(free_port)
APNS_CERT=$folder/apns.pem
export APNS_API APNS_CERT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=apns -addext subjectAltName=IP:127.0.0.1 \
  -keyout "$folder/apns.key" -out "$APNS_CERT" 2> /dev/null
node tests/sdks/recorder.mjs "$recorder" "$gateway" "line=${LINE_API##*:}" "apns=${APNS_API##*:},$folder/apns.key,$APNS_CERT" &
started+=($!)
printf '[server]\nlisten = "127.0.0.1:%s"\npublic_url = "%s"\n[sandbox]\nenabled = true\n' "$gateway" "$base" > "$folder/fairway.toml"
cat tests/sdks/standard.toml >> "$folder/fairway.toml"
(cd "$folder" && exec "$FAIRWAY_BIN" --config fairway.toml > gateway.log 2>&1) &
started+=($!)
for _ in $(seq 300); do
  if curl -fs "$base/readyz" > /dev/null; then break; fi
  kill -0 "${started[1]}" 2> /dev/null || { echo "the gateway did not start:" >&2; cat "$folder/gateway.log" >&2; exit 1; }
  sleep 0.1
done

# Who comes too fast is told for how long to wait, so that the SDKs show that they understand it.
for name in slack telegram twilio; do
  curl -fsS -X PUT "$base/sandbox-control/$name/mood" -H 'content-type: application/json' -d '{"retry_after_secs": 1}'
done

failed=0
say "SDKs for JavaScript"
node tests/sdks/main.mjs "$base" || failed=1
say "SDKs for Python"
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" "$root/tests/sdks/python/main.py" "$base" || failed=1
if [ "$failed" = 1 ]; then
  grep -E 'WARN|ERROR' "$folder/gateway.log" | tail -20 >&2 || true
  exit 1
fi
say "all passed"
