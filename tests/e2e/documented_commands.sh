#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The commands of README.md and docs/, in a network of its own, where the ports that the
# pages name are free.
#
# usage: documented_commands.sh
set -euo pipefail
cd "$(dirname "$0")"
. ../support/peers.sh
. ../support/minio.sh
bin=${BLOCKHOUSE_BIN:-../../build/release}

minio=$(minio_program) || exit 77
prometheus=$(command -v prometheus) || skip "no prometheus"
unshare --net true 2>/dev/null || skip "networks of its own are not allowed here"
exec unshare --net "$PYTHON" -B documented_commands.py "$bin" "$prometheus" "$minio"
