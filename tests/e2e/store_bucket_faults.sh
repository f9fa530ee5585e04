#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Faults of a MinIO in the middle of a store's answers: store_bucket_faults.py says which.
#
# usage: store_bucket_faults.sh MAKE_DATA        the program bench_make_data
set -euo pipefail
cd "$(dirname "$0")"
. ../support/peers.sh
. ../support/minio.sh
bin=${BLOCKHOUSE_BIN:-../../build/release}
python=${PYTHON:-/usr/bin/python3}

minio=$(minio_program) || exit
exec "$python" -B store_bucket_faults.py "$bin/blockhouse-store" "$1" "$minio"
