# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Render deploy/k8s for tests, in a folder of their own. Sourced behind peers.sh.

# k8s_render FOLDER: each overlay to FOLDER/overlays; checked; to FOLDER/containers.json
# what a cluster would start, to FOLDER/typed.ts what is to be typed. 77 without a peer.
k8s_render() {
    local work=$1 types crds render overlay
    if command -v kubectl >/dev/null; then
        render=(kubectl kustomize)
    else
        render=("$(peer_path kustomize)/kustomize" build) || return
    fi
    types=$(peer_path k8s-types) || return
    crds=$(peer_path operator-types) || return
    [ -x "$types/node" ] || {
        echo "SKIP: the node that $types was made with is gone; remove it to have it made again"
        return 77
    }
    mkdir "$work/overlays"
    for overlay in ../../deploy/k8s/overlays/*/; do
        "${render[@]}" "$overlay" >"$work/overlays/$(basename "$overlay").yaml" || return
    done
    ln -s "$types/node_modules" "$types/node" "$work"
    cp k8s_manifests.mjs k8s_rules.mjs k8s_schema.mjs "$work"
    "$work/node" "$work/k8s_manifests.mjs" "$work/overlays" "$crds" ../../deploy/k8s/helm \
        "$work/typed.ts" "$work/containers.json"
}
