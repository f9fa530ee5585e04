/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/start_time.h"
#include "tests/unit/common/tsdb/fixture.h"

enum { SAMPLES = 130, STEP_MS = 1000 };

/* The fields behind samples STEP_MS apart, the first at 0. */
static void
expect_starts(uint8_t header, const struct bits_writer *w, const int64_t *starts,
              size_t count)
{
    CLEANUP(guard_fini) struct guard g = guard_new(buf_bytes(w->out));
    struct bits_reader r = bits_reader_of(g.bytes);
    struct tsdb_start_time start = tsdb_start_time_of(header);
    for (size_t i = 0; i < count; i++) {
        int64_t t_ms = (int64_t)i * STEP_MS;
        tsdb_start_time_read(&start, &r, (uint32_t)i, t_ms, t_ms - STEP_MS);
        assert_int_equal(start.ms, starts[i]);
    }
    assert_false(r.bad);
    assert_in_range(bits_left(&r), 0, 7);
}

static void
without_a_header_there_are_none(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf out = {0};
    struct bits_writer w = bits_writer_of(&out);
    static const int64_t starts[SAMPLES] = {0};
    expect_starts(0, &w, starts, SAMPLES);
}

static void
a_first_one_holds_until_it_changes(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf out = {0};
    struct bits_writer w = bits_writer_of(&out);
    bits_write_varint(&w, 500);
    varbit_write_i64(&w, -700); /* 2000 + 700 */
    varbit_write_i64(&w, 1000); /* the same: the sample before is 1000 later */
    varbit_write_i64(&w, 3700); /* none any more */
    bits_flush(&w);
    static const int64_t starts[] = {-500, -500, -500, 2700, 2700, 0};
    expect_starts(0x80 | 3, &w, starts, ARRAY_LEN(starts));
}

static void
the_second_one_may_differ(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf out = {0};
    struct bits_writer w = bits_writer_of(&out);
    varbit_write_i64(&w, 40);
    bits_flush(&w);
    static const int64_t starts[] = {0, -40};
    expect_starts(1, &w, starts, ARRAY_LEN(starts));
}

/* So writers do that have no room for a later number. */
static void
none_may_be_written_out_from_the_last_number_on(void **state)
{
    (void)state;
    enum { LAST = 127 };
    CLEANUP(buf_fini) struct buf out = {0};
    struct bits_writer w = bits_writer_of(&out);
    varbit_write_i64(&w, (LAST - 1) * STEP_MS);
    for (int i = LAST + 1; i < SAMPLES; i++)
        varbit_write_i64(&w, STEP_MS);
    bits_flush(&w);
    static const int64_t starts[SAMPLES] = {0};
    expect_starts(LAST, &w, starts, SAMPLES);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_header_there_are_none),
        cmocka_unit_test(a_first_one_holds_until_it_changes),
        cmocka_unit_test(the_second_one_may_differ),
        cmocka_unit_test(none_may_be_written_out_from_the_last_number_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
