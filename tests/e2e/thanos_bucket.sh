#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One data directory and one bucket, shipped in turns by a real thanos sidecar and by
# ours: each goes on where the other has stopped, and Thanos and we read all of it alike.
#
# usage: thanos_bucket.sh MAKE_DATA        the program bench_make_data
set -euo pipefail
cd "$(dirname "$0")"
. ../support/peers.sh
bin=${BLOCKHOUSE_BIN:-../../build/release}
python=${PYTHON:-/usr/bin/python3}

thanos=$(peer_path thanos)/thanos || exit
minio=$(peer_path minio)/minio || exit
exec "$python" -B thanos_bucket.py "$bin" "$1" "$thanos" "$minio"
