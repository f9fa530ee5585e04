#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the release programs and runs the benchmark of the sidecar on MinIO, beside a
# thanos sidecar where peers.sh has built one; arguments go to ship.py. With --sidecar
# among them nothing is built: that is how ctest calls it.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/support/peers.sh
if [[ " $* " == *" --sidecar="* ]]; then
    directory=$(peer_path minio) || exit $?
    exec tests/bench/ship.py --minio "$directory/minio" "$@"
fi
minio=$(peer_build minio)/minio
thanos=()
directory=$(peer_path thanos) && thanos=(--thanos "$directory/thanos")
[ -f build/release/build.ninja ] || cmake --preset release
cmake --build --preset release --target blockhouse-sidecar bench_make_data
exec tests/bench/ship.py --minio "$minio" "${thanos[@]}" "$@"
