#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make the root file system of the image, on Debian 12: our programs, the shared libraries
# that they need and nothing else, certificates, and the licences of all of it. The same
# sources and packages make the same bytes.
#
# usage: build.sh [--arch amd64|arm64] [--programs BUILD] ROOT [ARCHIVE]
#   --arch      not this machine's: crossbuild-essential-ARCH and the libraries of that
#               architecture are installed
#   --programs  take them from this build folder instead of making them
#   ROOT        folder to make
#   ARCHIVE     file to make of it that `docker load`, `podman load` and `ctr import` take
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
PROGRAMS=(blockhouse blockhouse-bucket blockhouse-sidecar blockhouse-store)
USER_ID=65532

usage() {
    sed -n '7,12s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

parse() {
    arch=$(dpkg --print-architecture) programs='' root='' archive=''
    while [ $# -gt 0 ]; do
        case $1 in
        --arch) arch=${2:?}; shift ;;
        --programs) programs=${2:?}; shift ;;
        -*) usage ;;
        *) if [ -z "$root" ]; then root=$1; elif [ -z "$archive" ]; then archive=$1; else usage; fi ;;
        esac
        shift
    done
    [ -n "$root" ] || usage
    case $arch in
    amd64) triplet=x86_64-linux-gnu processor=x86_64 ;;
    arm64) triplet=aarch64-linux-gnu processor=aarch64 ;;
    *) echo "$arch: only amd64 and arm64 are known" >&2; exit 2 ;;
    esac
    epoch=${SOURCE_DATE_EPOCH:-$(git -C "$source" log -1 --format=%ct 2>/dev/null || echo 0)}
}

# Paths in the programs are those of the tree, wherever it is; a compiler cache could write
# others.
compile() {
    local cross=() paths=-ffile-prefix-map=$source/=
    programs=$source/build/image-$arch
    if [ "$arch" != "$(dpkg --print-architecture)" ]; then
        export PKG_CONFIG_LIBDIR=/usr/lib/$triplet/pkgconfig:/usr/share/pkgconfig
        cross=(-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$processor"
            -DCMAKE_C_COMPILER="$triplet-gcc" -DCMAKE_CXX_COMPILER="$triplet-g++"
            -DCMAKE_LIBRARY_ARCHITECTURE="$triplet")
    fi
    cmake -S "$source" --preset release -B "$programs" -DBLOCKHOUSE_TESTS=OFF \
        -DCMAKE_C_COMPILER_LAUNCHER= -DCMAKE_CXX_COMPILER_LAUNCHER= \
        -DCMAKE_C_FLAGS="$paths" -DCMAKE_CXX_FLAGS="$paths" "${cross[@]}"
    cmake --build "$programs" --target "${PROGRAMS[@]}"
}

needed_by() {
    readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

# Libraries that have not been there yet, and what they need, each once.
copy_libraries() {
    local file name library
    for file in "$@"; do
        while read -r name; do
            [ ! -e "$root/usr/lib/$triplet/$name" ] || continue
            library=$(readlink -e "/usr/lib/$triplet/$name") || {
                echo "$file needs $name, which is not in /usr/lib/$triplet" >&2
                return 1
            }
            install -D -m 755 "$library" "$root/usr/lib/$triplet/$name"
            echo "$library" >>"$libraries"
            copy_libraries "$library"
        done < <(needed_by "$file")
    done
}

# The path that is written in each program leads to the loader among the libraries.
link_loader() {
    local loader
    loader=$(readelf -l "$root/usr/bin/blockhouse" |
        sed -n 's/.*program interpreter: \(.*\)\]/\1/p')
    ln -s usr/lib "$root/lib"
    [ -e "$root$(dirname "$loader")" ] || ln -s "usr$(dirname "$loader")" "$root$(dirname "$loader")"
    mkdir -p "$root/usr$(dirname "$loader")"
    ln -s "/usr/lib/$triplet/$(basename "$loader")" "$root/usr$loader"
}

# The packages of the libraries. Debian knows some by the place that they had before /lib
# became /usr/lib.
packages() {
    local files found library
    mapfile -t files <"$libraries"
    found=$(dpkg -S "${files[@]}" "${files[@]#/usr}" 2>/dev/null) || true
    for library in "${files[@]}"; do
        grep -qFx -e "$library" -e "${library#/usr}" <(cut -d ' ' -f 2 <<<"$found") || {
            echo "$library is of no package, so its licence is not known" >&2
            return 1
        }
    done
    cut -d ' ' -f 1 <<<"${found//: / }"
}

# The licence of each package that something is from; and its name and version where
# scanners of images look for them.
describe_packages() {
    local package name
    {
        echo ca-certificates
        packages
        ! has_libs3 || echo "libs3-dev:$arch"
    } | sort -u | while read -r package; do
        name=${package%%:*}
        install -D -m 644 "/usr/share/doc/$name/copyright" "$root/usr/share/doc/$name/copyright"
        dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$name"
    done
    cp -a /usr/share/common-licenses "$root/usr/share/"
}

has_libs3() {
    grep -q '^BLOCKHOUSE_LIBS3:BOOL=ON' "$programs/CMakeCache.txt"
}

describe_ourselves() {
    local folder=$root/usr/share/doc/blockhouse
    install -D -m 644 "$source/LICENSE" "$folder/LICENSE"
    {
        echo "Blockhouse is under the Apache License, version 2.0: LICENSE. The libraries in"
        echo "/usr/lib are Debian's: /usr/share/doc/*/copyright, /usr/share/common-licenses."
        ! has_libs3 || cat <<EOF

The programs contain libs3 (/usr/share/doc/libs3-dev/copyright) and are therefore covered
by the GNU General Public License, version 3 (/usr/share/common-licenses/GPL-3), with
libs3's permission to link OpenSSL. Whoever passes this image on has to offer the sources
of all of it: Blockhouse's, and those of the Debian packages in /var/lib/dpkg/status.d.
EOF
    } >"$folder/copyright"
}

# Debian's certificates, without those that an administrator has added on this machine.
write_etc() {
    mkdir -p "$root/etc/ssl/certs"
    find /usr/share/ca-certificates/mozilla -name '*.crt' | LC_ALL=C sort | xargs cat \
        >"$root/etc/ssl/certs/ca-certificates.crt"
    cat >"$root/etc/passwd" <<EOF
root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
blockhouse:x:$USER_ID:$USER_ID:blockhouse:/var/lib/blockhouse:/sbin/nologin
EOF
    printf 'root:x:0:\nnogroup:x:65534:\nblockhouse:x:%d:\n' "$USER_ID" >"$root/etc/group"
    echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
    cp /usr/lib/os-release "$root/etc/os-release"
}

assemble() {
    local libraries program
    libraries=$(mktemp)
    trap 'rm -f "$libraries"' RETURN
    mkdir "$root"
    mkdir -p "$root"/{etc,proc,sys,dev,tmp,usr/bin,var/lib/{blockhouse,dpkg/status.d}}
    for program in "${PROGRAMS[@]}"; do
        "$triplet-strip" -o "$root/usr/bin/$program" "$programs/$program"
    done
    copy_libraries "${PROGRAMS[@]/#/$programs/}"
    link_loader
    write_etc
    describe_packages
    describe_ourselves
    chmod 1777 "$root/tmp"
    [ "$(id -u)" -ne 0 ] || chown "$USER_ID:$USER_ID" "$root/var/lib/blockhouse"
    find "$root" -exec touch -h -d "@$epoch" {} +
}

parse "$@"
[ -n "$programs" ] || compile
assemble
(cd "$root" && find . -type f -size +15k -printf '%9s %P\n' | sort -rn && du -sb . | sed 's/\t.*/ bytes in all/')
[ -z "$archive" ] || /usr/bin/python3 -B "$here/pack.py" "$root" "$archive" "$arch" \
    "$(sed -n 's/^project(blockhouse VERSION \([0-9.]*\).*/\1/p' "$source/CMakeLists.txt")" "$epoch"
