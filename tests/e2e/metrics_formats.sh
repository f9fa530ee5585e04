#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# /metrics of both daemons, read by a real Prometheus among others.
set -euo pipefail
cd "$(dirname "$0")"
. ../support/peers.sh
bin=${BLOCKHOUSE_BIN:-../../build/release}

peer=$(peer_path prometheus) || exit
exec "${PYTHON:-/usr/bin/python3}" -B metrics_formats.py "$bin" "$peer"
