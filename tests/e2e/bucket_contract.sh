#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What bucket.h promises, on real servers and in every way to talk to them.
#
# usage: bucket_contract.sh dir|minio|radosgw|libs3 BUCKET_CONTRACT
# BLOCKHOUSE_MINIO is MinIO's program; by default the one that peers.sh has built.
set -euo pipefail
cd "$(dirname "$0")"
server=$1
contract=$(realpath "$2")
. ../support/peers.sh
. ../support/radosgw.sh
. ../support/minio.sh
stack_begin
failed=()

# try TITLE CONFIG [KEYS]: a listing of several pages takes its time, so all but one make
# do with fewer keys.
try() {
    echo "== $1"
    "$contract" "$2" "${3:-50}" || failed+=("$1")
}

# try_with NAME TITLE SED: bucket.yml, changed.
try_with() {
    sed "$3" "$STACK_DIR/bucket.yml" >"$STACK_DIR/$1.yml"
    try "$2" "$STACK_DIR/$1.yml"
}

# expect_failure TITLE TEXT SED: bucket.yml, changed, leads to an error with that text,
# and without the secret.
expect_failure() {
    echo "== $1"
    local said
    sed "$3" "$STACK_DIR/bucket.yml" >"$STACK_DIR/failing.yml"
    said=$("$contract" "$STACK_DIR/failing.yml" 4 'is empty' 2>&1) && die "$1: it worked"
    grep -q -- "$2" <<<"$said" || die "$1: no \"$2\" in: $said"
    ! grep -q blockhouse-demo <<<"$said" || die "$1: the secret shows"
}

# On any server, without TLS.
contract_of_s3() {
    try "by path, parts of 64 MiB" "$STACK_DIR/bucket.yml" "$1"
    try_with parts "parts of 5 MiB" '$a\  part_size: 5242880'
    try_with whole "no parts" '$a\  disable_multipart: true'
    try_with md5 "MD5" '$a\  send_content_md5: true\n  part_size: 5242880'
    try_with v1 "list version 1" '$a\  list_objects_version: v1'
    try_with prefix "below a prefix" 's/^config:/prefix: team a\/b+c\n&/'
    expect_failure "a wrong secret" SignatureDoesNotMatch 's/secret_key: .*/secret_key: wrong/'
    expect_failure "a wrong key" InvalidAccessKeyId 's/access_key: .*/access_key: wrong/'
    expect_failure "a missing bucket" NoSuchBucket 's/bucket: .*/bucket: no-such-bucket/'
}

contract_of_minio() {
    # The domain makes it take bucket.localhost as well, the region refuse others.
    local minio
    minio=$(minio_program) || exit $?
    export MINIO_DOMAIN=localhost MINIO_SITE_REGION=us-east-1
    start_minio "$minio"
    contract_of_s3 2500
    # radosgw 16 does not know them yet.
    try_with plain "checksums only" '$a\  send_content_md5: false\n  part_size: 5242880'
    # curl itself knows where every name below localhost is.
    try_with virtual "by virtual host" "s/endpoint: 127.0.0.1/endpoint: localhost/
        \$a\\  bucket_lookup_type: virtual-hosted"
    try_with region "the region looked up" 's/region: .*/region: ""/'
    expect_failure "a wrong region" "in region us-east-1" 's/region: .*/region: eu-west-1/'
    stack_stop minio

    make_certificate known DNS:localhost,IP:127.0.0.1
    start_minio_tls "$minio" known
    local ca=$STACK_DIR/known/public.crt
    try_with tls "TLS" "\$a\\  part_size: 5242880\n  http_config: {tls_config: {ca_file: $ca}}"
    try_with skip "TLS, any authority" '$a\  http_config: {insecure_skip_verify: true}'
    expect_failure "TLS, unknown authority" denied ''
    stack_stop minio

    make_certificate other DNS:elsewhere.example
    start_minio_tls "$minio" other
    expect_failure "TLS, another's name" denied \
        "\$a\\  http_config: {tls_config: {ca_file: $STACK_DIR/other/public.crt}}"
}

# The driver of Signature Version 2, on MinIO, in the same ways as far as it knows them.
contract_of_libs3() {
    local minio ca said
    minio=$(minio_program) || exit $?
    export MINIO_DOMAIN=localhost
    start_minio "$minio"
    echo "  signature_version2: true" >>"$STACK_DIR/bucket.yml"
    said=$("$contract" "$STACK_DIR/bucket.yml" 4 'is empty') ||
        ! grep -q "this build has no libs3" <<<"$said" || skip "this build has no libs3"
    try "version 2, by path" "$STACK_DIR/bucket.yml" 2500
    try_with prefix "version 2, below a prefix" 's/^config:/prefix: team_a\/b.c\n&/'
    try_with virtual "version 2, by virtual host" "s/endpoint: 127.0.0.1/endpoint: localhost/
        \$a\\  bucket_lookup_type: virtual-hosted"
    expect_failure "version 2, an odd prefix" unsupported 's/^config:/prefix: team a\/b\n&/'
    expect_failure "version 2, a wrong secret" SignatureDoesNotMatch \
        's/secret_key: .*/secret_key: wrong/'
    expect_failure "version 2, a missing bucket" NoSuchBucket 's/bucket: .*/bucket: no-such/'
    stack_stop minio

    make_certificate known DNS:localhost,IP:127.0.0.1
    start_minio_tls "$minio" known
    ca=$STACK_DIR/known/public.crt
    try_with tls "version 2, TLS" "\$a\\  http_config: {tls_config: {ca_file: $ca}}"
    try_with skip "version 2, TLS, any authority" \
        '$a\  http_config: {insecure_skip_verify: true}'
    expect_failure "version 2, TLS, unknown authority" denied ''
    stack_stop minio

    make_certificate other DNS:elsewhere.example
    start_minio_tls "$minio" other
    expect_failure "version 2, TLS, another's name" denied \
        "\$a\\  http_config: {tls_config: {ca_file: $STACK_DIR/other/public.crt}}"
}

case $server in
dir)
    use_dir_bucket
    try "directory" "$STACK_DIR/bucket.yml" 300
    try_with prefix "directory, below a prefix" 's/^config:/prefix: team a\/b+c\n&/'
    ;;
minio) contract_of_minio ;;
libs3) contract_of_libs3 ;;
radosgw)
    start_radosgw
    contract_of_s3 50
    ;;
esac
[ ${#failed[@]} -eq 0 ] || die "failed: $(printf '%s; ' "${failed[@]}")"
echo "passed"
