#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two real Prometheus servers, one that writes blocks and one that reads them through
# sidecar, bucket and store, answer the queries of journey.promql alike.
#
# usage: journey.sh dir|minio 2|3        bucket, major version of Prometheus
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=../support/stack.sh
. ../support/stack.sh
# shellcheck source=../support/peers.sh
. ../support/peers.sh

BLOCKS=4
bucket=$1

case $2 in
2) prometheus=$(command -v prometheus) || skip "no prometheus in PATH" ;;
3) prometheus=$(peer_path prometheus)/prometheus || exit ;;
esac
[ "$bucket" = dir ] || minio=$(peer_path minio)/minio || exit

stack_begin
case $bucket in
dir) use_dir_bucket ;;
minio) start_minio "$minio" ;;
esac
start_origin "$prometheus"
start_sidecar
start_store
start_reader "$prometheus"

served() {
    [ "$(blocks_served)" -ge "$BLOCKS" ]
}
wait_until 120 "$BLOCKS blocks to be served" store served
"$PYTHON" ../support/compare.py "$STACK_DIR/origin" "$BLOCKS" \
    "http://${STACK_ADDRESS[origin]}" "http://${STACK_ADDRESS[reader]}" journey.promql
stack_check
