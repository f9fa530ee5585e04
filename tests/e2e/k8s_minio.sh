#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The overlay with MinIO, as processes in place of containers: the job makes the bucket,
# Prometheus writes a block, the sidecar ships it, the store serves it.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=../support/peers.sh
. ../support/peers.sh
# shellcheck source=k8s_render.sh
. ./k8s_render.sh

minio=$(peer_path minio) || exit
prometheus=$(peer_path prometheus) || exit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
k8s_render "$work" || exit
/usr/bin/python3 -B k8s_minio.py "$BLOCKHOUSE_BIN" "$work/containers.json" \
    "$minio/minio" "$prometheus/prometheus"
