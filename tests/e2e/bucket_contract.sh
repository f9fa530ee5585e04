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
small_parts="part_size: 5242880"

# try TITLE CONFIG [KEYS]: a listing of several pages takes its time, so all but one make
# do with fewer keys.
try() {
    echo "== $1"
    "$contract" "$2" "${3:-50}" || failed+=("$1")
}

# variant SED [LINE]...: bucket.yml, changed, with more lines; in variant.yml.
variant() {
    {
        sed "$1" "$STACK_DIR/bucket.yml"
        [ $# -eq 1 ] || printf '  %s\n' "${@:2}"
    } >"$STACK_DIR/variant.yml"
}

# try_with TITLE SED [LINE]...
try_with() {
    variant "${@:2}"
    try "$1" "$STACK_DIR/variant.yml"
}

# expect_failure TITLE TEXT SED [LINE]...: an error with that text, without the secret.
expect_failure() {
    echo "== $1"
    local said
    variant "${@:3}"
    said=$("$contract" "$STACK_DIR/variant.yml" 4 'is empty' 2>&1) && die "$1: it worked"
    grep -q -- "$2" <<<"$said" || die "$1: no \"$2\" in: $said"
    ! grep -q blockhouse-demo <<<"$said" || die "$1: the secret shows"
}

# On any server, without TLS.
contract_of_s3() {
    try "by path, parts of 64 MiB" "$STACK_DIR/bucket.yml" "$1"
    try_with "parts of 5 MiB" '' "$small_parts"
    try_with "no parts" '' 'disable_multipart: true'
    try_with "MD5" '' 'send_content_md5: true' "$small_parts"
    try_with "list version 1" '' 'list_objects_version: v1'
    try_with "below a prefix" 's/^config:/prefix: team a\/b+c\n&/'
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
    try_with "checksums only" '' 'send_content_md5: false' "$small_parts"
    # curl itself knows where every name below localhost is.
    try_with "by virtual host" 's/endpoint: 127.0.0.1/endpoint: localhost/' \
        'bucket_lookup_type: virtual-hosted'
    try_with "the region looked up" 's/region: .*/region: ""/'
    expect_failure "a wrong region" "in region us-east-1" 's/region: .*/region: eu-west-1/'
    stack_stop minio

    make_certificate known DNS:localhost,IP:127.0.0.1
    start_minio_tls "$minio" known
    local ca=$STACK_DIR/known/public.crt
    try_with "TLS" '' "$small_parts" "http_config: {tls_config: {ca_file: $ca}}"
    try_with "TLS, any authority" '' 'http_config: {insecure_skip_verify: true}'
    expect_failure "TLS, unknown authority" denied ''
    stack_stop minio

    make_certificate other DNS:elsewhere.example
    start_minio_tls "$minio" other
    expect_failure "TLS, another's name" denied \
        '' "http_config: {tls_config: {ca_file: $STACK_DIR/other/public.crt}}"
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
    try_with "version 2, below a prefix" 's/^config:/prefix: team_a\/b.c\n&/'
    try_with "version 2, by virtual host" 's/endpoint: 127.0.0.1/endpoint: localhost/' \
        'bucket_lookup_type: virtual-hosted'
    expect_failure "version 2, an odd prefix" unsupported 's/^config:/prefix: team a\/b\n&/'
    expect_failure "version 2, a wrong secret" SignatureDoesNotMatch \
        's/secret_key: .*/secret_key: wrong/'
    expect_failure "version 2, a missing bucket" NoSuchBucket 's/bucket: .*/bucket: no-such/'
    stack_stop minio

    make_certificate known DNS:localhost,IP:127.0.0.1
    start_minio_tls "$minio" known
    ca=$STACK_DIR/known/public.crt
    try_with "version 2, TLS" '' "http_config: {tls_config: {ca_file: $ca}}"
    try_with "version 2, TLS, any authority" \
        '' 'http_config: {insecure_skip_verify: true}'
    expect_failure "version 2, TLS, unknown authority" denied ''
    stack_stop minio

    make_certificate other DNS:elsewhere.example
    start_minio_tls "$minio" other
    expect_failure "version 2, TLS, another's name" denied \
        '' "http_config: {tls_config: {ca_file: $STACK_DIR/other/public.crt}}"
}

case $server in
dir)
    use_dir_bucket
    try "directory" "$STACK_DIR/bucket.yml" 300
    try_with "directory, below a prefix" 's/^config:/prefix: team a\/b+c\n&/'
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
