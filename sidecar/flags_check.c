/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/flags_check.h"

#include <stdlib.h>

#include "common/base/mutex.h"
#include "common/base/xmalloc.h"
#include "sidecar/reminder.h"

struct sidecar_flags_check {
    struct sidecar_prom_flags_wanted wanted;
    struct metrics_value *unsuitable[SIDECAR_PROM_FLAGS_VERDICTS]; /* NULL: it is not */
    /* owned by the thread that runs the check */
    struct sidecar_reminder reminder;
    struct sidecar_reminder failure;
    struct mutex lock;
    /* guarded by lock */
    struct sidecar_prom_flags_verdict verdict;
};

struct sidecar_flags_check *
sidecar_flags_check_new(const struct sidecar_prom_flags_wanted *wanted,
                        struct metrics_registry *metrics)
{
    static const char *const names[] = {"reason", NULL};
    static const char *const reasons[SIDECAR_PROM_FLAGS_VERDICTS] = {
        [SIDECAR_PROM_FLAGS_UNUSUAL_BLOCKS] = "unusual_block_duration",
        [SIDECAR_PROM_FLAGS_UNEQUAL_BLOCKS] = "unequal_block_durations",
        [SIDECAR_PROM_FLAGS_OTHER_DELAY_FILE] = "other_delay_compact_file",
        [SIDECAR_PROM_FLAGS_NO_ADMIN_API] = "no_admin_api",
    };
    struct sidecar_flags_check *k = xcalloc(1, sizeof *k);
    struct metrics_family *family = metrics_family_new(
        metrics, METRICS_GAUGE, "blockhouse_sidecar_prometheus_flags_unsuitable",
        "1 while the flags of Prometheus do not go with shipping, by reason.", names);
    for (size_t i = 0; i < SIDECAR_PROM_FLAGS_VERDICTS; i++)
        if (reasons[i] != NULL)
            k->unsuitable[i] =
                metrics_child(family, (const char *const[]){reasons[i], NULL});
    k->wanted = *wanted;
    mutex_init(&k->lock, LOCK_PROM_FLAGS);
    return k;
}

void
sidecar_flags_check_free(struct sidecar_flags_check **out)
{
    struct sidecar_flags_check *k = TAKE(*out);
    if (k == NULL)
        return;
    mutex_fini(&k->lock);
    free(k);
}

/* Returns whether it is another one. */
static bool
publish(struct sidecar_flags_check *k, const struct sidecar_prom_flags_verdict *v)
{
    MUTEX_SCOPE(&k->lock);
    bool changed = strcmp(k->verdict.text, v->text) != 0;
    k->verdict = *v;
    return changed;
}

static void
report(struct sidecar_flags_check *k, const struct sidecar_prom_flags_verdict *v)
{
    bool changed = publish(k, v);
    for (size_t i = 0; i < SIDECAR_PROM_FLAGS_VERDICTS; i++)
        if (k->unsuitable[i] != NULL)
            metrics_set(k->unsuitable[i], i == v->kind);
    if (v->level != LOG_LEVEL_ERROR)
        k->reminder = (struct sidecar_reminder){0};
    bool remind = v->level == LOG_LEVEL_ERROR &&
                  sidecar_reminder_is_due(&k->reminder, (int)v->kind);
    if (changed || remind)
        LOG_AT(v->level, "checked flags of prometheus", LOG_STR("verdict", v->text));
}

void
sidecar_flags_check_run(struct sidecar_flags_check *k,
                        struct sidecar_prom_client *client, int64_t deadline_ns,
                        const struct cancel *cancel)
{
    struct err err = {0};
    CLEANUP(sidecar_prom_flags_fini) struct sidecar_prom_flags flags = {0};
    struct sidecar_prom_flags_verdict verdict;
    enum sidecar_prom_state state =
        sidecar_prom_client_flags(client, deadline_ns, cancel, &flags, &err);
    if (cancel_is_raised(cancel))
        return;
    if (state != SIDECAR_PROM_UP) {
        if (sidecar_reminder_is_due(&k->failure, (int)state))
            LOG_WARN("cannot check flags of prometheus",
                     LOG_STR("reason", sidecar_prom_state_text(state)), LOG_ERR(&err));
        return;
    }
    k->failure = (struct sidecar_reminder){0};
    sidecar_prom_flags_judge(&flags, &k->wanted, &verdict);
    report(k, &verdict);
}

struct sidecar_prom_flags_verdict
sidecar_flags_check_verdict(struct sidecar_flags_check *k)
{
    MUTEX_SCOPE(&k->lock);
    return k->verdict;
}
