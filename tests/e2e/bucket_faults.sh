#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Buckets behind a network and servers that fail, in each way that fault_proxy.py knows.
#
# usage: bucket_faults.sh minio|radosgw|libs3 COMMAND...
# CONFIG in the command becomes the bucket's configuration, CONTROL the proxy's address
# for commands.
# BLOCKHOUSE_MINIO is MinIO's program; by default the one that peers.sh has built.
set -euo pipefail
cd "$(dirname "$0")"
server=$1
shift
. ../support/peers.sh
. ../support/radosgw.sh
. ../support/minio.sh
stack_begin
case $server in
minio | libs3)
    minio=$(minio_program) || exit $?
    start_minio "$minio"
    ;;
radosgw) start_radosgw ;;
esac
case $server in
libs3) option="signature_version2: true" server=minio ;;
*) option="part_size: 5242880" ;;
esac
start_fault_proxy "$server"
{
    sed "s/endpoint: .*/endpoint: ${STACK_ADDRESS[proxy]}/" "$STACK_DIR/bucket.yml"
    echo "  $option"
    echo "  http_config: {response_header_timeout: 500ms, expect_continue_timeout: 200ms}"
} >"$STACK_DIR/behind.yml"
arguments=("${@/#CONFIG/$STACK_DIR/behind.yml}")
"${arguments[@]/#CONTROL/${STACK_ADDRESS[control]}}" || die "$server" proxy
# What it could not do it says there.
[ ! -s "$STACK_DIR/proxy.log" ] || die "the proxy complains" proxy
echo "passed"
