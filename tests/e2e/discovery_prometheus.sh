#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Discovery against a real Prometheus over the same blocks, by its tool and by its API.
#
# usage: discovery_prometheus.sh MAKE_DATA        the program bench_make_data
set -euo pipefail
cd "$(dirname "$0")"
. ../support/peers.sh
bin=${BLOCKHOUSE_BIN:-../../build/release}
python=${PYTHON:-/usr/bin/python3}

peer=$(peer_path prometheus) || exit
exec "$python" -B discovery_prometheus.py "$bin/blockhouse-store" "$1" "$peer"
