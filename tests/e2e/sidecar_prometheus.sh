#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The sidecar beside a real Prometheus that asks for a client certificate and a password:
# both change at run time, so do its labels and flags, and it goes away and comes back.
#
# usage: sidecar_prometheus.sh
set -euo pipefail
cd "$(dirname "$0")"
. ../support/peers.sh
bin=${BLOCKHOUSE_BIN:-../../build/release}
python=${PYTHON:-/usr/bin/python3}

directory=$(peer_path prometheus) || exit $?
if [ ! -x "$bin/blockhouse-sidecar" ] || [ ! -x "$python" ]; then
    echo "SKIP: no blockhouse-sidecar in $bin, or no $python"
    exit 77
fi
exec "$python" -B sidecar_prometheus.py "$bin/blockhouse-sidecar" "$directory/prometheus" ../golden
