/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/codec/crc32c.h"
#include "common/objstore/s3_chunked.h"

static uint8_t
byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 31 + offset / 256);
}

/* Content that ends behind *arg bytes, whatever was announced. */
static bool
read_content(void *arg, uint64_t offset, uint8_t *into, size_t len, struct err *err)
{
    const uint64_t *size = arg;
    if (offset + len > *size)
        return err_set(err, ERR_CORRUPT, "the content ends");
    for (size_t i = 0; i < len; i++)
        into[i] = byte_at(offset + i);
    return true;
}

/* The whole body, written out without any state. */
static void
expect_body(uint64_t size, struct buf *body, uint32_t *crc)
{
    *crc = 0;
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < OBJSTORE_S3_CHUNK_BYTES ? (size_t)(size - at)
                                                       : OBJSTORE_S3_CHUNK_BYTES;
        buf_printf(body, "%zx\r\n", n);
        for (size_t i = 0; i < n; i++) {
            uint8_t byte = byte_at(at + i);
            buf_put_u8(body, byte);
            *crc = crc32c_extend(*crc, bytes_of(&byte, 1));
        }
        buf_put_str(body, "\r\n");
        at += n;
    }
    char text[OBJSTORE_S3_CRC_TEXT_SIZE];
    objstore_s3_crc_text(*crc, text);
    buf_printf(body, "0\r\nx-amz-checksum-crc32c:%s\r\n\r\n", text);
}

static void
expect_same(uint64_t size, size_t room)
{
    struct objstore_s3_chunked c;
    struct buf got = {0}, expected = {0};
    struct err err;
    uint32_t crc;
    size_t n;
    expect_body(size, &expected, &crc);
    objstore_s3_chunked_init(&c, read_content, &size, size);
    do {
        uint8_t *into = buf_reserve(&got, room);
        assert_true(objstore_s3_chunked_read(&c, into, room, &n, &err));
        assert_true(n <= room);
        got.len += n;
    } while (n > 0);
    assert_true(bytes_eq(buf_bytes(&got), buf_bytes(&expected)));
    assert_int_equal(objstore_s3_chunked_size(size), got.len);
    assert_int_equal(objstore_s3_chunked_crc(&c), crc);
    buf_fini(&got);
    buf_fini(&expected);
}

static void
frames_whatever_room_there_is(void **state)
{
    (void)state;
    for (size_t room = 1; room <= 200; room++)
        for (uint64_t size = 0; size < 40; size += 13)
            expect_same(size, room);
}

static void
frames_around_the_borders_of_chunks(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {
        0,
        1,
        15,
        16,
        OBJSTORE_S3_CHUNK_BYTES - 1,
        OBJSTORE_S3_CHUNK_BYTES,
        OBJSTORE_S3_CHUNK_BYTES + 1,
        2 * OBJSTORE_S3_CHUNK_BYTES,
        2 * OBJSTORE_S3_CHUNK_BYTES + 77,
    };
    static const size_t rooms[] = {3, 1000, OBJSTORE_S3_CHUNK_BYTES, 1 << 20};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (size_t k = 0; k < ARRAY_LEN(rooms); k++)
            expect_same(sizes[i], rooms[k]);
}

static void
fails_when_the_content_ends_early(void **state)
{
    (void)state;
    struct objstore_s3_chunked c;
    struct err err;
    uint8_t into[4096];
    uint64_t there = 5000;
    size_t n;
    objstore_s3_chunked_init(&c, read_content, &there, 10000);
    assert_true(objstore_s3_chunked_read(&c, into, sizeof into, &n, &err));
    assert_false(objstore_s3_chunked_read(&c, into, sizeof into, &n, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
}

/* The checksum of "123456789", 0xe3069283. */
static void
writes_a_checksum_as_the_header_has_it(void **state)
{
    (void)state;
    char text[OBJSTORE_S3_CRC_TEXT_SIZE];
    objstore_s3_crc_text(crc32c(BYTES("123456789")), text);
    assert_string_equal(text, "4waSgw==");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_whatever_room_there_is),
        cmocka_unit_test(frames_around_the_borders_of_chunks),
        cmocka_unit_test(fails_when_the_content_ends_early),
        cmocka_unit_test(writes_a_checksum_as_the_header_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
