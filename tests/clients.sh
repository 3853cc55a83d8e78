#!/usr/bin/env bash
# What others wrote against what we say: clients generated from the running gateway's /openapi.json, the Standard Webhooks
# libraries on our deliveries, the CloudEvents SDKs on our deliveries and on the records of a real Kafka.
#   tests/clients.sh            builds the gateway when FAIRWAY_BIN names none
#   FAIRWAY_TEST_KAFKA=H:P      uses this broker; else tests/kafka.sh starts one
# Versions are pinned in tests/clients/; node modules and the Python environment are installed outside of git.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

say() { echo "clients.sh: $*"; }

if [ -z "${FAIRWAY_BIN:-}" ]; then
  cargo build --quiet
  FAIRWAY_BIN=${CARGO_TARGET_DIR:-target}/debug/fairway
fi
FAIRWAY_BIN=$(realpath "$FAIRWAY_BIN")

folder=$(mktemp -d)
started=()
finish() {
  for pid in "${started[@]}"; do kill "$pid" 2> /dev/null || true; done
  [ ! -e "$folder/kafka" ] || tests/kafka.sh stop "$folder/kafka" || true
  wait || true
  rm -rf "$folder"
}
trap finish EXIT

# --- tools of others
(cd tests/clients && npm ci --silent --no-audit --no-fund)
modules=$root/tests/clients/node_modules
venv=${FAIRWAY_CACHE:-$HOME/.cache/fairway}/clients-$(sha256sum < tests/clients/requirements.txt | cut -c1-16)
if [ ! -e "$venv/ready" ]; then
  say "installing the Python libraries in $venv (once)"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/clients/requirements.txt
  touch "$venv/ready"
fi
python=$venv/bin/python

# --- gateways
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# gateway NAME LOG: starts one in a folder of its own with this [log] section; its address is in `base`.
gateway() {
  local home=$folder/$1 port pid
  port=$(free_port)
  base=http://127.0.0.1:$port
  mkdir "$home"
  printf '[server]\nlisten = "127.0.0.1:%s"\npublic_url = "%s"\n[sandbox]\nenabled = true\n[log]\n%s\n' "$port" "$base" "$2" > "$home/fairway.toml"
  (cd "$home" && exec "$FAIRWAY_BIN" --config fairway.toml > gateway.log 2>&1) &
  pid=$!
  started+=("$pid")
  for _ in $(seq 300); do
    if curl -fs "$base/readyz" > /dev/null; then return; fi
    kill -0 "$pid" 2> /dev/null || break
    sleep 0.1
  done
  echo "the gateway did not start:" >&2
  cat "$home/gateway.log" >&2
  return 1
}

api() { curl -fsS -X "$1" "$base$2" -H 'content-type: application/json' -d "$3"; }
says() { api POST /sandbox-control/telegram/act "$(jq -nc --arg person "$1" --arg text "$2" '{$person, $text}')" > /dev/null; }

texts='["Is my table ready?","¿Y la otra table? – \"sí\" 🍽","a table\nfor two, 100 %"]'
# Says all of them, one after the other.
says_all() {
  local n
  for n in 0 1 2; do says "$1" "$(jq -r ".[$n]" <<< "$texts")"; done
}

gateway embedded 'path = "log"'

say "the OpenAPI document is valid"
curl -fsS "$base/openapi.json" > "$folder/openapi.json"
"$python" -m openapi_spec_validator "$folder/openapi.json" > /dev/null

say "a TypeScript client compiles, sends, and reads what became of it"
mkdir "$folder/typescript"
cp tests/clients/package.json tests/clients/typescript/* "$folder/typescript"
ln -s "$modules" "$folder/typescript/node_modules"
"$modules/.bin/openapi-typescript" "$folder/openapi.json" --default-non-nullable false -o "$folder/typescript/schema.ts" > /dev/null 2>&1
"$modules/.bin/tsc" --strict -p "$folder/typescript"
node "$folder/typescript/out/client.js" "$base"

say "a Python client sends, and reads what became of it"
(cd "$folder" && PATH=$venv/bin:$PATH openapi-python-client generate --path openapi.json --meta none --output-path fairway_client > generated.log 2>&1) ||
  { cat "$folder/generated.log" >&2; exit 1; }
# It has no NDJSON, no CSV in bodies and no pictures; that must be all it left out.
left_out=$(grep '^WARNING' "$folder/generated.log" | sort)
if [ "$left_out" != "WARNING parsing GET /v1/channels/{name}/links/qr.png within channels.
WARNING parsing GET /v1/channels/{name}/links/qr.svg within channels.
WARNING parsing POST /v1/audiences within audiences.
WARNING parsing POST /v1/contacts/import within contacts. Endpoint will not be generated.
WARNING parsing POST /v1/messages/batch within messages. Endpoint will not be generated." ]; then
  cat "$folder/generated.log" >&2
  exit 1
fi
PYTHONPATH=$folder "$python" tests/clients/python/client.py "$base"

say "webhooks of ours verify, changed ones do not, and they are CloudEvents"
"$python" tests/clients/python/receiver.py "$folder/deliveries" > "$folder/receiver" &
started+=($!)
until [ -s "$folder/receiver" ]; do sleep 0.1; done
made=$(api POST /v1/webhooks "{\"url\": \"$(cat "$folder/receiver")\", \"types\": [\"fairway.message.received\"]}")
says_all telegram:5550003
for _ in $(seq 100); do
  [ "$(cat "$folder/deliveries" 2> /dev/null | wc -l)" -lt 3 ] || break
  sleep 0.1
done
SECRET=$(jq -r '.secrets[0]' <<< "$made")
export SECRET
node tests/clients/webhooks.mjs "$folder/deliveries" "$texts"
"$python" tests/clients/python/webhooks.py "$folder/deliveries" "$texts"

if [ -z "${FAIRWAY_TEST_KAFKA:-}" ]; then
  mkdir "$folder/kafka"
  export "$(tests/kafka.sh start "$folder/kafka")"
fi
for mode in binary structured; do
  say "records of a real Kafka are CloudEvents in $mode mode"
  prefix=clients$$$mode
  gateway "$mode" "kind = \"kafka\"
brokers = \"$FAIRWAY_TEST_KAFKA\"
topic_prefix = \"$prefix\"
encoding = \"$mode\"
partitions = 3
replication_factor = 1
spool = \"spool\""
  says_all telegram:5550003
  "$python" tests/clients/python/kafka.py "$FAIRWAY_TEST_KAFKA" "$prefix.inbound" "$mode" "$texts"
  if [ "$mode" = binary ]; then
    say "kcat shows the headers and the conversation as key"
    kcat -b "$FAIRWAY_TEST_KAFKA" -t "$prefix.inbound" -C -e -q -f '%k|%h\n' > "$folder/records"
    grep -qE '^demo-telegram/telegram:5550003\|' "$folder/records"
    for header in ce_specversion=1.0 ce_id=evt_ ce_source=/channels/demo-telegram, ce_type=fairway.message.received, \
      ce_subject=demo-telegram/telegram:5550003, ce_time=20 content-type=application/json; do
      [ "$(grep -cF "$header" "$folder/records")" = 3 ] || { echo "kcat shows no $header:" >&2; cat "$folder/records" >&2; exit 1; }
    done
  fi
done
say "all passed"
