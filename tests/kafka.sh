#!/usr/bin/env bash
# A real Kafka for the tests: one broker, KRaft, on this machine.
#
#   tests/kafka.sh start DIR     starts it (data, log and port in DIR; the same port and data when DIR was used before)
#                                and prints   FAIRWAY_TEST_KAFKA=127.0.0.1:PORT
#   tests/kafka.sh stop DIR      stops it in order         tests/kafka.sh kill DIR      kill -9
#   tests/kafka.sh pause DIR     it hangs (SIGSTOP)        tests/kafka.sh resume DIR    it goes on
#   tests/kafka.sh restart DIR   stop and start: same port, same data
#   tests/kafka.sh fetch         only assembles it
#   tests/kafka.sh pin           writes tests/kafka.sha256 anew, after a change of version
#
# Sourced, it offers the same as functions: kafka_start DIR exports FAIRWAY_TEST_KAFKA, kafka_stop DIR and so on.
# The jars come from Maven Central once and are checked against tests/kafka.sha256. Needs: java 17, mvn, sha256sum.

KAFKA_VERSION=4.3.1
KAFKA_HOME="${FAIRWAY_CACHE:-$HOME/.cache/fairway}/kafka-$KAFKA_VERSION"
KAFKA_PINS="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/kafka.sha256"

kafka_say() { echo "kafka.sh: $*" >&2; }

# Puts the jars into the folder given.
kafka_download() {
  local into="$1"
  mkdir -p "$into"
  cat > "$into/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>fairway.test</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$KAFKA_VERSION</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
POM
  (cd "$into" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib >&2)
}

# Assembles Kafka in the cache, unless it is there. Nothing is used before its checksum is right.
kafka_fetch() {
  [ -e "$KAFKA_HOME/ready" ] && return 0
  kafka_say "assembling Apache Kafka $KAFKA_VERSION in $KAFKA_HOME (once, about 120 MB)"
  mkdir -p "$(dirname "$KAFKA_HOME")"
  local fresh
  fresh="$(mktemp -d "$KAFKA_HOME.XXXXXX")" || return 1
  kafka_download "$fresh" || { kafka_say "Maven could not fetch it"; rm -rf "$fresh"; return 1; }
  if ! (cd "$fresh/lib" && sha256sum --quiet --strict -c "$KAFKA_PINS" >&2); then
    kafka_say "a jar is not the one pinned in $KAFKA_PINS"; rm -rf "$fresh"; return 1
  fi
  if [ "$(find "$fresh/lib" -name '*.jar' | wc -l)" != "$(wc -l < "$KAFKA_PINS")" ]; then
    kafka_say "a jar came that $KAFKA_PINS does not name"; rm -rf "$fresh"; return 1
  fi
  touch "$fresh/ready"
  # Another run may have been faster.
  mv -T "$fresh" "$KAFKA_HOME" 2> /dev/null || rm -rf "$fresh"
  [ -e "$KAFKA_HOME/ready" ]
}

kafka_pin() {
  local fresh
  fresh="$(mktemp -d)" || return 1
  kafka_download "$fresh" && (cd "$fresh/lib" && sha256sum -- *.jar) > "$KAFKA_PINS"
  rm -rf "$fresh"
}

# Below the range the system hands out by itself, so that nobody takes it while the broker is stopped.
kafka_free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 10000))
    (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null || { echo "$port"; return; }
  done
}

kafka_java() {
  # Quick to start rather than fast for ever; KAFKA_JAVA_OPTS replaces it for measurements.
  # shellcheck disable=SC2086
  exec java ${KAFKA_JAVA_OPTS:--Xms96m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1} \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$KAFKA_HOME/lib/*" "$@"
}

kafka_prepare() {
  local dir="$1" port controller
  port="$(kafka_free_port)"
  controller="$(kafka_free_port)"
  cat > "$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$controller
log.dirs=$dir/data
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=2097152
log.index.size.max.bytes=1048576
PROPERTIES
  local id
  id="$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=')"
  (kafka_java kafka.tools.StorageTool format --standalone -t "$id" -c "$dir/server.properties") > "$dir/format.log" 2>&1 ||
    { cat "$dir/format.log" >&2; return 1; }
  echo "$port" > "$dir/port"
}

kafka_start() {
  local dir="$1" port
  mkdir -p "$dir" && dir="$(cd "$dir" && pwd)" && kafka_fetch || return 1
  [ -e "$dir/port" ] || kafka_prepare "$dir" || return 1
  port="$(cat "$dir/port")"
  if ! kafka_runs "$dir"; then
    (kafka_java kafka.Kafka "$dir/server.properties") >> "$dir/broker.log" 2>&1 < /dev/null &
    echo $! > "$dir/pid"
    disown
  fi
  local tries=0
  until (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do
    tries=$((tries + 1))
    if [ $tries -gt 600 ] || ! kafka_runs "$dir"; then
      kafka_say "the broker did not start:"; tail -n 30 "$dir/broker.log" >&2; return 1
    fi
    sleep 0.1
  done
  export FAIRWAY_TEST_KAFKA="127.0.0.1:$port"
}

# The pid may have been given to somebody else since: it counts only while it runs our broker.
kafka_runs() {
  local pid
  pid="$(cat "$1/pid" 2> /dev/null)" && [ -n "$pid" ] &&
    tr '\0' ' ' < "/proc/$pid/cmdline" 2> /dev/null | grep -qF "kafka.Kafka $(cd "$1" && pwd)/server.properties"
}

kafka_signal() {
  kafka_runs "$2" && kill "-$1" "$(cat "$2/pid")"
}

kafka_end() {
  local signal="$1" dir="$2" tries=0
  kafka_signal "$signal" "$dir" || return 0
  while kafka_runs "$dir"; do
    tries=$((tries + 1))
    [ $tries -gt 300 ] && kafka_signal KILL "$dir"
    sleep 0.1
  done
}

kafka_stop() { kafka_signal CONT "$1"; kafka_end TERM "$1"; }
kafka_kill() { kafka_end KILL "$1"; }
kafka_pause() { kafka_signal STOP "$1"; }
kafka_resume() { kafka_signal CONT "$1"; }
kafka_restart() { kafka_stop "$1" && kafka_start "$1"; }

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -u
  case "${1:-}" in
    start | restart) "kafka_$1" "${2:?a folder}" && echo "FAIRWAY_TEST_KAFKA=$FAIRWAY_TEST_KAFKA" ;;
    stop | kill | pause | resume) "kafka_$1" "${2:?a folder}" ;;
    fetch | pin) "kafka_$1" ;;
    *) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
fi
