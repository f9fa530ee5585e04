/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "common/codec/compress_stream.h"

static const enum compress_stream_coding codings[] = {COMPRESS_STREAM_GZIP,
                                                      COMPRESS_STREAM_ZSTD};

static void
unpack(enum compress_stream_coding coding, struct bytes packed, struct buf *plain,
       size_t most)
{
    uint8_t *to = buf_reserve(plain, most);
    if (coding == COMPRESS_STREAM_ZSTD) {
        size_t len = ZSTD_decompress(to, most, packed.at, packed.len);
        assert_false(ZSTD_isError(len));
        plain->len += len;
        return;
    }
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed.at,
                  .avail_in = (uInt)packed.len,
                  .next_out = to,
                  .avail_out = (uInt)most};
    assert_int_equal(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    plain->len += z.total_out;
    inflateEnd(&z);
}

/* Text that compresses, or noise. */
static void
fill(struct buf *text, size_t len, bool noise)
{
    srandom(1);
    while (text->len < len)
        if (noise)
            buf_put_u8(text, (uint8_t)random());
        else
            buf_printf(text, "\"service-%ld-pod\",", random() % 1000);
}

static void
comes_back_whole_whatever_the_pieces(void **state)
{
    static const size_t lengths[] = {0, 1, 1000, 300000};
    static const size_t pieces[] = {1, 777, 65536, 1 << 20};
    (void)state;
    for (size_t i = 0;
         i < ARRAY_LEN(codings) * ARRAY_LEN(lengths) * ARRAY_LEN(pieces) * 2; i++) {
        enum compress_stream_coding coding = codings[i % 2];
        size_t len = lengths[i / 4 % 4], piece = pieces[i / 16];
        CLEANUP(compress_stream_free) struct compress_stream *s = NULL;
        CLEANUP(buf_fini) struct buf text = {0}, packed = {0}, plain = {0};
        struct budget budget;
        struct err err;
        budget_init(&budget, "test", SIZE_MAX, NULL);
        fill(&text, len, i / 2 % 2);
        assert_true(compress_stream_new(&s, coding, &budget, &err));
        assert_true(budget_used(&budget) > 0);
        for (struct bytes rest = buf_bytes(&text); rest.len > 0;) {
            size_t part = rest.len < piece ? rest.len : piece;
            assert_true(compress_stream_put(s, bytes_of(rest.at, part), &packed, &err));
            bytes_skip(&rest, part);
        }
        assert_true(compress_stream_end(s, &packed, &err));
        unpack(coding, buf_bytes(&packed), &plain, text.len + 1);
        assert_true(bytes_eq(buf_bytes(&plain), buf_bytes(&text)));
        assert_true(i / 2 % 2 == 1 || len < 10000 || packed.len < text.len / 3);
        compress_stream_free(&s);
        budget_fini(&budget);
    }
}

static void
takes_no_more_memory_than_is_charged(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
        CLEANUP(compress_stream_free) struct compress_stream *s = NULL;
        CLEANUP(buf_fini) struct buf text = {0}, packed = {0};
        struct budget budget;
        struct err err;
        budget_init(&budget, "test", SIZE_MAX, NULL);
        fill(&text, 3 << 20, false);
        struct mallinfo2 before = mallinfo2();
        assert_true(compress_stream_new(&s, codings[i], &budget, &err));
        size_t out = 0;
        for (int n = 0; n < 10; n++) {
            assert_true(compress_stream_put(s, buf_bytes(&text), &packed, &err));
            out = packed.len;
            buf_clear(&packed);
        }
        buf_fini(&packed);
        struct mallinfo2 after = mallinfo2();
        size_t used = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
        assert_true(out > 0);
        if (used > budget_used(&budget) + 4096)
            fail_msg("%zu bytes used, %zu charged", used, budget_used(&budget));
        compress_stream_free(&s);
        budget_fini(&budget);
    }
}

static void
fails_without_budget(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
        struct compress_stream *s = NULL;
        struct budget budget;
        struct err err;
        budget_init(&budget, "test", 100 * 1024, NULL);
        assert_false(compress_stream_new(&s, codings[i], &budget, &err));
        assert_null(s);
        budget_fini(&budget);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_whole_whatever_the_pieces),
        cmocka_unit_test(takes_no_more_memory_than_is_charged),
        cmocka_unit_test(fails_without_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
