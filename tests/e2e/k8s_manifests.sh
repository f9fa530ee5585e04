#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The manifests of deploy/k8s render, are typed right, keep the house's rules for pods, and
# use flags that the programs have. No cluster is needed.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=../support/peers.sh
. ../support/peers.sh

if command -v kubectl >/dev/null; then
    render=(kubectl kustomize)
else
    render=("$(peer_path kustomize)/kustomize" build) || exit
fi
types=$(peer_path k8s-types) || exit
[ -x "$types/node" ] || {
    echo "SKIP: the node that $types was made with is gone; remove it to have it made again"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"${render[@]}" ../../deploy/k8s >"$work/all.yaml"
ln -s "$types/node_modules" "$work/node_modules"
cp k8s_manifests.mjs "$work"
"$types/node" "$work/k8s_manifests.mjs" "$work/all.yaml" "$work/typed.ts" "$work/flags"
"$types/node" "$work/node_modules/typescript/bin/tsc" --noEmit --strict --skipLibCheck \
    --moduleResolution node "$work/typed.ts"
while read -r command flag; do
    "$BLOCKHOUSE_BIN/blockhouse" "$command" --help | grep -- "--${flag}[= ]" >/dev/null || {
        echo "blockhouse $command has no flag --$flag"
        exit 1
    }
done <"$work/flags"
echo "$(grep -c '^kind:' "$work/all.yaml") objects, $(wc -l <"$work/flags") flags"
