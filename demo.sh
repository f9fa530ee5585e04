#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Show one block's whole journey: a real Prometheus writes blocks, blockhouse-sidecar
# ships them to a bucket, blockhouse-store serves them, and a second Prometheus without
# data of its own answers the same queries through it.
#
# usage: ./demo.sh [--once] [--minio] [--keep]
#   --once   end after the comparison; status 0 if all answers were equal
#   --minio  ship to MinIO (built once, about five minutes) instead of a directory
#   --keep   leave data and logs behind
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=tests/support/stack.sh
. tests/support/stack.sh
# shellcheck source=tests/support/peers.sh
. tests/support/peers.sh

BLOCKHOUSE_BIN=$PWD/build/release
BLOCKS=3 # to wait for before the comparison
once='' minio=''

usage() {
    sed -n '7,10s/^# \{0,1\}//p' "$0"
}

parse() {
    local argument
    for argument in "$@"; do
        case $argument in
        --once) once=yes ;;
        --minio) minio=yes ;;
        --keep) STACK_KEEP=yes ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
        esac
    done
}

bold=''
plain=''
if [ -t 1 ]; then
    bold=$'\e[1m' plain=$'\e[0m'
fi

step() {
    echo "${bold}==>${plain} $*"
}

build() {
    local log=build/demo-build.log
    step "Building (build/release)"
    mkdir -p build
    if ! { cmake --preset release -DBLOCKHOUSE_TESTS=OFF &&
        cmake --build --preset release \
            --target blockhouse blockhouse-sidecar blockhouse-store blockhouse-bucket; } >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        echo "error: the build failed; the whole log is $log" >&2
        exit 1
    fi
}

start_bucket() {
    if [ -n "$minio" ]; then
        start_minio "$1/minio"
    else
        use_dir_bucket
    fi
}

# One line, rewritten every second on a terminal, else written when it has changed.
show_progress() {
    local now
    now="blocks on disk $(blocks_local), in the bucket $(blocks_shipped)"
    now+=", served by the store $(blocks_served)"
    if [ -t 1 ]; then
        printf '\r    %2d s: %s' $((SECONDS - started)) "$now"
    elif [ "$now" != "$shown" ]; then
        printf '    %2d s: %s\n' $((SECONDS - started)) "$now"
    fi
    shown=$now
}

# Like wait_until, but every second and visibly.
watch_journey() {
    local started=$SECONDS shown=''
    while show_progress; [ "$(blocks_served)" -lt "$BLOCKS" ]; do
        stack_check
        [ $((SECONDS - started)) -lt 180 ] || break
        sleep 1
    done
    [ ! -t 1 ] || echo
    [ "$(blocks_local)" -ge "$BLOCKS" ] || die "Prometheus wrote no blocks" origin
    [ "$(blocks_shipped)" -ge "$BLOCKS" ] || die "the sidecar shipped no blocks" sidecar
    [ "$(blocks_served)" -ge "$BLOCKS" ] || die "the store serves no blocks" store
}

compare() {
    "$PYTHON" tests/support/compare.py --table "$STACK_DIR/origin" "$BLOCKS" \
        "http://${STACK_ADDRESS[origin]}" "http://${STACK_ADDRESS[reader]}" \
        tests/support/demo.promql
}

show_places() {
    local graph='graph?g0.expr=demo_temperature_celsius&g0.tab=0&g0.range_input=5m'
    cat <<EOF

  origin Prometheus    http://${STACK_ADDRESS[origin]}/$graph
  reading Prometheus   http://${STACK_ADDRESS[reader]}/$graph
  sidecar              http://${STACK_ADDRESS[sidecar]}/
  store                http://${STACK_ADDRESS[store]}/
  data and logs        $STACK_DIR

EOF
}

main() {
    local peer=''
    parse "$@"
    step "Looking for Debian packages"
    tests/support/packages.sh run build demo
    if [ -n "$minio" ]; then
        step "Looking for MinIO"
        peer=$(peer_build minio)
    fi
    build

    stack_begin
    start_bucket "$peer"
    step "Starting Prometheus, with blocks of ten seconds instead of two hours"
    start_origin prometheus
    step "Starting blockhouse-sidecar, blockhouse-store and a second Prometheus"
    start_sidecar
    start_store
    start_reader prometheus
    step "Waiting for $BLOCKS blocks to travel (the first takes about half a minute)"
    watch_journey
    step "The same questions to both, at the end of the newest of these blocks"
    local status=0
    compare || status=$?
    if [ -z "$once" ]; then
        show_places
        echo "Everything stays up until Ctrl-C."
        while stack_check; do
            sleep 1
        done
    fi
    return $status
}

main "$@"
