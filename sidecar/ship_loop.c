/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/ship_loop.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"

struct sidecar_ship_loop {
    struct cancel stop;
    struct sidecar_watch *watch;
    struct sidecar_block_table *table;
    struct sidecar_ship_work *work;
    struct sidecar_shipper *shipper; /* owned by its thread while it runs */
    pthread_t *threads;              /* of the shipper, then of the workers */
    size_t started;
};

static void *
run_shipper(void *arg)
{
    struct sidecar_ship_loop *l = arg;
    while (!cancel_is_raised(&l->stop)) {
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

void
sidecar_ship_loop_stop(struct sidecar_ship_loop **out)
{
    struct sidecar_ship_loop *l = TAKE(*out);
    if (l == NULL)
        return;
    cancel_raise(&l->stop);
    sidecar_block_table_stop(l->table);
    sidecar_watch_wake(l->watch);
    for (size_t i = 0; i < l->started; i++)
        pthread_join(l->threads[i], NULL);
    sidecar_shipper_free(&l->shipper);
    sidecar_ship_work_free(&l->work);
    cancel_fini(&l->stop);
    free(l->threads);
    free(l);
}
