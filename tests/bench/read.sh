#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the release programs and runs the read benchmark; arguments go to read.py.
set -eu
cd "$(dirname "$0")/../.."
[ -f build/release/build.ninja ] || cmake --preset release
cmake --build --preset release --target \
    blockhouse-store bench_make_data bench_read_client bench_static_server
exec tests/bench/read.py "$@"
