#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the release client and runs the bucket benchmark on MinIO, with Thanos if that is
# at hand; arguments go to bucket.py. With --client among them nothing is built and Thanos
# left out: that is how ctest calls it.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/support/peers.sh
if [[ " $* " == *" --client="* ]]; then
    directory=$(peer_path minio) || exit $?
    exec tests/bench/bucket.py --minio "$directory/minio" "$@"
fi
minio=$(peer_build minio)/minio
[ -f build/release/build.ninja ] || cmake --preset release
cmake --build --preset release --target bench_bucket_client bench_throttle
if thanos=$(peer_path thanos); then
    set -- --thanos "$thanos/thanos" "$@"
fi
exec tests/bench/bucket.py --minio "$minio" "$@"
