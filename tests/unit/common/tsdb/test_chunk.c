/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/tsdb/chunk.h"
#include "tests/unit/common/tsdb/fixture.h"

static void
put_chunk(struct buf *b, uint8_t encoding, struct bytes data)
{
    varint_put_u64(b, data.len);
    size_t from = b->len;
    buf_put_u8(b, encoding);
    buf_put(b, data);
    put_crc_from(b, from);
}

static void
checks_the_header_of_a_segment(void **state)
{
    (void)state;
    static const struct {
        struct bytes header;
        enum err_code code;
    } cases[] = {
        {BYTES("\x85\xbd\x40\xdd\x01\0\0\0"), ERR_NONE},
        {BYTES("\x85\xbd\x40\xdd\x02\0\0\0"), ERR_UNSUPPORTED},
        {BYTES("\x85\xbd\x40\xde\x01\0\0\0"), ERR_CORRUPT},
        {BYTES("\x85\xbd\x40\xdd\x01\0\0"), ERR_CORRUPT},
        {BYTES(""), ERR_CORRUPT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        CLEANUP(guard_fini) struct guard g = guard_new(cases[i].header);
        bool ok = tsdb_chunk_segment_header_parse(g.bytes, &err);
        assert_int_equal(ok, cases[i].code == ERR_NONE);
        assert_int_equal(err.code, cases[i].code);
    }
}

static void
reads_every_known_encoding(void **state)
{
    (void)state;
    static const struct {
        uint8_t encoding;
        const char *name;
    } cases[] = {
        {1, "XOR"},    {2, "HISTOGRAM"},    {3, "FLOAT_HISTOGRAM"},
        {4, "XOR2"},   {5, "HISTOGRAM_ST"}, {6, "FLOAT_HISTOGRAM_ST"},
        {255, "AGGR"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_fini) struct buf record = {0};
        struct tsdb_chunk chunk;
        struct err err;
        uint64_t size;
        put_chunk(&record, cases[i].encoding, BYTES("data"));
        assert_true(tsdb_chunk_size(buf_bytes(&record), &size));
        assert_int_equal(size, record.len);
        buf_put_str(&record, "the next one");
        assert_done(tsdb_chunk_parse(&chunk, buf_bytes(&record), &err), &err);
        assert_int_equal(chunk.encoding, cases[i].encoding);
        assert_int_equal(chunk.crc, tsdb_chunk_crc(&chunk));
        assert_bytes(chunk.data, BYTES("data"));
        assert_string_equal(tsdb_chunk_encoding_name(chunk.encoding), cases[i].name);
    }
}

static void
refuses_unknown_encodings(void **state)
{
    (void)state;
    static const uint8_t unknown[] = {0, 7, 100, 254};
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        CLEANUP(buf_fini) struct buf record = {0};
        struct tsdb_chunk chunk;
        struct err err;
        put_chunk(&record, unknown[i], BYTES(""));
        assert_failed(tsdb_chunk_parse(&chunk, buf_bytes(&record), &err), &err,
                      ERR_UNSUPPORTED);
        assert_string_equal(
            tsdb_chunk_encoding_name((enum tsdb_chunk_encoding)unknown[i]), "unknown");
    }
}

static void
expect_corrupt(void *arg, struct bytes record)
{
    (void)arg;
    struct tsdb_chunk chunk;
    struct err err;
    assert_failed(tsdb_chunk_parse(&chunk, record, &err), &err, ERR_CORRUPT);
}

static void
rejects_truncations_and_bit_flips(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf record = {0};
    put_chunk(&record, 1, BYTES("some bytes of a chunk"));
    for_each_truncation(buf_bytes(&record), expect_corrupt, NULL);
    for_each_bit_flip(buf_bytes(&record), expect_corrupt, NULL);
}

static void
size_follows_from_the_length_field(void **state)
{
    (void)state;
    static const struct {
        struct bytes bytes;
        bool known;
        uint64_t size;
    } cases[] = {
        {BYTES(""), false, 0},
        {BYTES("\xff"), false, 0},
        {BYTES("\xff\xff\xff\xff\xff\x01"), false, 0},
        {BYTES("\x00"), true, 6},
        {BYTES("\xff\x01"), true, 262},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t size = 0;
        CLEANUP(guard_fini) struct guard g = guard_new(cases[i].bytes);
        assert_int_equal(tsdb_chunk_size(g.bytes, &size), cases[i].known);
        assert_int_equal(size, cases[i].size);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_the_header_of_a_segment),
        cmocka_unit_test(reads_every_known_encoding),
        cmocka_unit_test(refuses_unknown_encodings),
        cmocka_unit_test(rejects_truncations_and_bit_flips),
        cmocka_unit_test(size_follows_from_the_length_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
