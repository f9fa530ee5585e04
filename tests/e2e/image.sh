#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The image that deploy/image/build.sh makes, run without a container engine.
set -euo pipefail
cd "$(dirname "$0")"

[ "$(id -u)" -eq 0 ] || { echo "SKIP: only root may change its root directory"; exit 77; }
unshare -m true || { echo "SKIP: no mount namespace to be had"; exit 77; }
exec unshare -m /usr/bin/python3 -B image.py "$BLOCKHOUSE_BIN"
