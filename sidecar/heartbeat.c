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
#include "sidecar/reminder.h"

/* Prometheus needs seconds to start; until then one beat per interval is too rare. */
#define EAGER_INTERVAL_NS (2 * CLOCK_NS_PER_S)

struct sidecar_heartbeat {
    struct sidecar_heartbeat_options options;
    pthread_t thread;
    struct cancel stop;
    struct sidecar_flags_check *flags_check; /* NULL: flags do not matter */
    struct metrics_value *up;
    struct metrics_value *overdue;
    struct metrics_value *not_ready[SIDECAR_PROM_STATES]; /* NULL for up */
    /* owned by the thread */
    int64_t overdue_at_ns; /* since when no labels is an error */
    bool has_labels;
    struct sidecar_reminder reminder;
    struct mutex lock;
    struct cond stopped;
    /* guarded by lock */
    enum sidecar_labels_state state;
    struct sidecar_ext_labels labels; /* empty unless known */
    bool stopping;
};

static int64_t
overdue_at(const struct sidecar_heartbeat_options *o)
{
    return o->ready_timeout_ns == 0 ? CLOCK_NEVER : clock_deadline(o->ready_timeout_ns);
}

static void
register_metrics(struct sidecar_heartbeat *h)
{
    static const char *const names[] = {"reason", NULL};
    struct metrics_registry *r = h->options.metrics;
    h->up = metrics_gauge(r, "thanos_sidecar_prometheus_up",
                          "1 while Prometheus answers with its configuration.");
    h->overdue = metrics_gauge(r, "blockhouse_sidecar_ready_timeout_exceeded",
                               "1 once no external labels were known for "
                               "--prometheus.ready_timeout, until they are.");
    struct metrics_family *f = metrics_family_new(
        r, METRICS_GAUGE, "blockhouse_sidecar_prometheus_not_ready",
        "1 for the reason why the sidecar has no current labels, if it has none.",
        names);
    for (int s = SIDECAR_PROM_UP + 1; s < SIDECAR_PROM_STATES; s++) {
        const char *name = sidecar_prom_state_name((enum sidecar_prom_state)s);
        h->not_ready[s] = metrics_child(f, (const char *const[]){name, NULL});
    }
}

static void
report_state(struct sidecar_heartbeat *h, enum sidecar_prom_state state)
{
    metrics_set(h->up, state == SIDECAR_PROM_UP || state == SIDECAR_PROM_UNLABELED);
    for (int s = SIDECAR_PROM_UP + 1; s < SIDECAR_PROM_STATES; s++)
        metrics_set(h->not_ready[s], s == (int)state);
    bool ready = state == SIDECAR_PROM_UP;
    app_admin_set_ready(h->options.admin, ready,
                        ready ? "" : sidecar_prom_state_text(state));
}

/* Put a set in the place of the last one, which *labels then is. */
static void
publish(struct sidecar_heartbeat *h, enum sidecar_labels_state state,
        struct sidecar_ext_labels *labels)
{
    MUTEX_SCOPE(&h->lock);
    struct sidecar_ext_labels old = h->labels;
    h->labels = *labels;
    h->state = state;
    *labels = old;
}

static void
log_change(struct tsdb_labels now, struct tsdb_labels before)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(buf_fini) struct buf was = {0};
    tsdb_labels_print(now, &text);
    tsdb_labels_print(before, &was);
    if (before.len == 0)
        LOG_INFO("loaded external labels", LOG_BYTES("labels", buf_bytes(&text)));
    else if (now.len > 0)
        LOG_WARN("external labels changed", LOG_BYTES("labels", buf_bytes(&text)),
                 LOG_BYTES("was", buf_bytes(&was)));
    else
        LOG_WARN("external labels are gone", LOG_BYTES("was", buf_bytes(&was)));
}

/* Take over what Prometheus answered, which may be no labels. */
static void
take_over(struct sidecar_heartbeat *h, struct sidecar_ext_labels *labels)
{
    CLEANUP(sidecar_ext_labels_fini)
    struct sidecar_ext_labels now = sidecar_ext_labels_copy(labels->set);
    bool had_labels = h->has_labels;
    h->has_labels = now.set.len > 0;
    publish(h, h->has_labels ? SIDECAR_LABELS_KNOWN : SIDECAR_LABELS_NONE, labels);
    if (had_labels && !h->has_labels)
        h->overdue_at_ns = overdue_at(&h->options);
    if (tsdb_labels_cmp(now.set, labels->set) == 0)
        return;
    log_change(now.set, labels->set);
    h->options.changed(h->options.changed_arg);
}

/* A trouble is an error once there have been no labels for long; with labels, uploads
 * go on whatever it is. */
static void
report_trouble(struct sidecar_heartbeat *h, enum sidecar_prom_state state,
               const struct err *err)
{
    bool overdue = !h->has_labels && clock_left_ns(h->overdue_at_ns) == 0;
    bool was_overdue = metrics_get(h->overdue) != 0;
    metrics_set(h->overdue, overdue);
    enum log_level level = overdue ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN;
    if (sidecar_reminder_is_due(&h->reminder, (int)state) || overdue != was_overdue)
        LOG_AT(level, "no external labels from prometheus",
               LOG_STR("reason", sidecar_prom_state_text(state)), LOG_ERR(err));
}

static void
check_flags(struct sidecar_heartbeat *h, int64_t deadline_ns)
{
    if (h->flags_check != NULL)
        sidecar_flags_check_run(h->flags_check, h->options.client, deadline_ns,
                                &h->stop);
}

static void
beat(struct sidecar_heartbeat *h)
{
    struct err err = {0};
    CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels labels = {0};
    int64_t deadline_ns = clock_deadline(h->options.timeout_ns);
    enum sidecar_prom_state state = sidecar_prom_client_labels(
        h->options.client, deadline_ns, &h->stop, &labels, &err);
    bool answered = state == SIDECAR_PROM_UP || state == SIDECAR_PROM_UNLABELED;
    if (cancel_is_raised(&h->stop))
        return;
    if (answered)
        take_over(h, &labels);
    if (state != SIDECAR_PROM_UP) {
        report_trouble(h, state, &err);
    } else {
        h->reminder = (struct sidecar_reminder){0};
        metrics_set(h->overdue, 0);
    }
    report_state(h, state);
    if (answered)
        check_flags(h, deadline_ns);
}

static int64_t
pause_ns(const struct sidecar_heartbeat *h)
{
    bool eager = !h->has_labels && clock_left_ns(h->overdue_at_ns) > 0;
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
    sidecar_flags_check_free(&h->flags_check);
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
    h->overdue_at_ns = overdue_at(options);
    mutex_init(&h->lock, LOCK_LABELS);
    cond_init(&h->stopped);
    register_metrics(h);
    if (options->wanted_flags != NULL)
        h->flags_check =
            sidecar_flags_check_new(options->wanted_flags, options->metrics);
    if (!thread_start(&h->thread, "heartbeat", run, h, err)) {
        release(h);
        return false;
    }
    *out = h;
    return true;
}

enum sidecar_labels_state
sidecar_heartbeat_labels(struct sidecar_heartbeat *h, struct sidecar_ext_labels *out)
{
    MUTEX_SCOPE(&h->lock);
    *out = sidecar_ext_labels_copy(h->labels.set);
    return h->state;
}

struct sidecar_prom_flags_verdict
sidecar_heartbeat_flags(struct sidecar_heartbeat *h)
{
    if (h->flags_check == NULL)
        return (struct sidecar_prom_flags_verdict){.level = LOG_LEVEL_INFO};
    return sidecar_flags_check_verdict(h->flags_check);
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
