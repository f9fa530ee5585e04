#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Reads blocks of the test writer with promtool: every version of the index, several
# segments, every promtool at hand. Argument: the program bench_make_data.
set -eu

make_data=$1
series=100
samples=$((series * 8 * 3600 / 15))

find_promtools() {
    command -v promtool || true
    for file in "${XDG_CACHE_HOME:-$HOME/.cache}"/blockhouse/prometheus-*/promtool; do
        [ -x "$file" ] && echo "$file"
    done
    return 0
}

expect() { # what, expected, got
    [ "$2" = "$3" ] && return
    echo "$1: expected $2, got $3" >&2
    exit 1
}

promtools=$(find_promtools)
if [ -z "$promtools" ]; then
    echo "no promtool"
    exit 77
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

for version in 1 2; do
    data=$dir/v$version
    "$make_data" --series $series --index-version $version --segment-limit 100000 "$data"
    mkdir "$data/wal" # promtool wants one
    for promtool in $promtools; do
        echo "index version $version, $promtool"
        expect blocks 4 "$("$promtool" tsdb list "$data" | grep -c "$series")"
        for block in "$data"/01*; do
            "$promtool" tsdb analyze "$data" "$(basename "$block")" >"$dir/analysis"
            grep -Eq "^(Total )?Series: $series\$" "$dir/analysis"
        done
        expect "all samples" $samples \
            "$("$promtool" tsdb dump --match='{__name__=~".+"}' "$data" | wc -l)"
        expect "samples of one metric" $((samples / 100)) \
            "$("$promtool" tsdb dump --match='{__name__="web_load_ratio"}' "$data" | wc -l)"
    done
done
