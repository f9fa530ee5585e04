/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/codec/digest.h"

static void
expect_hex(const uint8_t *digest, size_t len, const char *expected)
{
    char text[2 * DIGEST_SHA256_SIZE + 1];
    digest_hex(bytes_of(digest, len), text);
    assert_string_equal(text, expected);
}

static const char sha256_of_nothing[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
static const char sha256_of_abc[] =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

static void
hashes_known_texts(void **state)
{
    (void)state;
    uint8_t out[DIGEST_SHA256_SIZE];
    digest_sha256((struct bytes){0}, out);
    expect_hex(out, sizeof out, sha256_of_nothing);
    digest_sha256(BYTES("abc"), out);
    expect_hex(out, sizeof out, sha256_of_abc);
    digest_md5(BYTES("abc"), out);
    expect_hex(out, DIGEST_MD5_SIZE, "900150983cd24fb0d6963f7d28e17f72");
}

static void
signs_known_texts(void **state)
{
    static const uint8_t long_key[131] = {[0 ... 130] = 0xaa};
    static const struct {
        struct bytes key, data;
        const char *expected;
    } cases[] = {
        {BYTES("Jefe"), BYTES("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {{long_key, sizeof long_key},
         BYTES("Test Using Larger Than Block-Size Key - Hash Key First"),
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {{NULL, 0},
         {NULL, 0},
         "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t out[DIGEST_SHA256_SIZE];
        digest_hmac_sha256(cases[i].key, cases[i].data, out);
        expect_hex(out, sizeof out, cases[i].expected);
    }
}

static void
hashes_a_stream_as_the_whole(void **state)
{
    (void)state;
    uint8_t out[DIGEST_SHA256_SIZE];
    struct digest_stream *s = digest_stream_new(DIGEST_SHA256);
    digest_stream_add(s, BYTES("a"));
    digest_stream_add(s, (struct bytes){0});
    digest_stream_add(s, BYTES("bc"));
    digest_stream_finish(&s, out);
    assert_null(s);
    expect_hex(out, sizeof out, sha256_of_abc);
}

static void
hashes_a_stream_by_md5(void **state)
{
    (void)state;
    uint8_t out[DIGEST_MD5_SIZE], whole[DIGEST_MD5_SIZE];
    struct digest_stream *s = digest_stream_new(DIGEST_MD5);
    digest_stream_add(s, BYTES("ab"));
    digest_stream_add(s, BYTES("c"));
    digest_stream_finish(&s, out);
    digest_md5(BYTES("abc"), whole);
    assert_memory_equal(out, whole, sizeof out);
}

/* The examples of RFC 4648. */
static void
writes_base64(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[DIGEST_BASE64_SIZE(6)];
        digest_base64(bytes_of_str(cases[i][0]), text);
        assert_string_equal(text, cases[i][1]);
    }
}

static void
releases_a_stream_that_is_not_finished(void **state)
{
    (void)state;
    CLEANUP(digest_stream_free) struct digest_stream *none = NULL;
    CLEANUP(digest_stream_free)
    struct digest_stream *s = digest_stream_new(DIGEST_SHA256);
    digest_stream_add(s, BYTES("a"));
}

static void
reads_base64_and_nothing_else(void **state)
{
    static const char *const good[][2] = {
        {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYmFy", "foobar"}};
    static const char *const bad[] = {
        "",     "Z",        "Zg",   "Zg=",    "====", "Z===",
        "Z=g=", "Zg==Zg==", "Zg!=", "Zm9v\n", " Zm9v"};
    uint8_t out[6];
    size_t len;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(
            digest_base64_decode(bytes_of_str(good[i][0]), out, sizeof out, &len));
        assert_int_equal(len, strlen(good[i][1]));
        assert_memory_equal(out, good[i][1], len);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(digest_base64_decode(bytes_of_str(bad[i]), out, sizeof out, &len));
    assert_false(digest_base64_decode(BYTES("Zm9vYmFy"), out, 5, &len));
}

static void
cleanses(void **state)
{
    (void)state;
    char secret[] = "secret";
    digest_cleanse(secret, sizeof secret);
    for (size_t i = 0; i < sizeof secret; i++)
        assert_int_equal(secret[i], 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_known_texts),
        cmocka_unit_test(signs_known_texts),
        cmocka_unit_test(hashes_a_stream_as_the_whole),
        cmocka_unit_test(hashes_a_stream_by_md5),
        cmocka_unit_test(writes_base64),
        cmocka_unit_test(reads_base64_and_nothing_else),
        cmocka_unit_test(releases_a_stream_that_is_not_finished),
        cmocka_unit_test(cleanses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
