#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the release programs and runs the bench of many blocks with the peers that
# peers.sh has built; arguments are numbers of blocks and options of scale.py. With --store
# among them nothing is built.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/support/peers.sh
peers=()
for peer in thanos minio; do
    directory=$(peer_path $peer) && peers+=("--$peer=$directory/$peer")
done
if [[ " $* " != *" --store="* ]]; then
    [ -f build/release/build.ninja ] || cmake --preset release
    cmake --build --preset release --target blockhouse-store bench_make_data bench_read_client
fi
exec tests/bench/scale.py "${peers[@]}" "$@"
