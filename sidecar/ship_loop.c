/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/ship_loop.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/base/pool.h"
#include "common/base/xmalloc.h"

struct sidecar_ship_loop {
    struct cancel stop;
    struct sidecar_watch *watch;
    pthread_t thread;
    struct sidecar_shipper *shipper; /* owned by the thread while it runs */
};

static void *
run(void *arg)
{
    struct sidecar_ship_loop *l = arg;
    while (!cancel_is_raised(&l->stop)) {
        sidecar_shipper_pass(l->shipper);
        sidecar_watch_wait(l->watch, sidecar_shipper_next_ns(l->shipper));
    }
    return NULL;
}

bool
sidecar_ship_loop_start(struct sidecar_ship_loop **out,
                        const struct sidecar_shipper_options *options,
                        struct sidecar_watch *w, struct err *err)
{
    struct sidecar_ship_loop *l = xcalloc(1, sizeof *l);
    struct sidecar_shipper_options mine = *options;
    mine.cancel = &l->stop;
    l->watch = w;
    l->shipper = sidecar_shipper_new(&mine);
    if (!thread_start(&l->thread, "shipper", run, l, err)) {
        sidecar_shipper_free(&l->shipper);
        free(l);
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
    sidecar_watch_wake(l->watch);
    pthread_join(l->thread, NULL);
    sidecar_shipper_free(&l->shipper);
    cancel_fini(&l->stop);
    free(l);
}
