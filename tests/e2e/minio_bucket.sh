#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The S3 drivers against a real MinIO, over HTTP and TLS, by path and by virtual host, with
# both signatures; the directory driver has to keep the same promises.
#
# usage: minio_bucket.sh BUCKET_PROBE
# BLOCKHOUSE_MINIO is the server's program; by default the one that peers.sh has built.
set -euo pipefail
cd "$(dirname "$0")"
probe=$(realpath "$1")
. ../support/peers.sh
. ../support/stack.sh

minio=${BLOCKHOUSE_MINIO:-}
if [ -z "$minio" ]; then
    directory=$(peer_path minio) || exit $?
    minio=$directory/minio
fi
[ -x "$minio" ] || skip "no MinIO in $minio"
command -v openssl >/dev/null || skip "no openssl to make a certificate with"
stack_begin

# probe_bucket TITLE CONFIG [KEYS]: a listing of several pages takes its time, so all but
# one make do with fewer keys.
probe_bucket() {
    echo "== $1"
    "$probe" "$2" "${3:-50}" || die "$1" minio
}

# expect_failure TITLE TEXT CONFIG
expect_failure() {
    echo "== $1"
    local said
    said=$("$probe" "$3" 2>&1) && die "$1: it worked" minio
    grep -q -- "$2" <<<"$said" || die "$1: no \"$2\" in: $said" minio
    ! grep -q "$MINIO_ROOT_PASSWORD" <<<"$said" || die "$1: the secret shows"
}

use_dir_bucket
probe_bucket "directory" "$STACK_DIR/bucket.yml"

# The domain makes MinIO take bucket.localhost as well, the region refuse others.
export MINIO_DOMAIN=localhost MINIO_SITE_REGION=us-east-1
start_minio "$minio"
http=$STACK_DIR/bucket.yml
probe_bucket "HTTP, by path" "$http" 2500
sed 's/^config:/prefix: team a\/b+c\n&/' "$http" >"$STACK_DIR/prefix.yml"
probe_bucket "HTTP, below a prefix" "$STACK_DIR/prefix.yml"
sed 's/secret_key: .*/secret_key: wrong-secret/' "$http" >"$STACK_DIR/wrong.yml"
expect_failure "a wrong secret" SignatureDoesNotMatch "$STACK_DIR/wrong.yml"
sed 's/bucket: .*/bucket: no-such-bucket/' "$http" >"$STACK_DIR/none.yml"
expect_failure "a missing bucket" NoSuchBucket "$STACK_DIR/none.yml"
sed 's/region: .*/region: eu-west-1/' "$http" >"$STACK_DIR/region.yml"
expect_failure "a wrong region" "us-east-1" "$STACK_DIR/region.yml"
# curl itself knows where every name below localhost is.
{
    sed "s/endpoint: .*/endpoint: localhost:${STACK_ADDRESS[minio]##*:}/" "$http"
    echo "  bucket_lookup_type: virtual-hosted"
} >"$STACK_DIR/virtual.yml"
probe_bucket "HTTP, by virtual host" "$STACK_DIR/virtual.yml"

# with_v2 CONFIG: the same with the old signature; prints where it is.
with_v2() {
    { cat "$1"; echo "  signature_version2: true"; } >"${1%.yml}-v2.yml"
    echo "${1%.yml}-v2.yml"
}
v2=
if ! "$probe" "$(with_v2 "$http")" 4 2>&1 | grep -q "this build has no libs3"; then
    v2=yes
    probe_bucket "Version 2, by path" "$STACK_DIR/bucket-v2.yml" 2500
    probe_bucket "Version 2, by virtual host" "$(with_v2 "$STACK_DIR/virtual.yml")"
    sed 's/^config:/prefix: team_a\/b.c\n&/' "$STACK_DIR/bucket-v2.yml" \
        >"$STACK_DIR/prefix-v2.yml"
    probe_bucket "Version 2, below a prefix" "$STACK_DIR/prefix-v2.yml"
    expect_failure "Version 2, an odd prefix" unsupported "$(with_v2 "$STACK_DIR/prefix.yml")"
    expect_failure "Version 2, a wrong secret" SignatureDoesNotMatch \
        "$(with_v2 "$STACK_DIR/wrong.yml")"
    expect_failure "Version 2, a missing bucket" NoSuchBucket \
        "$(with_v2 "$STACK_DIR/none.yml")"
fi
stack_stop minio

mkdir "$STACK_DIR/certs"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost \
    -keyout "$STACK_DIR/certs/private.key" -out "$STACK_DIR/certs/public.crt" 2>/dev/null
port=$(free_port)
address=localhost:$port
stack_run minio "$minio" server --quiet --address "127.0.0.1:$port" \
    --console-address "127.0.0.1:$(free_port)" \
    --certs-dir "$STACK_DIR/certs" "$STACK_DIR/minio"
wait_until 30 "MinIO with TLS" minio curl -fs -m 5 -o /dev/null \
    --cacert "$STACK_DIR/certs/public.crt" "https://$address/minio/health/ready"
sed "s/endpoint: .*/endpoint: $address/; s/insecure: true/insecure: false/" "$http" \
    >"$STACK_DIR/tls.yml"
expect_failure "TLS, unknown authority" denied "$STACK_DIR/tls.yml"
{
    cat "$STACK_DIR/tls.yml"
    echo "  http_config: {tls_config: {ca_file: $STACK_DIR/certs/public.crt}}"
} >"$STACK_DIR/ca.yml"
probe_bucket "TLS, known authority" "$STACK_DIR/ca.yml"
{
    cat "$STACK_DIR/tls.yml"
    echo "  http_config: {insecure_skip_verify: true}"
} >"$STACK_DIR/skip.yml"
probe_bucket "TLS, any authority" "$STACK_DIR/skip.yml"
# The certificate is for the name, not for the address.
sed "s/endpoint: .*/endpoint: 127.0.0.1:$port/" "$STACK_DIR/ca.yml" \
    >"$STACK_DIR/name.yml"
expect_failure "TLS, another host's certificate" denied "$STACK_DIR/name.yml"
if [ -n "$v2" ]; then
    expect_failure "Version 2, TLS, unknown authority" denied "$(with_v2 "$STACK_DIR/tls.yml")"
    expect_failure "Version 2, TLS, another host's certificate" denied \
        "$(with_v2 "$STACK_DIR/name.yml")"
    probe_bucket "Version 2, TLS, known authority" "$(with_v2 "$STACK_DIR/ca.yml")"
    probe_bucket "Version 2, TLS, any authority" "$(with_v2 "$STACK_DIR/skip.yml")"
fi
echo "passed"
