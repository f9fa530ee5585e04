/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/xmalloc.h"
#include "sidecar/heartbeat.h"
#include "tests/unit/sidecar/fake_prometheus.h"

struct world {
    struct fake_prometheus prometheus;
    struct metrics_registry *metrics;
    struct app_admin *admin;
    struct sidecar_prom_client *client;
    struct sidecar_heartbeat *heartbeat;
    const struct sidecar_prom_flags_wanted *wanted;
    atomic_uint changes;
};

static void
count_change(void *arg)
{
    struct world *w = arg;
    atomic_fetch_add(&w->changes, 1);
}

static void
start(struct world *w, int64_t ready_timeout_ns)
{
    struct err err;
    struct sidecar_heartbeat_options options = {
        .client = w->client,
        .admin = w->admin,
        .metrics = w->metrics,
        .interval_ns = CLOCK_NS_PER_MS,
        .timeout_ns = 10 * CLOCK_NS_PER_S,
        .ready_timeout_ns = ready_timeout_ns,
        .wanted_flags = w->wanted,
        .changed = count_change,
        .changed_arg = w,
    };
    assert_true(sidecar_heartbeat_start(&w->heartbeat, &options, &err));
}

static int
setup(void **state)
{
    struct err err;
    struct world *w = xcalloc(1, sizeof *w);
    fake_prometheus_start(&w->prometheus);
    w->metrics = metrics_registry_new();
    w->admin = app_admin_new("sidecar", w->metrics);
    assert_true(sidecar_prom_client_new(&w->client, w->prometheus.url,
                                        (struct bytes){0}, &err));
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    sidecar_heartbeat_stop(&w->heartbeat);
    sidecar_prom_client_free(&w->client);
    fake_prometheus_stop(&w->prometheus);
    app_admin_free(&w->admin);
    metrics_registry_free(&w->metrics);
    free(w);
    return 0;
}

/* Wait until the exposition holds a line. */
static void
wait_for_metric(struct world *w, const char *line)
{
    int64_t deadline_ns = clock_deadline(20 * CLOCK_NS_PER_S);
    CLEANUP(xfree) char *whole = xasprintf("\n%s\n", line);
    for (;;) {
        CLEANUP(buf_fini) struct buf text = {0};
        metrics_print(w->metrics, &text);
        if (strstr(buf_text(&text), whole) != NULL)
            return;
        if (clock_left_ns(deadline_ns) == 0)
            fail_msg("waited in vain for %s in\n%s", line, buf_text(&text));
        sched_yield();
    }
}

#define READY "thanos_status{component=\"sidecar\",check=\"ready\"} "
#define UP "thanos_sidecar_prometheus_up "
#define NOT_READY(reason) \
    "blockhouse_sidecar_prometheus_not_ready{reason=\"" reason "\"} "
#define UNSUITABLE(reason) \
    "blockhouse_sidecar_prometheus_flags_unsuitable{reason=\"" reason "\"} "
#define FAKE_LENGTHS(min, max)                              \
    FAKE_FLAGS("\"storage.tsdb.min-block-duration\":\"" min \
               "\",\"storage.tsdb.max-block-duration\":\"" max "\"")

static void
wait_for_beats(struct world *w, unsigned count)
{
    int64_t deadline_ns = clock_deadline(20 * CLOCK_NS_PER_S);
    unsigned asked = atomic_load(&w->prometheus.asked);
    while (atomic_load(&w->prometheus.asked) - asked < count) {
        assert_true(clock_left_ns(deadline_ns) > 0);
        sched_yield();
    }
}

static void
assert_labels(struct world *w, enum sidecar_labels_state state, const char *want)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels labels = {0};
    assert_int_equal(sidecar_heartbeat_labels(w->heartbeat, &labels), state);
    tsdb_labels_print(labels.set, &text);
    assert_string_equal(buf_text(&text), want);
}

static void
becomes_ready_with_labels(void **state)
{
    struct world *w = *state;
    start(w, 0);
    wait_for_metric(w, NOT_READY("replaying") "1");
    wait_for_metric(w, UP "0");
    assert_labels(w, SIDECAR_LABELS_UNKNOWN, "{}");
    fake_prometheus_say(&w->prometheus, 200, FAKE_CONFIG("a: b"));
    wait_for_metric(w, READY "1");
    wait_for_metric(w, UP "1");
    wait_for_metric(w, NOT_READY("replaying") "0");
    assert_labels(w, SIDECAR_LABELS_KNOWN, "{a=\"b\"}");
    assert_int_equal(atomic_load(&w->changes), 1);
}

static void
keeps_labels_while_prometheus_is_down(void **state)
{
    struct world *w = *state;
    fake_prometheus_say(&w->prometheus, 200, FAKE_CONFIG("a: b"));
    start(w, 0);
    wait_for_metric(w, READY "1");
    fake_prometheus_say(&w->prometheus, 503, "");
    wait_for_metric(w, UP "0");
    wait_for_metric(w, READY "0");
    assert_labels(w, SIDECAR_LABELS_KNOWN, "{a=\"b\"}");
    fake_prometheus_say(&w->prometheus, 200, FAKE_CONFIG("a: c"));
    wait_for_metric(w, READY "1");
    assert_labels(w, SIDECAR_LABELS_KNOWN, "{a=\"c\"}");
    assert_int_equal(atomic_load(&w->changes), 2);
}

static void
is_not_ready_without_labels(void **state)
{
    struct world *w = *state;
    fake_prometheus_say(&w->prometheus, 200, FAKE_CONFIG(""));
    start(w, 0);
    wait_for_metric(w, UP "1");
    wait_for_metric(w, READY "0");
    assert_labels(w, SIDECAR_LABELS_NONE, "{}");
}

static void
forgets_labels_that_vanish(void **state)
{
    struct world *w = *state;
    fake_prometheus_say(&w->prometheus, 200, FAKE_CONFIG("a: b"));
    start(w, 1);
    wait_for_metric(w, READY "1");
    fake_prometheus_say(&w->prometheus, 200, FAKE_CONFIG(""));
    wait_for_metric(w, READY "0");
    wait_for_metric(w, NOT_READY("unlabeled") "1");
    assert_labels(w, SIDECAR_LABELS_NONE, "{}");
    wait_for_metric(w, "blockhouse_sidecar_ready_timeout_exceeded 1");
    /* Down after that is no reason to take the old ones. */
    fake_prometheus_say(&w->prometheus, 503, "");
    wait_for_metric(w, NOT_READY("replaying") "1");
    wait_for_metric(w, NOT_READY("unlabeled") "0");
    assert_labels(w, SIDECAR_LABELS_NONE, "{}");
    fake_prometheus_say(&w->prometheus, 200, FAKE_CONFIG("a: c"));
    wait_for_metric(w, READY "1");
    wait_for_metric(w, "blockhouse_sidecar_ready_timeout_exceeded 0");
    assert_labels(w, SIDECAR_LABELS_KNOWN, "{a=\"c\"}");
    assert_int_equal(atomic_load(&w->changes), 3);
}

static void
checks_flags_and_sees_them_mended(void **state)
{
    static const struct sidecar_prom_flags_wanted wanted = {.tsdb_path = "/d",
                                                            .state_name = "s"};
    struct world *w = *state;
    fake_prometheus_say(&w->prometheus, 200, FAKE_CONFIG("a: b"));
    fake_prometheus_say_flags(&w->prometheus, 200, FAKE_LENGTHS("2h", "31d"));
    w->wanted = &wanted;
    start(w, 0);
    wait_for_metric(w, UNSUITABLE("unequal_block_durations") "1");
    struct sidecar_prom_flags_verdict verdict = sidecar_heartbeat_flags(w->heartbeat);
    assert_int_equal(verdict.kind, SIDECAR_PROM_FLAGS_UNEQUAL_BLOCKS);
    assert_int_equal(verdict.level, LOG_LEVEL_ERROR);
    /* It is ready all the same, and a failure to ask changes nothing. */
    wait_for_metric(w, READY "1");
    fake_prometheus_say_flags(&w->prometheus, 500, "");
    wait_for_beats(w, 2);
    wait_for_metric(w, UNSUITABLE("unequal_block_durations") "1");
    fake_prometheus_say_flags(&w->prometheus, 200, FAKE_LENGTHS("2h", "2h"));
    wait_for_metric(w, UNSUITABLE("unequal_block_durations") "0");
    verdict = sidecar_heartbeat_flags(w->heartbeat);
    assert_int_equal(verdict.kind, SIDECAR_PROM_FLAGS_SUITABLE);
}

static void
does_not_ask_for_flags_that_do_not_matter(void **state)
{
    struct world *w = *state;
    fake_prometheus_say(&w->prometheus, 200, FAKE_CONFIG("a: b"));
    start(w, 0);
    wait_for_metric(w, READY "1");
    assert_int_equal(sidecar_heartbeat_flags(w->heartbeat).kind,
                     SIDECAR_PROM_FLAGS_UNKNOWN);
}

static void
goes_on_past_the_ready_timeout(void **state)
{
    struct world *w = *state;
    start(w, 1);
    wait_for_metric(w, "blockhouse_sidecar_ready_timeout_exceeded 1");
    fake_prometheus_say(&w->prometheus, 200, FAKE_CONFIG("a: b"));
    wait_for_metric(w, READY "1");
    wait_for_metric(w, "blockhouse_sidecar_ready_timeout_exceeded 0");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(becomes_ready_with_labels),
        CASE(keeps_labels_while_prometheus_is_down),
        CASE(is_not_ready_without_labels),
        CASE(goes_on_past_the_ready_timeout),
        CASE(forgets_labels_that_vanish),
        CASE(checks_flags_and_sees_them_mended),
        CASE(does_not_ask_for_flags_that_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
