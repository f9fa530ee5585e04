/* SPDX-License-Identifier: Apache-2.0 */
/* blockhouse-store: what it consists of, in the order of its start. */
#include <unistd.h>

#include "common/app/admin.h"
#include "common/app/bucket.h"
#include "common/app/http_door.h"
#include "common/app/lifecycle.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/num.h"
#include "store/api_labels.h"
#include "store/api_sync.h"
#include "store/cache_config.h"
#include "store/data_dir.h"
#include "store/disk_metrics.h"
#include "store/memory.h"
#include "store/options.h"
#include "store/range_cache_metrics.h"
#include "store/relabel.h"
#include "store/status.h"

enum {
    FETCH_THREADS = 32,
    /* Threads for probes beside as many queries as run and wait in both lanes. */
    SPARE_CONNECTIONS = 64,
    CONNECTIONS_PER_SLOT = 10,
    UNGATED_CONNECTIONS = 512,
    BUILDS_PER_CPU = 2 /* of index headers, while their bucket is no bottleneck */
};

struct store {
    struct store_options options;
    int data_dir_lock; /* -1: none */
    struct metrics_registry *metrics;
    struct store_memory memory;
    struct app_admin *admin;
    struct objstore_bucket *bucket;
    struct store_block_headers *headers;
    struct store_block_view view;
    struct pool *fetch_pool;
    struct store_range_cache *ranges;
    struct store_range_flights *flights;
    struct store_range_cache_metrics range_metrics;
    struct store_disk_usage disk_usage;
    struct store_disk_cache *disk;
    struct store_disk_metrics disk_metrics;
    struct store_api_read *read;
    struct store_status status;
    struct net_http_route routes[APP_ADMIN_ROUTES + APP_INFO_ROUTES +
                                 STORE_API_LABELS_ROUTES + STORE_STATUS_ROUTES + 2];
    struct app_http_door door;
    struct store_relabel *selector;
    struct store_block_sync *sync;
};

static void
make_shared(struct store *s)
{
    s->metrics = metrics_registry_new();
    store_memory_init(&s->memory, s->options.memory_limit_bytes, s->metrics);
    s->admin = app_admin_new("store", s->metrics);
    store_block_view_init(&s->view);
}

static bool
open_bucket(struct store *s, struct err *err)
{
    const struct app_bucket_options options = {
        .config = s->options.objstore_config,
        .config_file = s->options.objstore_config_file,
        .component = "store",
        .metrics = s->metrics,
    };
    if (!app_bucket_open(&s->bucket, &options, err))
        return false;
    LOG_INFO("serves bucket", LOG_STR("bucket", objstore_name(s->bucket)),
             LOG_INT("memory_limit_bytes", s->options.memory_limit_bytes));
    return true;
}

static bool
make_sync(struct store *s, struct err *err)
{
    const struct store_block_sync_options options = {
        .bucket = s->bucket,
        .headers = s->headers,
        .view = &s->view,
        .metrics = s->metrics,
        .admin = s->admin,
        .data_dir = s->options.data_dir,
        .interval_ns = s->options.sync_block_duration_ns,
        .meta_concurrency = (unsigned)s->options.block_meta_fetch_concurrency,
        .mint = s->options.mint,
        .maxt = s->options.maxt,
        .selector = s->selector,
        .consistency_delay_ms = s->options.consistency_delay_ns / CLOCK_NS_PER_MS,
        .deletion_delay_ms =
            s->options.ignore_deletion_marks_delay_ns / CLOCK_NS_PER_MS,
        .max_resolution_ms = s->options.max_resolution_ns / CLOCK_NS_PER_MS,
    };
    return store_block_sync_new(&s->sync, &options, err);
}

static bool
start_disk(struct store *s, struct err *err)
{
    const char *data_dir = s->options.data_dir;
    if (!store_data_dir_lock(data_dir, &s->data_dir_lock, err))
        return false;
    store_disk_usage_init(&s->disk_usage, data_dir, s->options.disk_limit_bytes);
    if (s->options.disk_cache && !objstore_can(s->bucket, OBJSTORE_IS_LOCAL) &&
        !store_disk_cache_new(&s->disk,
                              &(struct store_disk_cache_options){
                                  .data_dir = data_dir,
                                  .bucket = bytes_of_str(objstore_name(s->bucket)),
                                  .budget = &s->memory.budget,
                                  .index_limit = s->memory.disk_index_limit,
                                  .usage = &s->disk_usage,
                              },
                              err))
        return false;
    store_disk_metrics_init(&s->disk_metrics, &s->disk_usage, s->disk, s->metrics);
    return true;
}

static bool
start_read(struct store *s, struct err *err)
{
    if (!pool_new(&s->fetch_pool, "fetch", FETCH_THREADS, err))
        return false;
    /* Files of this machine are in the kernel's cache already. */
    if (!objstore_can(s->bucket, OBJSTORE_IS_LOCAL)) {
        size_t limit =
            NUM_MIN(s->options.index_cache_size_bytes, s->memory.ranges_limit);
        s->ranges = store_range_cache_new(limit, &s->memory.budget);
        store_memory_add_ranges(&s->memory, s->ranges);
        s->flights = store_range_flights_new();
    }
    store_range_cache_metrics_init(&s->range_metrics, s->ranges, s->metrics);
    s->read = store_api_read_new(&(struct store_api_read_options){
        .view = &s->view,
        .bucket = s->bucket,
        .sync = s->sync,
        .fetch_pool = s->fetch_pool,
        .cache = s->ranges,
        .flights = s->flights,
        .disk = s->disk,
        .budget = &s->memory.budget,
        .arbiter = &s->memory.arbiter,
        .keep = &s->memory.keep,
        .metrics = s->metrics,
        .replica_labels = &s->options.dropped,
        .query_memory_limit = s->options.query_memory_limit_bytes,
        .lookahead_bytes = s->options.lookahead_bytes,
        .query_timeout_ns = s->options.query_timeout_ns,
        .queue_timeout_ns = s->options.queue_timeout_ns,
        .max_series = (uint64_t)s->options.limit_request_series,
        .max_samples = (uint64_t)s->options.limit_request_samples,
        .max_bytes = s->options.limit_downloaded_bytes,
        .skip_bad_blocks = s->options.skip_bad_blocks,
        .encodings = s->options.encodings,
        .max_sampled = (uint64_t)s->options.read_max_samples,
        .concurrency = (unsigned)s->options.series_max_concurrency,
    });
    return true;
}

static bool
start_status(struct store *s, struct err *err)
{
    s->status = (struct store_status){
        .admin = s->admin,
        .bucket = s->bucket,
        .view = &s->view,
        .sync = s->sync,
        .read = s->read,
        .budget = &s->memory.budget,
        .arbiter = &s->memory.arbiter,
        .keep = &s->memory.keep,
        .pages = s->memory.pages,
        .ranges = s->ranges,
        .disk_usage = &s->disk_usage,
        .disk = s->disk,
    };
    return store_status_configure(&s->status, &s->options, err);
}

static bool
start_http(struct store *s, struct err *err)
{
    const struct store_options *o = &s->options;
    const struct app_http_door_flags flags = {
        o->http_address, o->http_config, o->request_logging, o->request_logging_file};
    unsigned slots = (unsigned)o->series_max_concurrency;
    size_t count = app_admin_routes(s->admin, s->routes);
    count += store_api_labels_routes(s->read, s->routes + count);
    count += store_status_routes(&s->status, s->routes + count);
    s->routes[count++] = store_api_sync_route(s->sync);
    s->routes[count++] = (struct net_http_route){
        .method = "POST",
        .path = "/api/v1/read",
        .name = "read",
        .handler = store_api_read_handle,
        .arg = s->read,
        .max_body = STORE_API_READ_MAX_BODY,
    };
    const struct net_http_server_options options = {
        .routes = s->routes,
        .route_count = count,
        .budget = &s->memory.budget,
        .metrics = s->metrics,
        .max_connections = slots == 0
                               ? UNGATED_CONNECTIONS
                               : slots * CONNECTIONS_PER_SLOT + SPARE_CONNECTIONS,
    };
    return app_http_door_open(&s->door, &flags, &options, err);
}

static bool
read_selector(struct store *s, struct err *err)
{
    const struct store_options *o = &s->options;
    struct yaml *rules = NULL;
    if (!app_flags_yaml("selector.relabel-config", o->relabel_config,
                        o->relabel_config_file, &rules, err))
        return false;
    return store_relabel_new(&s->selector, &rules, err) ||
           app_flags_content_fail("selector.relabel-config", o->relabel_config_file,
                                  err);
}

/* Building keeps a CPU busy, unless it waits for the bucket; and takes memory. */
static unsigned
header_threads(const struct store *s)
{
    unsigned most = (unsigned)s->options.block_sync_concurrency;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return objstore_can(s->bucket, OBJSTORE_IS_LOCAL)
               ? NUM_MIN(most, BUILDS_PER_CPU * (unsigned)NUM_MAX(cpus, 1L))
               : most;
}

static bool
start_headers(struct store *s, struct err *err)
{
    return store_block_headers_new(&s->headers,
                                   &(struct store_block_headers_options){
                                       .bucket = s->bucket,
                                       .cache = s->memory.pages,
                                       .metrics = s->metrics,
                                       .data_dir = s->options.data_dir,
                                       .usage = &s->disk_usage,
                                       .threads = header_threads(s),
                                       .is_lazy = s->options.has_lazy_headers,
                                   },
                                   err);
}

/* In reverse order of the start; takes a store that started in part. Requests are
 * answered while balancers notice that the store is not ready; then what runs comes to
 * its end. */
static void
stop(struct store *s)
{
    int64_t ended_by_ns = clock_deadline(s->options.shutdown_deadline_ns);
    int64_t unready_until_ns = clock_deadline(
        NUM_MIN(s->options.http_unready_delay_ns, s->options.shutdown_deadline_ns / 2));
    app_lifecycle_end_within(s->options.shutdown_deadline_ns);
    app_admin_set_ready(s->admin, false, "stopping");
    if (s->door.server != NULL)
        net_http_server_close_connections(s->door.server);
    store_block_sync_stop(s->sync);
    if (s->door.server != NULL)
        app_lifecycle_pause(unready_until_ns);
    int64_t drained_by_ns = clock_deadline(s->options.http_grace_period_ns);
    app_http_door_close(&s->door, NUM_MIN(drained_by_ns, ended_by_ns));
    store_api_read_free(&s->read);
    store_block_sync_free(&s->sync);
    store_block_headers_free(&s->headers);
    pool_free(&s->fetch_pool);
    store_range_flights_free(&s->flights);
    store_range_cache_free(&s->ranges);
    store_disk_cache_free(&s->disk);
    store_block_view_fini(&s->view);
    store_relabel_free(&s->selector);
    objstore_free(&s->bucket);
    app_admin_free(&s->admin);
    metrics_registry_free(&s->metrics);
    store_memory_fini(&s->memory);
    store_options_fini(&s->options);
    file_close(&s->data_dir_lock);
}

int
main(int argc, char **argv)
{
    static struct store s = {.data_dir_lock = -1};
    struct err err = {0};
    app_lifecycle_begin();
    enum app_flags_result parsed = store_options_parse(&s.options, argc, argv, &err);
    if (parsed == APP_FLAGS_EXIT_OK)
        return APP_EXIT_OK;
    if (parsed == APP_FLAGS_USAGE)
        return app_lifecycle_report("blockhouse-store", &err, APP_EXIT_USAGE);
    if (s.options.debug_dumpable)
        app_lifecycle_allow_debugging();
    if (!app_lifecycle_log("store", s.options.debug_name, s.options.level,
                           s.options.format, &err))
        return app_lifecycle_report("blockhouse-store", &err, APP_EXIT_FAILED);
    app_flags_warn_inert(&s.options.inert);
    LOG_INFO(STORE_NOTE);
    make_shared(&s);
    bool started =
        read_selector(&s, &err) && store_cache_config_read(&s.options, &err) &&
        open_bucket(&s, &err) && start_disk(&s, &err) && start_headers(&s, &err) &&
        make_sync(&s, &err) && start_read(&s, &err) && start_status(&s, &err) &&
        start_http(&s, &err) && store_block_sync_start(s.sync, &err);
    if (started)
        app_lifecycle_wait();
    int status = started
                     ? app_lifecycle_status()
                     : app_lifecycle_report("blockhouse-store", &err, APP_EXIT_FAILED);
    stop(&s);
    return status;
}
