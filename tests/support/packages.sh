#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make sure that the Debian packages of some purposes are there.
#
# usage: packages.sh <purpose>...     purposes: second column of tests/packages.txt
#
# As root installs what is missing, asking nothing and starting no service. Otherwise
# prints the line to type and exits 1. One dpkg-query when all are there.
set -euo pipefail

list=$(dirname "$0")/../packages.txt

wanted() {
    awk -v purposes=" $* " '!/^#/ && NF && index(purposes, " " $2 " ") { print $1 }' "$list"
}

missing() {
    local installed
    # shellcheck disable=SC2016 # the ${} are dpkg-query's
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null) || true
    while read -r package; do
        grep -qx "installed $package" <<<"$installed" || echo "$package"
    done
}

# Debian starts a service when its package arrives (Prometheus on port 9090); this file
# is how one asks it not to.
forbid_services() {
    local policy=/usr/sbin/policy-rc.d
    [ ! -e "$policy" ] || return 0
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
}

install() {
    export DEBIAN_FRONTEND=noninteractive
    forbid_services
    echo "Installing Debian packages: $*"
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" >/dev/null
}

[ $# -gt 0 ] || { sed -n '3,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
command -v dpkg-query >/dev/null || {
    echo "This is not Debian: install what $list names by hand; nothing was checked." >&2
    exit 0
}
mapfile -t packages < <(wanted "$@" | missing)
[ ${#packages[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "Some Debian packages are missing. Please type, then start again:" >&2
    echo "  sudo apt-get install --no-install-recommends ${packages[*]}" >&2
    exit 1
fi
install "${packages[@]}"
