# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# MinIO for the tests of buckets: which program, and with TLS. Sourced behind
# peers.sh.

. "$(dirname "${BASH_SOURCE[0]}")/stack.sh"

# Print MinIO's program: $BLOCKHOUSE_MINIO, else the one that peers.sh has built.
minio_program() {
    local directory
    if [ -n "${BLOCKHOUSE_MINIO:-}" ]; then
        echo "$BLOCKHOUSE_MINIO"
    else
        directory=$(peer_path minio) || return
        echo "$directory/minio"
    fi
}

# make_certificate NAME ALTERNATIVES: signed by itself, in $STACK_DIR/NAME.
make_certificate() {
    mkdir "$STACK_DIR/$1"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
        -addext "subjectAltName=$2" -keyout "$STACK_DIR/$1/private.key" \
        -out "$STACK_DIR/$1/public.crt" 2>/dev/null
}

# start_minio_tls PROGRAM CERTIFICATE: on the data of start_minio; changes bucket.yml.
start_minio_tls() {
    local address
    address=127.0.0.1:$(free_port)
    STACK_ADDRESS[minio]=$address
    stack_run minio "$1" server --quiet --address "$address" \
        --console-address "127.0.0.1:$(free_port)" \
        --certs-dir "$STACK_DIR/$2" "$STACK_DIR/minio"
    wait_until 30 "MinIO with TLS" minio \
        curl -fsk -m 5 -o /dev/null "https://$address/minio/health/ready"
    sed -i "s/endpoint: .*/endpoint: $address/; s/insecure: true/insecure: false/" \
        "$STACK_DIR/bucket.yml"
}
