#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Kill the sidecar at random moments while blocks appear: the bucket never shows a block
# that is not whole, and in the end holds each block once, byte for byte.
#
# usage: sidecar_crash.sh [KILLS]        how often to kill, 50 unless told
set -euo pipefail
cd "$(dirname "$0")"
kills=${1:-50}
bin=${BLOCKHOUSE_BIN:-../../build/release}
python=${PYTHON:-/usr/bin/python3}

skip() {
    echo "SKIP: $1"
    exit 77
}

[ -x "$bin/blockhouse-sidecar" ] || skip "no blockhouse-sidecar in $bin"
[ -x "$python" ] || skip "no $python"
compgen -G '../golden/*/0*/index' >/dev/null || skip "no golden blocks"
exec "$python" sidecar_crash.py "$bin/blockhouse-sidecar" "$kills" ../golden
