#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One MinIO bucket that both sidecars fill, both stores serve and the compactor of Thanos
# compacts; mixed_fleet.py says what is compared.
#
# usage: mixed_fleet.sh MAKE_DATA        the program bench_make_data
set -euo pipefail
cd "$(dirname "$0")"
. ../support/peers.sh
bin=${BLOCKHOUSE_BIN:-../../build/release}
python=${PYTHON:-/usr/bin/python3}

thanos=$(peer_path thanos)/thanos || exit
minio=$(peer_path minio)/minio || exit
exec "$python" -B mixed_fleet.py "$bin" "$1" "$thanos" "$minio"
