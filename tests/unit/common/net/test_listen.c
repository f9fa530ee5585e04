/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/net/listen.h"

static void
takes_a_free_port(void **state)
{
    static const char *const addresses[] = {"127.0.0.1:0", "localhost:0", ":0",
                                            "0.0.0.0:0"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        CLEANUP(file_close) int fd = -1;
        uint16_t port = 0;
        struct err err;
        if (!net_listen(addresses[i], &fd, &port, &err))
            fail_msg("%s", err.text);
        assert_true(fd >= 0);
        assert_int_not_equal(port, 0);
    }
}

static void
refuses_what_is_no_address(void **state)
{
    static const char *const addresses[] = {
        "",
        "localhost",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:65536",
        "1.2.3.4:-1",
        "::1:80",
        "[::1:80",
        "host.invalid:80",
        "127.0.0.1: 80",
        "192.0.2.1:0",
        "127.0.0.1:0000080",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        int fd = -1;
        uint16_t port = 7;
        struct err err;
        assert_false(net_listen(addresses[i], &fd, &port, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_equal(fd, -1);
        assert_int_equal(port, 7);
    }
}

static void
names_a_port_in_use(void **state)
{
    CLEANUP(file_close) int fd = -1;
    int other = -1;
    uint16_t port;
    char address[32];
    struct err err;
    (void)state;
    assert_true(net_listen("127.0.0.1:0", &fd, &port, &err));
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    assert_false(net_listen(address, &other, &port, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, address));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_free_port),
        cmocka_unit_test(refuses_what_is_no_address),
        cmocka_unit_test(names_a_port_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
