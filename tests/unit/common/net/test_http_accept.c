/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/net/http_accept.h"

static void
reads_weights(void **state)
{
    static const struct {
        const char *text;
        int weight;
    } cases[] = {
        {"1", 1000},     {"0", 0},
        {"0.5", 500},    {" 0.25\t", 250},
        {"1.000", 1000}, {"", 0},
        {"x", 0},        {"1.5", 0},
        {"-1", 0},       {"0.5x", 0},
        {"nan", 0},      {"0x1", 0},
        {"2", 0},        {"0.00000000000000000001", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(net_http_accept_weight(bytes_of_str(cases[i].text)),
                         cases[i].weight);
}

static void
cuts_ranges(void **state)
{
    struct bytes rest =
        BYTES(", text/plain , a/b;version = 1.0.0;escaping=x;q=0.5,;q=0.1,*/*;Q=0,");
    struct net_http_media_range r;
    (void)state;
    assert_true(net_http_accept_next(&rest, &r));
    assert_true(bytes_eq(r.type, BYTES("text/plain")));
    assert_int_equal(r.weight, NET_HTTP_WEIGHT_MAX);
    assert_int_equal(r.version.len, 0);
    assert_true(net_http_accept_next(&rest, &r));
    assert_true(bytes_eq(r.type, BYTES("a/b")));
    assert_true(bytes_eq(r.version, BYTES("1.0.0")));
    assert_int_equal(r.weight, 500);
    assert_true(net_http_accept_next(&rest, &r));
    assert_int_equal(r.type.len, 0);
    assert_true(net_http_accept_next(&rest, &r));
    assert_true(bytes_eq(r.type, BYTES("*/*")));
    assert_int_equal(r.weight, 0);
    assert_false(net_http_accept_next(&rest, &r));
    assert_false(net_http_accept_next(&rest, &r));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_weights),
        cmocka_unit_test(cuts_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
