#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a sample of each encoding costs to decode, by us and by the decoders of Prometheus
# over the same chunks, in turns. Processor time, best of all turns.
#
# usage: codec.sh <bench_codec> [<samples of a run> [<turns>]]
set -euo pipefail
cd "$(dirname "$0")"
. ../support/peers.sh

MODULE=github.com/prometheus/prometheus/tsdb/chunkenc@v0.316.0
bench=$1 samples=${2:-2000000} turns=${3:-3}

# Only where the modules are there already: the peer was built of them.
peer_path prometheus >/dev/null
go=$(go_at_least 1.26.0)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp codec_prometheus.go "$work/main.go"
if ! (cd "$work" && go_nice "$go" mod init codec_prometheus &&
    go_nice "$go" get "$MODULE" && go_nice "$go" build -o theirs .) >"$work/log" 2>&1; then
    tail -n 5 "$work/log" >&2
    echo "SKIP: the decoders of Prometheus cannot be built" >&2
    exit 77
fi

for _ in $(seq "$turns"); do
    "$work/theirs" ../golden "$samples" | sed 's/^/theirs /'
    "$bench" "$samples" | sed -n 's/^| \([^|]*\) | \([0-9.]*\) .*/ours|\1|\2/p'
done >"$work/times"

awk -v OFS=' | ' '
    function least(times, what, ns) {
        if (!(what in times) || ns + 0 < times[what])
            times[what] = ns + 0
    }
    BEGIN {
        split("XOR, its own reader|XOR, iterator|HISTOGRAM|FLOAT_HISTOGRAM|" \
              "XOR2 with start timestamps|HISTOGRAM_ST|FLOAT_HISTOGRAM_ST", names, "|")
        split("1 1 2 3 4 5 6", encodings)
    }
    /^theirs/ { least(theirs, $2, $3) }
    /^ours/ { split($0, part, "|"); least(ours, part[2], part[3]) }
    END {
        print "| what | ours, ns a sample | Prometheus | ratio |"
        print "|---|---|---|---|"
        for (i = 1; i in names; i++) {
            mine = ours[names[i]]
            other = theirs[encodings[i]]
            printf "| %s | %.1f | %.1f | %.2f |\n", names[i], mine, other, mine / other
        }
    }' "$work/times"
