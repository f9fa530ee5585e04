#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A store in chaos over a MinIO: store_chaos.py says what that is.
#
# usage: store_chaos.sh [ARGUMENT]...        of store_chaos.py
set -euo pipefail
cd "$(dirname "$0")"
. ../support/peers.sh
. ../support/minio.sh
bin=${BLOCKHOUSE_BIN:-../../build/release}
python=${PYTHON:-/usr/bin/python3}

minio=$(minio_program) || exit
exec "$python" -B store_chaos.py "$bin" --minio="$minio" "$@"
