# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Start the parts of a whole system in a temporary directory, wait for them, stop them.
# Sourced by demo.sh and the end-to-end tests, which set -euo pipefail.
#
# The caller sets BLOCKHOUSE_BIN (where blockhouse-sidecar and blockhouse-store are) and
# calls stack_begin first. Every part logs to $STACK_DIR/<name>.log and its address is
# in ${STACK_ADDRESS[<name>]}.

STACK_SUPPORT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHON=${PYTHON:-/usr/bin/python3} # Debian's, which has Debian's modules
declare -A STACK_PID=() STACK_ADDRESS=()
STACK_STARTED=() # names, in order
STACK_KEEP=${STACK_KEEP:-} # not empty: leave the directory behind

stack_begin() {
    STACK_DIR=$(mktemp -d "${TMPDIR:-/tmp}/blockhouse.XXXXXX")
    trap 'stack_end $?' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# Stop every part, the newest first; remove the directory unless something failed.
stack_end() {
    local status=$1 i
    trap - EXIT INT TERM
    for ((i = ${#STACK_STARTED[@]} - 1; i >= 0; i--)); do
        stack_stop "${STACK_STARTED[i]}"
    done
    case $status in 0 | 77 | 130 | 143) ;; *) STACK_KEEP=${STACK_KEEP:-failed} ;; esac
    if [ -n "$STACK_KEEP" ]; then
        echo "Data and logs are left in $STACK_DIR" >&2
    else
        rm -rf "$STACK_DIR"
    fi
    exit "$status"
}

# stack_run NAME COMMAND...
stack_run() {
    local name=$1
    shift
    "$@" >"$STACK_DIR/$name.log" 2>&1 </dev/null &
    STACK_PID[$name]=$!
    STACK_STARTED+=("$name")
}

# stack_stop NAME [SIGNAL]: ask, wait ten seconds, kill.
stack_stop() {
    local pid=${STACK_PID[$1]:-} i
    [ -n "$pid" ] || return 0
    kill "-${2:-TERM}" "$pid" 2>/dev/null || true
    for ((i = 0; i < 100; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    unset "STACK_PID[$1]"
}

# die TEXT [NAME]: with the end of that part's log.
die() {
    echo "error: $1" >&2
    if [ -n "${2:-}" ] && [ -s "$STACK_DIR/$2.log" ]; then
        echo "The end of $STACK_DIR/$2.log:" >&2
        tail -n 15 "$STACK_DIR/$2.log" | sed 's/^/  /' >&2
    fi
    exit 1
}

skip() {
    echo "SKIP: $1"
    exit 77
}

# All parts still run? A part that ended by itself is an error that names its log.
stack_check() {
    local name
    for name in "${!STACK_PID[@]}"; do
        kill -0 "${STACK_PID[$name]}" 2>/dev/null ||
            die "$name has ended by itself" "$name"
    done
}

# wait_until SECONDS WHAT NAME COMMAND...: until the command succeeds. NAME is the part
# whose log is shown when it does not in time.
wait_until() {
    local deadline=$((SECONDS + $1)) what=$2 name=$3
    shift 3
    until "$@"; do
        stack_check
        [ "$SECONDS" -lt "$deadline" ] || die "waited in vain for $what" "$name"
        sleep 0.1
    done
}

http_ok() {
    curl -fs -m 5 -o /dev/null "$1"
}

# Below the kernel's range for outgoing connections, which would take them by chance.
free_port() {
    local port
    while port=$((20000 + RANDOM % 10000)); (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        :
    done
    echo "$port"
}

# metric NAME METRIC: the sum over its labels, in a part's /metrics; 0 if absent.
metric() {
    curl -fs -m 5 "http://${STACK_ADDRESS[$1]}/metrics" |
        awk -v name="$2" '$1 == name || index($1, name "{") == 1 { sum += $NF }
                          END { printf "%d\n", sum }'
}

# start_http NAME READY_PATH SECONDS COMMAND...: ADDRESS in the arguments becomes the
# part's address.
start_http() {
    local name=$1 ready=$2 seconds=$3 address
    shift 3
    address=127.0.0.1:$(free_port)
    STACK_ADDRESS[$name]=$address
    stack_run "$name" "${@//ADDRESS/$address}"
    wait_until "$seconds" "$name to be ready" "$name" http_ok "http://$address$ready"
}

start_exporter() {
    start_http exporter /metrics 10 "$PYTHON" "$STACK_SUPPORT/exporter.py" ADDRESS
}

# start_prometheus NAME PROGRAM: writes blocks of ten seconds (its configuration is
# $STACK_DIR/NAME.yml, ADDRESS in it becomes its own address).
start_prometheus() {
    local name=$1 program=$2 address
    address=127.0.0.1:$(free_port)
    STACK_ADDRESS[$name]=$address
    sed -i "s/ADDRESS/$address/" "$STACK_DIR/$name.yml"
    stack_run "$name" "$program" --config.file="$STACK_DIR/$name.yml" \
        --storage.tsdb.path="$STACK_DIR/$name" --web.listen-address="$address" \
        --storage.tsdb.min-block-duration=10s --storage.tsdb.max-block-duration=10s
    wait_until 30 "$name to be ready" "$name" http_ok "http://$address/-/ready"
}

# The Prometheus that scrapes: itself and the exporter, every second.
start_origin() {
    start_exporter
    cat >"$STACK_DIR/origin.yml" <<EOF
global:
  scrape_interval: 1s
  external_labels: {cluster: demo, replica: a}
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["ADDRESS"]}]
  - job_name: demo
    static_configs: [{targets: ["${STACK_ADDRESS[exporter]}"]}]
EOF
    start_prometheus origin "$1"
}

# The Prometheus that has nothing of its own and reads from the store.
start_reader() {
    cat >"$STACK_DIR/reader.yml" <<EOF
global:
  external_labels: {cluster: demo, replica: a}
remote_read:
  - url: http://${STACK_ADDRESS[store]}/api/v1/read
    read_recent: true
EOF
    start_prometheus reader "$1"
}

# Write $STACK_DIR/bucket.yml for a bucket that is a directory.
use_dir_bucket() {
    mkdir -p "$STACK_DIR/bucket"
    cat >"$STACK_DIR/bucket.yml" <<EOF
type: FILESYSTEM
config:
  directory: $STACK_DIR/bucket
EOF
}

# write_s3_config ADDRESS ACCESS_KEY SECRET_KEY: $STACK_DIR/bucket.yml for the bucket
# "blocks" of a server without TLS.
write_s3_config() {
    cat >"$STACK_DIR/bucket.yml" <<EOF
type: S3
config:
  bucket: blocks
  endpoint: $1
  region: us-east-1
  insecure: true
  access_key: $2
  secret_key: $3
EOF
}

# start_minio PROGRAM: with one bucket; writes $STACK_DIR/bucket.yml.
start_minio() {
    export MINIO_ROOT_USER=blockhouse MINIO_ROOT_PASSWORD=blockhouse-demo
    # A directory below the data directory is a bucket.
    mkdir -p "$STACK_DIR/minio/blocks"
    start_http minio /minio/health/ready 30 \
        "$1" server --quiet --address ADDRESS --console-address "127.0.0.1:$(free_port)" \
        "$STACK_DIR/minio"
    write_s3_config "${STACK_ADDRESS[minio]}" "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD"
}

# start_fault_proxy NAME: between clients and that part, at ${STACK_ADDRESS[proxy]};
# listens to commands at ${STACK_ADDRESS[control]}.
start_fault_proxy() {
    STACK_ADDRESS[proxy]=127.0.0.1:$(free_port)
    STACK_ADDRESS[control]=127.0.0.1:$(free_port)
    stack_run proxy "$PYTHON" -B "$STACK_SUPPORT/fault_proxy.py" "${STACK_ADDRESS[proxy]}" \
        "${STACK_ADDRESS[$1]}" "${STACK_ADDRESS[control]}"
    wait_until 10 "the proxy" proxy \
        curl -s -m 5 -o /dev/null "http://${STACK_ADDRESS[proxy]}/"
}

start_sidecar() {
    start_http sidecar /-/ready 30 "$BLOCKHOUSE_BIN/blockhouse-sidecar" \
        --http-address=ADDRESS --prometheus.url="http://${STACK_ADDRESS[origin]}" \
        --tsdb.path="$STACK_DIR/origin" --objstore.config-file="$STACK_DIR/bucket.yml"
}

start_store() {
    start_http store /-/ready 30 "$BLOCKHOUSE_BIN/blockhouse-store" \
        --http-address=ADDRESS --data-dir="$STACK_DIR/store" \
        --objstore.config-file="$STACK_DIR/bucket.yml" --sync-block-duration=3s
}

# Blocks on the origin's disk, in the bucket, and served by the store.
blocks_local() {
    find "$STACK_DIR/origin" -mindepth 2 -maxdepth 2 -name meta.json \
        -path '*/0*/meta.json' | wc -l
}

blocks_shipped() {
    metric sidecar thanos_shipper_uploads_total
}

blocks_served() {
    metric store thanos_bucket_store_blocks_loaded
}
