/* SPDX-License-Identifier: Apache-2.0 */
/* What each key of the S3 section does, seen from the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>

#include "common/objstore/config.h"
#include "tests/unit/common/objstore/modeled.h"

enum { PART = OBJSTORE_S3_MIN_PART_BYTES };

/* A server, and the bucket there that a document with these further lines describes. */
static struct modeled *
configured(const char *lines)
{
    struct modeled *m = calloc(1, sizeof *m);
    struct buf yaml = {0};
    s3_server_start(&m->server);
    buf_printf(&yaml,
               "type: S3\n"
               "config:\n"
               "  bucket: blocks\n"
               "  endpoint: %s\n"
               "  insecure: true\n"
               "  access_key: AKIAONE\n"
               "  secret_key: " S3_SECRET_PREFIX "AKIAONE\n%s",
               m->server.address, lines);
    expect_ok(objstore_open(&m->bucket, buf_bytes(&yaml), "sidecar", NULL, &m->err),
              m->err);
    buf_fini(&yaml);
    return m;
}

/* As above, with the region, so that nobody asks for it. */
#define CONFIGURED(lines) configured("  region: us-east-1\n" lines)

struct expected {
    const char *name;
    const char *value;
};

/* The headers are on what makes an object, and not on its parts. */
static void
expect_headers(struct modeled *m, const struct expected *headers, size_t count)
{
    struct sample s = sample_new(PART + 1);
    expect_ok(store_text(m, S3_KEY, "x"), m->err);
    expect_ok(store_sample(m, S3_KEY_ODD, &s, false), m->err);
    for (size_t i = 0; i < count; i++) {
        expect_header(m, S3_PUT, 0, headers[i].name, headers[i].value);
        expect_header(m, S3_CREATE, 0, headers[i].name, headers[i].value);
        expect_header(m, S3_PART, 0, headers[i].name, NULL);
        expect_header(m, S3_COMPLETE, 0, headers[i].name, NULL);
        expect_header(m, S3_HEAD, 0, headers[i].name, NULL);
    }
    sample_free(&s);
    modeled_free(m);
}

#define EXPECT_HEADERS(m, ...)                                  \
    expect_headers((m), (const struct expected[]){__VA_ARGS__}, \
                   ARRAY_LEN(((const struct expected[]){__VA_ARGS__})))

static void
sends_metadata(void **state)
{
    (void)state;
    EXPECT_HEADERS(CONFIGURED("  part_size: 5242880\n"
                              "  put_user_metadata:\n"
                              "    A-B: '2'\n"
                              "    a: '  one   two '\n"
                              "    X-Amz-Storage-Class: STANDARD_IA\n"
                              "    X-Amz-Acl: bucket-owner-full-control\n"
                              "    Cache-Control: no-store\n"),
                   {"x-amz-meta-a-b", "2"}, {"x-amz-storage-class", "STANDARD_IA"},
                   {"x-amz-acl", "bucket-owner-full-control"},
                   {"cache-control", "no-store"});
}

static void
asks_for_encryption(void **state)
{
    (void)state;
    EXPECT_HEADERS(CONFIGURED("  part_size: 5242880\n"
                              "  sse_config: {type: SSE-S3}\n"),
                   {"x-amz-server-side-encryption", "AES256"});
    /* {"a":"b c"} */
    EXPECT_HEADERS(
        CONFIGURED("  part_size: 5242880\n"
                   "  sse_config:\n"
                   "    type: SSE-KMS\n"
                   "    kms_key_id: arn:aws:kms:x:1:key/k\n"
                   "    kms_encryption_context: {a: b c}\n"),
        {"x-amz-server-side-encryption", "aws:kms"},
        {"x-amz-server-side-encryption-aws-kms-key-id", "arn:aws:kms:x:1:key/k"},
        {"x-amz-server-side-encryption-context", "eyJhIjoiYiBjIn0="});
}

/* The configuration wants TLS for it, the model has none. */
static void
sends_the_key_of_the_customer_with_all_content(void **state)
{
    (void)state;
    static const struct objstore_s3_header KEY[] = {
        {"x-amz-server-side-encryption-customer-algorithm", "AES256"},
        {"x-amz-server-side-encryption-customer-key", "a2V5"},
        {"x-amz-server-side-encryption-customer-key-md5", "bWQ1"},
    };
    static const enum s3_op WITH[] = {S3_PUT,    S3_HEAD, S3_GET,
                                      S3_CREATE, S3_PART, S3_COMPLETE};
    static const enum s3_op WITHOUT[] = {S3_DELETE, S3_LIST, S3_UPLOADS};
    struct modeled *m = calloc(1, sizeof *m);
    struct sample s = sample_new(PART);
    struct buf read = {0}, listed = {0};
    s3_server_start(&m->server);
    s3_server_break(&m->server, &(struct s3_faults){.customer_key = true});
    modeled_open(m,
                 &(struct objstore_s3_options){.put_headers = KEY,
                                               .put_header_count = ARRAY_LEN(KEY),
                                               .key_headers = KEY,
                                               .key_header_count = ARRAY_LEN(KEY)},
                 NULL);
    expect_ok(store_text(m, S3_KEY, "x"), m->err);
    expect_ok(store_sample(m, S3_KEY_ODD, &s, true), m->err);
    expect_ok(objstore_get(m->bucket, &CALL, text(S3_KEY), 9, &read, &m->err), m->err);
    expect_ok(objstore_list(m->bucket, &CALL, text(""), append_key, &listed, &m->err),
              m->err);
    expect_ok(objstore_remove(m->bucket, &CALL, text(S3_KEY), &m->err), m->err);
    for (size_t i = 0; i < ARRAY_LEN(KEY); i++) {
        for (size_t k = 0; k < ARRAY_LEN(WITH); k++)
            expect_header(m, WITH[k], 0, KEY[i].name, KEY[i].value);
        for (size_t k = 0; k < ARRAY_LEN(WITHOUT); k++)
            expect_header(m, WITHOUT[k], 0, KEY[i].name, NULL);
    }
    buf_fini(&read);
    buf_fini(&listed);
    sample_free(&s);
    modeled_free(m);
}

static void
checks_content_as_it_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *refused; /* requests to a server that takes no checksums */
    } CASES[] = {
        {"", "PUT PUT HEAD "},
        {"  send_content_md5: true\n", "PUT HEAD "},
        {"  send_content_md5: false\n", "PUT "},
    };
    static const struct s3_faults OLD = {.refuse_status = 400,
                                         .refuse_code = "InvalidRequest"};
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct buf lines = {0};
        buf_printf(&lines, "  region: us-east-1\n%s", CASES[i].line);
        struct modeled *m = configured(buf_text(&lines));
        expect_ok(store_text(m, S3_KEY, "hello"), m->err);
        assert_int_equal(has_header(m, S3_PUT, 0, "content-md5"), i == 1);
        assert_int_equal(has_header(m, S3_PUT, 0, "x-amz-checksum-crc32c"), i != 1);
        expect_log(m, "PUT HEAD ");
        s3_server_break(&m->server, &OLD);
        assert_int_equal(store_text(m, S3_KEY, "hello"), i != 2);
        expect_log(m, CASES[i].refused);
        buf_fini(&lines);
        modeled_free(m);
    }
}

static void
sends_parts_of_the_size_it_is_told(void **state)
{
    (void)state;
    struct sample s = sample_new(2 * PART);
    struct modeled *m = CONFIGURED("  part_size: 6291456\n");
    expect_ok(store_sample(m, S3_KEY, &s, false), m->err);
    expect_log(m, "CREATE PART PART COMPLETE HEAD ");
    modeled_free(m);
    m = CONFIGURED("  part_size: 5242880\n  disable_multipart: true\n");
    expect_ok(store_sample(m, S3_KEY, &s, true), m->err);
    expect_log(m, "PUT HEAD ");
    assert_false(objstore_can(m->bucket, OBJSTORE_CAN_LARGE));
    modeled_free(m);
    m = CONFIGURED("");
    expect_ok(store_sample(m, S3_KEY, &s, true), m->err);
    expect_log(m, "PUT HEAD ");
    assert_true(objstore_can(m->bucket, OBJSTORE_CAN_LARGE));
    modeled_free(m);
    sample_free(&s);
}

static void
lists_in_the_version_it_is_told(void **state)
{
    (void)state;
    static const struct s3_faults PAGES = {.page_keys = 1};
    for (int version = 1; version <= 2; version++) {
        struct buf listed = {0};
        struct modeled *m =
            version == 1 ? CONFIGURED("  list_objects_version: v1\n") : CONFIGURED("");
        s3_server_store(&m->server, S3_KEY, "x");
        s3_server_store(&m->server, S3_KEY_BELOW, "y");
        s3_server_break(&m->server, &PAGES);
        expect_ok(
            objstore_list(m->bucket, &CALL, text(""), append_key, &listed, &m->err),
            m->err);
        assert_string_equal(buf_text(&listed), S3_KEY_BELOW " " S3_KEY " ");
        expect_header(m, S3_LIST, 1, "?list-type", version == 1 ? NULL : "2");
        expect_log(m, "LIST LIST ");
        buf_fini(&listed);
        modeled_free(m);
    }
}

static void
signs_for_whom_and_where_it_is_told(void **state)
{
    (void)state;
    struct modeled *m =
        configured("  region: eu-south-2\n  session_token: TOKEN\nprefix: a\n");
    char authorization[512];
    expect_ok(store_text(m, "b", "x"), m->err);
    expect_content(m, S3_KEY_BELOW, text("x"));
    expect_header(m, S3_PUT, 0, "x-amz-security-token", "TOKEN");
    expect_header(m, S3_PUT, 0, "user-agent", "blockhouse-sidecar");
    expect_header(m, S3_PUT, 0, "host", m->server.address);
    assert_true(s3_server_header(&m->server, S3_PUT, 0, "authorization", authorization,
                                 sizeof authorization));
    assert_non_null(strstr(authorization, "AKIAONE/"));
    assert_non_null(strstr(authorization, "/eu-south-2/s3/aws4_request"));
    expect_log(m, "PUT HEAD ");
    modeled_free(m);
    m = configured("");
    expect_ok(store_text(m, S3_KEY, "x"), m->err);
    expect_log(m, "LOCATION PUT HEAD ");
    modeled_free(m);
}

static void
tries_as_often_as_it_is_told(void **state)
{
    (void)state;
    static const struct s3_faults DEAD = {
        .fail[S3_PUT] = {100, 500, "InternalError", NULL, 0}};
    struct modeled *m = CONFIGURED("  max_retries: 2\n");
    s3_server_break(&m->server, &DEAD);
    expect_fails(store_text(m, S3_KEY, "x"), m->err, ERR_UNAVAILABLE);
    expect_log(m, "PUT PUT ");
    modeled_free(m);
}

static void
fall_silent(void *arg, enum s3_op op, unsigned part, struct net_http_exchange *x)
{
    enum { LONG_MS = 20000 };
    struct pollfd left = {.fd = net_http_exchange_fd(x), .events = POLLRDHUP};
    (void)arg;
    (void)op;
    (void)part;
    poll(&left, 1, LONG_MS);
}

static void
waits_as_long_as_it_is_told(void **state)
{
    (void)state;
    struct modeled *m = CONFIGURED("  max_retries: 1\n"
                                   "  http_config: {response_header_timeout: 300ms}\n");
    int64_t begin_ns = clock_mono_ns();
    s3_server_hook(&m->server, fall_silent, NULL);
    expect_fails(store_text(m, S3_KEY, "x"), m->err, ERR_TIMEOUT);
    assert_true(clock_mono_ns() - begin_ns < 10 * CLOCK_NS_PER_S);
    modeled_free(m);
}

static void
waits_for_consent_if_it_is_told(void **state)
{
    (void)state;
    struct sample large = sample_new(1 << 20), small = sample_new((1 << 20) - 1000);
    struct modeled *m = CONFIGURED("");
    expect_ok(store_sample(m, S3_KEY, &large, false), m->err);
    expect_ok(store_sample(m, S3_KEY, &small, false), m->err);
    expect_header(m, S3_PUT, 0, "expect", "100-continue");
    expect_header(m, S3_PUT, 1, "expect", NULL);
    modeled_free(m);
    m = CONFIGURED("  http_config: {expect_continue_timeout: 0s}\n");
    expect_ok(store_sample(m, S3_KEY, &large, false), m->err);
    expect_header(m, S3_PUT, 0, "expect", NULL);
    modeled_free(m);
    sample_free(&large);
    sample_free(&small);
}

struct crowd {
    struct mutex lock;
    /* guarded by lock */
    int connections[64];
    size_t count;
};

static void
count_connection(void *arg, enum s3_op op, unsigned part, struct net_http_exchange *x)
{
    struct crowd *c = arg;
    int fd = net_http_exchange_fd(x);
    MUTEX_SCOPE(&c->lock);
    if (op != S3_PART)
        return;
    (void)part;
    for (size_t i = 0; i < c->count; i++)
        if (c->connections[i] == fd)
            return;
    assert_true(c->count < ARRAY_LEN(c->connections));
    c->connections[c->count++] = fd;
}

static void
opens_as_many_connections_as_it_is_told(void **state)
{
    (void)state;
    struct crowd crowd = {0};
    struct sample s = sample_new(6 * PART);
    struct modeled *m = CONFIGURED("  part_size: 5242880\n"
                                   "  http_config: {max_conns_per_host: 1}\n");
    mutex_init(&crowd.lock, LOCK_TEST);
    s3_server_hook(&m->server, count_connection, &crowd);
    expect_ok(store_sample(m, S3_KEY, &s, false), m->err);
    expect_content(m, S3_KEY, sample_bytes(&s));
    modeled_free(m);
    assert_int_equal(crowd.count, 1);
    mutex_fini(&crowd.lock);
    sample_free(&s);
}

/* The endpoint is looked up, so the name of the bucket has to be, too. */
static void
puts_the_bucket_into_the_host_if_it_is_told(void **state)
{
    (void)state;
    struct modeled *m = CONFIGURED("  max_retries: 1\n"
                                   "  bucket_lookup_type: virtual-hosted\n");
    expect_fails(store_text(m, S3_KEY, "x"), m->err, ERR_UNAVAILABLE);
    assert_non_null(strstr(m->err.text, "blocks.127.0.0.1"));
    expect_log(m, "");
    modeled_free(m);
    m = CONFIGURED("  bucket_lookup_type: path\n");
    expect_ok(store_text(m, S3_KEY, "x"), m->err);
    modeled_free(m);
}

static void
hedges_reads_if_it_is_told(void **state)
{
    (void)state;
    struct buf read = {0};
    struct modeled *m =
        CONFIGURED("hedging_config: {enabled: true, up_to: 2, quantile: 0.9}\n");
    s3_server_store(&m->server, S3_KEY, "content");
    expect_ok(objstore_get(m->bucket, &CALL, text(S3_KEY), 100, &read, &m->err),
              m->err);
    assert_string_equal(buf_text(&read), "content");
    buf_fini(&read);
    modeled_free(m);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_metadata),
        cmocka_unit_test(asks_for_encryption),
        cmocka_unit_test(sends_the_key_of_the_customer_with_all_content),
        cmocka_unit_test(checks_content_as_it_is_told),
        cmocka_unit_test(sends_parts_of_the_size_it_is_told),
        cmocka_unit_test(lists_in_the_version_it_is_told),
        cmocka_unit_test(signs_for_whom_and_where_it_is_told),
        cmocka_unit_test(tries_as_often_as_it_is_told),
        cmocka_unit_test(waits_as_long_as_it_is_told),
        cmocka_unit_test(waits_for_consent_if_it_is_told),
        cmocka_unit_test(opens_as_many_connections_as_it_is_told),
        cmocka_unit_test(puts_the_bucket_into_the_host_if_it_is_told),
        cmocka_unit_test(hedges_reads_if_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
