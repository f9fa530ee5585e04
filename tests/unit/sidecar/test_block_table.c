/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/pool.h"
#include "sidecar/block_table.h"

#define NOW_NS (1000 * CLOCK_NS_PER_S)

static struct sidecar_block
block_of(uint8_t n)
{
    /* Ids ascend while times descend: neither order passes for the other. */
    return (struct sidecar_block){.id = {{n}}, .mint_ms = 100 - n, .maxt_ms = 101 - n};
}

static int
setup(void **state)
{
    *state = sidecar_block_table_new();
    clock_freeze(NOW_NS, NOW_NS);
    return 0;
}

static int
teardown(void **state)
{
    struct sidecar_block_table *t = *state;
    clock_unfreeze();
    sidecar_block_table_free(&t);
    return 0;
}

static void
add(struct sidecar_block_table *t, uint8_t n, enum sidecar_block_state state)
{
    struct sidecar_block b = block_of(n);
    assert_true(sidecar_block_table_see(t, &b));
    sidecar_block_table_measure(t, &b.id, 1000);
    sidecar_block_table_set(t, &b.id, state);
}

/* The number of the block that is taken, 0 for none. */
static unsigned
take(struct sidecar_block_table *t)
{
    struct sidecar_job job;
    if (!sidecar_block_table_take(t, 0, &job))
        return 0;
    assert_int_equal(job.kind, SIDECAR_JOB_BLOCK);
    return job.block.id.raw[0];
}

static enum sidecar_block_state
state_of(struct sidecar_block_table *t, uint8_t n)
{
    struct sidecar_block b = block_of(n);
    return sidecar_block_table_state(t, &b.id);
}

static int64_t
has_failed(struct sidecar_block_table *t, uint8_t n)
{
    struct sidecar_block b = block_of(n);
    struct err err;
    err_fill(&err, ERR_THROTTLED, "slow down");
    return sidecar_block_table_fail(t, &b.id, &err, clock_mono_ns());
}

static void
takes_the_oldest_and_the_newest_in_turns(void **state)
{
    struct sidecar_block_table *t = *state;
    for (uint8_t n = 5; n > 0; n--)
        add(t, n, SIDECAR_BLOCK_READY);
    assert_int_equal(take(t), 5); /* the oldest */
    assert_int_equal(take(t), 1);
    assert_int_equal(take(t), 4);
    assert_int_equal(take(t), 2);
    assert_int_equal(take(t), 3);
    assert_int_equal(take(t), 0);
    assert_int_equal(state_of(t, 3), SIDECAR_BLOCK_CHECKING);
}

static void
gives_out_only_what_is_ready(void **state)
{
    struct sidecar_block_table *t = *state;
    add(t, 1, SIDECAR_BLOCK_PINNED);
    add(t, 2, SIDECAR_BLOCK_COMMITTED);
    add(t, 3, SIDECAR_BLOCK_SHIPPED);
    add(t, 4, SIDECAR_BLOCK_PASSED_OVER);
    assert_int_equal(take(t), 0);
}

static void
waits_out_the_pause_of_a_block(void **state)
{
    struct sidecar_block_table *t = *state;
    add(t, 1, SIDECAR_BLOCK_READY);
    add(t, 2, SIDECAR_BLOCK_READY);
    assert_int_equal(take(t), 2);
    int64_t pause_ns = has_failed(t, 2);
    assert_int_equal(state_of(t, 2), SIDECAR_BLOCK_READY);
    assert_int_equal(take(t), 1);
    assert_int_equal(take(t), 0);
    clock_freeze(NOW_NS + pause_ns, NOW_NS);
    assert_int_equal(take(t), 2);
}

static void
keeps_a_block_from_the_shipper_while_a_worker_has_it(void **state)
{
    struct sidecar_block_table *t = *state;
    struct sidecar_block b = block_of(1);
    add(t, 1, SIDECAR_BLOCK_READY);
    assert_true(sidecar_block_table_is_free(t, &b.id, NOW_NS));
    assert_int_equal(take(t), 1);
    assert_false(sidecar_block_table_is_free(t, &b.id, NOW_NS));
    sidecar_block_table_set(t, &b.id, SIDECAR_BLOCK_SHIPPED);
    assert_int_equal(state_of(t, 1), SIDECAR_BLOCK_CHECKING);
    sidecar_block_table_begin(t);
    sidecar_block_table_end(t); /* not seen, and not dropped */
    assert_int_equal(state_of(t, 1), SIDECAR_BLOCK_CHECKING);
    sidecar_block_table_move(t, &b.id, SIDECAR_BLOCK_COMMITTED);
    assert_false(sidecar_block_table_is_free(t, &b.id, NOW_NS));
    sidecar_block_table_set(t, &b.id, SIDECAR_BLOCK_SHIPPED);
    assert_int_equal(state_of(t, 1), SIDECAR_BLOCK_SHIPPED);
}

static void
drops_what_is_not_seen_again(void **state)
{
    struct sidecar_block_table *t = *state;
    struct sidecar_block stays = block_of(2);
    CLEANUP(sidecar_block_rows_fini) struct sidecar_block_rows rows = {0};
    add(t, 1, SIDECAR_BLOCK_FOUND);
    has_failed(t, 1); /* its reason is released, too */
    add(t, 2, SIDECAR_BLOCK_READY);
    sidecar_block_table_begin(t);
    assert_false(sidecar_block_table_see(t, &stays));
    sidecar_block_table_end(t);
    sidecar_block_table_copy(t, &rows);
    assert_int_equal(rows.count, 1);
    assert_int_equal(rows.at[0].state, SIDECAR_BLOCK_READY);
}

static void
copies_rows_by_time_with_their_reasons(void **state)
{
    struct sidecar_block_table *t = *state;
    CLEANUP(sidecar_block_rows_fini) struct sidecar_block_rows rows = {0};
    add(t, 1, SIDECAR_BLOCK_READY);
    add(t, 2, SIDECAR_BLOCK_SHIPPED);
    add(t, 3, SIDECAR_BLOCK_FOUND);
    has_failed(t, 3);
    sidecar_block_table_copy(t, &rows);
    assert_int_equal(rows.count, 3);
    assert_int_equal(rows.at[0].block.id.raw[0], 3);
    assert_string_equal(rows.at[0].reason, "slow down");
    assert_int_equal(rows.at[0].code, ERR_THROTTLED);
    assert_int_equal(rows.at[1].sent, 1000);
    assert_int_equal(rows.newest_shipped_ms, 99);
}

static void
forgets_a_failure_after_a_success(void **state)
{
    struct sidecar_block_table *t = *state;
    struct sidecar_block b = block_of(1);
    CLEANUP(sidecar_block_rows_fini) struct sidecar_block_rows rows = {0};
    add(t, 1, SIDECAR_BLOCK_READY);
    has_failed(t, 1);
    sidecar_block_table_move(t, &b.id, SIDECAR_BLOCK_COMMITTED);
    sidecar_block_table_copy(t, &rows);
    assert_int_equal(rows.at[0].code, ERR_NONE);
    assert_int_equal(rows.at[0].backoff.failures, 0);
    assert_null(rows.at[0].reason);
}

static void
names_the_next_retry_of_the_shipper_only(void **state)
{
    struct sidecar_block_table *t = *state;
    add(t, 1, SIDECAR_BLOCK_READY);
    has_failed(t, 1);
    assert_int_equal(sidecar_block_table_next_ns(t, NOW_NS), CLOCK_NEVER);
    add(t, 2, SIDECAR_BLOCK_FOUND);
    int64_t pause_ns = has_failed(t, 2);
    assert_int_equal(sidecar_block_table_next_ns(t, NOW_NS), NOW_NS + pause_ns);
    assert_int_equal(sidecar_block_table_next_ns(t, NOW_NS + pause_ns), CLOCK_NEVER);
}

static void
tells_of_long_uploads_now_and_then(void **state)
{
    struct sidecar_block_table *t = *state;
    struct sidecar_block b = block_of(1);
    struct sidecar_block_row row;
    int64_t at_ns = NOW_NS;
    add(t, 1, SIDECAR_BLOCK_READY);
    assert_int_equal(take(t), 1);
    assert_false(sidecar_block_table_sent(t, &b.id, 500, at_ns, &row)); /* too early */
    at_ns += 31 * CLOCK_NS_PER_S;
    assert_true(sidecar_block_table_sent(t, &b.id, 50, at_ns, &row));
    assert_int_equal(row.sent, 550);
    assert_int_equal(row.size, 1000);
    at_ns += 31 * CLOCK_NS_PER_S;
    assert_false(sidecar_block_table_sent(t, &b.id, 50, at_ns, &row)); /* too little */
    assert_true(sidecar_block_table_sent(t, &b.id, 9999, at_ns, &row));
    assert_int_equal(row.sent, 1000); /* what is sent again counts once */
}

static void
gives_out_one_listing_before_blocks(void **state)
{
    struct sidecar_block_table *t = *state;
    struct sidecar_job job;
    add(t, 1, SIDECAR_BLOCK_READY);
    assert_true(sidecar_block_table_is_listed(t));
    sidecar_block_table_want_listing(t);
    assert_true(sidecar_block_table_take(t, 0, &job));
    assert_int_equal(job.kind, SIDECAR_JOB_LISTING);
    assert_false(sidecar_block_table_is_listed(t));
    assert_int_equal(take(t), 1);
    sidecar_block_table_listing_done(t);
    assert_true(sidecar_block_table_is_listed(t));
}

static void *
take_one(void *arg)
{
    struct sidecar_job job;
    static bool taken;
    taken = sidecar_block_table_take(arg, CLOCK_NEVER, &job);
    return &taken;
}

static void
wakes_a_worker_for_a_block_and_for_the_end(void **state)
{
    struct sidecar_block_table *t = *state;
    struct err err;
    pthread_t thread;
    void *taken;
    clock_unfreeze();
    assert_true(thread_start(&thread, "taker", take_one, t, &err));
    add(t, 1, SIDECAR_BLOCK_READY);
    pthread_join(thread, &taken);
    assert_true(*(bool *)taken);
    assert_true(thread_start(&thread, "taker", take_one, t, &err));
    sidecar_block_table_stop(t);
    pthread_join(thread, &taken);
    assert_false(*(bool *)taken);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(takes_the_oldest_and_the_newest_in_turns),
        CASE(gives_out_only_what_is_ready),
        CASE(waits_out_the_pause_of_a_block),
        CASE(keeps_a_block_from_the_shipper_while_a_worker_has_it),
        CASE(drops_what_is_not_seen_again),
        CASE(copies_rows_by_time_with_their_reasons),
        CASE(forgets_a_failure_after_a_success),
        CASE(names_the_next_retry_of_the_shipper_only),
        CASE(tells_of_long_uploads_now_and_then),
        CASE(gives_out_one_listing_before_blocks),
        CASE(wakes_a_worker_for_a_block_and_for_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
