/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/xmalloc.h"
#include "sidecar/block_note.h"
#include "sidecar/block_pin.h"
#include "sidecar/ship_work.h"
#include "tests/support/faulty_bucket.h"
#include "tests/unit/sidecar/fixture.h"

struct world {
    struct fixture *f;
    struct metrics_registry *metrics;
    struct sidecar_shipper_metrics counts;
    struct sidecar_block_table *table;
    struct cancel cancel;
};

static int
setup(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    void *fixture;
    fixture_setup(&fixture);
    w->f = fixture;
    w->metrics = metrics_registry_new();
    w->table = sidecar_block_table_new();
    sidecar_shipper_metrics_init(&w->counts, w->metrics, w->table);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    void *fixture = w->f;
    metrics_registry_free(&w->metrics);
    sidecar_block_table_free(&w->table);
    cancel_fini(&w->cancel);
    free(w);
    return fixture_teardown(&fixture);
}

/* The n-th block, pinned, in this state. */
static struct tsdb_ulid
add(struct world *w, unsigned n, int64_t level, enum sidecar_block_state state)
{
    struct err err;
    struct sidecar_pin_cost cost;
    const struct sidecar_block b = {.id = fixture_block(w->f->tsdb, n, level),
                                    .level = level};
    assert_true(sidecar_block_pin(w->f->tsdb, w->f->pins, &b.id, NULL, &cost, &err));
    assert_true(
        sidecar_block_note_write(w->f->pins, &b.id, fixture_labels, NULL, &err));
    sidecar_block_table_see(w->table, &b);
    sidecar_block_table_measure(w->table, &b.id, 1);
    sidecar_block_table_set(w->table, &b.id, state);
    return b.id;
}

static struct sidecar_ship_work *
new_work(struct world *w, bool allow_overlaps)
{
    return sidecar_ship_work_new(&(struct sidecar_ship_work_options){
        .tsdb_path = w->f->tsdb,
        .pins = w->f->pins,
        .bucket = w->f->bucket,
        .table = w->table,
        .metrics = &w->counts,
        .cancel = &w->cancel,
        .allow_overlaps = allow_overlaps,
        .block_concurrency = 1,
    });
}

static bool
work_with(struct world *w, bool allow_overlaps)
{
    struct sidecar_ship_work *work = new_work(w, allow_overlaps);
    bool worked = sidecar_ship_work_one(work, 0);
    sidecar_ship_work_free(&work);
    return worked;
}

static void
must_work(struct world *w)
{
    assert_true(work_with(w, false));
}

static enum sidecar_block_state
state_of(struct world *w, const struct tsdb_ulid *id)
{
    return sidecar_block_table_state(w->table, id);
}

static enum err_code
failure_of(struct world *w, const struct tsdb_ulid *id)
{
    enum err_code code = ERR_NONE;
    CLEANUP(sidecar_block_rows_fini) struct sidecar_block_rows rows = {0};
    sidecar_block_table_copy(w->table, &rows);
    for (size_t i = 0; i < rows.count; i++)
        if (tsdb_ulid_cmp(&rows.at[i].block.id, id) == 0)
            code = rows.at[i].code;
    return code;
}

static void
commits_a_block_and_leaves_its_pin(void **state)
{
    struct world *w = *state;
    struct tsdb_ulid id = add(w, 1, 1, SIDECAR_BLOCK_READY);
    must_work(w);
    assert_int_equal(state_of(w, &id), SIDECAR_BLOCK_COMMITTED);
    fixture_assert_shipped(w->f, w->f->tsdb, &id);
    assert_true(fixture_has(w->f->pins, &id, "index"));
    assert_int_equal(metrics_get(w->counts.uploads), 1);
    assert_false(work_with(w, false)); /* there is no more */
}

static void
keeps_why_a_block_failed(void **state)
{
    struct world *w = *state;
    struct tsdb_ulid id = add(w, 1, 1, SIDECAR_BLOCK_READY);
    faulty_bucket_add(w->f->bucket, (struct faulty_rule){.ops = FAULTY_PUT,
                                                         .part = "index",
                                                         .how = FAULTY_TRUNCATE});
    must_work(w);
    assert_int_equal(state_of(w, &id), SIDECAR_BLOCK_READY);
    assert_int_equal(failure_of(w, &id), ERR_CORRUPT);
    assert_int_equal(metrics_get(w->counts.failed_uploads), 1);
    assert_int_equal(metrics_get(w->counts.corrupted), 0); /* the block is whole */
}

static void
counts_a_block_that_is_broken(void **state)
{
    struct world *w = *state;
    struct tsdb_ulid id = add(w, 1, 1, SIDECAR_BLOCK_READY);
    CLEANUP(xfree) char *index = fixture_path(w->f->tsdb, &id, "index");
    fixture_flip(index, -20);
    must_work(w);
    assert_int_equal(failure_of(w, &id), ERR_CORRUPT);
    assert_int_equal(metrics_get(w->counts.corrupted), 1);
    assert_int_equal(faulty_bucket_calls(w->f->bucket, FAULTY_ANY), 0);
}

static void
fails_without_a_note(void **state)
{
    struct world *w = *state;
    struct err err;
    struct tsdb_ulid id = add(w, 1, 1, SIDECAR_BLOCK_READY);
    assert_true(sidecar_block_note_remove(w->f->pins, &id, &err));
    must_work(w);
    assert_int_equal(failure_of(w, &id), ERR_NOT_FOUND);
}

static void
does_not_blame_a_block_for_a_stop(void **state)
{
    struct world *w = *state;
    struct tsdb_ulid id = add(w, 1, 1, SIDECAR_BLOCK_READY);
    cancel_raise(&w->cancel);
    must_work(w);
    assert_int_equal(state_of(w, &id), SIDECAR_BLOCK_READY);
    assert_int_equal(failure_of(w, &id), ERR_NONE);
    assert_int_equal(metrics_get(w->counts.failed_uploads), 0);
}

static void
does_not_ship_a_compacted_block_that_overlaps(void **state)
{
    struct world *w = *state;
    struct tsdb_ulid first = add(w, 1, 1, SIDECAR_BLOCK_READY);
    must_work(w);
    struct tsdb_ulid compacted = add(w, 2, 2, SIDECAR_BLOCK_READY);
    must_work(w); /* beside it */
    assert_int_equal(state_of(w, &compacted), SIDECAR_BLOCK_COMMITTED);
    CLEANUP(xfree) char *meta = fixture_path(w->f->bucket_dir, &first, "meta.json");
    CLEANUP(buf_fini) struct buf text = fixture_read(meta);
    char *end = strstr((char *)(uintptr_t)buf_text(&text), "\"maxTime\": ");
    assert_non_null(end);
    end[strlen("\"maxTime\": ")] = '9'; /* it reaches over the next ones now */
    fixture_write(meta, buf_text(&text));
    struct tsdb_ulid late = add(w, 3, 2, SIDECAR_BLOCK_READY);
    must_work(w);
    assert_int_equal(failure_of(w, &late), ERR_CONFLICT);
    assert_false(fixture_has(w->f->bucket_dir, &late, "index"));
    struct tsdb_ulid allowed = add(w, 4, 2, SIDECAR_BLOCK_READY);
    assert_true(work_with(w, true));
    assert_int_equal(state_of(w, &allowed), SIDECAR_BLOCK_COMMITTED);
}

static void *
run_worker(void *arg)
{
    return sidecar_ship_work_one(arg, 0) ? arg : NULL;
}

/* Lets a pinned block reach over those behind it. */
static void
stretch(struct world *w, const struct tsdb_ulid *id)
{
    CLEANUP(xfree) char *meta = fixture_path(w->f->pins, id, "meta.json");
    CLEANUP(buf_fini) struct buf text = fixture_read(meta);
    char *end = strstr((char *)(uintptr_t)buf_text(&text), "\"maxTime\":");
    assert_non_null(end);
    char *digit = end + strcspn(end, "0123456789");
    *digit = '9';
    fixture_write(meta, buf_text(&text));
}

/* A compacted block is compared with one of any level that another worker ships. */
static void
does_not_ship_side_by_side_what_overlaps(void **state)
{
    struct world *w = *state;
    pthread_t other;
    void *worked;
    struct sidecar_ship_work *work = new_work(w, false);
    struct tsdb_ulid slow = add(w, 1, 1, SIDECAR_BLOCK_READY);
    stretch(w, &slow);
    faulty_bucket_add(
        w->f->bucket,
        (struct faulty_rule){.ops = FAULTY_PUT, .times = 1, .how = FAULTY_HANG});
    assert_int_equal(pthread_create(&other, NULL, run_worker, work), 0);
    int64_t deadline_ns = clock_deadline(30 * CLOCK_NS_PER_S);
    while (faulty_bucket_calls(w->f->bucket, FAULTY_PUT) == 0)
        assert_true(clock_mono_ns() < deadline_ns);
    struct tsdb_ulid compacted = add(w, 2, 2, SIDECAR_BLOCK_READY);
    assert_true(sidecar_ship_work_one(work, 0));
    assert_int_equal(failure_of(w, &compacted), ERR_CONFLICT);
    assert_false(fixture_has(w->f->bucket_dir, &compacted, "index"));
    cancel_raise(&w->cancel);
    assert_int_equal(pthread_join(other, &worked), 0);
    assert_non_null(worked);
    sidecar_ship_work_free(&work);
}

static void
finds_blocks_of_the_bucket_by_a_listing(void **state)
{
    struct world *w = *state;
    struct tsdb_ulid shipped = add(w, 1, 1, SIDECAR_BLOCK_READY);
    must_work(w);
    sidecar_block_table_set(w->table, &shipped, SIDECAR_BLOCK_PINNED);
    struct tsdb_ulid waits = add(w, 2, 1, SIDECAR_BLOCK_PINNED);
    sidecar_block_table_want_listing(w->table);
    must_work(w);
    assert_true(sidecar_block_table_is_listed(w->table));
    assert_int_equal(state_of(w, &shipped), SIDECAR_BLOCK_COMMITTED);
    assert_int_equal(state_of(w, &waits), SIDECAR_BLOCK_PINNED);
}

static void
ends_a_listing_that_fails(void **state)
{
    struct world *w = *state;
    faulty_bucket_add(w->f->bucket, (struct faulty_rule){.ops = FAULTY_LIST});
    sidecar_block_table_want_listing(w->table);
    must_work(w);
    assert_true(sidecar_block_table_is_listed(w->table));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(commits_a_block_and_leaves_its_pin),
        CASE(keeps_why_a_block_failed),
        CASE(counts_a_block_that_is_broken),
        CASE(fails_without_a_note),
        CASE(does_not_blame_a_block_for_a_stop),
        CASE(does_not_ship_a_compacted_block_that_overlaps),
        CASE(does_not_ship_side_by_side_what_overlaps),
        CASE(finds_blocks_of_the_bucket_by_a_listing),
        CASE(ends_a_listing_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
