#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# PromQL through the store against PromQL over the same blocks on a disk: exact.py says how.
set -euo pipefail
cd "$(dirname "$0")"
. ../support/peers.sh
bin=${BLOCKHOUSE_BIN:-../../build/release}
python=${PYTHON:-/usr/bin/python3}

peer=$(peer_path prometheus)/prometheus || exit
exec "$python" -B exact.py "$bin/blockhouse-store" "$peer" "$(command -v prometheus || true)" "$@"
