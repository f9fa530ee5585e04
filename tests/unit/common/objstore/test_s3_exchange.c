/* SPDX-License-Identifier: Apache-2.0 */
/* What a refusal teaches: the region of the bucket, other keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/common/objstore/modeled.h"

static const struct objstore_s3_options CHECKSUM_OR_MD5 = {.region = "us-east-1"};
static const struct objstore_s3_options ASKS = {.region = ""};

/* The bucket is opened by the test. */
static struct modeled *
server_new(const struct s3_faults *faults)
{
    struct modeled *m = calloc(1, sizeof *m);
    s3_server_start(&m->server);
    s3_server_break(&m->server, faults);
    return m;
}

static void
asks_for_the_region_once(void **state)
{
    (void)state;
    static const struct {
        struct s3_faults faults;
        const char *log;
    } CASES[] = {
        {{.region = "eu-central-1"}, "LOCATION PUT HEAD "},
        {{.region = "us-east-1", .location = ""}, "LOCATION PUT HEAD "},
        {{.region = "eu-west-1", .location = "EU"}, "LOCATION PUT HEAD "},
        {{.region = "us-east-1", .location = "no/region"}, "LOCATION PUT HEAD "},
        /* Refused; the first request then tells. */
        {{.region = "us-east-1",
          .fail[S3_LOCATION] = {100, 403, "AccessDenied", NULL, 0}},
         "LOCATION PUT HEAD "},
        {{.region = "eu-central-1",
          .fail[S3_LOCATION] = {100, 403, "AccessDenied", NULL, 0}},
         "LOCATION PUT PUT HEAD "},
        {{.region = "eu-central-1",
          .fail[S3_LOCATION] = {100, 501, "NotImplemented", NULL, 0}},
         "LOCATION PUT PUT HEAD "},
        /* A failure is no answer. */
        {{.region = "eu-central-1",
          .fail[S3_LOCATION] = {2, 500, "InternalError", NULL, 0}},
         "LOCATION LOCATION LOCATION PUT HEAD "},
        {{.region = "eu-central-1", .lose[S3_LOCATION] = 1},
         "LOCATION LOCATION PUT HEAD "},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct modeled *m = server_new(&CASES[i].faults);
        modeled_open(m, &ASKS, NULL);
        expect_ok(store_text(m, S3_KEY, "x"), m->err);
        expect_log(m, CASES[i].log);
        expect_ok(store_text(m, S3_KEY, "y"), m->err);
        expect_log(m, "PUT HEAD ");
        modeled_free(m);
    }
}

static void
says_that_there_is_no_bucket(void **state)
{
    (void)state;
    static const struct s3_faults GONE = {
        .fail[S3_LOCATION] = {100, 404, "NoSuchBucket", NULL, 0}};
    struct modeled *m = server_new(&GONE);
    modeled_open(m, &ASKS, NULL);
    expect_fails(store_text(m, S3_KEY, "x"), m->err, ERR_INVALID);
    assert_non_null(strstr(m->err.text, "ask for the region: status 404 NoSuchBucket"));
    expect_log(m, "LOCATION ");
    modeled_free(m);
}

static void
goes_where_it_is_sent(void **state)
{
    (void)state;
    for (int how = S3_BY_HEADER; how <= S3_BY_XML; how++) {
        struct s3_faults faults = {
            .region = "ap-south-1",
            .redirect = (enum s3_redirect)how,
            .fail[S3_LOCATION] = {100, 403, "AccessDenied", NULL, 0}};
        struct objstore_attrs attrs;
        struct sample s = sample_new(OBJSTORE_S3_MIN_PART_BYTES + 1);
        struct modeled *m = server_new(&faults);
        modeled_open(m, &ASKS, NULL);
        expect_ok(store_sample(m, S3_KEY_ODD, &s, false), m->err);
        expect_log(m, "LOCATION CREATE CREATE PART PART COMPLETE HEAD ");
        expect_content(m, S3_KEY_ODD, sample_bytes(&s));
        /* And again, when the bucket has moved. An answer to HEAD has no body. */
        faults.region = "sa-east-1";
        s3_server_break(&m->server, &faults);
        bool ok = objstore_head(m->bucket, &CALL, text(S3_KEY_ODD), &attrs, &m->err);
        if (how == S3_BY_XML) {
            assert_false(ok);
            expect_ok(store_text(m, S3_KEY_ODD, "x"), m->err);
            expect_log(m, "HEAD PUT PUT HEAD ");
        } else {
            assert_true(ok);
            expect_log(m, "HEAD HEAD ");
        }
        sample_free(&s);
        modeled_free(m);
    }
}

static void
keeps_to_a_region_that_is_configured(void **state)
{
    (void)state;
    for (int how = S3_BY_HEADER; how <= S3_BY_XML; how++) {
        const struct s3_faults faults = {.region = "ap-south-1",
                                         .redirect = (enum s3_redirect)how};
        struct modeled *m = server_new(&faults);
        struct sample s = sample_new(OBJSTORE_S3_MIN_PART_BYTES);
        modeled_open(m, &CHECKSUM_OR_MD5, NULL);
        expect_fails(store_text(m, S3_KEY, "x"), m->err, ERR_INVALID);
        assert_non_null(strstr(m->err.text, "region ap-south-1, not in us-east-1"));
        expect_log(m, "PUT ");
        expect_fails(store_sample(m, S3_KEY, &s, false), m->err, ERR_INVALID);
        expect_log(m, "CREATE ");
        sample_free(&s);
        modeled_free(m);
    }
}

/* A redirect to the same place, or to none, cannot be followed. */
static void
refuses_other_redirects(void **state)
{
    (void)state;
    static const struct s3_faults CASES[] = {
        {.fail[S3_PUT] = {100, 301, "PermanentRedirect", NULL, 0}},
        {.fail[S3_PUT] = {100, 307, "TemporaryRedirect", NULL, 0}},
        {.fail[S3_PUT] = {100, 302, "", NULL, 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct modeled *m = server_new(&CASES[i]);
        modeled_open(m, &CHECKSUM_OR_MD5, NULL);
        expect_fails(store_text(m, S3_KEY, "x"), m->err, ERR_UNSUPPORTED);
        expect_log(m, "PUT ");
        modeled_free(m);
    }
}

/* Keys in a file that is read anew. */
struct rotating {
    char path[64];
    struct modeled *m;
};

static void
write_keys(const struct rotating *r, const char *access_key)
{
    FILE *file = fopen(r->path, "w");
    assert_non_null(file);
    fprintf(file,
            "[default]\naws_access_key_id = %s\n"
            "aws_secret_access_key = " S3_SECRET_PREFIX "%s\n",
            access_key, access_key);
    fclose(file);
}

static void
rotating_init(struct rotating *r, const struct s3_faults *faults)
{
    *r = (struct rotating){.path = "/tmp/blockhouse-keys-XXXXXX",
                           .m = server_new(faults)};
    close(mkstemp(r->path));
    setenv("AWS_SHARED_CREDENTIALS_FILE", r->path, 1);
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    write_keys(r, "AKIAONE");
    modeled_open(r->m, &CHECKSUM_OR_MD5, &(struct objstore_credentials_options){0});
}

static void
rotating_fini(struct rotating *r)
{
    modeled_free(r->m);
    unlink(r->path);
    unsetenv("AWS_SHARED_CREDENTIALS_FILE");
}

static const struct s3_faults ENDED[] = {
    {.expired_key = "AKIAONE", .expired_status = 400, .expired_code = "ExpiredToken"},
    {.expired_key = "AKIAONE", .expired_status = 403, .expired_code = "InvalidToken"},
    {.expired_key = "AKIAONE",
     .expired_status = 403,
     .expired_code = "InvalidAccessKeyId"},
    {.expired_key = "AKIAONE",
     .expired_status = 403,
     .expired_code = "SignatureDoesNotMatch"},
    {.expired_key = "AKIAONE", .expired_status = 403, .expired_code = ""},
};

static void
fetches_other_keys_when_they_have_ended(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ENDED); i++) {
        struct rotating r;
        rotating_init(&r, &(struct s3_faults){0});
        expect_ok(store_text(r.m, S3_KEY, "x"), r.m->err);
        expect_log(r.m, "PUT HEAD ");
        s3_server_break(&r.m->server, &ENDED[i]);
        write_keys(&r, "AKIATWO");
        expect_ok(store_text(r.m, S3_KEY, "y"), r.m->err);
        /* That was no refusal of the checksum. */
        expect_header(r.m, S3_PUT, 1, "content-md5", NULL);
        expect_log(r.m, "PUT PUT HEAD ");
        expect_ok(store_text(r.m, S3_KEY, "z"), r.m->err);
        expect_header(r.m, S3_PUT, 0, "content-md5", NULL);
        expect_log(r.m, "PUT HEAD ");
        expect_content(r.m, S3_KEY, text("z"));
        rotating_fini(&r);
    }
}

static void
fetches_other_keys_in_the_middle_of_an_upload(void **state)
{
    (void)state;
    struct sample s = sample_new(3 * OBJSTORE_S3_MIN_PART_BYTES);
    struct rotating r;
    rotating_init(&r, &(struct s3_faults){0});
    expect_ok(store_text(r.m, S3_KEY, "x"), r.m->err);
    expect_log(r.m, "PUT HEAD ");
    s3_server_break(&r.m->server, &ENDED[0]);
    write_keys(&r, "AKIATWO");
    expect_ok(store_sample(r.m, S3_KEY, &s, false), r.m->err);
    expect_log(r.m, "CREATE CREATE PART PART PART COMPLETE HEAD ");
    expect_content(r.m, S3_KEY, sample_bytes(&s));
    rotating_fini(&r);
    sample_free(&s);
}

static void
gives_up_with_keys_that_have_ended(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ENDED); i++) {
        struct rotating r;
        rotating_init(&r, &ENDED[i]);
        expect_fails(store_text(r.m, S3_KEY, "x"), r.m->err, ERR_DENIED);
        assert_non_null(strstr(r.m->err.text, ENDED[i].expired_code));
        assert_null(strstr(r.m->err.text, S3_SECRET_PREFIX));
        /* Some servers say of a checksum that the signature is wrong. */
        bool may_be_checksum =
            strcmp(ENDED[i].expired_code, "SignatureDoesNotMatch") == 0;
        expect_log(r.m, may_be_checksum ? "PUT PUT PUT " : "PUT PUT ");
        rotating_fini(&r);
    }
}

/* Keys that are given have no others behind them. */
static void
does_not_try_given_keys_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ENDED); i++) {
        struct modeled *m = modeled_new(OBJSTORE_S3_INTEGRITY_CHECKSUM, &ENDED[i]);
        expect_fails(store_text(m, S3_KEY, "x"), m->err, ERR_DENIED);
        assert_non_null(strstr(m->err.text, ENDED[i].expired_code));
        expect_log(m, "PUT ");
        modeled_free(m);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_for_the_region_once),
        cmocka_unit_test(says_that_there_is_no_bucket),
        cmocka_unit_test(goes_where_it_is_sent),
        cmocka_unit_test(keeps_to_a_region_that_is_configured),
        cmocka_unit_test(refuses_other_redirects),
        cmocka_unit_test(fetches_other_keys_when_they_have_ended),
        cmocka_unit_test(fetches_other_keys_in_the_middle_of_an_upload),
        cmocka_unit_test(gives_up_with_keys_that_have_ended),
        cmocka_unit_test(does_not_try_given_keys_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
