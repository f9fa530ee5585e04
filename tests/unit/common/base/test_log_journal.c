/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log_journal.h"
#include "tests/support/expect.h"

enum { DATAGRAM_BYTES = 8192 };

static char folder[] = "/tmp/blockhouse-journal-XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int journal = -1;

static int
setup(void **state)
{
    struct err err;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    expect_fails(log_journal_open(address.sun_path, &err), err, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, address.sun_path));
    journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(journal, (const struct sockaddr *)(const void *)&address, sizeof address),
        0);
    expect_ok(log_journal_open(address.sun_path, &err), err);
    log_setup("store", LOG_LEVEL_INFO, LOG_FORMAT_JOURNALD);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    log_setup("store", LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    close(journal);
    unlink(address.sun_path);
    return rmdir(folder);
}

struct datagram {
    char at[DATAGRAM_BYTES];
    size_t len;
};

static void
receive(struct datagram *d)
{
    ssize_t len = recv(journal, d->at, sizeof d->at, 0);
    assert_true(len > 0);
    d->len = (size_t)len;
}

/* The value of a field, as a text; NULL: it is not there. Each datagram is walked from
 * its begin to its end, so that a wrong length anywhere is noticed. */
static char *
value(const struct datagram *d, const char *key)
{
    static char found[DATAGRAM_BYTES];
    bool is_found = false;
    for (size_t at = 0; at < d->len;) {
        const char *name = d->at + at;
        const char *end = memchr(name, '\n', d->len - at);
        assert_non_null(end);
        const uint8_t *length = (const uint8_t *)end + 1;
        size_t len = 0;
        for (unsigned i = 0; i < 8; i++)
            len |= (size_t)length[i] << (8 * i);
        const char *bytes = end + 9;
        assert_true(bytes + len < d->at + d->len && bytes[len] == '\n');
        if ((size_t)(end - name) == strlen(key) &&
            memcmp(name, key, strlen(key)) == 0) {
            is_found = true;
            memcpy(found, bytes, len);
            found[len] = 0;
        }
        at = (size_t)(bytes + len + 1 - d->at);
    }
    return is_found ? found : NULL;
}

static void
names_fields_as_thanos_does(void **state)
{
    static struct datagram d;
    (void)state;
    log_set_name("n");
    LOG_WARN("loaded block", LOG_INT("dur_ms", -5), LOG_STR("err", "two\nlines"),
             LOG_BYTES("labels", BYTES("a=b")), LOG_STR("op", NULL));
    log_set_name("");
    receive(&d);
    assert_string_equal(value(&d, "PRIORITY"), "4");
    assert_string_equal(value(&d, "MESSAGE"), "loaded block");
    assert_string_equal(value(&d, "THANOS_COMPONENT"), "store");
    assert_string_equal(value(&d, "THANOS_NAME"), "n");
    assert_string_equal(value(&d, "THANOS_DUR_MS"), "-5");
    assert_string_equal(value(&d, "THANOS_ERR"), "two\nlines");
    assert_string_equal(value(&d, "THANOS_LABELS"), "a=b");
    assert_string_equal(value(&d, "THANOS_OP"), "");
    assert_non_null(strstr(value(&d, "THANOS_CALLER"), "test_log_journal.c:"));
    assert_null(value(&d, "THANOS_NONE"));
}

static void
tells_levels_apart(void **state)
{
    static struct datagram d;
    (void)state;
    LOG_ERROR("x");
    LOG_INFO("x");
    receive(&d);
    assert_string_equal(value(&d, "PRIORITY"), "3");
    assert_null(value(&d, "THANOS_NAME"));
    receive(&d);
    assert_string_equal(value(&d, "PRIORITY"), "6");
}

static void
cuts_what_does_not_fit(void **state)
{
    static struct datagram d;
    static char text[4000];
    (void)state;
    memset(text, 'x', sizeof text - 1);
    LOG_INFO("long", LOG_STR("err", text), LOG_STR("path", "left out"));
    receive(&d);
    assert_in_range(strlen(value(&d, "THANOS_ERR")), 2500, 3000);
    assert_null(value(&d, "THANOS_PATH"));
}

static void
goes_on_without_a_journal(void **state)
{
    (void)state;
    close(journal);
    LOG_INFO("lost");
    journal = -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_fields_as_thanos_does),
        cmocka_unit_test(tells_levels_apart),
        cmocka_unit_test(cuts_what_does_not_fit),
        cmocka_unit_test(goes_on_without_a_journal),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
