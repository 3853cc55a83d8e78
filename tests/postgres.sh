#!/usr/bin/env bash
# A real PostgreSQL for the tests: `start DIR` prints the variable that names it, `stop DIR` ends it. DIR must not exist yet or be empty.
set -euo pipefail
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -n "$bin" ] || { echo "tests/postgres.sh: PostgreSQL is missing; apt-get install postgresql" >&2; exit 1; }
dir=$2
# The server refuses to run as root.
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

case $1 in
start)
  mkdir -p "$dir"
  [ "$(id -u)" != 0 ] || { chmod 755 "$dir"; chown postgres "$dir"; }
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  as "$bin/initdb" -D "$dir/data" -U fairway --auth=trust --encoding=UTF8 --locale=C >"$dir.log" 2>&1 || { cat "$dir.log" >&2; exit 1; }
  as "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/server.log" \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200" start >>"$dir.log" 2>&1 ||
    { cat "$dir.log" "$dir/server.log" >&2; exit 1; }
  echo "FAIRWAY_TEST_POSTGRES=postgres://fairway@127.0.0.1:$port"
  ;;
stop) as "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null ;;
*) echo "usage: tests/postgres.sh start|stop DIR" >&2; exit 2 ;;
esac
