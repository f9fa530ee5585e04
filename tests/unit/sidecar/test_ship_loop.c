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
#include "sidecar/ship_loop.h"
#include "tests/support/faulty_bucket.h"
#include "tests/unit/sidecar/fixture.h"

/* Well below the 30 s of a rescan: what comes within it was not found by one. */
#define LIMIT_NS (20 * CLOCK_NS_PER_S)

struct world {
    struct fixture *f;
    struct metrics_registry *metrics;
    struct sidecar_watch *watch;
    struct sidecar_ship_loop *loop;
};

static struct sidecar_ext_labels
labels_of(void *arg)
{
    (void)arg;
    return sidecar_ext_labels_copy(fixture_labels);
}

static void
start(struct world *w)
{
    struct err err;
    struct sidecar_shipper_options options = {
        .tsdb_path = w->f->tsdb,
        .state_name = "thanos.shipper.json",
        .bucket = w->f->bucket,
        .metrics = w->metrics,
        .labels = labels_of,
    };
    assert_true(sidecar_ship_loop_start(&w->loop, &options, w->watch, &err));
}

static int
setup(void **state)
{
    struct err err;
    struct world *w = xcalloc(1, sizeof *w);
    void *fixture;
    fixture_setup(&fixture);
    w->f = fixture;
    w->metrics = metrics_registry_new();
    assert_true(sidecar_watch_open(&w->watch, w->f->tsdb, &err));
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    void *fixture = w->f;
    sidecar_ship_loop_stop(&w->loop);
    sidecar_watch_close(&w->watch);
    metrics_registry_free(&w->metrics);
    free(w);
    return fixture_teardown(&fixture);
}

static void
wait_for_calls(struct world *w, unsigned ops)
{
    int64_t deadline_ns = clock_deadline(LIMIT_NS);
    while (faulty_bucket_calls(w->f->bucket, ops) == 0) {
        assert_true(clock_left_ns(deadline_ns) > 0);
        sched_yield();
    }
}

static void
wait_until_shipped(struct world *w, const struct tsdb_ulid *id)
{
    int64_t deadline_ns = clock_deadline(LIMIT_NS);
    while (!fixture_has(w->f->bucket_dir, id, "meta.json") ||
           fixture_has(w->f->pins, id, "")) {
        assert_true(clock_left_ns(deadline_ns) > 0);
        sched_yield();
    }
    fixture_assert_shipped(w->f, w->f->tsdb, id);
}

static void
ships_what_is_there_and_what_comes(void **state)
{
    struct world *w = *state;
    struct tsdb_ulid first = fixture_block(w->f->tsdb, 1, 1);
    start(w);
    wait_until_shipped(w, &first);
    struct tsdb_ulid second = fixture_block(w->f->tsdb, 2, 1);
    wait_until_shipped(w, &second);
}

static void
leaves_a_hanging_upload_and_its_pin(void **state)
{
    struct world *w = *state;
    struct tsdb_ulid id = fixture_block(w->f->tsdb, 1, 1);
    faulty_bucket_add(
        w->f->bucket,
        (struct faulty_rule){.ops = FAULTY_PUT, .part = "index", .how = FAULTY_HANG});
    start(w);
    wait_for_calls(w, FAULTY_PUT);
    int64_t deadline_ns = clock_deadline(LIMIT_NS);
    sidecar_ship_loop_stop(&w->loop);
    assert_true(clock_left_ns(deadline_ns) > 0);
    assert_true(fixture_has(w->f->pins, &id, "index"));
    assert_false(fixture_has(w->f->bucket_dir, &id, "meta.json"));
    faulty_bucket_heal(w->f->bucket);
    metrics_registry_free(&w->metrics);
    w->metrics = metrics_registry_new();
    start(w);
    wait_until_shipped(w, &id);
}

static void
stops_while_it_waits(void **state)
{
    struct world *w = *state;
    start(w);
    int64_t deadline_ns = clock_deadline(LIMIT_NS);
    sidecar_ship_loop_stop(&w->loop);
    assert_null(w->loop);
    assert_true(clock_left_ns(deadline_ns) > 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(ships_what_is_there_and_what_comes),
        CASE(leaves_a_hanging_upload_and_its_pin),
        CASE(stops_while_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
