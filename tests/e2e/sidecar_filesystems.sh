#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The sidecar on file systems of many sorts, as another user, and on a full disk: blocks
# are pinned by a link, a clone or a copy, or are shipped from their place; nothing is
# lost, and no file of Prometheus is touched.
#
# usage: sidecar_filesystems.sh          as root; mounts are its own and end with it
set -euo pipefail
cd "$(dirname "$0")"
bin=${BLOCKHOUSE_BIN:-../../build/release}
python=${PYTHON:-/usr/bin/python3}

skip() {
    echo "SKIP: $1"
    exit 77
}

[ -x "$bin/blockhouse-sidecar" ] || skip "no blockhouse-sidecar in $bin"
[ -x "$python" ] || skip "no $python"
[ "$(id -u)" = 0 ] || skip "not root"
unshare --mount true 2>/dev/null || skip "mounts are not allowed here"
exec unshare --mount --propagation private \
    "$python" -B sidecar_filesystems.py "$bin/blockhouse-sidecar"
