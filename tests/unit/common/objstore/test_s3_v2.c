/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/codec/digest.h"
#include "common/objstore/config.h"
#include "common/objstore/retry.h"
#include "common/objstore/s3_v2.h"
#include "tests/support/raw_http.h"
#include "tests/unit/common/objstore/fake_s3.h"
#include "tests/unit/common/objstore/fixture.h"

#define ACCESS "AKIAEXAMPLE"
#define SECRET "hush-hush"

static struct objstore_s3_v2_options
options_for(const char *endpoint)
{
    return (struct objstore_s3_v2_options){
        .endpoint = {.bucket = "blocks", .address = endpoint, .insecure = true},
        .access_key = ACCESS,
        .secret_key = SECRET,
        .http = {.user_agent = "blockhouse-test"},
    };
}

/* A bucket at a scripted server. f.bucket is the driver, in its retrying wrapper. */
struct scripted {
    struct fake fake;
    struct fixture f;
    char endpoint[32];
};

static void
scripted_init(struct scripted *s, const struct fake_answer *answers, size_t count,
              unsigned max_tries)
{
    *s = (struct scripted){0};
    fake_start(&s->fake, answers, count);
    snprintf(s->endpoint, sizeof s->endpoint, "127.0.0.1:%u",
             net_http_server_port(s->fake.server));
    struct objstore_retrier *retrier =
        objstore_retrier_new(&(struct objstore_retrier_options){max_tries});
    struct objstore_s3_v2_options options = options_for(s->endpoint);
    options.retrier = retrier;
    assert_true(objstore_s3_v2_open(&s->f.bucket, &options, &s->f.err));
    objstore_retry_wrap(&s->f.bucket, retrier);
}

static void
scripted_fini(struct scripted *s)
{
    objstore_free(&s->f.bucket);
    fake_stop(&s->fake);
}

#define ANSWERS(...) ((const struct fake_answer[]){__VA_ARGS__})
#define SCRIPT_TRIES(s, tries, ...)          \
    scripted_init((s), ANSWERS(__VA_ARGS__), \
                  sizeof ANSWERS(__VA_ARGS__) / sizeof(struct fake_answer), (tries))
#define SCRIPT(s, ...) SCRIPT_TRIES((s), 1, __VA_ARGS__)

#define OBJECT(key)                                                                 \
    "<Contents><Key>" key "</Key><LastModified>2013-05-24T00:00:00Z</LastModified>" \
    "<ETag>&quot;e&quot;</ETag><Size>3</Size></Contents>"
#define PAGE(more, objects) "<ListBucketResult>" objects more "</ListBucketResult>"
#define WHOLE "<IsTruncated>false</IsTruncated>"
#define CUT "<NextMarker></NextMarker><IsTruncated>true</IsTruncated>"
#define ERROR(code) "<Error><Code>" code "</Code><Message>as it says</Message></Error>"

#define MODIFIED                                         \
    {                                                    \
        "Last-Modified", "Fri, 24 May 2013 00:00:00 GMT" \
    }
#define HELLO_MD5 "5d41402abc4b2a76b9719d911017c592"
/* The answer to a HEAD of "hello". */
#define HELLO                                        \
    {                                                \
        .status = 200, .body = "hello", .headers = { \
            MODIFIED,                                \
            {"ETag", "\"" HELLO_MD5 "\""}            \
        }                                            \
    }

/* The signature anew, as the manual of S3 tells it. */
static void
expect_signature(const struct fake_request *seen, const char *method,
                 const char *resource)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    struct buf signed_text = {0}, expected = {0};
    buf_printf(&signed_text, "%s\n%s\n\n\nx-amz-date:%s\n%s", method, seen->md5,
               seen->date, resource);
    assert_non_null(HMAC(EVP_sha1(), SECRET, strlen(SECRET), signed_text.at,
                         signed_text.len, mac, &mac_len));
    char base64[64];
    EVP_EncodeBlock((unsigned char *)base64, mac, (int)mac_len);
    buf_printf(&expected, "AWS " ACCESS ":%s", base64);
    assert_string_equal(seen->authorization, buf_text(&expected));
    buf_fini(&signed_text);
    buf_fini(&expected);
}

static void
signs_what_it_sends(void **state)
{
    (void)state;
    struct scripted s;
    SCRIPT(&s, {.status = 200}, HELLO, {.status = 200, .body = PAGE(WHOLE, "")},
           {.status = 204});
    assert_true(put(&s.f, "k", "hello"));
    expect_list(&s.f, "", "");
    assert_true(objstore_remove(s.f.bucket, &CALL, text("k"), &s.f.err));
    static const char *const expected[][2] = {{"PUT", "/blocks/k"},
                                              {"HEAD", "/blocks/k"},
                                              {"GET", "/blocks/"},
                                              {"DELETE", "/blocks/k"}};
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        struct fake_request seen = fake_request(&s.fake, i);
        expect_signature(&seen, expected[i][0], expected[i][1]);
        assert_string_equal(seen.host, s.endpoint);
    }
    assert_int_equal(fake_request(&s.fake, 0).body_len, 5);
    assert_string_equal(fake_request(&s.fake, 0).md5, "XUFAKrxLKna5cZ2REBfFkg==");
    assert_int_equal(fake_count(&s.fake), 4);
    scripted_fini(&s);
}

static void
finds_a_virtual_host(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct raw_peer peer = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
                                      "Last-Modified: Fri, 24 May 2013 00:00:00 GMT\r\n"
                                      "\r\n"};
    raw_peer_begin(&peer);
    char endpoint[32], host[64];
    snprintf(endpoint, sizeof endpoint, "localhost:%u", peer.port);
    snprintf(host, sizeof host, "\r\nHost: blocks.%s\r\n", endpoint);
    struct objstore_s3_v2_options options = options_for(endpoint);
    options.endpoint.lookup = OBJSTORE_S3_LOOKUP_VIRTUAL_HOSTED;
    struct objstore_attrs attrs;
    assert_true(objstore_s3_v2_open(&f.bucket, &options, &f.err));
    assert_true(objstore_head(f.bucket, &CALL, text("a/k"), &attrs, &f.err));
    assert_int_equal(attrs.size, 5);
    assert_string_equal(attrs.etag, "");
    objstore_free(&f.bucket);
    raw_peer_end(&peer);
    const char *request = buf_text(&peer.request);
    assert_ptr_equal(strstr(request, "HEAD /a/k HTTP/1.1\r\n"), request);
    assert_non_null(strstr(request, host));
    struct fake_request seen = {0};
    sscanf(strstr(request, "Authorization: "), "Authorization: %299[^\r]",
           seen.authorization);
    sscanf(strstr(request, "x-amz-date: "), "x-amz-date: %31[^\r]", seen.date);
    expect_signature(&seen, "HEAD", "/blocks/a/k");
    buf_fini(&peer.request);
}

static void
lists_behind_its_last_key(void **state)
{
    (void)state;
    struct scripted s;
    SCRIPT(&s, {.status = 200, .body = PAGE(CUT, OBJECT("a/b") OBJECT("a/c &amp;+%"))},
           {.status = 200, .body = PAGE(CUT, OBJECT("a/folder/"))},
           {.status = 200, .body = PAGE(WHOLE, OBJECT("a/z&lt;&amp;a"))});
    expect_list(&s.f, "a/", "a/b a/c &+% a/z<&a ");
    assert_int_equal(fake_count(&s.fake), 3);
    static const char *const queries[][6] = {
        {"", "", "1000", "a/", "", ""},
        {"", "", "1000", "a/", "", "a/c &+%"},
        {"", "", "1000", "a/", "", "a/folder/"},
    };
    for (size_t i = 0; i < ARRAY_LEN(queries); i++)
        for (size_t k = 0; k < ARRAY_LEN(queries[i]); k++)
            assert_string_equal(fake_request(&s.fake, i).query[k], queries[i][k]);
    scripted_fini(&s);
}

static bool
note_time(void *arg, const struct objstore_object *object, struct err *err)
{
    (void)err;
    *(int64_t *)arg = object->attrs.mtime_ms;
    return true;
}

static void
reads_the_times_of_a_listing_in_any_zone(void **state)
{
    (void)state;
    struct scripted s;
    int64_t mtime_ms = 0;
    setenv("TZ", "Asia/Tokyo", 1);
    tzset();
    SCRIPT(&s, {.status = 200, .body = PAGE(WHOLE, OBJECT("a"))});
    assert_true(
        objstore_list(s.f.bucket, &CALL, text(""), note_time, &mtime_ms, &s.f.err));
    assert_int_equal(mtime_ms, INT64_C(1369353600000));
    scripted_fini(&s);
    unsetenv("TZ");
    tzset();
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
        {PAGE(CUT, OBJECT("a")), "byte order", 2},
        {PAGE(CUT, ""), "cut without an object", 1},
        {PAGE("", OBJECT("a")), "does not say if it is cut", 1},
        {"<ListBucketResult>" WHOLE OBJECT("a"), "no element", 1},
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
        &s, 3, {.status = 200, .body = PAGE(CUT, OBJECT("a") OBJECT("b"))},
        {.status = 200, .body = PAGE(WHOLE, OBJECT("c") OBJECT("d")), .cut_after = 180},
        {.status = 500, .body = ERROR("InternalError")},
        {.status = 200, .body = PAGE(WHOLE, OBJECT("c") OBJECT("d"))});
    expect_list(&s.f, "", "a b c d ");
    assert_int_equal(fake_count(&s.fake), 4);
    assert_string_equal(fake_request(&s.fake, 3).query[5], "b");
    scripted_fini(&s);
}

/* 1024 bytes that become 3072 fill a buffer of libs3 without the NUL behind them. */
static void
does_not_list_behind_a_key_that_is_too_long(void **state)
{
    (void)state;
    struct scripted s;
    struct buf page = {0};
    buf_put_str(&page, "<ListBucketResult>" CUT "<Contents><Key>");
    for (int i = 0; i < 1024; i++)
        buf_put_str(&page, "&lt;");
    buf_put_str(&page, "</Key><LastModified>2013-05-24T00:00:00Z</LastModified>"
                       "<Size>3</Size></Contents></ListBucketResult>");
    SCRIPT(&s, {.status = 200, .body = buf_text(&page)});
    expect_list(&s.f, "", "<unsupported>");
    assert_non_null(strstr(s.f.err.text, "1023"));
    assert_int_equal(fake_count(&s.fake), 1);
    scripted_fini(&s);
    buf_fini(&page);
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
        {{403, ERROR("AccessDenied"), 0, {{"x-amz-request-id", "17A"}}},
         ERR_DENIED,
         "status 403 AccessDenied: as it says (request 17A)"},
        {{404, ERROR("NoSuchKey"), 0, {{0}}}, ERR_NOT_FOUND, "NoSuchKey"},
        {{404, ERROR("NoSuchBucket"), 0, {{0}}}, ERR_INVALID, "NoSuchBucket"},
        {{404, "not found\n", 0, {{0}}}, ERR_NOT_FOUND, "status 404"},
        {{429, "", 0, {{0}}}, ERR_THROTTLED, "status 429"},
        {{503, ERROR("SlowDown"), 0, {{0}}}, ERR_THROTTLED, "SlowDown"},
        {{500, ERROR("InternalError"), 0, {{0}}}, ERR_UNAVAILABLE, "InternalError"},
        {{500, "", 0, {{0}}}, ERR_UNAVAILABLE, "status 500"},
        {{400, ERROR("RequestTimeout"), 0, {{0}}}, ERR_TIMEOUT, "RequestTimeout"},
        {{400, ERROR("BadDigest"), 0, {{0}}}, ERR_UNAVAILABLE, "BadDigest"},
        {{400, ERROR("EntityTooLarge"), 0, {{0}}}, ERR_INVALID, "EntityTooLarge"},
        {{409, ERROR("OperationAborted"), 0, {{0}}},
         ERR_UNAVAILABLE,
         "OperationAborted"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scripted s;
        scripted_init(&s, &cases[i].answer, 1, 1);
        free(get(&s.f, "k"));
        if (s.f.err.code != cases[i].code ||
            strstr(s.f.err.text, cases[i].part) == NULL)
            fail_msg("case %zu: %s: %s", i, err_code_name(s.f.err.code), s.f.err.text);
        /* libs3 takes a PUT that was refused without a body for success. */
        assert_false(put(&s.f, "k", "x"));
        assert_int_equal(s.f.err.code, cases[i].code);
        assert_null(strstr(s.f.err.text, SECRET));
        scripted_fini(&s);
    }
}

/* libs3 would follow, to any host, and take the signature along. */
static void
follows_no_redirect(void **state)
{
    (void)state;
    struct fake other;
    char target[64];
    fake_start(&other, ANSWERS({.status = 200, .body = "hello"}), 1);
    snprintf(target, sizeof target, "http://127.0.0.1:%u/blocks/k",
             net_http_server_port(other.server));
    struct scripted s;
    SCRIPT(&s, {.status = 307, .headers = {{"Location", target}}});
    free(get(&s.f, "k"));
    assert_int_equal(s.f.err.code, ERR_UNSUPPORTED);
    assert_false(put(&s.f, "k", "hello"));
    assert_int_equal(s.f.err.code, ERR_UNSUPPORTED);
    assert_int_equal(fake_count(&other), 0);
    scripted_fini(&s);
    fake_stop(&other);
}

/* Each would make libs3 write behind an array. */
static void
survives_answers_that_are_too_large(void **state)
{
    (void)state;
    struct buf error = {0}, answer = {0};
    buf_put_str(&error, "<Error><Code>AccessDenied</Code>");
    for (int i = 0; i < 150; i++)
        buf_printf(&error, "<A%d>x</A%d>", i, i);
    buf_put_str(&error, "</Error>");
    struct scripted s;
    SCRIPT(&s, {.status = 403, .body = buf_text(&error)});
    free(get(&s.f, "k"));
    assert_int_equal(s.f.err.code, ERR_DENIED);
    scripted_fini(&s);
    buf_fini(&error);

    buf_put_str(&answer, "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n"
                         "Content-Range: bytes 0-4/5\r\n");
    for (int i = 0; i < 400; i++)
        buf_put_str(&answer, "x-amz-meta-:\r\n");
    buf_put_str(&answer, "\r\nhello");
    struct raw_peer peer = {.answer = buf_text(&answer)};
    raw_peer_begin(&peer);
    char endpoint[32];
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", peer.port);
    struct objstore_s3_v2_options options = options_for(endpoint);
    struct fixture f = {0};
    assert_true(objstore_s3_v2_open(&f.bucket, &options, &f.err));
    expect_object(&f, "k", "hello");
    objstore_free(&f.bucket);
    raw_peer_end(&peer);
    buf_fini(&peer.request);
    buf_fini(&answer);
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
    scripted_init(&s, &answer, 1, 1);
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
        {206, "bytes 5-7/8", "012", "012", 0},
        {206, "bytes 5-7/100", "012", NULL, ERR_CORRUPT},
        {206, "bytes 4-13/100", "0123456789", NULL, ERR_CORRUPT},
        {206, "bytes 5-14/100", "0123456789a", NULL, ERR_UNAVAILABLE},
        {206, "bytes 5-14/100", "012345678", NULL, ERR_UNAVAILABLE},
        {206, NULL, "0123456789", NULL, ERR_CORRUPT},
        {200, NULL, "0123456789", NULL, ERR_UNSUPPORTED},
        {200, NULL, "", NULL, ERR_INVALID},
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
    assert_string_equal(fake_request(&s.fake, 1).range, "bytes=4-9");
    scripted_fini(&s);
}

static bool
remove_from_sink(void *arg, struct bytes piece, struct err *err)
{
    (void)piece;
    return objstore_remove(arg, &CALL, text("k"), err);
}

static void
may_be_called_from_a_sink(void **state)
{
    (void)state;
    struct scripted s;
    SCRIPT(
        &s,
        {.status = 206, .body = "hello", .headers = {{"Content-Range", "bytes 0-4/5"}}},
        {.status = 204});
    assert_true(objstore_get_range(s.f.bucket, &CALL, text("k"), 0, 5, remove_from_sink,
                                   s.f.bucket, &s.f.err));
    assert_int_equal(fake_count(&s.fake), 2);
    scripted_fini(&s);
}

static void
compares_what_was_stored(void **state)
{
    (void)state;
    static const char other[] = "\"0123456789abcdef0123456789abcdef\"";
    static const struct {
        struct fake_answer answers[2];
        enum err_code code;
    } cases[] = {
        {{{.status = 200, .headers = {{"ETag", "\"" HELLO_MD5 "\""}}}, HELLO}, 0},
        {{{.status = 200, .headers = {{"ETag", other}}}, HELLO}, ERR_CORRUPT},
        {{{.status = 200,
           .headers = {{"ETag", other}, {"x-amz-server-side-encryption", "AES256"}}},
          HELLO},
         ERR_CORRUPT},
        /* No MD5. */
        {{{.status = 200,
           .headers = {{"ETag", other}, {"x-amz-server-side-encryption", "aws:kms"}}},
          {.status = 200, .body = "hello", .headers = {MODIFIED, {"ETag", other}}}},
         0},
        /* Another one, by the time that the bucket is asked; the first was compared. */
        {{{.status = 200, .headers = {{"ETag", "\"" HELLO_MD5 "\""}}},
          {.status = 200, .body = "bye", .headers = {MODIFIED, {"ETag", other}}}},
         0},
        {{{.status = 200, .headers = {{"ETag", "\"some-etag\""}}},
          {.status = 200, .body = "bye", .headers = {MODIFIED, {"ETag", other}}}},
         ERR_CONFLICT},
        {{{.status = 200,
           .headers = {{"ETag", "\"some-other-kind-of-32-characters\""}}},
          {.status = 200, .body = "hello", .headers = {MODIFIED}}},
         0},
        {{{.status = 200}, {.status = 200, .body = "hell", .headers = {MODIFIED}}},
         ERR_CORRUPT},
        {{{.status = 200}, {.status = 200, .body = "hello"}}, ERR_CORRUPT},
        {{{.status = 200}, {.status = 403}}, ERR_DENIED},
        {{{.status = 200}, {.status = 404}}, ERR_UNAVAILABLE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scripted s;
        scripted_init(&s, cases[i].answers, 2, 1);
        bool ok = put(&s.f, "k", "hello");
        if (ok != (cases[i].code == ERR_NONE) || (!ok && s.f.err.code != cases[i].code))
            fail_msg("case %zu: %s", i, ok ? "stored" : s.f.err.text);
        scripted_fini(&s);
    }
}

static void
streams_files_anew_at_each_try(void **state)
{
    (void)state;
    enum { SIZE = 300000 };
    struct scripted s;
    struct objstore_attrs stored;
    char *data = calloc(1, SIZE + 1);
    memset(data, 'x', SIZE);
    FILE *file = tmpfile();
    assert_int_equal(fwrite(data, 1, SIZE, file), SIZE);
    fflush(file);
    SCRIPT_TRIES(&s, 3, {.status = 500}, {.status = 200}, {.status = 503},
                 {.status = 200, .body = data, .headers = {MODIFIED}});
    const struct objstore_file from = {.fd = fileno(file), .size = SIZE};
    assert_true(
        objstore_put_file(s.f.bucket, &CALL, text("k"), &from, &stored, &s.f.err));
    assert_int_equal(stored.size, SIZE);
    assert_int_equal(stored.mtime_ms, INT64_C(1369353600000));
    assert_int_equal(fake_count(&s.fake), 4);
    assert_int_equal(fake_request(&s.fake, 0).body_len, SIZE);
    assert_int_equal(fake_request(&s.fake, 1).body_len, SIZE);
    assert_string_equal(fake_request(&s.fake, 0).md5, fake_request(&s.fake, 1).md5);
    free(data);
    fclose(file);
    scripted_fini(&s);
}

static void
refuses_what_it_cannot(void **state)
{
    (void)state;
    static const char *const odd[] = {"a b", "a+b", "a&b/c", "a%20b", "\xc3\xa4",
                                      "a~",  "a:b", "a,b",   "k\\",   "a*"};
    struct scripted s;
    struct objstore_attrs attrs;
    FILE *file = tmpfile();
    SCRIPT(&s, {.status = 200});
    assert_false(objstore_can(s.f.bucket, OBJSTORE_CAN_ANY_KEY));
    assert_false(objstore_can(s.f.bucket, OBJSTORE_CAN_LARGE));
    assert_false(objstore_can(s.f.bucket, OBJSTORE_CAN_CREATE));
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        assert_false(put(&s.f, odd[i], "x"));
        assert_int_equal(s.f.err.code, ERR_UNSUPPORTED);
        assert_non_null(strstr(s.f.err.text, odd[i]));
        assert_false(objstore_head(s.f.bucket, &CALL, text(odd[i]), &attrs, &s.f.err));
        assert_int_equal(s.f.err.code, ERR_UNSUPPORTED);
        assert_false(objstore_remove(s.f.bucket, &CALL, text(odd[i]), &s.f.err));
        assert_int_equal(s.f.err.code, ERR_UNSUPPORTED);
        expect_object(&s.f, odd[i], "<unsupported>");
    }
    expect_list(&s.f, "a&b/", "<unsupported>");
    assert_false(objstore_create(s.f.bucket, &CALL, text("k"), text("x"), &s.f.err));
    assert_int_equal(s.f.err.code, ERR_UNSUPPORTED);
    assert_false(
        put_file(&s.f, &CALL, text("k"), fileno(file), (UINT64_C(5) << 30) + 1));
    assert_int_equal(s.f.err.code, ERR_UNSUPPORTED);
    assert_false(put_file(&s.f, &CALL, text("k"), fileno(file), 1));
    assert_int_equal(s.f.err.code, ERR_CORRUPT);
    assert_int_equal(fake_count(&s.fake), 0);
    fclose(file);
    scripted_fini(&s);
}

#define LETTERS_16 "abcdefghijklmnop"
#define LETTERS_64 LETTERS_16 LETTERS_16 LETTERS_16 LETTERS_16

static void
refuses_options_that_do_not_fit(void **state)
{
    (void)state;
    const struct objstore_s3_v2_options fine = options_for("s3.example.com");
    struct objstore_s3_v2_options cases[7];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        cases[i] = fine;
    cases[0].access_key = "";
    cases[1].access_key = LETTERS_64 LETTERS_16;
    cases[2].secret_key = LETTERS_64 "a";
    cases[3].endpoint.bucket = "ab";
    cases[4].endpoint.bucket = "1.2";
    cases[5].endpoint.bucket = "under_score",
    cases[5].endpoint.lookup = OBJSTORE_S3_LOOKUP_VIRTUAL_HOSTED;
    cases[6].endpoint.address = "http://s3.example.com";
    static const char *const parts[] = {"access_key is empty",
                                        "at most 79",
                                        "at most 64",
                                        "bucket \"ab\"",
                                        "bucket \"1.2\"",
                                        "bucket \"under_score\"",
                                        "scheme"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        struct objstore_bucket *b;
        assert_false(objstore_s3_v2_open(&b, &cases[i], &err));
        assert_int_equal(err.code, i == 1 || i == 2 ? ERR_UNSUPPORTED : ERR_INVALID);
        if (strstr(err.text, parts[i]) == NULL)
            fail_msg("case %zu: %s", i, err.text);
        assert_null(strstr(err.text, LETTERS_64));
    }
}

/* The longest that libs3 does not cut. */
static void
signs_with_the_longest_keys(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct raw_peer peer = {.answer = "HTTP/1.1 204 No Content\r\n\r\n"};
    raw_peer_begin(&peer);
    char endpoint[32];
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", peer.port);
    struct objstore_s3_v2_options options = options_for(endpoint);
    options.access_key = LETTERS_64 "abcdefghijklmno";
    options.secret_key = LETTERS_64;
    assert_true(objstore_s3_v2_open(&f.bucket, &options, &f.err));
    assert_true(objstore_remove(f.bucket, &CALL, text("k"), &f.err));
    objstore_free(&f.bucket);
    raw_peer_end(&peer);

    char date[64], base64[64];
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    struct buf signed_text = {0}, expected = {0};
    const char *request = buf_text(&peer.request);
    sscanf(strstr(request, "x-amz-date: "), "x-amz-date: %63[^\r]", date);
    buf_printf(&signed_text, "DELETE\n\n\n\nx-amz-date:%s\n/blocks/k", date);
    assert_non_null(HMAC(EVP_sha1(), LETTERS_64, 64, signed_text.at, signed_text.len,
                         mac, &mac_len));
    EVP_EncodeBlock((unsigned char *)base64, mac, (int)mac_len);
    buf_printf(&expected, "\r\nAuthorization: AWS %s:%s\r\n", options.access_key,
               base64);
    assert_non_null(strstr(request, buf_text(&expected)));
    buf_fini(&signed_text);
    buf_fini(&expected);
    buf_fini(&peer.request);
}

/* A peer that takes the request and then says nothing. */
struct silent {
    struct raw_peer peer;
    struct fixture f;
};

static void
silent_begin(struct silent *s, int64_t first_byte_timeout_ns)
{
    char endpoint[32];
    *s = (struct silent){.peer = {.hang = true}};
    raw_peer_begin(&s->peer);
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", s->peer.port);
    struct objstore_s3_v2_options options = options_for(endpoint);
    options.http.first_byte_timeout_ns = first_byte_timeout_ns;
    assert_true(objstore_s3_v2_open(&s->f.bucket, &options, &s->f.err));
}

static void
silent_end(struct silent *s)
{
    objstore_free(&s->f.bucket);
    raw_peer_end(&s->peer);
    buf_fini(&s->peer.request);
}

static void
ends_a_call_at_its_deadline(void **state)
{
    (void)state;
    struct silent s;
    struct objstore_attrs attrs;
    silent_begin(&s, 0);
    int64_t begin_ns = clock_mono_ns();
    struct objstore_call call = {.deadline_ns = clock_deadline(300 * CLOCK_NS_PER_MS)};
    assert_false(objstore_head(s.f.bucket, &call, text("k"), &attrs, &s.f.err));
    assert_int_equal(s.f.err.code, ERR_TIMEOUT);
    /* libs3 by itself gives up after 15 s. */
    assert_true(clock_mono_ns() - begin_ns < 5 * CLOCK_NS_PER_S);
    silent_end(&s);
}

static void
ends_a_call_in_silence(void **state)
{
    (void)state;
    struct silent s;
    struct objstore_attrs attrs;
    silent_begin(&s, 500 * CLOCK_NS_PER_MS);
    int64_t begin_ns = clock_mono_ns();
    assert_false(objstore_head(s.f.bucket, &CALL, text("k"), &attrs, &s.f.err));
    assert_int_equal(s.f.err.code, ERR_TIMEOUT);
    assert_true(clock_mono_ns() - begin_ns < 5 * CLOCK_NS_PER_S);
    silent_end(&s);
}

struct canceller {
    struct raw_peer *peer;
    struct cancel cancel;
};

static void *
cancel_once_connected(void *arg)
{
    struct canceller *c = arg;
    while (atomic_load(&c->peer->connections) == 0)
        sched_yield();
    cancel_raise(&c->cancel);
    return NULL;
}

static void
ends_a_call_that_is_cancelled(void **state)
{
    (void)state;
    struct silent s;
    struct objstore_attrs attrs;
    pthread_t thread;
    silent_begin(&s, 0);
    struct canceller c = {.peer = &s.peer};
    struct objstore_call call = {.deadline_ns = CLOCK_NEVER, .cancel = &c.cancel};
    assert_int_equal(pthread_create(&thread, NULL, cancel_once_connected, &c), 0);
    int64_t begin_ns = clock_mono_ns();
    assert_false(objstore_head(s.f.bucket, &call, text("k"), &attrs, &s.f.err));
    assert_int_equal(s.f.err.code, ERR_CANCELLED);
    assert_true(clock_mono_ns() - begin_ns < 5 * CLOCK_NS_PER_S);
    pthread_join(thread, NULL);
    cancel_fini(&c.cancel);
    silent_end(&s);
}

static void
takes_over_the_clock_of_the_server(void **state)
{
    (void)state;
    struct scripted s;
    SCRIPT_TRIES(&s, 3, {.status = 403, .body = ERROR("RequestTimeTooSkewed")},
                 {.status = 204},
                 {.status = 403, .body = ERROR("RequestTimeTooSkewed")});
    clock_freeze(clock_mono_ns(), INT64_C(1369353600) * CLOCK_NS_PER_S);
    assert_true(objstore_remove(s.f.bucket, &CALL, text("k"), &s.f.err));
    assert_string_equal(fake_request(&s.fake, 0).date, "Fri, 24 May 2013 00:00:00 GMT");
    assert_string_not_equal(fake_request(&s.fake, 1).date,
                            "Fri, 24 May 2013 00:00:00 GMT");
    assert_false(objstore_remove(s.f.bucket, &CALL, text("k"), &s.f.err));
    assert_int_equal(s.f.err.code, ERR_DENIED);
    clock_unfreeze();
    scripted_fini(&s);
}

enum { THREADS = 8, READS = 40 };

static void *
read_often(void *arg)
{
    struct objstore_bucket *b = arg;
    for (int i = 0; i < READS; i++) {
        struct err err;
        uint8_t into[5];
        size_t got = 0;
        if (!objstore_read_range(b, &CALL, text("k"), (struct objstore_range){0, 5},
                                 into, &got, &err) ||
            got != 5)
            return b;
    }
    return NULL;
}

static void
serves_many_threads(void **state)
{
    (void)state;
    struct scripted s;
    pthread_t threads[THREADS];
    void *failed = NULL;
    SCRIPT(&s, {.status = 206,
                .body = "hello",
                .headers = {{"Content-Range", "bytes 0-4/5"}}});
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_often, s.f.bucket), 0);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(fake_count(&s.fake), THREADS * READS);
    scripted_fini(&s);
}

static void
opens_by_configuration(void **state)
{
    (void)state;
    static const struct {
        const char *prefix;
        enum err_code code;
    } cases[] = {{"", 0}, {"a_b/c.d", 0}, {"a&b/c", ERR_UNSUPPORTED}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        struct objstore_bucket *b = NULL;
        struct buf yaml = {0};
        buf_printf(&yaml,
                   "type: S3\n"
                   "prefix: '%s'\n"
                   "config:\n"
                   "  bucket: blocks\n"
                   "  endpoint: s3.example.com\n"
                   "  access_key: " ACCESS "\n"
                   "  secret_key: " SECRET "\n"
                   "  session_token: ''\n"
                   "  put_user_metadata: {}\n"
                   "  list_objects_version: ''\n"
                   "  send_content_md5: true\n"
                   "  signature_version2: true\n",
                   cases[i].prefix);
        bool ok = objstore_open(&b, buf_bytes(&yaml), "sidecar", NULL, &err);
        if (ok != (cases[i].code == ERR_NONE))
            fail_msg("\"%s\": %s", cases[i].prefix, ok ? "opened" : err.text);
        if (ok)
            assert_false(objstore_can(b, OBJSTORE_CAN_ANY_KEY));
        else
            assert_int_equal(err.code, cases[i].code);
        objstore_free(&b);
        buf_fini(&yaml);
    }
}

/* It has one byte more than the longest key, and libs3 no room for it. */
static void
refuses_the_longest_prefix(void **state)
{
    (void)state;
    struct scripted s;
    char prefix[OBJSTORE_KEY_MAX + 2];
    memset(prefix, 'p', OBJSTORE_KEY_MAX);
    memcpy(prefix + OBJSTORE_KEY_MAX, "/", 2);
    SCRIPT(&s, {.status = 200, .body = PAGE(WHOLE, "")});
    expect_list(&s.f, prefix, "<unsupported>");
    scripted_fini(&s);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_the_longest_prefix),
        cmocka_unit_test(signs_what_it_sends),
        cmocka_unit_test(finds_a_virtual_host),
        cmocka_unit_test(lists_behind_its_last_key),
        cmocka_unit_test(reads_the_times_of_a_listing_in_any_zone),
        cmocka_unit_test(refuses_listings_that_break_their_promise),
        cmocka_unit_test(fetches_a_page_again_that_was_cut),
        cmocka_unit_test(does_not_list_behind_a_key_that_is_too_long),
        cmocka_unit_test(says_what_the_server_said),
        cmocka_unit_test(follows_no_redirect),
        cmocka_unit_test(survives_answers_that_are_too_large),
        cmocka_unit_test(checks_the_range_of_an_answer),
        cmocka_unit_test(resumes_a_read_that_was_cut),
        cmocka_unit_test(may_be_called_from_a_sink),
        cmocka_unit_test(compares_what_was_stored),
        cmocka_unit_test(streams_files_anew_at_each_try),
        cmocka_unit_test(refuses_what_it_cannot),
        cmocka_unit_test(refuses_options_that_do_not_fit),
        cmocka_unit_test(signs_with_the_longest_keys),
        cmocka_unit_test(ends_a_call_at_its_deadline),
        cmocka_unit_test(ends_a_call_in_silence),
        cmocka_unit_test(ends_a_call_that_is_cancelled),
        cmocka_unit_test(takes_over_the_clock_of_the_server),
        cmocka_unit_test(serves_many_threads),
        cmocka_unit_test(opens_by_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
