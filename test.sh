#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prove that it works: packages, builds, unit tests under sanitizers, lints, fuzzing, and
# whole systems with real peers. The last lines are ctest's summary of the release build.
#
# usage: ./test.sh [--long]
#   --long  also libFuzzer (clang), a minute a target, and decoders and encoders until
#           they ran 100 million times, 500 kills of the sidecar and a fault in each of its
#           steps, 500 blocks shipped and 10 000 operations done on buckets behind a proxy
#           that breaks three in ten, 200 hostile clients of a store in 512 MiB for 5 minutes
#           (10 GB of disk), a streamed answer of 10 GB, 10 000 random selectors, blocks of
#           millions of values and series or 500 MB of symbols (15 GB of disk), ten minutes
#           of chaos around a store, and 3 000 blocks of a bucket that throttles
#
# BLOCKHOUSE_PEERS=off leaves out what Debian does not package (MinIO, Prometheus 3, Thanos,
# schemas): built once, in twenty minutes, into ~/.cache/blockhouse.
set -euo pipefail
cd "$(dirname "$0")"

ASAN_TESTS='^((unit|fuzz)/|e2e/(read_golden|random_selectors|garbage_.*|odd_blocks|sidecar_crash|bucket_random_minio|store_bucket_faults|store_chaos)$)'
TSAN_TESTS='^(unit/|e2e/(read_golden|journey_dir_prometheus2|bucket_random_minio|store_bucket_faults)$)'
FUZZ_SECONDS=60
FUZZ_EXECUTIONS=100000000
purposes=(run build demo test)
long='' failed=() wrapper=()

case ${1:-} in
'') ;;
--long) long=yes purposes+=(long) ;;
*) sed -n '6,14s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

step() {
    printf '\n==> %s  (%d s)\n' "$*" "$SECONDS"
}

# part NAME COMMAND...: run it; remember its failure and go on.
part() {
    local name=$1
    shift
    step "$name"
    "$@" || failed+=("$name")
}

build() {
    local log=build/$1.log
    mkdir -p build
    if ! { cmake --preset "$@" && cmake --build "build/$1"; } >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "The whole log is $log"
        return 1
    fi
}

# run_ctest BUILD ARGUMENT...: failures are shown in full.
run_ctest() {
    "${wrapper[@]}" ctest --test-dir "build/$1" --output-on-failure --no-tests=error \
        -j "$(nproc)" "${@:2}"
}

asan() {
    build asan && run_ctest asan -R "$ASAN_TESTS"
}

# gcc's ThreadSanitizer wants memory where address randomisation may put other things.
tsan() {
    local wrapper=(setarch -R)
    "${wrapper[@]}" true 2>/dev/null || wrapper=()
    build tsan && run_ctest tsan -R "$TSAN_TESTS"
}

libfuzzer() {
    build fuzz && /usr/bin/python3 -B tests/fuzz/campaign.py --seconds "$FUZZ_SECONDS" \
        --executions "$FUZZ_EXECUTIONS" build/fuzz/tests/fuzz
}

# Few blocks are in ctest.
sidecar_faults() {
    tests/e2e/bucket_faults.sh minio /usr/bin/python3 -B sidecar_faults.py \
        "$PWD/build/release" CONFIG CONTROL 500 || [ $? -eq 77 ]
}

chaos() {
    BLOCKHOUSE_BIN=$PWD/build/release tests/e2e/store_chaos.sh --long || [ $? -eq 77 ]
}

# bucket BUILD SERVER PROGRAM [ARGUMENT]...: a bucket behind the proxy that breaks things.
bucket() {
    tests/e2e/bucket_faults.sh "$2" "$PWD/build/$1/tests/e2e/bucket/$3" CONFIG CONTROL \
        "${@:4}" || [ $? -eq 77 ]
}

# Everything in the release build. ctest's closing summary is held back and printed last,
# behind the reasons of what was skipped.
release() {
    local log=build/ctest.log status=0
    run_ctest release | tee "$log" | sed -u '/% tests passed/,$d' ||
        status=$?
    echo
    sed -n 's/^SKIP: /Skipped: /p' build/release/Testing/Temporary/LastTest.log
    [ ${#failed[@]} -eq 0 ] || printf 'FAILED: %s\n' "${failed[@]}"
    sed -n '/% tests passed/,$p' "$log"
    return $status
}

peers() {
    local peer wanted=(minio prometheus thanos k8s-types operator-types thanos-mixin
                       compose-schema)
    command -v kubectl >/dev/null || wanted+=(kustomize)
    [ -z "$long" ] || wanted+=(operator-arguments)
    for peer in "${wanted[@]}"; do
        # The tests that need it say that they are skipped.
        tests/support/peers.sh "$peer" || true
    done
}

step "Debian packages"
tests/support/packages.sh "${purposes[@]}"
step "Programs to test with"
peers
step "Build (build/release)"
build release
part "AddressSanitizer and UndefinedBehaviorSanitizer (build/asan)" asan
part "ThreadSanitizer (build/tsan)" tsan
if [ -n "$long" ]; then
    part "libFuzzer (build/fuzz)" libfuzzer
    part "Sidecar killed 500 times" env BLOCKHOUSE_BIN="$PWD/build/release" \
        tests/e2e/sidecar_crash.sh 500
    part "Sidecar with a fault in each step" /usr/bin/python3 -B tests/e2e/sidecar_matrix.py \
        build/release/{blockhouse-sidecar,tests/support/libtests_crash_at.so} tests/golden
    part "Flush with a fault in each step" /usr/bin/python3 -B tests/e2e/sidecar_flush_matrix.py \
        build/release/{blockhouse-sidecar,tests/support/libtests_crash_at.so} tests/golden
    part "500 blocks shipped through faults, MinIO" sidecar_faults
    part "Store under 200 hostile clients for 5 minutes" /usr/bin/python3 -B \
        tests/e2e/store_hostile.py build/release --long
    part "Ten minutes of chaos around a store, MinIO" chaos
    part "3 000 blocks of a bucket that throttles" /usr/bin/python3 -B \
        tests/e2e/store_throttled_start.py build/release/blockhouse-store --long
    part "10 000 random selectors" /usr/bin/python3 -B \
        tests/e2e/random_selectors.py build/release/blockhouse-store --long
    part "10 GB streamed in flat memory" /usr/bin/python3 -B \
        tests/e2e/store_big_stream.py build/release --long
    part "5 000 000 values and 2 000 000 series in a block" /usr/bin/python3 -B \
        tests/e2e/store_wide_block.py build/release --long
    part "10 000 000 series, 500 MB of symbols in a block" /usr/bin/python3 -B \
        tests/e2e/store_shapes.py build/release --long
    part "Each fault, radosgw" bucket release radosgw bucket_faults
    part "10 000 random operations, MinIO" bucket release minio bucket_random 10000
    part "5 000 random operations, radosgw" bucket release radosgw bucket_random 5000
    part "3 000 random operations, MinIO, sanitized" bucket asan minio bucket_random 3000
fi
step "Unit tests, fuzz targets, lints, end-to-end tests (build/release)"
release
[ ${#failed[@]} -eq 0 ]
