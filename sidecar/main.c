/* SPDX-License-Identifier: Apache-2.0 */
/* blockhouse-sidecar: what it consists of, in the order of its start. */
#include <stdatomic.h>
#include <stdlib.h>

#include "common/app/admin.h"
#include "common/app/bucket.h"
#include "common/app/http_door.h"
#include "common/app/info.h"
#include "common/app/lifecycle.h"
#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/objstore/measured.h"
#include "sidecar/block_pin.h"
#include "sidecar/heartbeat.h"
#include "sidecar/options.h"
#include "sidecar/reloader.h"
#include "sidecar/ship_loop.h"
#include "sidecar/status.h"

/* Probes and scrapes have no bodies; this bounds what a stranger may send. */
enum { REQUEST_BUDGET_BYTES = 1024 * 1024 };

struct sidecar {
    struct sidecar_options options;
    struct budget budget;
    struct metrics_registry *metrics;
    struct app_admin *admin;
    struct sidecar_block_table *table;
    struct sidecar_shipper_metrics shipper_metrics;
    struct sidecar_status status;
    struct app_info info;
    struct objstore_bucket *bucket; /* NULL: nothing is shipped */
    struct net_http_route
        routes[APP_ADMIN_ROUTES + APP_INFO_ROUTES + SIDECAR_STATUS_ROUTES];
    struct app_http_door door;
    char *pins;
    struct sidecar_watch *watch;
    struct sidecar_prom_client *client;
    struct sidecar_heartbeat *heartbeat;
    struct sidecar_reloader *reloader;
    struct sidecar_ship_loop *ship_loop;
};

static void
make_shared(struct sidecar *s)
{
    budget_init(&s->budget, "requests", REQUEST_BUDGET_BYTES, NULL);
    s->metrics = metrics_registry_new();
    s->admin = app_admin_new("sidecar", s->metrics);
    s->table = sidecar_block_table_new();
    s->status = (struct sidecar_status){.table = s->table, .admin = s->admin};
}

static bool
read_prices(struct sidecar *s, struct err *err)
{
    return app_bucket_prices(&s->status.prices, s->options.request_prices,
                             s->options.request_prices_file, err);
}

static bool
start_http(struct sidecar *s, struct err *err)
{
    const struct sidecar_options *o = &s->options;
    const struct app_http_door_flags flags = {
        o->http_address, o->http_config, o->request_logging, o->request_logging_file};
    size_t count = app_admin_routes(s->admin, s->routes);
    s->info =
        (struct app_info){.table = sidecar_options_table(), .options = &s->options};
    count += app_info_routes(&s->info, s->routes + count);
    count += sidecar_status_routes(&s->status, s->routes + count);
    const struct net_http_server_options options = {
        .routes = s->routes,
        .route_count = count,
        .budget = &s->budget,
        .metrics = s->metrics,
    };
    return app_http_door_open(&s->door, &flags, &options, err);
}

static void
tell_of_no_bucket(const struct sidecar_options *o)
{
    if (*o->objstore_config_file != 0)
        LOG_WARN("file of the object-store configuration is empty: blocks are not "
                 "shipped",
                 LOG_STR("path", o->objstore_config_file));
    else
        LOG_INFO("no object storage is configured: blocks are not shipped");
    if (o->flush_on_shutdown)
        LOG_WARN("--shipper.flush-on-shutdown is without effect: there is no object "
                 "storage");
}

static bool
open_bucket(struct sidecar *s, struct err *err)
{
    const struct app_bucket_options options = {
        .config = s->options.objstore_config,
        .config_file = s->options.objstore_config_file,
        .component = "sidecar",
        .metrics = s->metrics,
        .is_optional = true,
    };
    if (!app_bucket_open(&s->bucket, &options, err))
        return false;
    if (s->bucket == NULL) {
        tell_of_no_bucket(&s->options);
        return true;
    }
    s->status.bucket = objstore_name(s->bucket);
    s->status.requests = objstore_measured_requests(s->bucket);
    if (objstore_can(s->bucket, OBJSTORE_IS_LOCAL))
        s->status.requests = NULL;
    LOG_INFO("ships to bucket", LOG_STR("bucket", s->status.bucket));
    return true;
}

static bool
open_client(struct sidecar *s, struct err *err)
{
    CLEANUP(xfree) char *yaml = NULL;
    if (!app_flags_content("prometheus.http-client", s->options.http_client,
                           s->options.http_client_file, &yaml, err))
        return false;
    bool ok = sidecar_prom_client_new(&s->client, s->options.prometheus_url,
                                      bytes_of_str(yaml), err);
    digest_cleanse(yaml, strlen(yaml));
    return ok || app_flags_content_fail("prometheus.http-client",
                                        s->options.http_client_file, err);
}

static void
wake_shipper(void *arg)
{
    sidecar_watch_wake(arg);
}

static bool
start_heartbeat(struct sidecar *s, struct err *err)
{
    const struct sidecar_prom_flags_wanted flags = {
        .tsdb_path = s->options.tsdb_path,
        .state_name = s->options.meta_file_name,
        .upload_compacted = s->options.upload_compacted,
        .ignore_unequal_blocks = s->options.ignore_unequal_block_size,
        .admin_api = s->options.flush_on_shutdown,
    };
    if (!sidecar_watch_open(&s->watch, s->options.tsdb_path, err))
        return false;
    const struct sidecar_heartbeat_options options = {
        .client = s->client,
        .admin = s->admin,
        .metrics = s->metrics,
        .interval_ns = s->options.get_config_interval_ns,
        .timeout_ns = s->options.get_config_timeout_ns,
        .ready_timeout_ns = s->options.ready_timeout_ns,
        .wanted_flags = s->bucket != NULL ? &flags : NULL,
        .changed = wake_shipper,
        .changed_arg = s->watch,
    };
    if (!sidecar_heartbeat_start(&s->heartbeat, &options, err))
        return false;
    atomic_store(&s->status.heartbeat, s->heartbeat);
    return true;
}

static struct sidecar_reloader_options
reloader_options(const struct sidecar *s)
{
    const struct sidecar_options *o = &s->options;
    return (struct sidecar_reloader_options){
        .config_file = o->reloader_config_file,
        .output_file = o->reloader_output_file,
        .rule_dirs = o->reloader_rule_dirs.at,
        .rule_dir_count = o->reloader_rule_dirs.count,
        .watch_interval_ns = o->reloader_watch_interval_ns,
        .retry_interval_ns = o->reloader_retry_interval_ns,
        .method = o->method,
        .process_name = o->reloader_process_name,
        .client = s->client,
        .metrics = s->metrics,
    };
}

static bool
start_reloader(struct sidecar *s, struct err *err)
{
    const struct sidecar_reloader_options options = reloader_options(s);
    return sidecar_reloader_start(&s->reloader, &options, err);
}

static bool
reloads_once(const struct sidecar *s)
{
    const struct sidecar_reloader_options options = reloader_options(s);
    return options.watch_interval_ns == 0 && sidecar_reloader_is_wanted(&options);
}

/* As an init container: nothing else is started. Returns the exit status. */
static int
reload_once(struct sidecar *s, struct err *err)
{
    const struct sidecar_reloader_options options = reloader_options(s);
    if (sidecar_reloader_once(&options, err))
        return APP_EXIT_OK;
    return app_lifecycle_report("blockhouse-sidecar", err, APP_EXIT_FAILED);
}

static struct sidecar_ext_labels
labels_now(void *arg)
{
    struct sidecar_ext_labels labels = {0};
    sidecar_heartbeat_labels(arg, &labels);
    return labels;
}

static bool
start_shipper(struct sidecar *s, struct err *err)
{
    if (s->bucket == NULL)
        return true;
    const struct sidecar_options *o = &s->options;
    s->pins = sidecar_block_pin_folder(o->tsdb_path);
    sidecar_shipper_metrics_init(&s->shipper_metrics, s->metrics, s->table);
    const struct sidecar_shipper_options options = {
        .tsdb_path = o->tsdb_path,
        .pins = s->pins,
        .state_name = o->meta_file_name,
        .upload_compacted = o->upload_compacted,
        .spool_limit_bytes = o->spool_limit_bytes,
        .table = s->table,
        .metrics = &s->shipper_metrics,
        .labels = labels_now,
        .labels_arg = s->heartbeat,
    };
    const struct sidecar_ship_work_options work = {
        .tsdb_path = o->tsdb_path,
        .pins = s->pins,
        .bucket = s->bucket,
        .table = s->table,
        .metrics = &s->shipper_metrics,
        .verify = o->verify_level,
        .hash_sha256 = o->hash_sha256,
        .allow_overlaps = o->allow_out_of_order_uploads,
        .block_concurrency = (unsigned)o->block_concurrency,
        .file_concurrency = (unsigned)o->upload_concurrency,
        .bandwidth_bytes_per_s = o->bandwidth_limit_bytes,
    };
    return sidecar_ship_loop_start(&s->ship_loop, &options, &work, s->watch, err);
}

/* As long as there is time for the rest of the stop. */
static void
flush(struct sidecar *s)
{
    int64_t deadline_ns = s->options.shutdown_deadline_ns;
    int64_t rest_ns = NUM_MIN(2 * CLOCK_NS_PER_S, deadline_ns / 5);
    if (s->options.flush_on_shutdown && s->ship_loop != NULL)
        sidecar_ship_loop_flush(s->ship_loop, s->client,
                                clock_deadline(deadline_ns - rest_ns));
}

/* In reverse order of the start; takes a sidecar that started in part. */
static void
stop(struct sidecar *s)
{
    app_lifecycle_end_within(s->options.shutdown_deadline_ns);
    int64_t drained_by_ns = clock_deadline(
        NUM_MIN(s->options.http_grace_period_ns, s->options.shutdown_deadline_ns));
    app_admin_set_ready(s->admin, false, "stopping");
    flush(s);
    sidecar_ship_loop_stop(&s->ship_loop);
    app_http_door_close(&s->door, drained_by_ns);
    sidecar_heartbeat_stop(&s->heartbeat);
    sidecar_reloader_stop(&s->reloader);
    sidecar_prom_client_free(&s->client);
    sidecar_watch_close(&s->watch);
    objstore_free(&s->bucket);
    sidecar_block_table_free(&s->table);
    free(s->pins);
    app_admin_free(&s->admin);
    metrics_registry_free(&s->metrics);
}

int
main(int argc, char **argv)
{
    static struct sidecar s;
    struct err err = {0};
    app_lifecycle_begin();
    enum app_flags_result parsed = sidecar_options_parse(&s.options, argc, argv, &err);
    if (parsed == APP_FLAGS_EXIT_OK)
        return APP_EXIT_OK;
    if (parsed == APP_FLAGS_USAGE)
        return app_lifecycle_report("blockhouse-sidecar", &err, APP_EXIT_USAGE);
    if (s.options.debug_dumpable)
        app_lifecycle_allow_debugging();
    if (!app_lifecycle_log("sidecar", s.options.debug_name, s.options.level,
                           s.options.format, &err))
        return app_lifecycle_report("blockhouse-sidecar", &err, APP_EXIT_FAILED);
    app_flags_warn_inert(&s.options.inert);
    LOG_INFO(SIDECAR_NOTE);
    if (reloads_once(&s))
        return reload_once(&s, &err);
    make_shared(&s);
    bool started = read_prices(&s, &err) && open_bucket(&s, &err) &&
                   start_http(&s, &err) && open_client(&s, &err) &&
                   start_reloader(&s, &err) && start_heartbeat(&s, &err) &&
                   start_shipper(&s, &err);
    if (started)
        app_lifecycle_wait();
    int status =
        started ? app_lifecycle_status()
                : app_lifecycle_report("blockhouse-sidecar", &err, APP_EXIT_FAILED);
    stop(&s);
    return status;
}
