/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/disk_record.h"
#include "tests/support/expect.h"
#include "tests/support/guard.h"

static struct err err;

static const struct store_disk_record sample = {
    .range = {BYTES("01J0000000000000000000000A/index"), UINT64_C(1) << 40, 4096},
    .flags = STORE_DISK_ZSTD,
    .content_crc = 0xdeadbeef,
    .content_len = 77,
    .data_len = 4000,
};

static void
round_trips_a_record(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b = {0};
    struct store_disk_record got;
    store_disk_put_record(&b, &sample);
    assert_int_equal(b.len, STORE_DISK_RECORD_SIZE + sample.range.key.len);
    buf_put_str(&b, "what follows does not matter");
    expect_ok(store_disk_parse_record(buf_bytes(&b), &got, &err), err);
    assert_true(bytes_eq(got.range.key, sample.range.key));
    assert_int_equal(got.range.offset, sample.range.offset);
    assert_int_equal(got.range.len, sample.range.len);
    assert_int_equal(got.flags, sample.flags);
    assert_int_equal(got.content_crc, sample.content_crc);
    assert_int_equal(got.content_len, sample.content_len);
    assert_int_equal(got.data_len, sample.data_len);
    struct store_disk_row row = store_disk_row_of(&got, 1000);
    assert_int_equal(row.len, b.len - strlen("what follows does not matter") + 77);
    assert_int_equal(row.hash, store_disk_hash(&sample.range));
}

static void
refuses_a_record(void *unused, struct bytes in)
{
    struct store_disk_record got;
    (void)unused;
    expect_fails(store_disk_parse_record(in, &got, &err), err, ERR_CORRUPT);
}

static void
refuses_every_cut_and_every_flipped_bit_of_a_record(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b = {0};
    store_disk_put_record(&b, &sample);
    for_each_truncation(buf_bytes(&b), refuses_a_record, NULL);
    for_each_bit_flip(buf_bytes(&b), refuses_a_record, NULL);
}

static void
refuses_contradictions_behind_a_right_checksum(void **state)
{
    (void)state;
    struct store_disk_record bad[] = {sample, sample, sample, sample, sample};
    bad[0].flags = 4;
    bad[1].data_len = 4097; /* more than was asked for */
    bad[2].flags = 0;       /* and yet of another length */
    bad[3].flags = STORE_DISK_FORGET;
    bad[4].range.key.len = 0;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(buf_fini) struct buf b = {0};
        store_disk_put_record(&b, &bad[i]);
        refuses_a_record(NULL, buf_bytes(&b));
    }
}

static void
refuses_a_head(void *unused, struct bytes in)
{
    (void)unused;
    if (in.len == STORE_DISK_HEAD_SIZE)
        assert_false(store_disk_check_head(in.at, 7, BYTES("blocks")));
}

static void
knows_its_files(void **state)
{
    (void)state;
    uint8_t head[STORE_DISK_HEAD_SIZE];
    store_disk_print_head(7, BYTES("blocks"), head);
    assert_true(store_disk_check_head(head, 7, BYTES("blocks")));
    assert_false(store_disk_check_head(head, 8, BYTES("blocks")));
    assert_false(store_disk_check_head(head, 7, BYTES("other")));
    for_each_bit_flip(bytes_of(head, sizeof head), refuses_a_head, NULL);
}

/* As a reader of a file sees it that has records up to 500. */
static bool
is_table(struct bytes table)
{
    uint32_t at, count;
    if (table.len < STORE_DISK_TAIL_SIZE ||
        !store_disk_parse_tail(table.at + table.len - STORE_DISK_TAIL_SIZE,
                               500 + table.len, &at, &count, &err))
        return false;
    return at == 500 && store_disk_check_table(table, at) &&
           (count + 1) * (size_t)STORE_DISK_ROW_SIZE > table.len - STORE_DISK_TAIL_SIZE;
}

static void
refuses_a_table(void *unused, struct bytes in)
{
    (void)unused;
    assert_false(is_table(in));
}

static void
refuses_every_cut_and_every_flipped_bit_of_a_table(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b = {0};
    const struct store_disk_row rows[] = {{1, 2, 16, 60, 0}, {3, 4, 76, 424, 1}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        store_disk_put_row(&b, &rows[i]);
    store_disk_put_tail(&b, 500);
    assert_true(is_table(buf_bytes(&b)));
    struct store_disk_row row = store_disk_parse_row(b.at + STORE_DISK_ROW_SIZE);
    assert_memory_equal(&row, &rows[1], sizeof row);
    for_each_truncation(buf_bytes(&b), refuses_a_table, NULL);
    for_each_bit_flip(buf_bytes(&b), refuses_a_table, NULL);
}

static void
refuses_rows_that_lead_outside(void **state)
{
    (void)state;
    const struct store_disk_row rows[] = {{1, 2, 15, 60, 0},
                                          {1, 2, 500, 60, 0},
                                          {1, 2, 16, 485, 0},
                                          {1, 2, 16, 39, 0},
                                          {1, 2, UINT32_MAX, UINT32_MAX, 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_fini) struct buf b = {0};
        store_disk_put_row(&b, &rows[i]);
        store_disk_put_tail(&b, 500);
        assert_false(is_table(buf_bytes(&b)));
    }
}

static void
groups_the_objects_of_a_block(void **state)
{
    (void)state;
    uint32_t group = store_disk_group(BYTES("A/index"));
    assert_int_equal(group, store_disk_group(BYTES("A/chunks/000001")));
    assert_int_equal(group, store_disk_group(BYTES("A")));
    assert_int_not_equal(group, store_disk_group(BYTES("B/index")));
    assert_int_not_equal(group, store_disk_group((struct bytes){0}));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips_a_record),
        cmocka_unit_test(refuses_every_cut_and_every_flipped_bit_of_a_record),
        cmocka_unit_test(refuses_contradictions_behind_a_right_checksum),
        cmocka_unit_test(knows_its_files),
        cmocka_unit_test(refuses_every_cut_and_every_flipped_bit_of_a_table),
        cmocka_unit_test(refuses_rows_that_lead_outside),
        cmocka_unit_test(groups_the_objects_of_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
