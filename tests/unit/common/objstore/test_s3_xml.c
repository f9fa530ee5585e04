/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/objstore/s3_xml.h"

#define HEAD_XML                                                           \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                         \
    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" \
    "<Name>b</Name><Prefix></Prefix><MaxKeys>1000</MaxKeys>"
#define OBJECT_XML(key, size)                                                         \
    "<Contents><Key>" key "</Key><LastModified>2013-05-24T00:00:01.5Z</LastModified>" \
    "<ETag>&quot;d41d8&quot;</ETag><Size>" size "</Size>"                             \
    "<Owner><ID>x</ID><Key>not this one</Key></Owner>"                                \
    "<StorageClass>STANDARD</StorageClass></Contents>"
#define WHOLE_XML "<IsTruncated>false</IsTruncated>"
#define TAIL_XML "</ListBucketResult>"

static const char PAGE[] =
    HEAD_XML "<IsTruncated>true</IsTruncated>" OBJECT_XML("a/b", "12")
        OBJECT_XML("a &amp; b&#xFC;",
                   "18446744073709551615") "<NextContinuationToken>1/x=+&amp;y</"
                                           "NextContinuationToken>" TAIL_XML;

/* The code of parsing text in pieces; *out is the page if that is ERR_NONE. */
static enum err_code
parse(const char *text, size_t piece, struct objstore_s3_page **out, struct err *err)
{
    struct bytes rest = bytes_of_str(text);
    CLEANUP(objstore_s3_page_free)
    struct objstore_s3_page *page = objstore_s3_page_new(OBJSTORE_S3_BY_TOKEN);
    while (rest.len > 0) {
        size_t n = rest.len < piece ? rest.len : piece;
        if (!objstore_s3_page_sink(page, bytes_of(rest.at, n), err))
            return err->code;
        bytes_skip(&rest, n);
    }
    if (!objstore_s3_page_finish(page, err))
        return err->code;
    *out = TAKE(page);
    return ERR_NONE;
}

static void
reads_a_page_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 7, 100, sizeof PAGE};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct err err;
        struct objstore_s3_page *page;
        assert_int_equal(parse(PAGE, pieces[i], &page, &err), ERR_NONE);
        assert_int_equal(objstore_s3_page_count(page), 2);
        struct objstore_object first = objstore_s3_page_object(page, 0);
        struct objstore_object second = objstore_s3_page_object(page, 1);
        assert_true(bytes_eq(first.key, BYTES("a/b")));
        assert_int_equal(first.attrs.size, 12);
        assert_int_equal(first.attrs.mtime_ms, INT64_C(1369353601500));
        assert_string_equal(first.attrs.etag, "d41d8");
        assert_true(bytes_eq(second.key, BYTES("a & b\xc3\xbc")));
        assert_true(second.attrs.size == UINT64_MAX);
        assert_true(bytes_eq(objstore_s3_page_next(page), BYTES("1/x=+&y")));
        objstore_s3_page_free(&page);
    }
}

static void
decodes_keys_that_the_server_encoded(void **state)
{
    (void)state;
    struct err err;
    struct objstore_s3_page *page;
    assert_int_equal(
        parse(HEAD_XML WHOLE_XML OBJECT_XML("a%2Fb+c%2B%00%c3%BC", "0")
                  OBJECT_XML("plain", "0") "<EncodingType>url</EncodingType>" TAIL_XML,
              50, &page, &err),
        ERR_NONE);
    assert_true(
        bytes_eq(objstore_s3_page_object(page, 0).key, BYTES("a/b c+\0\xc3\xbc")));
    assert_true(bytes_eq(objstore_s3_page_object(page, 1).key, BYTES("plain")));
    assert_int_equal(objstore_s3_page_next(page).len, 0);
    objstore_s3_page_free(&page);
    /* Without that word a key is what it looks like. */
    assert_int_equal(
        parse(HEAD_XML WHOLE_XML OBJECT_XML("a%2Fb+c", "0") TAIL_XML, 50, &page, &err),
        ERR_NONE);
    assert_true(bytes_eq(objstore_s3_page_object(page, 0).key, BYTES("a%2Fb+c")));
    objstore_s3_page_free(&page);
}

static void
reads_an_empty_listing(void **state)
{
    (void)state;
    struct err err;
    struct objstore_s3_page *page;
    assert_int_equal(
        parse(HEAD_XML WHOLE_XML "<NextContinuationToken/>" TAIL_XML, 9, &page, &err),
        ERR_NONE);
    assert_int_equal(objstore_s3_page_count(page), 0);
    assert_int_equal(objstore_s3_page_next(page).len, 0);
    objstore_s3_page_free(&page);
}

static void
refuses_what_is_no_listing(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *reason;
    } cases[] = {
        {"", "no element"},
        {"garbage", "syntax error"},
        {"<html><body>Proxy error</body></html>", "no listing"},
        {"<Error><Code>SlowDown</Code></Error>", "no listing"},
        {"<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult/>", "document type"},
        {"<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><ListBucketResult/>",
         "document type"},
        {HEAD_XML "&bomb;" TAIL_XML, "undefined entity"},
        {HEAD_XML "<a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a>" TAIL_XML,
         "nested too deeply"},
        {HEAD_XML OBJECT_XML("", "1") TAIL_XML, "no key"},
        {HEAD_XML OBJECT_XML("k", "") TAIL_XML, "no key, size"},
        {HEAD_XML OBJECT_XML("k", "-1") TAIL_XML, "no key, size"},
        {HEAD_XML OBJECT_XML("k", "18446744073709551616") TAIL_XML, "no key, size"},
        {HEAD_XML "<Contents><Key>k</Key><Size>1</Size></Contents>" TAIL_XML, "time"},
        {HEAD_XML "<Contents><Key>k</Key><Size>1</Size><LastModified>yesterday"
                  "</LastModified></Contents>" TAIL_XML,
         "time"},
        {HEAD_XML "<IsTruncated>true</IsTruncated>" TAIL_XML, "without a token"},
        {HEAD_XML OBJECT_XML("k", "1") TAIL_XML, "does not say"},
        {HEAD_XML "<IsTruncated>perhaps</IsTruncated>" TAIL_XML, "does not say"},
        {HEAD_XML WHOLE_XML "<EncodingType>url</EncodingType>" OBJECT_XML("a%4", "1")
             TAIL_XML,
         "badly encoded"},
        {HEAD_XML WHOLE_XML "<EncodingType>url</EncodingType>" OBJECT_XML("a%zz", "1")
             TAIL_XML,
         "badly encoded"},
        {HEAD_XML TAIL_XML "<more/>", "junk after"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        struct objstore_s3_page *page = NULL;
        assert_int_equal(parse(cases[i].text, 64, &page, &err), ERR_CORRUPT);
        if (strstr(err.text, cases[i].reason) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].reason);
    }
}

static void
refuses_every_truncation(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof PAGE - 1; len++) {
        struct err err;
        struct objstore_s3_page *page = NULL;
        char *cut = strndup(PAGE, len);
        assert_int_equal(parse(cut, 1000, &page, &err), ERR_CORRUPT);
        free(cut);
    }
}

static void
survives_every_flipped_bit(void **state)
{
    (void)state;
    char text[sizeof PAGE];
    for (size_t bit = 0; bit < 8 * (sizeof PAGE - 1); bit++) {
        struct err err;
        struct objstore_s3_page *page = NULL;
        memcpy(text, PAGE, sizeof PAGE);
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        if (parse(text, 1000, &page, &err) == ERR_NONE)
            objstore_s3_page_free(&page);
    }
}

static void
bounds_texts_and_objects(void **state)
{
    (void)state;
    struct err err;
    struct objstore_s3_page *page = NULL;
    struct buf b = {0};
    buf_printf(&b, HEAD_XML OBJECT_XML("%08200d", "1") TAIL_XML, 0);
    assert_int_equal(parse(buf_text(&b), 999, &page, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "too long"));
    buf_clear(&b);
    buf_put_str(&b, HEAD_XML);
    for (int i = 0; i < 10001; i++)
        buf_printf(&b, OBJECT_XML("%d", "1"), i);
    buf_put_str(&b, TAIL_XML);
    assert_int_equal(parse(buf_text(&b), 65536, &page, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "too many objects"));
    buf_fini(&b);
}

static void
drops_an_etag_that_is_too_long(void **state)
{
    (void)state;
    struct err err;
    struct objstore_s3_page *page = NULL;
    struct buf b = {0};
    buf_printf(&b,
               HEAD_XML WHOLE_XML
               "<Contents><Key>k</Key><Size>1</Size><ETag>%0100d</ETag>"
               "<LastModified>2013-05-24T00:00:00Z</LastModified></Contents>" TAIL_XML,
               7);
    assert_int_equal(parse(buf_text(&b), 999, &page, &err), ERR_NONE);
    assert_string_equal(objstore_s3_page_object(page, 0).attrs.etag, "");
    objstore_s3_page_free(&page);
    buf_fini(&b);
}

static void
reads_what_there_is_of_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *code;
        const char *message;
    } cases[] = {
        {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>"
         "<Message>Access\nDenied.</Message><Detail><Code>x</Code></Detail></Error>",
         "AccessDenied", "Access Denied."},
        {"<Error><Code>SlowDown</Code><Message>Reduce your", "SlowDown", ""},
        {"<Error><Code>Slow", "", ""},
        {"<html><Code>x</Code></html>", "", ""},
        {"404 page not found", "", ""},
        {"", "", ""},
        {"<!DOCTYPE Error><Error><Code>x</Code></Error>", "", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct objstore_s3_error error;
        objstore_s3_error_parse(bytes_of_str(cases[i].body), &error);
        assert_string_equal(error.code, cases[i].code);
        assert_string_equal(error.message, cases[i].message);
    }
}

static void
cuts_a_long_error(void **state)
{
    (void)state;
    struct objstore_s3_error error;
    struct buf b = {0};
    buf_printf(&b, "<Error><Code>%0100d</Code><Message>%01000d</Message></Error>", 0,
               0);
    objstore_s3_error_parse(buf_bytes(&b), &error);
    assert_int_equal(strlen(error.code), sizeof error.code - 1);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    buf_fini(&b);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_page_in_pieces_of_any_size),
        cmocka_unit_test(decodes_keys_that_the_server_encoded),
        cmocka_unit_test(reads_an_empty_listing),
        cmocka_unit_test(refuses_what_is_no_listing),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(survives_every_flipped_bit),
        cmocka_unit_test(bounds_texts_and_objects),
        cmocka_unit_test(drops_an_etag_that_is_too_long),
        cmocka_unit_test(reads_what_there_is_of_an_error),
        cmocka_unit_test(cuts_a_long_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
