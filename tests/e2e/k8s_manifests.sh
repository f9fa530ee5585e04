#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is in deploy/k8s renders, is typed right, keeps the house's rules for pods and leads
# nowhere that is not; and the real programs start with its command lines. No cluster is
# needed.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=../support/peers.sh
. ../support/peers.sh
# shellcheck source=k8s_render.sh
. ./k8s_render.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
k8s_render "$work" || exit
"$work/node" "$work/node_modules/typescript/bin/tsc" --noEmit --strict --skipLibCheck \
    --moduleResolution node "$work/typed.ts"
/usr/bin/python3 -B k8s_commands.py "$BLOCKHOUSE_BIN" "$work/containers.json"
