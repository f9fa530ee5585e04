# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# radosgw, a second S3 server that verifies signatures: Debian's, above one monitor and
# one storage daemon that keeps all in memory. No root, no service manager, no files
# outside of $STACK_DIR/radosgw.

. "$(dirname "${BASH_SOURCE[0]}")/stack.sh"

RADOSGW_FSID=0b10c4ab-0000-4000-8000-000000000000 # any UUID

# write_ceph_conf DIRECTORY ADDRESS: the cluster behind, the address of its S3 door. The
# last two lines have it ready in one second instead of twelve.
write_ceph_conf() {
    local osd_port
    osd_port=$(free_port)
    cat >"$1/ceph.conf" <<EOF
[global]
fsid = $RADOSGW_FSID
mon host = [v2:127.0.0.1:$(free_port),v1:127.0.0.1:$(free_port)]
public addr = 127.0.0.1
ms bind port min = $osd_port
ms bind port max = $((osd_port + 100))
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = $1/keyring
log file = $1/\$name.log
admin socket =
pid file =
mon data = $1/mon
mon data avail crit = 1
mon max pg per osd = 2000
mon allow pool size one = true
osd data = $1/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
rgw frontends = beast endpoint=$2 tcp_nodelay=1
paxos propose interval = 0.05
paxos min wait = 0.01
EOF
}

make_ceph_keys() {
    local dir=$1 name
    ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *'
    for name in client.admin osd.0 client.rgw; do
        ceph-authtool "$dir/keyring" --gen-key -n "$name" \
            --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    done
}

start_ceph() {
    local dir=$1
    make_ceph_keys "$dir"
    monmaptool --create --fsid "$RADOSGW_FSID" \
        --addv a "$(sed -n 's/^mon host = //p' "$dir/ceph.conf")" "$dir/monmap"
    ceph-mon -i a --mkfs --monmap "$dir/monmap" --keyring "$dir/keyring"
    stack_run ceph-mon ceph-mon -i a -f
    wait_until 30 "Ceph's monitor" ceph-mon \
        ceph --connect-timeout 5 osd new "$RADOSGW_FSID"
    ceph auth import -i "$dir/keyring"
    ceph-osd -i 0 --mkfs --osd-uuid "$RADOSGW_FSID"
    stack_run ceph-osd ceph-osd -i 0 -f
}

# start_radosgw: with one bucket; writes $STACK_DIR/bucket.yml. The test is skipped
# where Debian's packages are not installed.
start_radosgw() {
    local dir=$STACK_DIR/radosgw program address
    for program in ceph ceph-mon ceph-osd radosgw radosgw-admin; do
        command -v "$program" >/dev/null ||
            skip "no $program (Debian's ceph-mon, ceph-osd and radosgw)"
    done
    address=127.0.0.1:$(free_port)
    STACK_ADDRESS[radosgw]=$address
    mkdir "$dir" "$dir/mon" "$dir/osd"
    write_ceph_conf "$dir" "$address"
    export CEPH_CONF=$dir/ceph.conf
    start_ceph "$dir" >"$dir/setup.log" 2>&1 || die "Ceph does not start: see $dir/setup.log"
    stack_run radosgw radosgw -n client.rgw -f
    wait_until 60 "radosgw to be ready" radosgw http_ok "http://$address/"
    radosgw-admin -n client.rgw user create --uid=blockhouse \
        --display-name=blockhouse --access-key=blockhouse --secret=blockhouse-demo \
        >"$dir/user.json"
    # The hash is that of no body.
    curl -fs -m 20 -X PUT --aws-sigv4 aws:amz:us-east-1:s3 --user blockhouse:blockhouse-demo \
        -H "x-amz-content-sha256: $(sha256sum </dev/null | cut -d ' ' -f 1)" \
        "http://$address/blocks" || die "radosgw makes no bucket" radosgw
    write_s3_config "$address" blockhouse blockhouse-demo
}
