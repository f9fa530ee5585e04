/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/heartbeat.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"

/* Prometheus needs seconds to start; until then one beat per interval is too rare. */
#define EAGER_INTERVAL_NS (2 * CLOCK_NS_PER_S)

struct sidecar_heartbeat {
    struct sidecar_heartbeat_options options;
    pthread_t thread;
    struct cancel stop;
    struct metrics_value *up;
    struct metrics_value *overdue;
    /* owned by the thread */
    int64_t overdue_at_ns;
    const char *last_reason; /* of not being ready; NULL while ready */
    bool was_ready;
    struct mutex lock;
    struct cond stopped;
    /* guarded by lock */
    struct sidecar_ext_labels labels;
    bool stopping;
};

static void
register_metrics(struct sidecar_heartbeat *h)
{
    struct metrics_registry *r = h->options.metrics;
    h->up = metrics_gauge(r, "thanos_sidecar_prometheus_up",
                          "1 while Prometheus answers with its external labels.");
    h->overdue = metrics_gauge(r, "blockhouse_sidecar_ready_timeout_exceeded",
                               "1 once no external labels were known within "
                               "--prometheus.ready_timeout, until they are.");
}

/* Take over a new set; returns whether it differs from the last one. */
static bool
publish(struct sidecar_heartbeat *h, struct sidecar_ext_labels *labels)
{
    MUTEX_SCOPE(&h->lock);
    bool changed = tsdb_labels_cmp(h->labels.set, labels->set) != 0;
    if (changed) {
        struct sidecar_ext_labels old = h->labels;
        h->labels = *labels;
        *labels = old;
    }
    return changed;
}

static void
announce(const struct sidecar_heartbeat *h, struct tsdb_labels set)
{
    CLEANUP(buf_fini) struct buf text = {0};
    tsdb_labels_print(set, &text);
    LOG_INFO("loaded external labels", LOG_BYTES("labels", buf_bytes(&text)));
    h->options.changed(h->options.changed_arg);
}

/* A reason is logged when it is new; once the wait for the first labels is overdue,
 * at every beat and as an error. */
static void
report_not_ready(struct sidecar_heartbeat *h, const char *reason, const char *detail)
{
    bool overdue = !h->was_ready && clock_mono_ns() >= h->overdue_at_ns;
    metrics_set(h->overdue, overdue);
    enum log_level level = overdue                    ? LOG_LEVEL_ERROR
                           : reason != h->last_reason ? LOG_LEVEL_WARN
                                                      : LOG_LEVEL_DEBUG;
    LOG_AT(level, "no external labels from prometheus", LOG_STR("reason", reason),
           LOG_STR("err", detail));
    h->last_reason = reason;
    app_admin_set_ready(h->options.admin, false, reason);
}

static void
report_ready(struct sidecar_heartbeat *h)
{
    h->was_ready = true;
    h->last_reason = NULL;
    metrics_set(h->overdue, 0);
    app_admin_set_ready(h->options.admin, true, "");
}

static void
beat(struct sidecar_heartbeat *h)
{
    struct err err = {0};
    CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels labels = {0};
    enum sidecar_prom_state state = sidecar_prom_client_labels(
        h->options.client, clock_deadline(h->options.timeout_ns), &h->stop, &labels,
        &err);
    if (cancel_is_raised(&h->stop))
        return;
    metrics_set(h->up, state == SIDECAR_PROM_UP);
    if (state != SIDECAR_PROM_UP) {
        report_not_ready(h, sidecar_prom_state_text(state), err.text);
        return;
    }
    CLEANUP(sidecar_ext_labels_fini)
    struct sidecar_ext_labels told = sidecar_ext_labels_copy(labels.set);
    bool changed = publish(h, &labels);
    if (told.set.len == 0) {
        report_not_ready(h, "prometheus has no external labels",
                         "set global.external_labels: blocks without labels are not "
                         "shipped");
        return;
    }
    if (changed)
        announce(h, told.set);
    report_ready(h);
}

static int64_t
pause_ns(const struct sidecar_heartbeat *h)
{
    bool eager = !h->was_ready && clock_mono_ns() < h->overdue_at_ns;
    return eager ? NUM_MIN(EAGER_INTERVAL_NS, h->options.interval_ns)
                 : h->options.interval_ns;
}

static bool
wait_for_next(struct sidecar_heartbeat *h)
{
    int64_t deadline_ns = clock_deadline(pause_ns(h));
    MUTEX_SCOPE(&h->lock);
    while (!h->stopping)
        if (!cond_wait_until(&h->stopped, &h->lock, deadline_ns))
            break;
    return !h->stopping;
}

static void *
run(void *arg)
{
    struct sidecar_heartbeat *h = arg;
    do
        beat(h);
    while (wait_for_next(h));
    return NULL;
}

static void
release(struct sidecar_heartbeat *h)
{
    sidecar_ext_labels_fini(&h->labels);
    cancel_fini(&h->stop);
    cond_fini(&h->stopped);
    mutex_fini(&h->lock);
    free(h);
}

bool
sidecar_heartbeat_start(struct sidecar_heartbeat **out,
                        const struct sidecar_heartbeat_options *options,
                        struct err *err)
{
    struct sidecar_heartbeat *h = xcalloc(1, sizeof *h);
    h->options = *options;
    h->overdue_at_ns = options->ready_timeout_ns == 0
                           ? CLOCK_NEVER
                           : clock_deadline(options->ready_timeout_ns);
    mutex_init(&h->lock, LOCK_LABELS);
    cond_init(&h->stopped);
    register_metrics(h);
    if (!thread_start(&h->thread, "heartbeat", run, h, err)) {
        release(h);
        return false;
    }
    *out = h;
    return true;
}

struct sidecar_ext_labels
sidecar_heartbeat_labels(struct sidecar_heartbeat *h)
{
    MUTEX_SCOPE(&h->lock);
    return sidecar_ext_labels_copy(h->labels.set);
}

void
sidecar_heartbeat_stop(struct sidecar_heartbeat **out)
{
    struct sidecar_heartbeat *h = TAKE(*out);
    if (h == NULL)
        return;
    cancel_raise(&h->stop);
    {
        MUTEX_SCOPE(&h->lock);
        h->stopping = true;
        cond_signal(&h->stopped);
    }
    pthread_join(h->thread, NULL);
    release(h);
}
