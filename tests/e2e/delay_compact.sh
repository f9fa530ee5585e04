#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real Prometheus that reads the sidecar's state file
# (--storage.tsdb.delay-compact-file.path) does not compact blocks that are not shipped,
# and does once they are.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=../support/stack.sh
. ../support/stack.sh
# shellcheck source=../support/peers.sh
. ../support/peers.sh

STATE=thanos.shipper.json
WAITING=10 # blocks of 5 s: without the state file three of them are merged at once

prometheus=$(peer_path prometheus)/prometheus || exit
"$prometheus" --help 2>&1 | grep -q -- --storage.tsdb.delay-compact-file.path ||
    skip "this Prometheus knows no delay-compact-file"

stack_begin
use_dir_bucket
data=$STACK_DIR/origin

# levels: the compaction level of each local block.
levels() {
    find "$data" -mindepth 2 -maxdepth 2 -path '*/0*/meta.json' -exec "$PYTHON" -c '
import json, sys
for path in sys.argv[1:]:
    try:
        with open(path, encoding="utf-8") as file:
            print(json.load(file)["compaction"]["level"])
    except FileNotFoundError:
        pass' {} +
}

enough_wait() {
    [ "$(levels | wc -l)" -ge "$WAITING" ]
}

is_compacted() {
    levels | grep -qvx 1
}

# Every source of a compacted block is in the bucket.
check_sources() {
    "$PYTHON" - "$data" "$STACK_DIR/bucket" <<'EOF'
import glob, json, os, sys
data, bucket = sys.argv[1:]
merged = 0
for path in glob.glob(os.path.join(data, "0*", "meta.json")):
    with open(path, encoding="utf-8") as file:
        compaction = json.load(file)["compaction"]
    if compaction["level"] == 1:
        continue
    for source in compaction["sources"]:
        assert os.path.exists(os.path.join(bucket, source, "meta.json")), \
            f"{source} was compacted before it was shipped"
        merged += 1
print(f"{merged} blocks were compacted, all of them shipped before")
EOF
}

STACK_ADDRESS[origin]=127.0.0.1:$(free_port)
cat >"$STACK_DIR/origin.yml" <<EOF
global:
  scrape_interval: 1s
  external_labels: {cluster: demo, replica: a}
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["${STACK_ADDRESS[origin]}"]}]
EOF
stack_run origin "$prometheus" --config.file="$STACK_DIR/origin.yml" \
    --storage.tsdb.path="$data" --web.listen-address="${STACK_ADDRESS[origin]}" \
    --storage.tsdb.min-block-duration=5s --storage.tsdb.max-block-duration=45s \
    --storage.tsdb.delay-compact-file.path="$data/$STATE"
wait_until 30 "Prometheus to be ready" origin http_ok "http://${STACK_ADDRESS[origin]}/-/ready"
start_sidecar
wait_until 10 "the state file" sidecar test -s "$data/$STATE"
mv "$STACK_DIR/bucket" "$STACK_DIR/away"
wait_until 150 "$WAITING blocks that wait" origin enough_wait
is_compacted && die "Prometheus compacted what is not shipped" sidecar
mv "$STACK_DIR/away" "$STACK_DIR/bucket"
# It reads the state file once a minute; the longest pause of a block by now is shorter.
wait_until 180 "a compaction" origin is_compacted
check_sources
stack_check
