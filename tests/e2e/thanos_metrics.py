#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every metric of thanos sidecar and thanos store is there from the start, under its name,
with its type and its labels, and at zero where nothing has happened; or the list says why
there is none, and then there is none. The lists are those of Thanos at e103a81.

usage: thanos_metrics.py <directory of the programs>
"""
import os
import re
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from daemon import Daemon, dir_bucket, wait_until  # noqa: E402

C, G, H, ANY = "counter", "gauge", "histogram", None
OPERATIONS = ["iter", "get", "get_range", "exists", "upload", "delete", "attributes"]
TRANSFERS = ["get", "get_range", "upload"]
DATA = ["postings", "series", "chunks"]
STATES = ["loaded", "no-meta-json", "corrupted-meta-json", "failed", "time-excluded",
          "label-excluded", "too-fresh", "marked-for-deletion", "duplicate"]

# What is counted before anybody can look: the start, and this test's own requests.
MOVED = re.compile(r"process_|go_|http_|thanos_(status|build_info)|.*_info\{|"
                   r"thanos_blocks_meta_(base_)?syncs_total|thanos_shipper_dir_sync|"
                   r"thanos_objstore_bucket_operation.*\"iter\"|.*_queries_max|.*_max_size|"
                   r"thanos_blocks_meta_sync_duration")

# (name, type, {label: values that must be there, or none to name them})
BOTH = [
    ("thanos_status", G, {"component": [], "check": ["ready", "healthy"]}),
    ("thanos_build_info", G, {"version": [], "revision": [], "branch": [], "goversion": [],
                              "goos": [], "goarch": [], "tags": []}),
    ("http_requests_total", C, {"code": [], "handler": ["metrics", "ready"], "method": []}),
    ("http_request_duration_seconds", H, {"code": [], "handler": [], "method": []}),
    ("http_request_size_bytes", H, {"code": [], "handler": [], "method": []}),
    ("http_response_size_bytes", H, {"code": [], "handler": [], "method": []}),
    ("http_inflight_requests", G, {"handler": [], "method": []}),
    ("thanos_objstore_bucket_operations_total", C, {"bucket": [], "operation": OPERATIONS}),
    ("thanos_objstore_bucket_operation_failures_total", C,
     {"bucket": [], "operation": OPERATIONS}),
    ("thanos_objstore_bucket_operation_duration_seconds", H,
     {"bucket": [], "operation": OPERATIONS}),
    ("thanos_objstore_bucket_operation_fetched_bytes_total", C,
     {"bucket": [], "operation": OPERATIONS}),
    ("thanos_objstore_bucket_operation_transferred_bytes", H,
     {"bucket": [], "operation": TRANSFERS}),
    ("thanos_objstore_bucket_last_successful_upload_time", G, {"bucket": []}),
    ("go_goroutines", G, {}),
    ("go_memstats_alloc_bytes", G, {}),
    ("go_memstats_alloc_bytes_total", C, {}),
    ("go_memstats_heap_alloc_bytes", G, {}),
    ("go_memstats_heap_inuse_bytes", G, {}),
    ("go_memstats_stack_inuse_bytes", G, {}),
    ("go_gc_duration_seconds", ANY, {"quantile": ["0", "1"]}),
    ("process_cpu_seconds_total", C, {}),
    ("process_open_fds", G, {}),
    ("process_max_fds", G, {}),
    ("process_virtual_memory_bytes", G, {}),
    ("process_resident_memory_bytes", G, {}),
    ("process_start_time_seconds", G, {}),
]

SIDECAR = [
    ("thanos_sidecar_prometheus_up", G, {}),
    ("thanos_sidecar_reloader_reloads_total", C, {}),
    ("thanos_sidecar_reloader_reloads_failed_total", C, {}),
    ("thanos_sidecar_reloader_last_reload_successful", G, {}),
    ("thanos_sidecar_reloader_last_reload_success_timestamp_seconds", G, {}),
    ("thanos_sidecar_reloader_config_apply_operations_total", C, {}),
    ("thanos_sidecar_reloader_config_apply_operations_failed_total", C, {}),
    ("thanos_sidecar_reloader_config_environment_variable_expansion_errors", G, {}),
    ("thanos_sidecar_reloader_info", G, {"method": ["http"]}),
    ("thanos_sidecar_reloader_watches", G, {}),
    ("thanos_sidecar_reloader_watch_events_total", C, {}),
    ("thanos_sidecar_reloader_watch_errors_total", C, {}),
    ("thanos_shipper_dir_syncs_total", C, {}),
    ("thanos_shipper_dir_sync_failures_total", C, {}),
    ("thanos_shipper_uploads_total", C, {}),
    ("thanos_shipper_upload_failures_total", C, {}),
    ("thanos_shipper_corrupted_blocks_total", C, {}),
    ("thanos_shipper_upload_compacted_done", G, {}),
]


def bucket_store(kind, labels, *names):
    return [("thanos_bucket_store_" + name, kind, labels) for name in names]


TENANT = {"tenant": ["default-tenant"]}
STORE = [
    *bucket_store(C, {}, "block_loads_total", "block_load_failures_total",
                  "block_drops_total", "block_drop_failures_total",
                  "series_gate_queries_total"),
    *bucket_store(G, {}, "blocks_loaded", "blocks_last_loaded_timestamp_seconds",
                  "series_gate_queries_max", "series_gate_queries_in_flight"),
    *bucket_store(H, {}, "block_load_duration_seconds",
                  "indexheader_download_duration_seconds",
                  "series_gate_queries_duration_seconds",
                  "series_gate_duration_seconds"),  # as the alerts of the mixin call it
    *bucket_store(H, {"data_type": DATA, **TENANT}, "series_data_touched",
                  "series_data_fetched", "series_data_size_touched_bytes",
                  "series_data_size_fetched_bytes"),
    *bucket_store(H, TENANT, "series_blocks_queried", "series_result_series",
                  "series_get_all_duration_seconds", "series_merge_duration_seconds",
                  "sent_chunk_size_bytes", "postings_size_bytes",
                  "series_fetch_duration_seconds", "series_fetch_duration_sum_seconds",
                  "postings_fetch_duration_seconds", "chunks_fetch_duration_seconds",
                  "chunks_fetch_duration_sum_seconds"),
    *bucket_store(C, {"reason": ["series", "chunks", "bytes"], **TENANT},
                  "queries_dropped_total"),
    *bucket_store(C, TENANT, "series_refetches_total", "chunk_refetches_total"),
    ("thanos_blocks_meta_base_syncs_total", C, {}),
    ("thanos_blocks_meta_base_cache_busts_total", C, {}),
    ("thanos_blocks_meta_syncs_total", C, {}),
    ("thanos_blocks_meta_sync_failures_total", C, {}),
    ("thanos_blocks_meta_sync_duration_seconds", H, {}),
    ("thanos_blocks_meta_synced", G, {"state": STATES}),
    ("thanos_consistency_delay_seconds", G, {}),
    ("thanos_store_index_cache_requests_total", C,
     {"item_type": ["Postings", "Series"], **TENANT}),
    ("thanos_store_index_cache_hits_total", C,
     {"item_type": ["Postings", "Series"], **TENANT}),
    ("thanos_store_index_cache_items_added_total", C, {"item_type": []}),
    ("thanos_store_index_cache_items_evicted_total", C, {"item_type": []}),
    ("thanos_store_index_cache_items", G, {"item_type": []}),
    ("thanos_store_index_cache_items_size_bytes", G, {"item_type": []}),
    ("thanos_store_index_cache_total_size_bytes", G, {"item_type": []}),
    ("thanos_store_index_cache_max_size_bytes", G, {}),
]

# Metrics of Thanos that are not here: pattern of their names, and why.
NO_STOREAPI = "belongs to the StoreAPI, which is not there yet"
NOT_BOTH = [
    (r"grpc_.*", NO_STOREAPI),
    (r"thanos_store_server_(series|chunks)_requested", NO_STOREAPI),
    (r"thanos_store_server_pending_series_requests", NO_STOREAPI),
]
NOT_SIDECAR = [
    (r"prometheus_store_received_frames", NO_STOREAPI),
    (r"thanos_store_selects_dropped_total", NO_STOREAPI),
]
NOT_STORE = [
    (r"thanos_bucket_store_empty_postings_total",
     "a query without postings reads nothing, and is none that is counted apart"),
    (r"thanos_bucket_store_cached_postings_.*", "postings are cached as they are stored"),
    (r"thanos_bucket_store_lazy_expanded_.*",
     "postings that cost more than they save are always left out; what is read is in "
     "series_data_touched"),
    (r"thanos_bucket_store_indexheader_(lazy_.*|load_duration_seconds)",
     "a header is neither loaded nor unloaded: its pages come and go one by one"),
    (r'thanos_blocks_meta_synced\{state="(marked-for-no-compact|parquet-migrated)"\}',
     "neither makes a difference here"),
    (r"thanos_blocks_meta_modified", "no meta is modified: replica labels are left out of "
     "answers, not of metas"),
    (r"thanos_store_index_cache_items_overflowed_total",
     "what is too large for the cache is left out and not counted"),
    (r"thanos_store_index_cache_max_item_size_bytes", "follows from the size of the cache"),
    (r"thanos_store_index_cache_(stored_data_size_bytes|fetch_duration_seconds)",
     "one lookup is far below a microsecond"),
    (r"thanos_store_bucket_cache_.*", "one cache is under all reads, "
     "blockhouse_store_range_cache_*"),
    (r"thanos_cache_.*", "there are no remote caches yet"),
    (r"thanos_memcached_.*", "there are no remote caches yet"),
    (r"thanos_redis_.*", "there are no remote caches yet"),
    (r"thanos_matchers_cache_.*", "matchers are compiled once per query, and not cached"),
]

SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parse(text):
    """({family: type}, {sample name: [(labels, value)]})"""
    types, samples = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split()
            types[family] = kind
        elif line and not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            pair = (dict(LABEL.findall(labels or "")), float(value))
            samples.setdefault(name, []).append(pair)
    return types, samples


def check_family(row, types, samples):
    name, kind, labels = row
    assert name in types, f"{name} is missing"
    assert kind in (ANY, types[name]), f"{name} is a {types[name]}, not a {kind}"
    found = samples.get(name + "_count" if types[name] == H else name, [])
    assert found, f"{name} has no samples"
    for has, value in found:
        assert set(has) == set(labels), f"{name} has the labels {set(has)}, not {set(labels)}"
        shown = name + "{" + ",".join(f'{key}="{one}"' for key, one in has.items()) + "}"
        assert value == 0 or MOVED.match(shown), f"{shown} is {value} at the start"
    for label, values in labels.items():
        missing = set(values) - {has[label] for has, _ in found}
        assert not missing, f"{name}: no {label} is {missing}"


def check(program, daemon, wanted, absent, *flags):
    ready = {"sidecar": "/-/healthy", "store": "/-/ready"}[daemon]
    with tempfile.TemporaryDirectory() as directory:
        bucket = os.path.join(directory, "bucket")
        os.makedirs(bucket)
        with Daemon(program, "--http-address=127.0.0.1:{port}",
                    f"--objstore.config={dir_bucket(bucket)}",
                    *(flag.format(directory) for flag in flags), ready=ready) as process:
            wait_until("the start", lambda: "msg=started" in process.log_text())
            types, samples = parse(process.request("GET", "/metrics").text)
    for row in wanted:
        check_family(row, types, samples)
    for pattern, _ in absent:
        there = [name for name in types if re.fullmatch(pattern, name)]
        assert not there, f"{there}: the list says that they are not there"
    known = [name for name, *_ in wanted]
    assert len(set(known)) == len(known)
    strange = {name for name in types if not name.startswith("blockhouse_")} - set(known)
    assert not strange, f"{daemon}: not metrics of Thanos: {strange}"
    print(f"  {daemon}: {len(wanted)} families as in Thanos, not there:")
    for pattern, reason in absent:
        print(f"    {pattern}: {reason}")


def main():
    check(os.path.join(sys.argv[1], "blockhouse-sidecar"), "sidecar", BOTH + SIDECAR,
          NOT_BOTH + NOT_SIDECAR, "--tsdb.path={}/data")
    check(os.path.join(sys.argv[1], "blockhouse-store"), "store", BOTH + STORE,
          NOT_BOTH + NOT_STORE, "--data-dir={}/data")


if __name__ == "__main__":
    main()
