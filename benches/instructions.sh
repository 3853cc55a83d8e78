#!/usr/bin/env bash
# Counts the instructions of hot functions under callgrind and compares them with benches/instructions.txt. A count does not
# depend on what else the machine does, so a percent is a finding. Built as the tests are (unoptimised): a figure tells
# whether the same work costs more than before, not what a release costs; `cargo bench` measures that.
#
#   benches/instructions.sh          fails when a function needs more than its budget and TOLERANCE
#   benches/instructions.sh --lower  writes lower budgets where the counts allow it; a budget is never raised by this script
set -euo pipefail
cd "$(dirname "$0")/.."

TOLERANCE=2   # percent: hash seeds are random, and processors differ in what valgrind can show of them
budget=benches/instructions.txt
command -v valgrind >/dev/null || { echo "valgrind is missing: apt-get install valgrind" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
built=${INSTRUCTIONS_BINARY:-}   # one that is built already
if [ -z "$built" ]; then
  built=$(cargo build --quiet --bench instructions --message-format=json | grep -o '"executable":"[^"]*/instructions-[^"]*"' | tail -1 | cut -d'"' -f4)
fi
cp "$built" "$work/cases"
strip "$work/cases"   # callgrind would read the names of a hundred thousand functions first

count() {   # all instructions of the process that runs a case so many times
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$work/cases" "$1" "$2" 2>&1 | grep -oP 'Collected : \K[0-9]+'
}

failed=0
: >"$work/new"
printf '%-40s %12s %12s %8s\n' "" "instructions" "budget" "of it"
while IFS= read -r name; do
  # What starting costs falls out of the difference.
  few=$(count "$name" 100) && many=$(count "$name" 300)
  each=$(((many - few) / 200))
  allowed=$(grep -P "^\Q$name\E\t" "$budget" 2>/dev/null | cut -f2 || true)
  if [ -z "$allowed" ] && [ "${1:-}" != --lower ]; then
    echo "  has no budget: $0 --lower writes one" >&2
    failed=1
  fi
  kept=${allowed:-$each}
  share=$((each * 1000 / kept))
  printf '%-40s %12d %12d %6d.%d %%\n' "$name" "$each" "$kept" $((share / 10)) $((share % 10))
  if [ "$each" -gt $((kept + kept * TOLERANCE / 100)) ]; then
    echo "  more than its budget: make it cheaper, or say in the commit why $budget has to grow" >&2
    failed=1
  fi
  printf '%s\t%d\n' "$name" $((each < kept ? each : kept)) >>"$work/new"
done < <("$work/cases")
if [ "${1:-}" = --lower ]; then
  { grep '^#' "$budget" 2>/dev/null || true; cat "$work/new"; } >"$work/budget"
  cp "$work/budget" "$budget"
fi
exit $failed
