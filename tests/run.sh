#!/usr/bin/env bash
# Every test, on a fresh machine too: installs what it needs, checks the code, starts a real Kafka and a real PostgreSQL, runs everything.
# Two cores need about half an hour, most of it building. Longer runs are commands of their own: see the README.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

say "what the tests need"
missing=()
command -v mvn >/dev/null || missing+=(maven)
command -v java >/dev/null || missing+=(openjdk-17-jre-headless)
command -v kcat >/dev/null || missing+=(kcat)
command -v valgrind >/dev/null || missing+=(valgrind)
command -v npm >/dev/null || missing+=(npm)
command -v swaks >/dev/null || missing+=(swaks libnet-ssleay-perl)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
command -v cc >/dev/null || missing+=(build-essential)
command -v make >/dev/null || missing+=(make)
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
if [ -d tests/browser ]; then
  [ -x /usr/bin/chromium ] || missing+=(chromium)
fi
if [ -x tests/clients.sh ] || [ -x tests/sdks.sh ]; then
  for tool in npm jq curl openssl; do command -v "$tool" >/dev/null || missing+=("$tool"); done
fi
if [ ${#missing[@]} -gt 0 ]; then
  sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "${missing[@]}" >/dev/null
fi

tests/mail/install.sh >/dev/null
tests/smpp/install.sh

say "formatting and lints"
# Every file by its name: cargo does not find modules that a macro declares, as the providers' are.
find . -name '*.rs' -not -path './target/*' -exec rustfmt --edition 2024 --check {} +
cargo clippy --workspace --all-targets --quiet -- -D warnings

say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

say "a real Kafka and a real PostgreSQL"
servers=$(mktemp -d)
chmod 755 "$servers"
trap 'tests/kafka.sh stop "$servers/kafka" || true; tests/postgres.sh stop "$servers/postgres" || true; rm -rf "$servers"' EXIT
mkdir "$servers/kafka"
export "$(tests/kafka.sh start "$servers/kafka")"
export "$(tests/postgres.sh start "$servers/postgres")"

say "unit tests, laws of every adapter, laws of both logs and both stores"
cargo test --workspace --quiet --lib --bins

# Those of an outage and of a cluster are among them: they have their own Kafka, whatever the others run on.
say "stories on the embedded log"
cargo test --quiet --test stories -- --test-threads=2

say "the load test's own books, with a twin that loses messages"
cargo test --quiet -p loadtest --test scenario

say "instructions of hot functions against their budget"
benches/instructions.sh

say "the same stories on Kafka and PostgreSQL"
FAIRWAY_STORY_LOG=kafka cargo test --quiet --test stories -- --test-threads=2 --skip house:: --skip outage:: --skip cluster:: --skip whole::
# It counts seconds and is killed five times meanwhile: it has the machine to itself.
FAIRWAY_STORY_LOG=kafka cargo test --quiet --test stories whole::

if [ -x tests/browser.sh ]; then
  say "the browser story"
  tests/browser.sh
fi
if [ -x tests/clients.sh ]; then
  say "clients generated from the OpenAPI document, CloudEvents and Standard Webhooks libraries"
  tests/clients.sh
fi
if [ -x tests/sdks.sh ]; then
  say "providers' official SDKs against the twins and the gateway"
  tests/sdks.sh
fi
say "all passed"
