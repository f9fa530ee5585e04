/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/codec/digest.h"
#include "common/objstore/retry.h"
#include "common/objstore/s3.h"
#include "common/objstore/s3_answer.h"
#include "common/objstore/s3_sign.h"
#include "tests/unit/common/objstore/fake_s3.h"
#include "tests/unit/common/objstore/fixture.h"

#define SECRET "hush-hush"

/* A bucket at a scripted server. */
struct scripted {
    struct fake fake;
    struct fixture f;
    char endpoint[32];
};

static void
scripted_init(struct scripted *s, unsigned max_tries, const struct fake_answer *answers,
              size_t count)
{
    *s = (struct scripted){0};
    fake_start(&s->fake, answers, count);
    snprintf(s->endpoint, sizeof s->endpoint, "127.0.0.1:%u",
             net_http_server_port(s->fake.server));
    struct objstore_retrier *retrier =
        objstore_retrier_new(&(struct objstore_retrier_options){max_tries});
    struct objstore_s3_options options = {
        .endpoint = {.bucket = "blocks", .address = s->endpoint, .insecure = true},
        .region = "us-east-1",
        .http = {.user_agent = "blockhouse-test"},
        .retrier = retrier,
        .integrity = OBJSTORE_S3_INTEGRITY_MD5,
        .part_size = OBJSTORE_S3_DEFAULT_PART_BYTES,
    };
    const struct objstore_credentials_options keys = {
        .access_key = "AKIAEXAMPLE", .secret_key = SECRET, .session_token = "token"};
    assert_true(objstore_credentials_new(&options.credentials, &keys, &s->f.err));
    assert_true(objstore_s3_open(&s->f.bucket, &options, &s->f.err));
    objstore_retry_wrap(&s->f.bucket, retrier);
}

static void
scripted_fini(struct scripted *s)
{
    objstore_free(&s->f.bucket);
    fake_stop(&s->fake);
}

#define ANSWERS(...) ((const struct fake_answer[]){__VA_ARGS__})
#define SCRIPT_TRIES(s, max_tries, ...)                   \
    scripted_init((s), (max_tries), ANSWERS(__VA_ARGS__), \
                  sizeof ANSWERS(__VA_ARGS__) / sizeof(struct fake_answer))
#define SCRIPT(s, ...) SCRIPT_TRIES(s, 1, __VA_ARGS__)

#define OBJECT(key)                                                                 \
    "<Contents><Key>" key "</Key><LastModified>2013-05-24T00:00:00Z</LastModified>" \
    "<ETag>&quot;e&quot;</ETag><Size>3</Size></Contents>"
#define PAGE(more, objects)                                           \
    "<ListBucketResult><EncodingType>url</EncodingType>" objects more \
    "</ListBucketResult>"
#define WHOLE "<IsTruncated>false</IsTruncated>"
#define NEXT(token)                                                \
    "<IsTruncated>true</IsTruncated><NextContinuationToken>" token \
    "</NextContinuationToken>"
/* What HEAD says of an object with this content. */
#define HOLDS(content)                                         \
    {                                                          \
        .status = 200, .body = content, .headers = {           \
            {"Last-Modified", "Fri, 24 May 2013 00:00:00 GMT"} \
        }                                                      \
    }
#define ERROR(code) "<Error><Code>" code "</Code><Message>as it says</Message></Error>"

static void
signs_what_it_sends(void **state)
{
    (void)state;
    struct scripted s;
    SCRIPT(&s, {.status = 200}, HOLDS("hello"));
    assert_true(put(&s.f, "k", "hello"));
    struct fake_request seen = fake_request(&s.fake, 0);
    assert_string_equal(seen.host, s.endpoint);
    assert_string_equal(seen.token, "token");
    assert_int_equal(seen.body_len, 5);
    assert_string_equal(
        seen.hash, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");

    uint8_t key[DIGEST_SHA256_SIZE];
    struct buf expected = {0};
    struct objstore_s3_header headers[] = {{"content-md5", "XUFAKrxLKna5cZ2REBfFkg=="},
                                           {"host", seen.host},
                                           {"x-amz-content-sha256", seen.hash},
                                           {"x-amz-date", seen.date},
                                           {"x-amz-security-token", seen.token}};
    objstore_s3_signing_key(SECRET, seen.date, "us-east-1", key);
    objstore_s3_authorization(
        &expected,
        &(struct objstore_s3_signer){"AKIAEXAMPLE", key, "us-east-1", seen.date},
        &(struct objstore_s3_request){.method = "PUT",
                                      .path = BYTES("/blocks/k"),
                                      .headers = headers,
                                      .header_count = ARRAY_LEN(headers),
                                      .payload_hash = seen.hash});
    assert_string_equal(seen.authorization, buf_text(&expected));
    buf_fini(&expected);
    scripted_fini(&s);
}

static void
lists_page_after_page(void **state)
{
    (void)state;
    struct scripted s;
    SCRIPT(
        &s,
        {.status = 200, .body = PAGE(NEXT("t/1+="), OBJECT("a%2Fb") OBJECT("a%2Fc"))},
        {.status = 200, .body = PAGE(NEXT("t2"), "")},
        {.status = 200,
         .body = PAGE(WHOLE, OBJECT("a%2Ffolder%2F") OBJECT("a%2Fz+%2B"))});
    expect_list(&s.f, "a/", "a/b a/c a/z + ");
    assert_int_equal(fake_count(&s.fake), 3);
    static const char *const queries[][5] = {
        {"2", "url", "1000", "a/", ""},
        {"2", "url", "1000", "a/", "t/1+="},
        {"2", "url", "1000", "a/", "t2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(queries); i++)
        for (size_t k = 0; k < 5; k++)
            assert_string_equal(fake_request(&s.fake, i).query[k], queries[i][k]);
    scripted_fini(&s);
}

static void
refuses_listings_that_break_their_promise(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *reason;
        size_t requests;
    } cases[] = {
        {PAGE(WHOLE, OBJECT("b") OBJECT("a")), "byte order", 1},
        {PAGE(WHOLE, OBJECT("a") OBJECT("a")), "byte order", 1},
        {PAGE(NEXT("t"), ""), "repeats", 2},
        {PAGE(NEXT("t"), OBJECT("a")), "byte order", 2},
        {"<html/>", "no listing", 1},
        {"", "no element", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scripted s;
        SCRIPT(&s, {.status = 200, .body = cases[i].body});
        expect_list(&s.f, "", "<corrupt>");
        if (strstr(s.f.err.text, cases[i].reason) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", s.f.err.text, cases[i].reason);
        assert_int_equal(fake_count(&s.fake), cases[i].requests);
        scripted_fini(&s);
    }
    struct scripted s;
    SCRIPT(&s, {.status = 200, .body = PAGE(WHOLE, OBJECT("b"))});
    expect_list(&s.f, "a/", "<corrupt>");
    scripted_fini(&s);
}

static void
fetches_a_page_again_that_was_cut(void **state)
{
    (void)state;
    struct scripted s;
    SCRIPT_TRIES(
        &s, 3, {.status = 200, .body = PAGE(NEXT("t"), OBJECT("a") OBJECT("b"))},
        {.status = 200, .body = PAGE(WHOLE, OBJECT("c") OBJECT("d")), .cut_after = 200},
        {.status = 500, .body = ERROR("InternalError")},
        {.status = 200, .body = PAGE(WHOLE, OBJECT("c") OBJECT("d"))});
    expect_list(&s.f, "", "a b c d ");
    assert_int_equal(fake_count(&s.fake), 4);
    assert_string_equal(fake_request(&s.fake, 3).query[4], "t");
    scripted_fini(&s);
}

static void
gives_a_page_up_after_three_tries(void **state)
{
    (void)state;
    struct scripted s;
    SCRIPT_TRIES(&s, 3, {.status = 503, .body = ERROR("SlowDown")});
    expect_list(&s.f, "", "<throttled>");
    assert_int_equal(fake_count(&s.fake), 3);
    scripted_fini(&s);
}

static void
says_what_the_server_said(void **state)
{
    (void)state;
    static const struct {
        struct fake_answer answer;
        enum err_code code;
        const char *part;
    } cases[] = {
        {{403, ERROR("AccessDenied"), 0, {{0}}},
         ERR_DENIED,
         "status 403 AccessDenied: as it says"},
        {{404, ERROR("NoSuchKey"), 0, {{0}}}, ERR_NOT_FOUND, "NoSuchKey"},
        {{404, ERROR("NoSuchBucket"), 0, {{0}}}, ERR_INVALID, "NoSuchBucket"},
        {{404, "not found\n", 0, {{0}}}, ERR_NOT_FOUND, "status 404"},
        {{429, "", 0, {{0}}}, ERR_THROTTLED, "status 429"},
        {{503, ERROR("SlowDown"), 0, {{0}}}, ERR_THROTTLED, "SlowDown"},
        {{500, ERROR("InternalError"), 0, {{0}}}, ERR_UNAVAILABLE, "InternalError"},
        {{400, ERROR("RequestTimeout"), 0, {{0}}}, ERR_TIMEOUT, "RequestTimeout"},
        {{400, ERROR("ExpiredToken"), 0, {{0}}}, ERR_DENIED, "ExpiredToken"},
        {{400, ERROR("BadDigest"), 0, {{0}}}, ERR_UNAVAILABLE, "BadDigest"},
        {{412, ERROR("PreconditionFailed"), 0, {{0}}}, ERR_CONFLICT, "Precondition"},
        {{400, ERROR("EntityTooLarge"), 0, {{0}}}, ERR_INVALID, "EntityTooLarge"},
        {{409, ERROR("OperationAborted"), 0, {{0}}},
         ERR_UNAVAILABLE,
         "OperationAborted"},
        {{307, "", 0, {{"Location", "http://127.0.0.1:1/"}}},
         ERR_UNSUPPORTED,
         "status 307"},
        {{301, ERROR("PermanentRedirect"), 0, {{"x-amz-bucket-region", "eu-west-1"}}},
         ERR_INVALID,
         "region eu-west-1, not in us-east-1"},
        {{403, "<Error><Code>AccessDenied</Code><Message>cut", 0, {{0}}},
         ERR_DENIED,
         "status 403 AccessDenied"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scripted s;
        scripted_init(&s, 1, &cases[i].answer, 1);
        free(get(&s.f, "k"));
        if (s.f.err.code != cases[i].code ||
            strstr(s.f.err.text, cases[i].part) == NULL)
            fail_msg("case %zu: %s: %s", i, err_code_name(s.f.err.code), s.f.err.text);
        assert_false(put(&s.f, "k", "x"));
        assert_int_equal(s.f.err.code, cases[i].code);
        assert_null(strstr(s.f.err.text, SECRET));
        assert_null(strstr(s.f.err.text, "Signature"));
        scripted_fini(&s);
    }
}

/* Read [5, 15) from a server with this answer. */
struct range_case {
    int status;
    const char *content_range;
    const char *body;
    const char *expected; /* what is read; NULL: an error with this code */
    enum err_code code;
};

static void
expect_range(const struct range_case *c)
{
    const struct fake_answer answer = {
        .status = c->status,
        .body = c->body,
        .headers = {{c->content_range ? "Content-Range" : NULL, c->content_range}}};
    struct scripted s;
    uint8_t into[10];
    size_t got = 0;
    scripted_init(&s, 1, &answer, 1);
    bool ok = objstore_read_range(s.f.bucket, &CALL, text("k"),
                                  (struct objstore_range){5, 10}, into, &got, &s.f.err);
    if (ok != (c->expected != NULL) || (!ok && s.f.err.code != c->code))
        fail_msg("\"%s\" \"%s\": %s", c->content_range ? c->content_range : "", c->body,
                 ok ? "read" : s.f.err.text);
    if (ok) {
        assert_int_equal(got, strlen(c->expected));
        assert_memory_equal(into, c->expected, got);
    }
    assert_string_equal(fake_request(&s.fake, 0).range, "bytes=5-14");
    scripted_fini(&s);
}

static void
checks_the_range_of_an_answer(void **state)
{
    (void)state;
    static const struct range_case cases[] = {
        {206, "bytes 5-14/100", "0123456789", "0123456789", 0},
        {206, "bytes 5-14/15", "0123456789", "0123456789", 0},
        {206, "bytes 5-14/*", "0123456789", "0123456789", 0},
        {206, "bytes 5-7/8", "012", "012", 0},
        {206, "bytes 5-7/*", "012", NULL, ERR_CORRUPT},
        /* Not what was asked for. */
        {206, "bytes 5-7/100", "012", NULL, ERR_CORRUPT},
        {206, "bytes 4-13/100", "0123456789", NULL, ERR_CORRUPT},
        {206, "bytes 6-15/100", "0123456789", NULL, ERR_CORRUPT},
        {206, "bytes 5-15/100", "0123456789a", NULL, ERR_CORRUPT},
        {206, "bytes 5-4/100", "", NULL, ERR_CORRUPT},
        {206, "bytes 5-14/14", "0123456789", NULL, ERR_CORRUPT},
        /* Not what was announced. */
        {206, "bytes 5-14/100", "0123456789a", NULL, ERR_UNAVAILABLE},
        {206, "bytes 5-14/100", "012345678", NULL, ERR_UNAVAILABLE},
        {206, "bytes 5-14/100", "", NULL, ERR_UNAVAILABLE},
        /* Not a range. */
        {206, NULL, "0123456789", NULL, ERR_CORRUPT},
        {206, "", "0123456789", NULL, ERR_CORRUPT},
        {206, "bytes */100", "0123456789", NULL, ERR_CORRUPT},
        {206, "bytes 5/100-14", "0123456789", NULL, ERR_CORRUPT},
        {206, "bytes 5-14", "0123456789", NULL, ERR_CORRUPT},
        {206, "bytes 5-99999999999999999999/*", "0123456789", NULL, ERR_CORRUPT},
        {206, "lines 5-14/100", "0123456789", NULL, ERR_CORRUPT},
        {200, NULL, "0123456789", NULL, ERR_UNSUPPORTED},
        {200, NULL, "", NULL, ERR_INVALID},
        {204, NULL, "", NULL, ERR_UNSUPPORTED},
        {416, "bytes */5", ERROR("InvalidRange"), NULL, ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_range(&cases[i]);
}

static void
resumes_a_read_that_was_cut(void **state)
{
    (void)state;
    struct scripted s;
    SCRIPT_TRIES(&s, 3,
                 {.status = 206,
                  .body = "0123456789",
                  .cut_after = 4,
                  .headers = {{"Content-Range", "bytes 0-9/10"}}},
                 {.status = 206,
                  .body = "456789",
                  .headers = {{"Content-Range", "bytes 4-9/10"}}});
    uint8_t into[10];
    size_t got;
    assert_true(objstore_read_range(s.f.bucket, &CALL, text("k"),
                                    (struct objstore_range){0, 10}, into, &got,
                                    &s.f.err));
    assert_int_equal(got, 10);
    assert_memory_equal(into, "0123456789", 10);
    assert_int_equal(fake_count(&s.fake), 2);
    assert_string_equal(fake_request(&s.fake, 1).range, "bytes=4-9");
    scripted_fini(&s);
}

static void
reads_attributes(void **state)
{
    (void)state;
    struct scripted s;
    struct objstore_attrs attrs = {.size = 77};
    SCRIPT(
        &s,
        {.status = 200,
         .body = "12345",
         .headers = {{"Last-Modified", "Fri, 24 May 2013 00:00:00 GMT"},
                     {"ETag", "\"5d41402abc4b2a76b9719d911017c592\""}}},
        {.status = 200,
         .body = "12345",
         .headers = {{"Last-Modified", "Fri, 24 May 2013 00:00:00 GMT"},
                     {"ETag", "0123456789012345678901234567890123456789"
                              "0123456789012345678901234567890123456789"}}},
        {.status = 200, .body = "12345", .headers = {{"Last-Modified", "yesterday"}}},
        {.status = 404});
    assert_true(objstore_head(s.f.bucket, &CALL, text("k"), &attrs, &s.f.err));
    assert_int_equal(attrs.size, 5);
    assert_int_equal(attrs.mtime_ms, INT64_C(1369353600000));
    assert_string_equal(attrs.etag, "5d41402abc4b2a76b9719d911017c592");
    assert_true(objstore_head(s.f.bucket, &CALL, text("k"), &attrs, &s.f.err));
    assert_string_equal(attrs.etag, "");
    attrs.size = 77;
    assert_false(objstore_head(s.f.bucket, &CALL, text("k"), &attrs, &s.f.err));
    assert_int_equal(s.f.err.code, ERR_CORRUPT);
    assert_false(objstore_head(s.f.bucket, &CALL, text("k"), &attrs, &s.f.err));
    assert_int_equal(s.f.err.code, ERR_NOT_FOUND);
    assert_int_equal(attrs.size, 77);
    scripted_fini(&s);
}

static void
streams_files(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 300000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct scripted s;
        uint8_t hash[DIGEST_SHA256_SIZE];
        char hex[2 * sizeof hash + 1];
        char *data = calloc(1, sizes[i] + 1);
        FILE *file = tmpfile();
        memset(data, 'x', sizes[i]);
        assert_int_equal(fwrite(data, 1, sizes[i], file), sizes[i]);
        fflush(file);
        SCRIPT(&s, {.status = 200}, HOLDS(data));
        assert_true(put_file(&s.f, &CALL, text("k"), fileno(file), sizes[i]));
        assert_int_equal(fake_request(&s.fake, 0).body_len, sizes[i]);
        digest_sha256(bytes_of(data, sizes[i]), hash);
        digest_hex(bytes_of(hash, sizeof hash), hex);
        assert_string_equal(fake_request(&s.fake, 0).hash, hex);
        free(data);
        fclose(file);
        scripted_fini(&s);
    }
}

static void
sends_a_file_anew_at_each_try(void **state)
{
    (void)state;
    struct scripted s;
    FILE *file = tmpfile();
    fputs("0123456789", file);
    fflush(file);
    SCRIPT_TRIES(&s, 3, {.status = 500}, {.status = 200}, HOLDS("0123456789"));
    assert_true(put_file(&s.f, &CALL, text("k"), fileno(file), 10));
    assert_int_equal(fake_count(&s.fake), 3);
    assert_int_equal(fake_request(&s.fake, 1).body_len, 10);
    fclose(file);
    scripted_fini(&s);
}

/* What is read to be hashed does not pass it. */
static void
asks_the_gate_for_what_is_sent(void **state)
{
    (void)state;
    struct scripted s;
    struct gate open = {.limit = 10}, shut = {0};
    FILE *file = tmpfile();
    fputs("0123456789", file);
    fflush(file);
    SCRIPT(&s, {.status = 200}, HOLDS("0123456789"));
    assert_true(put_file_by(&s.f, text("k"), fileno(file), 10, &open));
    assert_int_equal(open.passed, 10);
    assert_false(put_file_by(&s.f, text("k"), fileno(file), 10, &shut));
    assert_int_equal(s.f.err.code, ERR_BUDGET);
    fclose(file);
    scripted_fini(&s);
}

static void
refuses_files_that_cannot_be_stored(void **state)
{
    (void)state;
    struct scripted s;
    FILE *file = tmpfile();
    fputs("short", file);
    fflush(file);
    SCRIPT(&s, {.status = 200});
    assert_false(put_file(&s.f, &CALL, text("k"), fileno(file), 6));
    assert_int_equal(s.f.err.code, ERR_CORRUPT);
    assert_int_equal(fake_count(&s.fake), 0);
    fclose(file);
    scripted_fini(&s);
}

static void
deletes_what_may_be_missing(void **state)
{
    (void)state;
    struct scripted s;
    SCRIPT(&s, {.status = 204}, {.status = 404, .body = ERROR("NoSuchKey")},
           {.status = 404, .body = ERROR("NoSuchBucket")}, {.status = 403});
    assert_true(objstore_remove(s.f.bucket, &CALL, text("k"), &s.f.err));
    assert_true(objstore_remove(s.f.bucket, &CALL, text("k"), &s.f.err));
    assert_false(objstore_remove(s.f.bucket, &CALL, text("k"), &s.f.err));
    assert_int_equal(s.f.err.code, ERR_INVALID);
    assert_false(objstore_remove(s.f.bucket, &CALL, text("k"), &s.f.err));
    assert_int_equal(s.f.err.code, ERR_DENIED);
    scripted_fini(&s);
}

static void
takes_over_the_clock_of_the_server(void **state)
{
    (void)state;
    struct scripted s;
    SCRIPT_TRIES(&s, 3, {.status = 403, .body = ERROR("RequestTimeTooSkewed")},
                 {.status = 200}, HOLDS("x"),
                 {.status = 403, .body = ERROR("RequestTimeTooSkewed")});
    char today[OBJSTORE_S3_TIME_SIZE];
    objstore_s3_time(clock_wall_ns(), today);
    clock_freeze(clock_mono_ns(), INT64_C(1369353600) * CLOCK_NS_PER_S);
    assert_true(put(&s.f, "k", "x"));
    assert_string_equal(fake_request(&s.fake, 0).date, "20130524T000000Z");
    assert_memory_equal(fake_request(&s.fake, 1).date, today, OBJSTORE_S3_DAY_LEN - 2);
    /* Once it has been taken over, a refusal is a refusal. */
    assert_false(put(&s.f, "k", "x"));
    assert_int_equal(s.f.err.code, ERR_DENIED);
    assert_int_equal(fake_count(&s.fake), 4);
    clock_unfreeze();
    scripted_fini(&s);
}

/* Requests that were signed before one of them learnt the clock may go again, too. */
static void
learns_the_clock_once_for_all_under_way(void **state)
{
    (void)state;
    static const char DATE[] = "date: Fri, 24 May 2013 01:00:00 GMT\n";
    _Atomic int64_t skew_ns = 0;
    struct err err;
    struct objstore_s3_answer *answer = calloc(1, sizeof *answer);
    answer->http.status = 403;
    answer->http.headers_len = strlen(DATE);
    memcpy(answer->http.headers, DATE, sizeof DATE);
    clock_freeze(clock_mono_ns(), INT64_C(1369353600) * CLOCK_NS_PER_S);
    for (int i = 0; i < 2; i++) {
        assert_false(objstore_s3_refused(answer, &skew_ns, 0, &err));
        assert_int_equal(err.code, ERR_UNAVAILABLE);
        assert_int_equal(skew_ns, 3600 * CLOCK_NS_PER_S);
    }
    assert_false(objstore_s3_refused(answer, &skew_ns, skew_ns, &err));
    assert_int_equal(err.code, ERR_DENIED);
    clock_unfreeze();
    free(answer);
}

static void
does_not_take_over_an_impossible_clock(void **state)
{
    (void)state;
    static const char *const dates[] = {"Fri, 31 Dec 9999 23:59:59 GMT",
                                        "Mon, 01 Jan 0001 00:00:00 GMT",
                                        "Wed, 01 Jan 2500 00:00:00 GMT"};
    for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
        struct scripted s;
        SCRIPT(&s, {.status = 403, .headers = {{"Date", dates[i]}}});
        assert_false(put(&s.f, "k", "x"));
        assert_int_equal(s.f.err.code, ERR_DENIED);
        assert_false(put(&s.f, "k", "x"));
        assert_memory_equal(fake_request(&s.fake, 1).date, "20", 2);
        scripted_fini(&s);
    }
}

static void
says_how_long_the_server_asks_to_wait(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        int64_t seconds;
    } cases[] = {{"7", 7},
                 {"0", 0},
                 {"soon", 0},
                 {"-1", 0},
                 {"99999999999999999", 86400},
                 {"Fri, 24 May 2013 00:00:09 GMT", 9},
                 {"Thu, 23 May 2013 00:00:00 GMT", 0}};
    clock_freeze(clock_mono_ns(), INT64_C(1369353600) * CLOCK_NS_PER_S);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scripted s;
        SCRIPT(&s, {.status = 503, .headers = {{"Retry-After", cases[i].header}}});
        assert_false(put(&s.f, "k", "x"));
        assert_int_equal(s.f.err.code, ERR_THROTTLED);
        assert_int_equal(s.f.err.retry_after_ns, cases[i].seconds * CLOCK_NS_PER_S);
        scripted_fini(&s);
    }
    clock_unfreeze();
}

static void
reports_a_server_that_is_not_there(void **state)
{
    (void)state;
    struct scripted s;
    SCRIPT(&s, {.status = 200});
    net_http_server_stop(&s.fake.server, clock_deadline(CLOCK_NS_PER_S));
    assert_false(put(&s.f, "k", "x"));
    assert_int_equal(s.f.err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(s.f.err.text, s.endpoint));
    scripted_fini(&s);
}

static void
stops_when_cancelled(void **state)
{
    (void)state;
    struct scripted s;
    CLEANUP(cancel_fini) struct cancel cancel = {0};
    struct objstore_call call = {.deadline_ns = CLOCK_NEVER, .cancel = &cancel};
    SCRIPT(&s, {.status = 200});
    cancel_raise(&cancel);
    assert_false(objstore_put(s.f.bucket, &call, text("k"), text("x"), &s.f.err));
    assert_int_equal(s.f.err.code, ERR_CANCELLED);
    assert_int_equal(fake_count(&s.fake), 0);
    scripted_fini(&s);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_what_it_sends),
        cmocka_unit_test(lists_page_after_page),
        cmocka_unit_test(refuses_listings_that_break_their_promise),
        cmocka_unit_test(fetches_a_page_again_that_was_cut),
        cmocka_unit_test(gives_a_page_up_after_three_tries),
        cmocka_unit_test(says_what_the_server_said),
        cmocka_unit_test(checks_the_range_of_an_answer),
        cmocka_unit_test(resumes_a_read_that_was_cut),
        cmocka_unit_test(reads_attributes),
        cmocka_unit_test(streams_files),
        cmocka_unit_test(sends_a_file_anew_at_each_try),
        cmocka_unit_test(asks_the_gate_for_what_is_sent),
        cmocka_unit_test(refuses_files_that_cannot_be_stored),
        cmocka_unit_test(deletes_what_may_be_missing),
        cmocka_unit_test(takes_over_the_clock_of_the_server),
        cmocka_unit_test(learns_the_clock_once_for_all_under_way),
        cmocka_unit_test(does_not_take_over_an_impossible_clock),
        cmocka_unit_test(says_how_long_the_server_asks_to_wait),
        cmocka_unit_test(reports_a_server_that_is_not_there),
        cmocka_unit_test(stops_when_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
