#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --shipper.flush-on-shutdown beside a real Prometheus: the head is in the bucket after
# SIGTERM, and the regular block that follows replaces it, also for a real compactor of
# Thanos where that is at hand.
#
# usage: sidecar_flush.sh
set -euo pipefail
cd "$(dirname "$0")"
. ../support/peers.sh
bin=${BLOCKHOUSE_BIN:-../../build/release}
python=${PYTHON:-/usr/bin/python3}

programs=("$(peer_path prometheus)/prometheus") || exit $?
if directory=$(peer_path thanos); then
    programs+=("$directory/thanos")
fi
if [ ! -x "$bin/blockhouse-sidecar" ] || [ ! -x "$python" ]; then
    echo "SKIP: no blockhouse-sidecar in $bin, or no $python"
    exit 77
fi
exec "$python" -B sidecar_flush.py "$bin" "${programs[@]}"
