#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The laptop's set-up of deploy/compose, without containers: see compose.py.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=../support/peers.sh
. ../support/peers.sh

minio=$(peer_path minio) || exit
prometheus=$(peer_path prometheus) || exit
schema=$(peer_path compose-schema) || exit
exec /usr/bin/python3 -B compose.py "$BLOCKHOUSE_BIN" "$minio/minio" \
    "$prometheus/prometheus" "$schema/compose-spec.json"
