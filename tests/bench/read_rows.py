# SPDX-License-Identifier: Apache-2.0
"""The rows of the read benchmark: who is asked what, and what is wanted of the answers."""
import typing
from functools import partial

from daemon import dir_bucket
from read_measure import compare, compare_afresh, compare_each
from read_servers import PlainGets
from read_targets import (NOT_MERGED, PLAIN_FILE, PLAIN_GETS, PROMETHEUS, THANOS, faster, ours,
                          smaller, within)

LOOKAHEAD_MIB = 16
YEAR_LIMIT_MIB = 32


class Row(typing.NamedTuple):
    title: str
    measure: typing.Callable  # of the bench; gives results by name
    peers: list
    targets: list
    needs_minio: bool = False


def present(*servers):
    return [server for server in servers if server is not None]


def streamed(bench):
    make, question, body = bench.servers, bench.everything(), bench.folder / "body"
    config = dir_bucket(bench.bucket)
    with make.store(config) as server:
        server.verify(question, save=body)
    servers = present(make.store(config), make.prometheus(bench.bucket), make.thanos(config),
                      make.plain_file(body))
    found = compare(question, servers, bench.runs)
    body.unlink()
    return found


def from_minio(bench):
    make, minio = bench.servers, bench.minio
    gets = PlainGets(minio, [key for key in bench.object_keys() if "meta.json" not in key])
    return compare(bench.everything(), present(
        make.store(minio.config()), make.thanos(minio.config()), gets), bench.runs)


def sampled(bench):
    make = bench.servers
    return compare(bench.everything(sampled=True), present(
        make.store(dir_bucket(bench.bucket)), make.prometheus(bench.bucket)), bench.runs)


def from_directory(bench, question):
    make, config = bench.servers, dir_bucket(bench.bucket)
    return compare(question, present(make.store(config), make.thanos(config)), bench.runs)


def twenty(bench):
    return from_directory(bench, bench.everything(at_once=20))


def some(bench):
    return from_directory(bench, bench.some())


def some_from_minio(bench):
    make, config = bench.servers, bench.minio.config()
    return compare(bench.some(), present(make.store(config), make.thanos(config)), bench.runs)


def far_makers(bench, relay):
    """Each makes a store whose headers are built, and that has the relay before MinIO."""
    makers = []
    for make in bench.servers.store, bench.servers.thanos:
        data = bench.servers.fresh_data()
        builder = make(bench.minio.config(), data)
        if builder is None:
            continue
        with builder:
            pass
        makers.append(partial(make, bench.minio.config(endpoint=relay.address), data))
    return makers


def far_some(bench):
    with bench.relay() as relay:
        return compare_afresh(bench.some(), far_makers(bench, relay), bench.runs, relay)


def far_all(bench):
    with bench.relay() as relay:
        return compare(bench.everything(), [maker() for maker in far_makers(bench, relay)],
                       bench.runs, relay)


def year(bench):
    bucket, question = bench.year()
    return compare(question, [bench.servers.store(dir_bucket(bucket))], bench.runs)


def replicas(bench):
    """Of two replicas: one series of both of theirs, and all as they are."""
    store, config = bench.servers.store, dir_bucket(bench.replicas)
    merged, plain = bench.everything(), bench.everything(replicas=2)
    return compare_each([
        (store(config, flags=["--store.replica-label=replica"]), merged),
        (store(config, name=NOT_MERGED), plain)], bench.runs)


def rows(delay_ms):
    """By name."""
    far = f"MinIO {delay_ms} ms away"
    return {
        "streamed": Row("everything, streamed, directory", streamed, [PROMETHEUS, THANOS], [
            faster(5, PROMETHEUS, THANOS), within(2.5, PLAIN_FILE),
            ours("first byte", 10, " ms", lambda took: took.first_byte * 1e3)]),
        "minio": Row("everything, streamed, MinIO", from_minio, [THANOS], [
            faster(4, THANOS), within(2.5, PLAIN_GETS)], needs_minio=True),
        "sampled": Row("everything, sampled, directory", sampled, [PROMETHEUS], [
            faster(4, PROMETHEUS), smaller(10, PROMETHEUS)]),
        "twenty": Row("20 times everything at once, directory", twenty, [THANOS], [
            faster(5, THANOS), ours("peak", 200, " MiB", lambda took: took.peak),
            ours("first byte of the last", 1000, " ms", lambda took: took.first_byte * 1e3)]),
        "some": Row("two metrics, warm, directory", some, [THANOS], [faster(3, THANOS)]),
        "minio-some": Row("two metrics, warm, MinIO", some_from_minio, [THANOS], [
            faster(3, THANOS)], needs_minio=True),
        "far-some": Row(f"two metrics, new process, {far}", far_some, [THANOS], [
            ours("time", 3 * delay_ms + 15, " ms", lambda took: took.min * 1e3),
            ours("requests", 12, "", lambda took: took.requests[0])], needs_minio=True),
        "far-all": Row(f"everything, {far}", far_all, [THANOS], [
            faster(3, THANOS, first=True), faster(3, THANOS)], needs_minio=True),
        "replicas": Row("two replicas of everything as one, directory", replicas, [], [
            within(4, NOT_MERGED)]),
        "year": Row("one series, a year of 2 h blocks, directory", year, [], [
            ours("peak above idle", YEAR_LIMIT_MIB, " MiB", lambda took: took.peak - took.idle),
            ours("peak above idle and look-ahead, in frames", 1, "", frames)]),
    }


def frames(took):
    return max(0, took.peak - took.idle - LOOKAHEAD_MIB) / (took.size / (1 << 20))
