#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the release programs and runs the read benchmark with the peers that peers.sh has
# built; arguments are rows and options of read.py. With --store among them nothing is
# built, and without any peer it is skipped: that is how ctest calls it.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/support/peers.sh
peers=()
for peer in prometheus thanos minio; do
    directory=$(peer_path $peer) && peers+=("--$peer=$directory/$peer")
done
if [[ " $* " == *" --store="* ]]; then
    [ ${#peers[@]} -gt 0 ] || exit 77
else
    [ -f build/release/build.ninja ] || cmake --preset release
    cmake --build --preset release --target blockhouse-store bench_make_data \
        bench_read_client bench_static_server bench_delay_relay
fi
exec tests/bench/read.py "${peers[@]}" "$@"
