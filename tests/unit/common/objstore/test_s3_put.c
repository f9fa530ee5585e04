/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>

#include "tests/unit/common/objstore/modeled.h"

static const struct s3_faults NONE = {0};

static void
stores_what_is_in_memory(void **state)
{
    (void)state;
    static const char *const KEYS[] = {S3_KEY, S3_KEY_BELOW, S3_KEY_ODD};
    static const char *const CONTENTS[] = {"", "x", "hello, world"};
    struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_AUTO, &NONE);
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++) {
        expect_ok(store_text(m, KEYS[i], CONTENTS[i]), m->err);
        expect_header(m, S3_PUT, 0, "content-md5", NULL);
        expect_header(m, S3_PUT, 0, "x-amz-trailer", NULL);
        assert_true(has_header(m, S3_PUT, 0, "x-amz-checksum-crc32c"));
        expect_header(m, S3_HEAD, 0, "x-amz-checksum-mode", "ENABLED");
        expect_log(m, "PUT HEAD ");
        expect_content(m, KEYS[i], text(CONTENTS[i]));
    }
    modeled_free(m);
}

static void
streams_files(void **state)
{
    (void)state;
    static const size_t SIZES[] = {0, 1, 262143, 262144, 262145, 3 << 20};
    struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_AUTO, &NONE);
    for (size_t i = 0; i < ARRAY_LEN(SIZES); i++) {
        struct sample s = sample_new(SIZES[i]);
        expect_ok(store_sample(m, S3_KEY_ODD, &s, true), m->err);
        expect_header(m, S3_PUT, 0, "content-encoding", "aws-chunked");
        expect_header(m, S3_PUT, 0, "content-md5", NULL);
        expect_log(m, "PUT HEAD ");
        expect_content(m, S3_KEY_ODD, sample_bytes(&s));
        sample_free(&s);
    }
    modeled_free(m);
}

static void
sends_md5_where_it_is_asked_for(void **state)
{
    (void)state;
    struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_MD5, &NONE);
    struct sample s = sample_new(600000);
    expect_ok(store_text(m, S3_KEY, "hello"), m->err);
    expect_ok(store_sample(m, S3_KEY_BELOW, &s, false), m->err);
    expect_header(m, S3_PUT, 0, "content-md5", "XUFAKrxLKna5cZ2REBfFkg==");
    for (size_t i = 0; i < 2; i++) {
        assert_true(has_header(m, S3_PUT, i, "content-md5"));
        expect_header(m, S3_PUT, i, "x-amz-checksum-crc32c", NULL);
        expect_header(m, S3_PUT, i, "x-amz-trailer", NULL);
        expect_header(m, S3_PUT, i, "content-encoding", NULL);
    }
    expect_log(m, "PUT HEAD PUT HEAD ");
    expect_content(m, S3_KEY, text("hello"));
    expect_content(m, S3_KEY_BELOW, sample_bytes(&s));
    sample_free(&s);
    modeled_free(m);
}

/* Store a file or bytes twice: the first time finds out, the second knows. */
static void
expect_change_to_md5(const struct s3_faults *faults, bool is_file)
{
    struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_AUTO, faults);
    struct sample s = sample_new(70000);
    for (size_t i = 0; i < 2; i++) {
        expect_ok(is_file ? store_sample(m, S3_KEY, &s, false)
                          : store_text(m, S3_KEY, "hello"),
                  m->err);
        expect_header(m, S3_PUT, 1 - i, "x-amz-checksum-crc32c", NULL);
        expect_header(m, S3_PUT, 1 - i, "x-amz-trailer", NULL);
        assert_true(has_header(m, S3_PUT, 1 - i, "content-md5"));
        expect_log(m, i == 0 ? "PUT PUT HEAD " : "PUT HEAD ");
        expect_content(m, S3_KEY, is_file ? sample_bytes(&s) : text("hello"));
    }
    sample_free(&s);
    modeled_free(m);
}

static const struct s3_faults REFUSALS[] = {
    {.refuse_status = 400, .refuse_code = "InvalidArgument"},
    {.refuse_status = 400, .refuse_code = "InvalidRequest"},
    {.refuse_status = 411, .refuse_code = "MissingContentLength"},
    {.refuse_status = 501, .refuse_code = "NotImplemented"},
    {.refuse_status = 403, .refuse_code = "SignatureDoesNotMatch"},
    {.refuse_status = 400, .refuse_code = "UnsupportedTrailer"},
    {.refuse_status = 400, .refuse_code = ""},
    {.refuse_status = 411, .refuse_code = ""},
    {.refuse_status = 501, .refuse_code = ""},
};

static void
changes_to_md5_once(void **state)
{
    (void)state;
    static const struct s3_faults MISMATCH = {
        .refuse_status = 400, .refuse_code = "XAmzContentSHA256Mismatch"};
    static const struct s3_faults SILENT = {.says_no_checksum = true};
    static const struct s3_faults RAW = {.keeps_framing = true};
    for (size_t i = 0; i < ARRAY_LEN(REFUSALS); i++) {
        expect_change_to_md5(&REFUSALS[i], false);
        expect_change_to_md5(&REFUSALS[i], true);
    }
    expect_change_to_md5(&MISMATCH, true);
    expect_change_to_md5(&SILENT, false);
    expect_change_to_md5(&SILENT, true);
    expect_change_to_md5(&RAW, false);
    expect_change_to_md5(&RAW, true);
}

/* A hash that was made and does not match tells of the way, not of the server. */
static void
keeps_checksums_after_a_broken_body(void **state)
{
    (void)state;
    static const char *const CODES[] = {"XAmzContentSHA256Mismatch", "BadDigest",
                                        "IncompleteBody", "InternalError"};
    for (size_t i = 0; i < ARRAY_LEN(CODES); i++) {
        const struct s3_faults faults = {
            .fail[S3_PUT] = {.times = 1, .status = 400, .code = CODES[i]}};
        struct s3_faults broken = faults;
        broken.fail[S3_PUT].status = i == 3 ? 500 : 400;
        struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_AUTO, &broken);
        expect_ok(store_text(m, S3_KEY, "hello"), m->err);
        expect_header(m, S3_PUT, 1, "content-md5", NULL);
        expect_log(m, "PUT PUT HEAD ");
        modeled_free(m);
    }
}

static void
insists_on_checksums_where_they_are_asked_for(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(REFUSALS); i++) {
        bool is_of_keys = REFUSALS[i].refuse_status == 403;
        struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_CHECKSUM, &REFUSALS[i]);
        expect_fails(store_text(m, S3_KEY, "hello"), m->err,
                     is_of_keys ? ERR_DENIED : ERR_UNSUPPORTED);
        assert_int_equal(strstr(m->err.text, "send_content_md5") != NULL, !is_of_keys);
        assert_non_null(strstr(m->err.text, REFUSALS[i].refuse_code));
        expect_log(m, "PUT ");
        expect_nothing(m, S3_KEY);
        modeled_free(m);
    }
}

static void
never_takes_framing_for_content(void **state)
{
    (void)state;
    static const struct s3_faults RAW = {.keeps_framing = true};
    struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_CHECKSUM, &RAW);
    struct sample s = sample_new(1000);
    expect_fails(store_sample(m, S3_KEY, &s, false), m->err, ERR_CORRUPT);
    expect_log(m, "PUT HEAD ");
    sample_free(&s);
    modeled_free(m);
}

/* What a server says of what it has stored, and what comes of it. */
static void
compares_what_the_server_says(void **state)
{
    (void)state;
    static const struct {
        struct s3_faults faults;
        bool by_md5;
        enum err_code code;
        const char *part;
        const char *log;
    } cases[] = {
        {{.wrong_crc = true}, false, ERR_CORRUPT, "CRC-32C AAAAAA== instead", "PUT "},
        {{.wrong_etag = true}, true, ERR_CORRUPT, "MD5", "PUT "},
        {{.wrong_size = true}, false, ERR_CORRUPT, "", "PUT HEAD "},
        {{.wrong_size = true}, true, ERR_CORRUPT, "", "PUT HEAD "},
        /* The checksum is enough; an ETag that is no MD5 is not compared. */
        {{.wrong_etag = true}, false, ERR_NONE, "", "PUT HEAD "},
        {{.no_etag = true}, false, ERR_NONE, "", "PUT HEAD "},
        {{.no_etag = true}, true, ERR_NONE, "", "PUT HEAD "},
        {{.encryption = "aws:kms"}, true, ERR_NONE, "", "PUT HEAD "},
        {{.customer_key = true}, true, ERR_NONE, "", "PUT HEAD "},
        {{.encryption = "AES256"}, true, ERR_CORRUPT, "MD5", "PUT "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct modeled *m = modeled_new(cases[i].by_md5 ? OBJSTORE_S3_INTEGRITY_MD5
                                                        : OBJSTORE_S3_INTEGRITY_AUTO,
                                        &cases[i].faults);
        struct sample s = sample_new(5000);
        for (size_t k = 0; k < 2; k++) {
            bool ok = k == 0 ? store_text(m, S3_KEY, "hello")
                             : store_sample(m, S3_KEY, &s, 0);
            if (ok != (cases[i].code == ERR_NONE) ||
                (!ok && (m->err.code != cases[i].code ||
                         strstr(m->err.text, cases[i].part) == NULL)))
                fail_msg("case %zu: %s", i, ok ? "stored" : m->err.text);
            expect_log(m, cases[i].log);
        }
        sample_free(&s);
        modeled_free(m);
    }
}

static void
tries_again_what_may_be_tried_again(void **state)
{
    (void)state;
    static const struct {
        struct s3_faults faults;
        const char *log;
    } cases[] = {
        {{.fail[S3_PUT] = {2, 500, "InternalError", NULL, 0}}, "PUT PUT PUT HEAD "},
        {{.fail[S3_PUT] = {1, 503, "SlowDown", "1", 0}}, "PUT PUT HEAD "},
        {{.fail[S3_PUT] = {1, 400, "RequestTimeout", NULL, 0}}, "PUT PUT HEAD "},
        {{.fail[S3_HEAD] = {1, 404, "", NULL, 0}}, "PUT HEAD HEAD "},
        {{.fail[S3_HEAD] = {2, 500, "", NULL, 0}}, "PUT HEAD HEAD HEAD "},
        {{.lose[S3_PUT] = 2}, "PUT PUT PUT HEAD "},
        {{.lose[S3_HEAD] = 1}, "PUT HEAD HEAD "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_AUTO, &cases[i].faults);
        struct sample s = sample_new(400000);
        expect_ok(store_sample(m, S3_KEY, &s, false), m->err);
        expect_content(m, S3_KEY, sample_bytes(&s));
        expect_log(m, cases[i].log);
        sample_free(&s);
        modeled_free(m);
    }
}

static void
gives_up_with_what_the_server_said(void **state)
{
    (void)state;
    static const struct s3_faults DEAD = {
        .fail[S3_PUT] = {100, 500, "InternalError", NULL, 0}};
    static const struct s3_faults DENIED = {
        .fail[S3_PUT] = {100, 403, "AccessDenied", NULL, 0}};
    struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_AUTO, &DEAD);
    expect_fails(store_text(m, S3_KEY, "x"), m->err, ERR_UNAVAILABLE);
    assert_non_null(strstr(m->err.text, "after 4 tries"));
    assert_non_null(strstr(m->err.text, "status 500 InternalError"));
    assert_non_null(strstr(m->err.text, "request R1"));
    assert_non_null(strstr(m->err.text, "\"" S3_KEY "\""));
    expect_log(m, "PUT PUT PUT PUT ");
    s3_server_break(&m->server, &DENIED);
    expect_fails(store_text(m, S3_KEY, "x"), m->err, ERR_DENIED);
    assert_null(strstr(m->err.text, S3_SECRET_PREFIX));
    expect_log(m, "PUT ");
    expect_nothing(m, S3_KEY);
    modeled_free(m);
}

static bool
create(struct modeled *m, const char *content)
{
    return objstore_create(m->bucket, &CALL, text(S3_KEY), text(content), &m->err);
}

static void
creates_once(void **state)
{
    (void)state;
    struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_AUTO, &NONE);
    expect_ok(create(m, "first"), m->err);
    expect_header(m, S3_PUT, 0, "if-none-match", "*");
    expect_log(m, "PUT HEAD ");
    expect_fails(create(m, "first"), m->err, ERR_CONFLICT);
    expect_fails(create(m, "second"), m->err, ERR_CONFLICT);
    expect_log(m, "PUT PUT ");
    expect_content(m, S3_KEY, text("first"));
    modeled_free(m);
}

static void
refuses_to_create_where_the_server_knows_no_conditions(void **state)
{
    (void)state;
    static const struct s3_faults OLD = {.no_conditions = true};
    for (int i = 0; i < 3; i++) {
        struct modeled *m = modeled_new((enum objstore_s3_integrity)i, &OLD);
        expect_fails(create(m, "x"), m->err, ERR_UNSUPPORTED);
        expect_nothing(m, S3_KEY);
        expect_log(m, i == OBJSTORE_S3_INTEGRITY_AUTO ? "PUT PUT " : "PUT ");
        modeled_free(m);
    }
}

/* Refused for its checksum, a create has stored nothing: what is there is of another.
 */
static void
does_not_take_the_object_of_another_for_its_own(void **state)
{
    (void)state;
    struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_AUTO, &REFUSALS[0]);
    s3_server_store(&m->server, S3_KEY, "same");
    expect_fails(create(m, "same"), m->err, ERR_CONFLICT);
    expect_log(m, "PUT PUT ");
    modeled_free(m);
}

static void
creates_by_md5_where_it_must(void **state)
{
    (void)state;
    static const struct s3_faults SILENT = {.says_no_checksum = true};
    struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_AUTO, &REFUSALS[0]);
    expect_ok(create(m, "x"), m->err);
    expect_log(m, "PUT PUT HEAD ");
    expect_content(m, S3_KEY, text("x"));
    modeled_free(m);
    /* It is stored, and cannot be stored again. */
    m = modeled_new(OBJSTORE_S3_INTEGRITY_AUTO, &SILENT);
    expect_ok(create(m, "x"), m->err);
    expect_log(m, "PUT HEAD ");
    expect_ok(store_text(m, S3_KEY, "y"), m->err);
    assert_true(has_header(m, S3_PUT, 0, "content-md5"));
    expect_log(m, "PUT HEAD ");
    modeled_free(m);
}

static void
recovers_a_create_whose_answer_is_lost(void **state)
{
    (void)state;
    static const struct s3_faults LOST = {.lose[S3_PUT] = 1};
    static const struct s3_faults DAMAGED = {
        .lose[S3_PUT] = 1, .flips = 1, .fail[S3_GET] = {1, 404, "NoSuchKey", NULL, 0}};
    static const struct s3_faults UNREADABLE = {
        .lose[S3_PUT] = 1, .fail[S3_GET] = {100, 500, "InternalError", NULL, 0}};
    static const struct s3_faults FAILED = {
        .fail[S3_PUT] = {1, 500, "InternalError", NULL, 0}};
    struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_AUTO, &LOST);
    expect_ok(create(m, "mine"), m->err);
    expect_content(m, S3_KEY, text("mine"));
    expect_log(m, "PUT PUT GET HEAD ");
    /* On a connection that was used before, too. */
    expect_ok(objstore_remove(m->bucket, &CALL, text(S3_KEY), &m->err), m->err);
    s3_server_break(&m->server, &LOST);
    expect_ok(create(m, "mine"), m->err);
    expect_log(m, "DELETE PUT PUT GET HEAD ");
    s3_server_break(&m->server, &FAILED);
    expect_fails(create(m, "theirs"), m->err, ERR_CONFLICT);
    expect_log(m, "PUT PUT GET GET GET ");
    expect_ok(objstore_remove(m->bucket, &CALL, text(S3_KEY), &m->err), m->err);
    s3_server_break(&m->server, &DAMAGED);
    expect_ok(create(m, "mine"), m->err);
    expect_log(m, "DELETE PUT PUT GET GET GET HEAD ");
    modeled_free(m);
    m = modeled_new(OBJSTORE_S3_INTEGRITY_AUTO, &UNREADABLE);
    expect_fails(create(m, "mine"), m->err, ERR_UNAVAILABLE);
    assert_non_null(strstr(m->err.text, "answer was lost"));
    modeled_free(m);
}

static void
replace_before_head(void *arg, enum s3_op op, unsigned part,
                    struct net_http_exchange *x)
{
    (void)part;
    (void)x;
    if (op == S3_HEAD)
        s3_server_store(arg, S3_KEY, "another writer's, and longer");
}

static void
tells_a_put_that_was_replaced(void **state)
{
    (void)state;
    static const struct s3_faults SILENT = {.says_no_checksum = true};
    struct objstore_attrs stored;
    struct sample s = sample_new(5);
    const struct objstore_file file = {.fd = s.fd, .size = s.size};
    struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_CHECKSUM, &NONE);
    s3_server_hook(&m->server, replace_before_head, &m->server);
    expect_ok(
        objstore_put_file(m->bucket, &CALL, text(S3_KEY), &file, &stored, &m->err),
        m->err);
    assert_int_equal(stored.size, 5);
    s3_server_break(&m->server, &SILENT);
    expect_fails(
        objstore_put_file(m->bucket, &CALL, text(S3_KEY), &file, &stored, &m->err),
        m->err, ERR_CONFLICT);
    expect_log(m, "PUT HEAD PUT HEAD ");
    sample_free(&s);
    modeled_free(m);
}

static void
stores_nothing_of_a_file_that_ends_early(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct modeled *m = modeled_new((enum objstore_s3_integrity)i, &NONE);
        struct sample s = sample_new(500000);
        assert_int_equal(ftruncate(s.fd, 400000), 0);
        expect_fails(store_sample(m, S3_KEY, &s, false), m->err, ERR_CORRUPT);
        expect_nothing(m, S3_KEY);
        sample_free(&s);
        modeled_free(m);
    }
}

/* Lets so many bytes pass, of all threads. */
struct quota {
    atomic_size_t passed;
    size_t limit;
};

static bool
pass(void *arg, size_t len, struct err *err)
{
    struct quota *q = arg;
    return atomic_fetch_add(&q->passed, len) + len <= q->limit ||
           err_set(err, ERR_BUDGET, "not more than that");
}

static void
sends_each_piece_through_the_gate(void **state)
{
    (void)state;
    struct sample small = sample_new(1000000), large = sample_new(12 << 20);
    for (int i = 0; i < 6; i++) {
        struct modeled *m = modeled_new((enum objstore_s3_integrity)(i / 2), &NONE);
        const struct sample *s = i % 2 == 0 ? &small : &large;
        struct quota quota = {.limit = s->size};
        struct objstore_attrs stored;
        const struct objstore_file file = {
            .fd = s->fd, .size = s->size, .gate = pass, .gate_arg = &quota};
        expect_ok(
            objstore_put_file(m->bucket, &CALL, text(S3_KEY), &file, &stored, &m->err),
            m->err);
        assert_int_equal(atomic_load(&quota.passed), s->size);
        expect_content(m, S3_KEY, sample_bytes(s));
        quota.limit--;
        atomic_store(&quota.passed, 0);
        expect_fails(objstore_put_file(m->bucket, &CALL, text(S3_KEY_BELOW), &file,
                                       &stored, &m->err),
                     m->err, ERR_BUDGET);
        expect_nothing(m, S3_KEY_BELOW);
        assert_int_equal(s3_server_open_uploads(&m->server), 0);
        modeled_free(m);
    }
    sample_free(&small);
    sample_free(&large);
}

static void
reads_back_what_it_stored(void **state)
{
    (void)state;
    static const struct s3_faults PAGES = {.page_keys = 1};
    static const char *const KEYS[] = {S3_KEY_BELOW, S3_KEY, S3_KEY_ODD};
    struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_AUTO, &PAGES);
    struct buf listed = {0}, read = {0};
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++) {
        expect_ok(store_text(m, KEYS[i], KEYS[i]), m->err);
        buf_clear(&read);
        expect_ok(objstore_get(m->bucket, &CALL, text(KEYS[i]), 100, &read, &m->err),
                  m->err);
        assert_true(bytes_eq(buf_bytes(&read), text(KEYS[i])));
    }
    expect_log(m, "PUT HEAD GET PUT HEAD GET PUT HEAD GET ");
    expect_ok(objstore_list(m->bucket, &CALL, text(""), append_key, &listed, &m->err),
              m->err);
    assert_string_equal(buf_text(&listed), S3_KEY_BELOW " " S3_KEY " " S3_KEY_ODD " ");
    expect_ok(objstore_remove(m->bucket, &CALL, text(S3_KEY_ODD), &m->err), m->err);
    expect_log(m, "LIST LIST LIST DELETE ");
    expect_nothing(m, S3_KEY_ODD);
    buf_fini(&listed);
    buf_fini(&read);
    modeled_free(m);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_what_is_in_memory),
        cmocka_unit_test(streams_files),
        cmocka_unit_test(sends_md5_where_it_is_asked_for),
        cmocka_unit_test(changes_to_md5_once),
        cmocka_unit_test(keeps_checksums_after_a_broken_body),
        cmocka_unit_test(insists_on_checksums_where_they_are_asked_for),
        cmocka_unit_test(never_takes_framing_for_content),
        cmocka_unit_test(compares_what_the_server_says),
        cmocka_unit_test(tries_again_what_may_be_tried_again),
        cmocka_unit_test(gives_up_with_what_the_server_said),
        cmocka_unit_test(creates_once),
        cmocka_unit_test(refuses_to_create_where_the_server_knows_no_conditions),
        cmocka_unit_test(does_not_take_the_object_of_another_for_its_own),
        cmocka_unit_test(creates_by_md5_where_it_must),
        cmocka_unit_test(recovers_a_create_whose_answer_is_lost),
        cmocka_unit_test(tells_a_put_that_was_replaced),
        cmocka_unit_test(stores_nothing_of_a_file_that_ends_early),
        cmocka_unit_test(sends_each_piece_through_the_gate),
        cmocka_unit_test(reads_back_what_it_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
