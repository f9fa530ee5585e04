/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "sidecar/ship_loop.h"
#include "tests/support/faulty_bucket.h"
#include "tests/unit/sidecar/fake_prometheus.h"
#include "tests/unit/sidecar/fixture.h"

/* Well below the 30 s of a rescan: what comes within it was not found by one. */
#define LIMIT_NS (20 * CLOCK_NS_PER_S)

struct world {
    struct fixture *f;
    struct metrics_registry *metrics;
    struct sidecar_shipper_metrics counts;
    struct sidecar_block_table *table;
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
    w->metrics = metrics_registry_new();
    w->table = sidecar_block_table_new();
    sidecar_shipper_metrics_init(&w->counts, w->metrics, w->table);
    const struct sidecar_shipper_options options = {
        .tsdb_path = w->f->tsdb,
        .pins = w->f->pins,
        .state_name = "thanos.shipper.json",
        .table = w->table,
        .metrics = &w->counts,
        .labels = labels_of,
    };
    const struct sidecar_ship_work_options work = {
        .tsdb_path = w->f->tsdb,
        .pins = w->f->pins,
        .bucket = w->f->bucket,
        .table = w->table,
        .metrics = &w->counts,
        .block_concurrency = 2,
    };
    assert_true(sidecar_ship_loop_start(&w->loop, &options, &work, w->watch, &err));
}

static void
stop(struct world *w)
{
    sidecar_ship_loop_stop(&w->loop);
    metrics_registry_free(&w->metrics);
    sidecar_block_table_free(&w->table);
}

static int
setup(void **state)
{
    struct err err;
    struct world *w = xcalloc(1, sizeof *w);
    void *fixture;
    fixture_setup(&fixture);
    w->f = fixture;
    assert_true(sidecar_watch_open(&w->watch, w->f->tsdb, &err));
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    void *fixture = w->f;
    stop(w);
    sidecar_watch_close(&w->watch);
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
    stop(w);
    assert_true(clock_left_ns(deadline_ns) > 0);
    assert_true(fixture_has(w->f->pins, &id, "index"));
    assert_false(fixture_has(w->f->bucket_dir, &id, "meta.json"));
    faulty_bucket_heal(w->f->bucket);
    start(w);
    wait_until_shipped(w, &id);
}

static void
wait_for(struct world *w, const char *folder, const struct tsdb_ulid *id,
         const char *rel_path)
{
    (void)w;
    int64_t deadline_ns = clock_deadline(LIMIT_NS);
    while (!fixture_has(folder, id, rel_path)) {
        assert_true(clock_left_ns(deadline_ns) > 0);
        sched_yield();
    }
}

/* Both workers hang; a block that appears is pinned all the same. */
static void
pins_while_uploads_hang(void **state)
{
    struct world *w = *state;
    fixture_block(w->f->tsdb, 1, 1);
    fixture_block(w->f->tsdb, 2, 1);
    faulty_bucket_add(w->f->bucket,
                      (struct faulty_rule){.ops = FAULTY_PUT, .how = FAULTY_HANG});
    start(w);
    int64_t deadline_ns = clock_deadline(LIMIT_NS);
    while (faulty_bucket_calls(w->f->bucket, FAULTY_PUT) < 2) {
        assert_true(clock_left_ns(deadline_ns) > 0);
        sched_yield();
    }
    CLEANUP(xfree) char *elsewhere = xasprintf("%s/elsewhere", w->f->root);
    CLEANUP(xfree)
    char *new_name = xasprintf("%s/%s", w->f->tsdb, "01ARZ3NDEKTSV4RRFFQ69G5FA3");
    struct err err;
    assert_true(file_mkdirs(elsewhere, &err));
    struct tsdb_ulid late = fixture_block(elsewhere, 3, 1);
    CLEANUP(xfree) char *old_name = fixture_path(elsewhere, &late, "");
    assert_int_equal(rename(old_name, new_name), 0);
    wait_for(w, w->f->pins, &late, "index");
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

#define SNAPSHOT "20261125T103911Z-0123456789abcdef"

/* A Prometheus with a head, which is in no block yet. */
static void
make_snapshot(void *arg)
{
    struct world *w = arg;
    struct err err;
    CLEANUP(xfree) char *path = xasprintf("%s/snapshots/" SNAPSHOT, w->f->tsdb);
    assert_true(file_mkdirs(path, &err));
    fixture_block(path, 1, 1);
    fixture_block(path, 2, 1);
}

static void
flush_at(struct world *w, struct fake_prometheus *p, int64_t deadline_ns)
{
    struct err err;
    CLEANUP(sidecar_prom_client_free) struct sidecar_prom_client *client = NULL;
    fake_prometheus_start(p);
    p->snapshot = make_snapshot;
    p->snapshot_arg = w;
    fake_prometheus_say_snapshot(p, 200, FAKE_SNAPSHOT(SNAPSHOT));
    assert_true(sidecar_prom_client_new(&client, p->url, (struct bytes){0}, &err));
    sidecar_ship_loop_flush(w->loop, client, deadline_ns);
    fake_prometheus_stop(p);
}

static bool
has_snapshot(const struct world *w)
{
    CLEANUP(xfree) char *path = xasprintf("%s/snapshots/" SNAPSHOT, w->f->tsdb);
    return file_exists(path);
}

static void
ships_the_head_with_its_mark(void **state)
{
    struct world *w = *state;
    struct fake_prometheus prometheus;
    struct tsdb_ulid first = fixture_block(w->f->tsdb, 1, 1), head = fixture_id(2);
    start(w);
    wait_until_shipped(w, &first);
    flush_at(w, &prometheus, clock_deadline(LIMIT_NS));
    CLEANUP(xfree) char *copy = xasprintf("%s/copy", w->f->root);
    fixture_block(copy, 2, 1);
    fixture_assert_shipped(w->f, copy, &head);
    assert_true(fixture_has(w->f->bucket_dir, &head, "no-compact-mark.json"));
    assert_false(fixture_has(w->f->bucket_dir, &first, "no-compact-mark.json"));
    assert_false(fixture_has(w->f->pins, &head, ""));
    assert_false(has_snapshot(w));
    CLEANUP(xfree) char *path = xasprintf("%s/thanos.shipper.json", w->f->tsdb);
    CLEANUP(buf_fini) struct buf recorded = fixture_read(path);
    assert_null(strstr(buf_text(&recorded), tsdb_ulid_print(&head).text));
}

/* The bucket is away: the flush does not wait for its deadline, and the next start
 * ships what is pinned, with the mark. */
static void
leaves_a_pin_to_the_next_start(void **state)
{
    struct world *w = *state;
    struct fake_prometheus prometheus;
    struct tsdb_ulid first = fixture_block(w->f->tsdb, 1, 1), head = fixture_id(2);
    start(w);
    wait_until_shipped(w, &first);
    faulty_bucket_add(w->f->bucket,
                      (struct faulty_rule){.ops = FAULTY_PUT, .how = FAULTY_REFUSE});
    flush_at(w, &prometheus, CLOCK_NEVER);
    assert_true(fixture_has(w->f->pins, &head, "no-compact-mark.json"));
    assert_false(fixture_has(w->f->bucket_dir, &head, "meta.json"));
    assert_false(has_snapshot(w));
    stop(w);
    faulty_bucket_heal(w->f->bucket);
    start(w);
    wait_for(w, w->f->bucket_dir, &head, "meta.json");
    assert_true(fixture_has(w->f->bucket_dir, &head, "no-compact-mark.json"));
}

static void
ends_a_flush_in_time(void **state)
{
    struct world *w = *state;
    struct fake_prometheus prometheus;
    struct tsdb_ulid first = fixture_block(w->f->tsdb, 1, 1), head = fixture_id(2);
    start(w);
    wait_until_shipped(w, &first);
    faulty_bucket_add(w->f->bucket,
                      (struct faulty_rule){.ops = FAULTY_PUT, .how = FAULTY_HANG});
    int64_t begin_ns = clock_mono_ns();
    flush_at(w, &prometheus, clock_deadline(CLOCK_NS_PER_S));
    assert_true(clock_mono_ns() - begin_ns < LIMIT_NS);
    assert_true(fixture_has(w->f->pins, &head, "meta.json"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(ships_what_is_there_and_what_comes),
        CASE(leaves_a_hanging_upload_and_its_pin),
        CASE(pins_while_uploads_hang),
        CASE(stops_while_it_waits),
        CASE(ships_the_head_with_its_mark),
        CASE(leaves_a_pin_to_the_next_start),
        CASE(ends_a_flush_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
