#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Blocks that a real Thanos has merged and downsampled: exact_thanos.py says what of them.
set -euo pipefail
cd "$(dirname "$0")"
. ../support/peers.sh
bin=${BLOCKHOUSE_BIN:-../../build/release}
python=${PYTHON:-/usr/bin/python3}

prometheus=$(peer_path prometheus)/prometheus || exit
thanos=$(peer_path thanos)/thanos || exit
exec "$python" -B exact_thanos.py "$bin/blockhouse-store" "$prometheus" "$thanos" "$@"
