/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/objstore/s3_sign.h"

#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void
encodes_each_byte_once(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        const char *path;
        const char *query;
    } cases[] = {
        {"AZaz09-._~", "AZaz09-._~", "AZaz09-._~"},
        {"a/b", "a/b", "a%2Fb"},
        {"a b", "a%20b", "a%20b"},
        {"a+b=c&d", "a%2Bb%3Dc%26d", "a%2Bb%3Dc%26d"},
        {"!'()*", "%21%27%28%29%2A", "%21%27%28%29%2A"},
        {"%41", "%2541", "%2541"},
        {"\xc3\xbc", "%C3%BC", "%C3%BC"},
        {"a//./../b", "a//./../b", "a%2F%2F.%2F..%2Fb"},
        {"", "", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = {0};
        objstore_s3_encode(&b, bytes_of_str(cases[i].raw), true);
        assert_string_equal(buf_text(&b), cases[i].path);
        buf_clear(&b);
        objstore_s3_encode(&b, bytes_of_str(cases[i].raw), false);
        assert_string_equal(buf_text(&b), cases[i].query);
        buf_fini(&b);
    }
}

static void
sorts_queries_by_encoded_name_then_value(void **state)
{
    (void)state;
    struct objstore_s3_param params[] = {
        {"prefix", BYTES("01J/")}, {"list-type", BYTES("2")}, {"a", BYTES("2")},
        {"uploads", BYTES("")},    {"a", BYTES("+")},         {"A", BYTES("=")},
        {"a-b", BYTES("x")},       {"a{", BYTES("y")},
    };
    struct buf b = {0};
    objstore_s3_query(&b, params, ARRAY_LEN(params));
    /* "a{" is compared as "a%7B", so it stands before "a-b". */
    assert_string_equal(
        buf_text(&b),
        "A=%3D&a=%2B&a=2&a%7B=y&a-b=x&list-type=2&prefix=01J%2F&uploads=");
    buf_clear(&b);
    objstore_s3_query(&b, params, 0);
    assert_string_equal(buf_text(&b), "");
    buf_fini(&b);
}

static void
writes_the_time_of_day(void **state)
{
    (void)state;
    char time[OBJSTORE_S3_TIME_SIZE];
    objstore_s3_time(INT64_C(1369353600) * CLOCK_NS_PER_S + 999, time);
    assert_string_equal(time, "20130524T000000Z");
}

static void
sorts_headers_by_name_and_squeezes_blanks(void **state)
{
    (void)state;
    struct objstore_s3_header headers[] = {
        {"x-amz-meta-a-b", "2"},
        {"x-amz-meta-a", "  one \t  two   "},
        {"host", "h:9000"},
        {"x-amz-date", ""},
    };
    const struct objstore_s3_request request = {
        .method = "GET",
        .path = BYTES("/b/k"),
        .headers = headers,
        .header_count = ARRAY_LEN(headers),
        .payload_hash = EMPTY_HASH,
    };
    struct buf b = {0};
    objstore_s3_canonical(&b, &request);
    assert_string_equal(buf_text(&b),
                        "GET\n/b/k\n\n"
                        "host:h:9000\n"
                        "x-amz-date:\n"
                        "x-amz-meta-a:one two\n"
                        "x-amz-meta-a-b:2\n"
                        "\n"
                        "host;x-amz-date;x-amz-meta-a;x-amz-meta-a-b\n" EMPTY_HASH);
    buf_fini(&b);
}

struct example {
    const char *method;
    const char *raw_key;
    struct objstore_s3_param params[2];
    size_t param_count;
    struct objstore_s3_header extra[2]; /* beside host and x-amz-date */
    const char *payload_hash;
    const char *signed_headers;
    const char *signature;
};

/* The four examples of the AWS manual, "Signature calculations for the authorization
 * header: transferring payload in a single chunk". */
static const struct example EXAMPLES[] = {
    {"GET",
     "test.txt",
     {{0}},
     0,
     {{"range", "bytes=0-9"}},
     EMPTY_HASH,
     "host;range;x-amz-content-sha256;x-amz-date",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT",
     "test$file.text",
     {{0}},
     0,
     {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
      {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
     "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GET",
     "",
     {{"lifecycle", {0}}},
     1,
     {{0}},
     EMPTY_HASH,
     "host;x-amz-content-sha256;x-amz-date",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"GET",
     "",
     {{"prefix", {(const uint8_t *)"J", 1}}, {"max-keys", {(const uint8_t *)"2", 1}}},
     2,
     {{0}},
     EMPTY_HASH,
     "host;x-amz-content-sha256;x-amz-date",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

static void
expect_signature(const struct example *e)
{
    static const char TIME[] = "20130524T000000Z";
    uint8_t key[DIGEST_SHA256_SIZE];
    struct objstore_s3_header headers[5] = {
        {"x-amz-date", TIME},
        {"host", "examplebucket.s3.amazonaws.com"},
        {"x-amz-content-sha256", e->payload_hash},
    };
    size_t count = 3;
    for (size_t i = 0; i < ARRAY_LEN(e->extra) && e->extra[i].name != NULL; i++)
        headers[count++] = e->extra[i];
    struct objstore_s3_param params[2] = {e->params[0], e->params[1]};
    struct buf path = {0}, query = {0}, got = {0}, expected = {0};
    buf_put_str(&path, "/");
    objstore_s3_encode(&path, bytes_of_str(e->raw_key), true);
    objstore_s3_query(&query, params, e->param_count);
    objstore_s3_signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", TIME,
                            "us-east-1", key);
    objstore_s3_authorization(
        &got,
        &(struct objstore_s3_signer){"AKIAIOSFODNN7EXAMPLE", key, "us-east-1", TIME},
        &(struct objstore_s3_request){e->method, buf_bytes(&path), buf_bytes(&query),
                                      headers, count, e->payload_hash});
    buf_printf(&expected,
               "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
               "aws4_request,SignedHeaders=%s,Signature=%s",
               e->signed_headers, e->signature);
    assert_string_equal(buf_text(&got), buf_text(&expected));
    buf_fini(&path);
    buf_fini(&query);
    buf_fini(&got);
    buf_fini(&expected);
}

static void
signs_the_published_examples(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(EXAMPLES); i++)
        expect_signature(&EXAMPLES[i]);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_each_byte_once),
        cmocka_unit_test(sorts_queries_by_encoded_name_then_value),
        cmocka_unit_test(writes_the_time_of_day),
        cmocka_unit_test(sorts_headers_by_name_and_squeezes_blanks),
        cmocka_unit_test(signs_the_published_examples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
