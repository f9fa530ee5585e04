/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"

enum { MAX_LINE = 3072 };

/* stderr is a pipe between begin and end. */
struct capture {
    int saved;
    int from;
    char text[2 * MAX_LINE];
};

static void
capture_begin(struct capture *c)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    c->saved = dup(STDERR_FILENO);
    c->from = ends[0];
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
}

static void
capture_end(struct capture *c)
{
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    CLEANUP(buf_fini) struct buf all = {0};
    CLEANUP(file_close) int from = c->from;
    for (;;) {
        ssize_t n = read(from, buf_reserve(&all, 4096), 4096);
        if (n <= 0)
            break;
        all.len += (size_t)n;
    }
    assert_true(all.len < sizeof c->text);
    memcpy(c->text, buf_text(&all), all.len + 1);
}

static int
freeze(void **state)
{
    (void)state;
    clock_freeze(0, INT64_C(1763893230123456789));
    return 0;
}

static int
unfreeze(void **state)
{
    (void)state;
    clock_unfreeze();
    return 0;
}

static const struct log_site site = {LOG_LEVEL_WARN, 7, "a/folder/file.c"};

static void
expect_lines(enum log_format format, const char *expected)
{
    static struct capture c;
    const struct log_field fields[] = {
        LOG_INT("count", -5),
        LOG_STR("block", "01J"),
        LOG_STR("path", "a b"),
        LOG_STR("err", "say \"x=1\\2\"\n\t\x7f"),
        LOG_BYTES("labels", BYTES("\xc3\xa4\xff\0")),
        LOG_STR("op", NULL),
        {0},
    };
    log_setup("store", LOG_LEVEL_INFO, format);
    capture_begin(&c);
    log_event(site, "loaded block", fields);
    capture_end(&c);
    assert_string_equal(c.text, expected);
}

static void
writes_logfmt(void **state)
{
    (void)state;
    expect_lines(LOG_FORMAT_LOGFMT,
                 "ts=2025-11-23T10:20:30.123456789Z caller=file.c:7 level=warn "
                 "component=store msg=\"loaded block\" count=-5 block=01J path=\"a b\" "
                 "err=\"say \\\"x=1\\\\2\\\"\\n\\u0009\\u007f\" "
                 "labels=\"\xc3\xa4\xef\xbf\xbd\\u0000\" op=\"\"\n");
}

static void
writes_json(void **state)
{
    (void)state;
    expect_lines(LOG_FORMAT_JSON,
                 "{\"ts\":\"2025-11-23T10:20:30.123456789Z\",\"caller\":\"file.c:7\","
                 "\"level\":\"warn\",\"component\":\"store\",\"msg\":\"loaded block\","
                 "\"count\":-5,\"block\":\"01J\",\"path\":\"a b\","
                 "\"err\":\"say \\\"x=1\\\\2\\\"\\n\\u0009\\u007f\","
                 "\"labels\":\"\xc3\xa4\xef\xbf\xbd\\u0000\",\"op\":\"\"}\n");
}

static void
writes_a_name_in_every_line(void **state)
{
    static struct capture c;
    (void)state;
    log_setup("store", LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_set_name("a name");
    capture_begin(&c);
    LOG_INFO("said");
    log_set_name("");
    LOG_INFO("said");
    capture_end(&c);
    assert_non_null(strstr(c.text, " component=store name=\"a name\" msg=said\n"));
    assert_non_null(strstr(c.text, " component=store msg=said\n"));
}

static void
drops_what_is_below_the_level(void **state)
{
    static struct capture c;
    (void)state;
    log_setup("store", LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT);
    assert_true(log_is_on(LOG_LEVEL_ERROR));
    assert_true(log_is_on(LOG_LEVEL_WARN));
    assert_false(log_is_on(LOG_LEVEL_INFO));
    capture_begin(&c);
    LOG_INFO("dropped");
    LOG_DEBUG("dropped", LOG_INT("count", 1));
    LOG_WARN("kept");
    LOG_ERROR("kept too", LOG_INT("count", 1));
    capture_end(&c);
    assert_null(strstr(c.text, "dropped"));
    assert_non_null(strstr(c.text, "level=warn component=store msg=kept\n"));
    assert_non_null(
        strstr(c.text, "level=error component=store msg=\"kept too\" count=1"));
    assert_non_null(strstr(c.text, "caller=test_log.c:"));
}

/* Log fields that do not fit: first bytes of "x", then pieces of len bytes. */
static void
log_long_fields(const char *piece, size_t len, size_t first, struct capture *c)
{
    static char text[2 * MAX_LINE];
    memset(text, 'x', first);
    for (size_t at = first; at + len < sizeof text; at += len)
        memcpy(text + at, piece, len + 1);
    const struct log_field long_fields[] = {
        LOG_STR("path", text),
        LOG_STR("url", text),
        LOG_INT("count", 1),
        LOG_STR("op", "z"),
        {0},
    };
    capture_begin(c);
    log_event(site, "long", long_fields);
    capture_end(c);
}

/* One line, nearly as long as it may be, that ends with end. */
static void
expect_whole_line(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    assert_true(len <= MAX_LINE && len > MAX_LINE - 16);
    assert_memory_equal(text + len - end_len, end, end_len);
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
}

static void
cuts_long_lines_where_they_stay_well_formed(void **state)
{
    static struct capture c;
    static const struct {
        const char *piece, *logged;
    } cases[] = {
        {"y", "y"},
        {"\\", "\\\\"},
        {"\x01", "\\u0001"},
        {"\xe2\x82\xac", "\xe2\x82\xac"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t first = 1; first < 20; first++) {
            CLEANUP(buf_fini) struct buf end = {0};
            log_setup("store", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
            log_long_fields(cases[i].piece, strlen(cases[i].piece), first, &c);
            buf_printf(&end, "%s\"}\n", cases[i].logged);
            expect_whole_line(c.text, buf_text(&end));
            log_setup("store", LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
            log_long_fields(cases[i].piece, strlen(cases[i].piece), first, &c);
            expect_whole_line(c.text, "\n");
        }
}

static void
leaves_out_numbers_that_do_not_fit(void **state)
{
    static struct capture c;
    static char text[MAX_LINE];
    (void)state;
    size_t with = 0, without = 0;
    log_setup("store", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    for (size_t len = MAX_LINE - 200; len < MAX_LINE - 80; len++) {
        memset(text, 'x', len);
        text[len] = 0;
        const struct log_field fields[] = {
            LOG_STR("path", text), LOG_INT("count", INT64_MIN), {0}};
        capture_begin(&c);
        log_event(site, "long", fields);
        capture_end(&c);
        bool has_number =
            strstr(c.text, "\",\"count\":-9223372036854775808}\n") != NULL;
        assert_true(has_number || strstr(c.text, "x\"}\n") != NULL);
        with += has_number;
        without += !has_number;
    }
    assert_true(with > 0 && without > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_logfmt, freeze, unfreeze),
        cmocka_unit_test_setup_teardown(writes_json, freeze, unfreeze),
        cmocka_unit_test(writes_a_name_in_every_line),
        cmocka_unit_test(drops_what_is_below_the_level),
        cmocka_unit_test(cuts_long_lines_where_they_stay_well_formed),
        cmocka_unit_test(leaves_out_numbers_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
