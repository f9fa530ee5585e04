/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/ship_loop.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "sidecar/block_pin.h"
#include "sidecar/flush.h"

struct sidecar_ship_loop {
    struct cancel stop;
    struct sidecar_watch *watch;
    struct sidecar_block_table *table;
    struct sidecar_ship_work *work;
    struct sidecar_shipper_options options;
    struct sidecar_shipper *shipper; /* owned by its thread while it runs */
    pthread_t *threads;              /* of the shipper, then of the workers */
    size_t started;
    size_t joined;
    atomic_bool ends; /* no further pass by the shipper's thread */
};

static void *
run_shipper(void *arg)
{
    struct sidecar_ship_loop *l = arg;
    while (!cancel_is_raised(&l->stop) && !atomic_load(&l->ends)) {
        sidecar_shipper_pass(l->shipper);
        sidecar_watch_wait(l->watch, sidecar_shipper_next_ns(l->shipper));
    }
    return NULL;
}

static void *
run_worker(void *arg)
{
    struct sidecar_ship_loop *l = arg;
    while (sidecar_ship_work_one(l->work, CLOCK_NEVER)) {
        sidecar_watch_wake(l->watch); /* what is shipped is to be recorded */
        malloc_trim(0);               /* the next job may be hours away */
    }
    return NULL;
}

static bool
start_threads(struct sidecar_ship_loop *l, unsigned workers, struct err *err)
{
    l->threads = xcalloc(workers + (size_t)1, sizeof *l->threads);
    if (!thread_start(&l->threads[0], "shipper", run_shipper, l, err))
        return false;
    for (l->started = 1; l->started <= workers; l->started++)
        if (!thread_start(&l->threads[l->started], "ship-worker", run_worker, l, err))
            return false;
    return true;
}

bool
sidecar_ship_loop_start(struct sidecar_ship_loop **out,
                        const struct sidecar_shipper_options *options,
                        const struct sidecar_ship_work_options *work,
                        struct sidecar_watch *w, struct err *err)
{
    struct sidecar_ship_loop *l = xcalloc(1, sizeof *l);
    struct sidecar_ship_work_options mine = *work;
    struct sidecar_shipper_options ours = *options;
    mine.cancel = &l->stop;
    ours.cancel = &l->stop;
    l->watch = w;
    l->options = ours;
    l->table = options->table;
    l->work = sidecar_ship_work_new(&mine);
    l->shipper = sidecar_shipper_new(&ours);
    if (!start_threads(l, mine.block_concurrency, err)) {
        sidecar_ship_loop_stop(&l);
        return false;
    }
    *out = l;
    return true;
}

/* From now on the caller's thread owns the shipper. */
static void
join_shipper(struct sidecar_ship_loop *l)
{
    atomic_store(&l->ends, true);
    sidecar_watch_wake(l->watch);
    pthread_join(l->threads[0], NULL);
    l->joined = 1;
}

static bool
pin_head(struct sidecar_ship_loop *l, struct sidecar_prom_client *client,
         int64_t deadline_ns, struct tsdb_ulid *id, bool *pinned, struct err *err)
{
    CLEANUP(sidecar_ext_labels_fini)
    struct sidecar_ext_labels labels = l->options.labels(l->options.labels_arg);
    const struct sidecar_flush flush = {
        .tsdb_path = l->options.tsdb_path,
        .pins = l->options.pins,
        .client = client,
        .labels = labels.set,
        .deadline_ns = deadline_ns,
        .cancel = &l->stop,
    };
    sidecar_shipper_pass(l->shipper);
    if (!sidecar_shipper_has_directory(l->shipper))
        return err_set(err, ERR_CONFLICT, "%s cannot be used", l->options.tsdb_path);
    if (sidecar_flush_pin_head(&flush, id, pinned, err))
        return true;
    if (err->code == ERR_UNAVAILABLE)
        err_wrap(err, "prometheus has to run until the sidecar has ended");
    return false;
}

/* It waits then, longer than the process lasts. */
static bool
has_failed(struct sidecar_ship_loop *l, const struct tsdb_ulid *id)
{
    CLEANUP(sidecar_block_rows_fini) struct sidecar_block_rows rows = {0};
    sidecar_block_table_copy(l->table, &rows);
    for (size_t i = 0; i < rows.count; i++)
        if (tsdb_ulid_cmp(&rows.at[i].block.id, id) == 0)
            return rows.at[i].code != ERR_NONE;
    return false;
}

static bool
ship_pin(struct sidecar_ship_loop *l, const struct tsdb_ulid *id, int64_t deadline_ns)
{
    for (;;) {
        sidecar_shipper_pass(l->shipper);
        if (!sidecar_block_is_pinned(l->options.pins, id))
            return true;
        if (has_failed(l, id) || clock_left_ns(deadline_ns) == 0)
            return false;
        sidecar_watch_wait(l->watch,
                           NUM_MIN(deadline_ns, sidecar_shipper_next_ns(l->shipper)));
    }
}

void
sidecar_ship_loop_flush(struct sidecar_ship_loop *l, struct sidecar_prom_client *client,
                        int64_t deadline_ns)
{
    struct err err;
    struct tsdb_ulid id;
    bool pinned;
    int64_t start_ns = clock_mono_ns();
    LOG_INFO("flush the head of prometheus");
    join_shipper(l);
    if (!pin_head(l, client, deadline_ns, &id, &pinned, &err)) {
        LOG_ERROR("head of prometheus is not flushed", LOG_ERR(&err),
                  LOG_STR("code", err_code_name(err.code)));
        return;
    }
    if (!pinned) {
        LOG_INFO("head of prometheus has no samples to flush");
        return;
    }
    bool is_shipped = ship_pin(l, &id, deadline_ns);
    LOG_AT(is_shipped ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
           is_shipped ? "flushed the head of prometheus"
                      : "head of prometheus is pinned, the next start ships it",
           LOG_STR("block", tsdb_ulid_print(&id).text),
           LOG_INT("dur_ms", (clock_mono_ns() - start_ns) / CLOCK_NS_PER_MS));
}

void
sidecar_ship_loop_stop(struct sidecar_ship_loop **out)
{
    struct sidecar_ship_loop *l = TAKE(*out);
    if (l == NULL)
        return;
    cancel_raise(&l->stop);
    sidecar_block_table_stop(l->table);
    sidecar_watch_wake(l->watch);
    for (size_t i = l->joined; i < l->started; i++)
        pthread_join(l->threads[i], NULL);
    sidecar_shipper_free(&l->shipper);
    sidecar_ship_work_free(&l->work);
    cancel_fini(&l->stop);
    free(l->threads);
    free(l);
}
