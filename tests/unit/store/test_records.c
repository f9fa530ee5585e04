/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/objstore/dir.h"
#include "store/records.h"

/* A record is here its length as BE32, that itself included, and bytes of its number.
 */
enum { RECORDS = 20, GUESS = 64, LONG = 1000, FAR = 100 * 1000 };

struct fixture {
    char *dir;
    struct objstore_bucket *bucket;
    struct pool *pool;
    struct budget budget;
    struct arena arena;
    struct buf object;
    struct store_fetch_source source;
    struct store_piece pieces[RECORDS];
    struct store_records records;
    store_piece_fn *on_record;
    bool is_whole[RECORDS]; /* what on_record found */
};

static struct err err;

#define MUST(call)                    \
    do {                              \
        if (!(call))                  \
            fail_msg("%s", err.text); \
    } while (0)

static int
set_up(void **at)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char template[] = "/tmp/blockhouse-records-XXXXXX";
    f->dir = xstrdup(mkdtemp(template));
    budget_init(&f->budget, "test", SIZE_MAX, NULL);
    arena_init(&f->arena, &f->budget);
    buf_init(&f->object, NULL);
    MUST(objstore_dir_open(&f->bucket, f->dir, &err));
    MUST(pool_new(&f->pool, "fetch", 2, &err));
    f->source = (struct store_fetch_source){
        .pool = f->pool, .bucket = f->bucket, .deadline_ns = CLOCK_NEVER};
    *at = f;
    return 0;
}

static int
tear_down(void **at)
{
    struct fixture *f = *at;
    store_records_fini(&f->records);
    store_fetch_source_fini(&f->source);
    pool_free(&f->pool);
    objstore_free(&f->bucket);
    buf_fini(&f->object);
    arena_fini(&f->arena);
    budget_fini(&f->budget);
    MUST(file_remove_tree(f->dir, &err));
    free(f->dir);
    free(f);
    return 0;
}

static void
append(struct fixture *f, uint8_t byte, size_t len)
{
    memset(buf_reserve(&f->object, len), byte, len);
    f->object.len += len;
}

static void
append_record(struct fixture *f, size_t number, uint32_t len)
{
    f->pieces[number].offset = f->object.len;
    buf_put_be32(&f->object, len);
    append(f, (uint8_t)number, len - sizeof len);
}

static bool
size_of_record(struct bytes start, uint64_t *size)
{
    if (start.len < sizeof(uint32_t))
        return false;
    *size = be32_load(start.at);
    return true;
}

/* Store the object and read count records of it. */
static void
read_records(struct fixture *f, size_t count)
{
    static const char *const keys[] = {"object"};
    const struct objstore_call call = {.deadline_ns = CLOCK_NEVER};
    MUST(objstore_put(f->bucket, &call, bytes_of_str(keys[0]), buf_bytes(&f->object),
                      &err));
    for (size_t i = 0; i < count; i++)
        if (f->pieces[i].room == 0)
            f->pieces[i].room = f->object.len - f->pieces[i].offset;
    f->records = (struct store_records){.keys = keys,
                                        .pieces = f->pieces,
                                        .count = count,
                                        .data = STORE_DATA_CHUNKS,
                                        .size = size_of_record,
                                        .guess = GUESS,
                                        .on_record = f->on_record,
                                        .on_record_arg = f};
    MUST(store_records_start(&f->records, &f->source, &f->arena, &err));
    MUST(store_records_wait(&f->records, &err));
}

static void
expect_record(const struct fixture *f, size_t number, uint32_t len)
{
    struct bytes got = store_records_get(&f->records, &f->pieces[number]);
    assert_true(got.len >= len);
    assert_int_equal(be32_load(got.at), len);
    for (size_t i = sizeof len; i < len; i++)
        assert_int_equal(got.at[i], number);
}

static void
reads_neighbours_once_whatever_their_length(void **at)
{
    struct fixture *f = *at;
    for (size_t i = 0; i < RECORDS; i++)
        append_record(f, i, LONG);
    read_records(f, RECORDS);
    for (size_t i = 0; i < RECORDS; i++)
        expect_record(f, i, LONG);
    /* Nothing follows the last one: only that is a guess. */
    assert_int_equal(store_data_totals_sum(f->source.data).requests, 2);
}

static void
reads_again_what_is_longer_than_the_guess(void **at)
{
    struct fixture *f = *at;
    for (size_t i = 0; i < RECORDS; i++) {
        append_record(f, i, i % 2 ? LONG + (uint32_t)i : GUESS);
        append(f, 0, FAR);
    }
    read_records(f, RECORDS);
    for (size_t i = 0; i < RECORDS; i++)
        expect_record(f, i, i % 2 ? LONG + (uint32_t)i : GUESS);
    assert_int_equal(store_data_totals_sum(f->source.data).requests,
                     RECORDS + RECORDS / 2);
    assert_int_equal(f->records.guess, LONG + RECORDS - 1);
}

/* A record that is read twice is one record, of two requests. */
static void
counts_each_record_once_and_rereads_apart(void **at)
{
    struct fixture *f = *at;
    const struct store_data_totals *chunks = &f->source.data[STORE_DATA_CHUNKS];
    for (size_t i = 0; i < RECORDS; i++) {
        append_record(f, i, i % 2 ? LONG : GUESS);
        append(f, 0, FAR);
    }
    read_records(f, RECORDS);
    assert_int_equal(chunks->touched, RECORDS);
    assert_int_equal(chunks->fetched, RECORDS);
    assert_int_equal(chunks->refetched, RECORDS / 2);
    assert_int_equal(chunks->requests, RECORDS + RECORDS / 2);
    assert_int_equal(chunks->fetched_bytes, RECORDS * GUESS + RECORDS / 2 * LONG);
    assert_int_equal(chunks->touched_bytes, chunks->fetched_bytes);
    assert_int_equal(chunks->cached_reads, 0);
    assert_int_equal(f->source.data[STORE_DATA_POSTINGS].requests, 0);
    assert_int_equal(f->source.data[STORE_DATA_SERIES].requests, 0);
}

static bool
take_whole(void *arg, const struct store_piece *piece, struct bytes got)
{
    struct fixture *f = arg;
    uint64_t size;
    bool *is_whole = &f->is_whole[piece - f->pieces];
    *is_whole = size_of_record(got, &size) && size <= got.len;
    return *is_whole;
}

static void
hands_out_whole_records_as_they_come(void **at)
{
    struct fixture *f = *at;
    f->on_record = take_whole;
    for (size_t i = 0; i < RECORDS; i++) {
        append_record(f, i, i % 2 ? LONG : GUESS);
        append(f, 0, i % 3 ? FAR : 10);
    }
    read_records(f, RECORDS);
    size_t again = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        expect_record(f, i, i % 2 ? LONG : GUESS);
        assert_int_equal(f->pieces[i].is_taken, f->is_whole[i]);
        assert_int_equal(f->pieces[i].is_again, !f->is_whole[i]);
        again += !f->is_whole[i];
    }
    assert_true(again > 0 && again < RECORDS / 2);
}

static void
does_not_read_beyond_the_room_of_a_record(void **at)
{
    struct fixture *f = *at;
    append_record(f, 0, LONG);
    f->pieces[0].room = LONG - 1;
    read_records(f, 1);
    assert_int_equal(store_data_totals_sum(f->source.data).requests, 1);
    assert_int_equal(store_records_get(&f->records, &f->pieces[0]).len, GUESS);
}

static void
reaches_to_the_next_record_when_it_is_near(void **unused)
{
    (void)unused;
    assert_int_equal(store_records_reach(1000, 1300, 5000, GUESS), 300);
    assert_int_equal(store_records_reach(1000, 1010, 5000, GUESS), 10);
    assert_int_equal(store_records_reach(1000, 0, 5000, GUESS), GUESS);
    assert_int_equal(store_records_reach(1000, 1000 + FAR, FAR, GUESS), GUESS);
    assert_int_equal(store_records_reach(1000, 1300, 200, GUESS), 200);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_neighbours_once_whatever_their_length,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(counts_each_record_once_and_rereads_apart,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_again_what_is_longer_than_the_guess,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(hands_out_whole_records_as_they_come, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(does_not_read_beyond_the_room_of_a_record,
                                        set_up, tear_down),
        cmocka_unit_test(reaches_to_the_next_record_when_it_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
