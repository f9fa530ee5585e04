#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Alerts fire and clear below real failures: see alerts.py. Without those of Thanos it tries
# ours alone, and counts as skipped.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=../support/peers.sh
. ../support/peers.sh

thanos=$(peer_path thanos-mixin) || thanos=
/usr/bin/python3 -B alerts.py "$BLOCKHOUSE_BIN" ${thanos:+"$thanos"}
[ -n "$thanos" ] || exit 77
