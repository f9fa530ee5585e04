/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>

#include "tests/unit/common/objstore/modeled.h"

enum { PART = OBJSTORE_S3_MIN_PART_BYTES, AUTO = 0, CHECKSUM = 1, MD5 = 2 };
_Static_assert((int)MD5 == (int)OBJSTORE_S3_INTEGRITY_MD5, "in this order");

static const struct s3_faults NONE = {0};

/* Two parts, the last one short. */
#define SAMPLE (PART + 77)

#define UPLOAD "CREATE PART PART COMPLETE HEAD "

static struct modeled *
modeled(int integrity, const struct s3_faults *faults)
{
    return modeled_new((enum objstore_s3_integrity)integrity, faults);
}

static void
begins_parts_at_their_size(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        const char *log;
    } cases[] = {
        {PART - 1, "PUT HEAD "},
        {PART, "CREATE PART COMPLETE HEAD "},
        {PART + 1, UPLOAD},
        {2 * PART, UPLOAD},
        {2 * PART + 1, "CREATE PART PART PART COMPLETE HEAD "},
    };
    struct modeled *m = modeled(AUTO, &NONE);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sample s = sample_new(cases[i].size);
        expect_ok(store_sample(m, S3_KEY_ODD, &s, false), m->err);
        expect_log(m, cases[i].log);
        expect_content(m, S3_KEY_ODD, sample_bytes(&s));
        assert_int_equal(s3_server_open_uploads(&m->server), 0);
        sample_free(&s);
    }
    modeled_free(m);
}

static void
sends_each_part_as_it_was_told(void **state)
{
    (void)state;
    struct sample s = sample_new(SAMPLE);
    for (int integrity = AUTO; integrity <= MD5; integrity++) {
        bool by_md5 = integrity == MD5;
        struct modeled *m = modeled(integrity, &NONE);
        expect_ok(store_sample(m, S3_KEY, &s, false), m->err);
        expect_header(m, S3_CREATE, 0, "x-amz-checksum-algorithm",
                      by_md5 ? NULL : "CRC32C");
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(has_header(m, S3_PART, i, "content-md5"), by_md5);
            assert_int_equal(has_header(m, S3_PART, i, "x-amz-trailer"), !by_md5);
        }
        expect_log(m, UPLOAD);
        expect_content(m, S3_KEY, sample_bytes(&s));
        modeled_free(m);
    }
    sample_free(&s);
}

static void
removes_what_was_left_over(void **state)
{
    (void)state;
    static const struct s3_faults NO_LIST = {.no_list_uploads = true};
    struct sample s = sample_new(PART);
    struct modeled *m = modeled(AUTO, &NONE);
    s3_server_leave_upload(&m->server, S3_KEY);
    s3_server_leave_upload(&m->server, S3_KEY_BELOW);
    s3_server_leave_upload(&m->server, S3_KEY);
    /* Others may be at work. */
    expect_ok(store_sample(m, S3_KEY, &s, false), m->err);
    expect_log(m, "CREATE PART COMPLETE HEAD ");
    assert_int_equal(s3_server_open_uploads(&m->server), 3);
    expect_ok(store_sample(m, S3_KEY, &s, true), m->err);
    expect_log(m, "CREATE UPLOADS ABORT ABORT PART COMPLETE HEAD ");
    assert_int_equal(s3_server_open_uploads(&m->server), 1);
    s3_server_break(&m->server, &NO_LIST);
    expect_ok(store_sample(m, S3_KEY, &s, true), m->err);
    expect_log(m, "CREATE UPLOADS PART COMPLETE HEAD ");
    sample_free(&s);
    modeled_free(m);
}

/* More than are taken away by one put. */
static void
removes_many_leftovers_bit_by_bit(void **state)
{
    (void)state;
    struct sample s = sample_new(PART);
    struct modeled *m = modeled(AUTO, &NONE);
    for (int i = 0; i < 20; i++)
        s3_server_leave_upload(&m->server, S3_KEY);
    expect_ok(store_sample(m, S3_KEY, &s, true), m->err);
    assert_int_equal(s3_server_open_uploads(&m->server), 4);
    expect_ok(store_sample(m, S3_KEY, &s, true), m->err);
    assert_int_equal(s3_server_open_uploads(&m->server), 0);
    sample_free(&s);
    modeled_free(m);
}

/* Twice: the first upload finds out, the second knows. */
static void
expect_change_to_md5(const struct s3_faults *faults, const char *before)
{
    struct modeled *m = modeled(AUTO, faults);
    struct sample s = sample_new(SAMPLE);
    struct buf log = {0};
    expect_ok(store_sample(m, S3_KEY, &s, false), m->err);
    s3_server_log(&m->server, &log);
    assert_true(bytes_starts_with(buf_bytes(&log), text(before)));
    assert_string_equal(buf_text(&log) + log.len - strlen(UPLOAD), UPLOAD);
    expect_content(m, S3_KEY, sample_bytes(&s));
    expect_ok(store_sample(m, S3_KEY_BELOW, &s, false), m->err);
    expect_header(m, S3_CREATE, 0, "x-amz-checksum-algorithm", NULL);
    expect_log(m, UPLOAD);
    assert_int_equal(s3_server_open_uploads(&m->server), 0);
    buf_fini(&log);
    sample_free(&s);
    modeled_free(m);
}

static void
changes_to_md5_once(void **state)
{
    (void)state;
    static const struct s3_faults CASES[] = {
        {.refuse_status = 400, .refuse_code = "InvalidArgument"},
        {.refuse_status = 400, .refuse_code = "XAmzContentSHA256Mismatch"},
        {.refuse_status = 411, .refuse_code = "MissingContentLength"},
        {.refuse_status = 501, .refuse_code = ""},
        {.says_no_checksum = true},
        {.keeps_framing = true},
    };
    static const struct s3_faults AT_ONCE = {.refuse_status = 501,
                                             .refuse_code = "NotImplemented",
                                             .refuses_to_begin = true};
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        expect_change_to_md5(&CASES[i], "CREATE PART ");
    expect_change_to_md5(&AT_ONCE, "CREATE CREATE ");
}

static void
says_why_it_cannot_begin(void **state)
{
    (void)state;
    static const struct s3_faults REFUSED = {.refuse_status = 501,
                                             .refuse_code = "NotImplemented",
                                             .refuses_to_begin = true};
    static const struct s3_faults NO_BUCKET = {
        .fail[S3_CREATE] = {100, 404, "NoSuchBucket", NULL, 0}};
    struct sample s = sample_new(PART);
    for (int integrity = AUTO; integrity <= MD5; integrity++) {
        struct modeled *m = modeled(integrity, &NO_BUCKET);
        expect_fails(store_sample(m, S3_KEY, &s, false), m->err, ERR_INVALID);
        assert_non_null(strstr(m->err.text, "begin an upload in parts: status 404"));
        assert_null(strstr(m->err.text, "send_content_md5"));
        expect_log(m, "CREATE ");
        modeled_free(m);
    }
    struct modeled *m = modeled(CHECKSUM, &REFUSED);
    expect_fails(store_sample(m, S3_KEY, &s, false), m->err, ERR_UNSUPPORTED);
    assert_non_null(strstr(m->err.text, "send_content_md5"));
    expect_log(m, "CREATE ");
    modeled_free(m);
    sample_free(&s);
}

/* How often the server was asked for op; the log is forgotten. */
static size_t
count_of(struct modeled *m, const char *op)
{
    struct buf log = {0};
    size_t count = 0;
    s3_server_log(&m->server, &log);
    for (const char *at = buf_text(&log); (at = strstr(at, op)) != NULL; at++)
        count++;
    buf_fini(&log);
    return count;
}

static void
tries_each_request_again_alone(void **state)
{
    (void)state;
    static const struct {
        struct s3_faults faults;
        const char *op;
        size_t count;
    } CASES[] = {
        {{.fail[S3_PART] = {2, 500, "InternalError", NULL, 2}}, "PART", 4},
        {{.fail[S3_PART] = {1, 503, "SlowDown", NULL, 2}}, "PART", 3},
        {{.fail[S3_PART] = {1, 400, "BadDigest", NULL, 1}}, "PART", 3},
        {{.lose[S3_PART] = 2}, "PART", 4},
        {{.fail[S3_CREATE] = {2, 500, "InternalError", NULL, 0}}, "CREATE", 3},
        {{.fail[S3_COMPLETE] = {2, 500, "InternalError", NULL, 0}}, "COMPLETE", 3},
        {{.lose[S3_CREATE] = 1}, "CREATE", 2},
        {{.lose[S3_COMPLETE] = 1}, "COMPLETE", 2},
        {{.error_in_200 = 2}, "COMPLETE", 3},
        {{.blanks = true}, "COMPLETE", 1},
    };
    struct sample s = sample_new(SAMPLE);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct modeled *m = modeled(AUTO, &CASES[i].faults);
        expect_ok(store_sample(m, S3_KEY, &s, false), m->err);
        expect_content(m, S3_KEY, sample_bytes(&s));
        size_t count = count_of(m, CASES[i].op);
        if (count != CASES[i].count)
            fail_msg("case %zu: %zu times %s", i, count, CASES[i].op);
        modeled_free(m);
    }
    sample_free(&s);
}

/* An answer that is lost is no request lost: the server has begun an upload that nobody
 * knows of. */
static void
removes_an_upload_whose_beginning_was_lost(void **state)
{
    (void)state;
    static const struct s3_faults LOST = {.lose[S3_CREATE] = 1};
    struct sample s = sample_new(PART);
    struct modeled *m = modeled(AUTO, &LOST);
    expect_ok(store_sample(m, S3_KEY, &s, true), m->err);
    expect_log(m, "CREATE CREATE UPLOADS ABORT PART COMPLETE HEAD ");
    assert_int_equal(s3_server_open_uploads(&m->server), 0);
    expect_content(m, S3_KEY, sample_bytes(&s));
    sample_free(&s);
    modeled_free(m);
}

/* Without a checksum nothing says whose object is there. */
static void
does_not_guess_whose_object_is_there(void **state)
{
    (void)state;
    static const struct s3_faults LOST = {.lose[S3_COMPLETE] = 1};
    static const struct s3_faults LOST_SILENTLY = {.lose[S3_COMPLETE] = 1,
                                                   .says_no_checksum = true};
    struct sample s = sample_new(SAMPLE);
    struct modeled *m = modeled(MD5, &LOST);
    expect_fails(store_sample(m, S3_KEY, &s, false), m->err, ERR_UNAVAILABLE);
    assert_non_null(strstr(m->err.text, "the answer to the completed upload was lost"));
    expect_log(m, "CREATE PART PART COMPLETE COMPLETE HEAD ");
    modeled_free(m);
    m = modeled(CHECKSUM, &LOST_SILENTLY);
    expect_fails(store_sample(m, S3_KEY, &s, false), m->err, ERR_UNAVAILABLE);
    modeled_free(m);
    sample_free(&s);
}

/* Nothing of it is to be seen, and nothing is left. */
static void
takes_away_what_has_failed(void **state)
{
    (void)state;
    static const struct {
        struct s3_faults faults;
        int integrity;
        enum err_code code;
        const char *part;
    } CASES[] = {
        {{.fail[S3_PART] = {100, 403, "AccessDenied", NULL, 2}},
         AUTO,
         ERR_DENIED,
         "AccessDenied"},
        {{.fail[S3_PART] = {100, 500, "InternalError", NULL, 1}},
         AUTO,
         ERR_UNAVAILABLE,
         "after 4 tries"},
        {{.fail[S3_COMPLETE] = {100, 400, "InvalidPart", NULL, 0}},
         AUTO,
         ERR_INVALID,
         "complete an upload of 2 parts"},
        {{.error_in_200 = 100}, AUTO, ERR_UNAVAILABLE, "status 200, and then Internal"},
        {{.wrong_crc = true}, AUTO, ERR_CORRUPT, "CRC-32C AAAAAA== instead"},
        {{.wrong_etag = true}, MD5, ERR_CORRUPT, "MD5"},
        {{.no_etag = true}, AUTO, ERR_CORRUPT, "without an ETag"},
        {{.no_etag = true}, MD5, ERR_CORRUPT, "without an ETag"},
    };
    struct sample s = sample_new(SAMPLE);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct modeled *m = modeled(CASES[i].integrity, &CASES[i].faults);
        expect_fails(store_sample(m, S3_KEY, &s, false), m->err, CASES[i].code);
        if (strstr(m->err.text, CASES[i].part) == NULL)
            fail_msg("case %zu: %s", i, m->err.text);
        expect_nothing(m, S3_KEY);
        assert_int_equal(s3_server_open_uploads(&m->server), 0);
        assert_int_equal(count_of(m, "ABORT"), 1);
        modeled_free(m);
    }
    sample_free(&s);
}

static void
refuses_a_whole_of_another_size(void **state)
{
    (void)state;
    static const struct s3_faults SIZE = {.wrong_size = true};
    struct sample s = sample_new(PART);
    struct modeled *m = modeled(AUTO, &SIZE);
    expect_fails(store_sample(m, S3_KEY, &s, false), m->err, ERR_CORRUPT);
    sample_free(&s);
    modeled_free(m);
}

static void
stores_nothing_of_a_file_that_ends_early(void **state)
{
    (void)state;
    struct sample s = sample_new(SAMPLE);
    assert_int_equal(ftruncate(s.fd, SAMPLE - 100), 0);
    for (int integrity = AUTO; integrity <= MD5; integrity++) {
        struct modeled *m = modeled(integrity, &NONE);
        expect_fails(store_sample(m, S3_KEY, &s, false), m->err, ERR_CORRUPT);
        expect_nothing(m, S3_KEY);
        assert_int_equal(s3_server_open_uploads(&m->server), 0);
        modeled_free(m);
    }
    sample_free(&s);
}

/* Parts that wait for each other. */
struct meeting {
    struct mutex lock;
    struct cond changed;
    /* guarded by lock */
    unsigned here, most, arrived;
};

static void
meet(void *arg, enum s3_op op, unsigned part, struct net_http_exchange *x)
{
    enum { SENDERS = 4 };
    struct meeting *m = arg;
    int64_t deadline_ns = clock_deadline(20 * CLOCK_NS_PER_S);
    (void)part;
    (void)x;
    if (op != S3_PART)
        return;
    MUTEX_SCOPE(&m->lock);
    m->here++;
    m->arrived++;
    m->most = m->here > m->most ? m->here : m->most;
    cond_broadcast(&m->changed);
    while (m->arrived < SENDERS && cond_wait_until(&m->changed, &m->lock, deadline_ns))
        ;
    /* A fifth would be on its way. */
    deadline_ns = clock_deadline(CLOCK_NS_PER_S / 2);
    while (m->arrived == SENDERS && cond_wait_until(&m->changed, &m->lock, deadline_ns))
        ;
    m->here--;
}

static void
sends_four_parts_at_a_time(void **state)
{
    (void)state;
    struct meeting meeting = {0};
    struct sample s = sample_new(9 * PART);
    struct modeled *m = modeled(AUTO, &NONE);
    mutex_init(&meeting.lock, LOCK_TEST);
    cond_init(&meeting.changed);
    s3_server_hook(&m->server, meet, &meeting);
    expect_ok(store_sample(m, S3_KEY, &s, false), m->err);
    expect_content(m, S3_KEY, sample_bytes(&s));
    modeled_free(m);
    assert_int_equal(meeting.arrived, 9);
    assert_int_equal(meeting.most, 4);
    cond_fini(&meeting.changed);
    mutex_fini(&meeting.lock);
    sample_free(&s);
}

/* The server falls silent at these requests: of parts at the second one, and not at the
 * last step of all, which takes away what has failed. */
#define OWN "u+/5=" /* the upload behind five others */
struct silence {
    enum s3_op op;
    struct cancel *cancel; /* is raised then; NULL: the deadline ends it */
};

static void
hang(void *arg, enum s3_op op, unsigned part, struct net_http_exchange *x)
{
    enum { LONG_MS = 20000 };
    const struct silence *s = arg;
    struct pollfd left = {.fd = net_http_exchange_fd(x), .events = POLLRDHUP};
    if (op != s->op || (op == S3_PART && part != 2) ||
        (op == S3_ABORT && strcmp(net_http_exchange_arg(x, "uploadId"), OWN) == 0))
        return;
    if (s->cancel != NULL)
        cancel_raise(s->cancel);
    poll(&left, 1, LONG_MS);
}

/* An upload that has failed is taken away; leftovers that could not be stay. */
static void
expect_end(const struct silence *silence, size_t leftovers)
{
    struct modeled *m = modeled(AUTO, &NONE);
    struct sample s = sample_new(SAMPLE);
    struct objstore_attrs stored;
    const struct objstore_file file = {.fd = s.fd, .size = s.size, .sole_writer = true};
    bool is_cancelled = silence->cancel != NULL;
    const struct objstore_call call = {
        .deadline_ns = is_cancelled ? CLOCK_NEVER : clock_deadline(CLOCK_NS_PER_S),
        .cancel = silence->cancel};
    int64_t begin_ns = clock_mono_ns();
    struct silence copy = *silence;
    for (size_t i = 0; i < leftovers; i++)
        s3_server_leave_upload(&m->server, S3_KEY);
    s3_server_hook(&m->server, hang, &copy);
    expect_fails(
        objstore_put_file(m->bucket, &call, text(S3_KEY), &file, &stored, &m->err),
        m->err, is_cancelled ? ERR_CANCELLED : ERR_TIMEOUT);
    assert_true(clock_mono_ns() - begin_ns < 8 * CLOCK_NS_PER_S);
    s3_server_hook(&m->server, NULL, NULL);
    expect_nothing(m, S3_KEY);
    /* A handler that waits may still begin an upload, or take one away. */
    if (silence->op != S3_CREATE)
        assert_true(s3_server_open_uploads(&m->server) <= leftovers);
    sample_free(&s);
    modeled_free(m);
}

static const enum s3_op SILENT[] = {S3_UPLOADS, S3_ABORT, S3_CREATE, S3_PART};

static void
ends_at_the_deadline(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(SILENT); i++)
        expect_end(&(struct silence){SILENT[i], NULL}, SILENT[i] == S3_ABORT ? 5 : 0);
}

static void
ends_when_cancelled(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(SILENT); i++) {
        CLEANUP(cancel_fini) struct cancel cancel = {0};
        expect_end(&(struct silence){SILENT[i], &cancel},
                   SILENT[i] == S3_ABORT ? 5 : 0);
    }
}

/* The most memory that was resident since the last call, in bytes. */
static size_t
peak_memory(void)
{
    struct buf status = {0};
    struct err err;
    size_t kilobytes = 0;
    expect_ok(file_read_all("/proc/self/status", 1 << 16, &status, &err), err);
    const char *line = strstr(buf_text(&status), "VmHWM:");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "VmHWM: %zu", &kilobytes), 1);
    buf_fini(&status);
    FILE *reset = fopen("/proc/self/clear_refs", "w");
    assert_non_null(reset);
    fputs("5", reset);
    fclose(reset);
    return kilobytes * 1024;
}

static size_t
memory_to_store(struct modeled *m, uint64_t size)
{
    struct objstore_attrs stored;
    const struct objstore_file file = {.fd = memfd_create("sparse", 0), .size = size};
    assert_int_equal(ftruncate(file.fd, (off_t)size), 0);
    peak_memory();
    expect_ok(
        objstore_put_file(m->bucket, &CALL, text(S3_KEY), &file, &stored, &m->err),
        m->err);
    assert_int_equal(stored.size, size);
    close(file.fd);
    return peak_memory();
}

/* What the server takes for parts in work is in both. */
static void
needs_no_more_memory_for_more(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip();
#endif
    static const struct s3_faults EMPTY = {.drops_content = true};
    for (int integrity = AUTO; integrity <= MD5; integrity += MD5) {
        struct modeled *m = modeled(integrity, &EMPTY);
        size_t few = memory_to_store(m, 8 * (uint64_t)PART);
        size_t many = memory_to_store(m, 60 * (uint64_t)PART);
        if (many > few + 4 * PART)
            fail_msg("%zu bytes for 40 MiB, %zu for 300 MiB", few, many);
        modeled_free(m);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_parts_at_their_size),
        cmocka_unit_test(sends_each_part_as_it_was_told),
        cmocka_unit_test(removes_what_was_left_over),
        cmocka_unit_test(removes_many_leftovers_bit_by_bit),
        cmocka_unit_test(changes_to_md5_once),
        cmocka_unit_test(says_why_it_cannot_begin),
        cmocka_unit_test(tries_each_request_again_alone),
        cmocka_unit_test(removes_an_upload_whose_beginning_was_lost),
        cmocka_unit_test(does_not_guess_whose_object_is_there),
        cmocka_unit_test(takes_away_what_has_failed),
        cmocka_unit_test(refuses_a_whole_of_another_size),
        cmocka_unit_test(stores_nothing_of_a_file_that_ends_early),
        cmocka_unit_test(sends_four_parts_at_a_time),
        cmocka_unit_test(ends_at_the_deadline),
        cmocka_unit_test(ends_when_cancelled),
        cmocka_unit_test(needs_no_more_memory_for_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
