/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/base/compiler.h"
#include "common/net/http_proxy_priv.h"

static const char *const VARIABLES[] = {"HTTP_PROXY",    "http_proxy", "HTTPS_PROXY",
                                        "https_proxy",   "NO_PROXY",   "no_proxy",
                                        "REQUEST_METHOD"};

static int
clear_environment(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(VARIABLES); i++)
        unsetenv(VARIABLES[i]);
    return 0;
}

static const char *
proxy_of(const struct net_http_proxies *p, bool https, const char *host)
{
    return net_http_proxies_get(p, https, bytes_of_str(host), BYTES("443"));
}

static void
an_empty_environment_has_none(void **state)
{
    CLEANUP(net_http_proxies_fini) struct net_http_proxies p = {0};
    (void)state;
    assert_null(proxy_of(&p, true, "example.com"));
    net_http_proxies_init(&p);
    assert_null(proxy_of(&p, true, "example.com"));
    assert_null(proxy_of(&p, false, "example.com"));
}

static void
each_scheme_has_its_own(void **state)
{
    CLEANUP(net_http_proxies_fini) struct net_http_proxies p = {0};
    (void)state;
    setenv("http_proxy", "lower", 1);
    setenv("HTTPS_PROXY", "upper", 1);
    setenv("https_proxy", "hidden", 1);
    net_http_proxies_init(&p);
    /* Later changes do not matter. */
    setenv("HTTPS_PROXY", "late", 1);
    assert_string_equal(proxy_of(&p, false, "example.com"), "lower");
    assert_string_equal(proxy_of(&p, true, "example.com"), "upper");
}

static void
a_request_cannot_set_the_proxy_of_a_cgi_program(void **state)
{
    CLEANUP(net_http_proxies_fini) struct net_http_proxies p = {0};
    (void)state;
    setenv("HTTP_PROXY", "evil", 1);
    setenv("REQUEST_METHOD", "GET", 1);
    net_http_proxies_init(&p);
    assert_null(proxy_of(&p, false, "example.com"));
}

static void
this_machine_needs_none(void **state)
{
    static const char *const hosts[] = {"localhost", "LocalHost", "127.0.0.1",
                                        "127.9.8.7", "::1"};
    CLEANUP(net_http_proxies_fini) struct net_http_proxies p = {0};
    (void)state;
    setenv("HTTPS_PROXY", "proxy", 1);
    net_http_proxies_init(&p);
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        assert_null(proxy_of(&p, true, hosts[i]));
    assert_non_null(proxy_of(&p, true, "128.0.0.1"));
    assert_non_null(proxy_of(&p, true, "::2"));
}

static void
exceptions(void **state)
{
    static const struct {
        const char *list;
        const char *host;
        bool excepted;
    } cases[] = {
        {"", "a.b", false},
        {" , ,", "a.b", false},
        {"*", "a.b", true},
        {"x,*", "9.9.9.9", true},
        {"a.b", "a.b", true},
        {"A.b", "a.B", true},
        {"a.b", "c.a.b", true},
        {"a.b", "xa.b", false},
        {"a.b", "b", false},
        {".a.b", "a.b", false},
        {".a.b", "c.a.b", true},
        {"*.a.b", "a.b", false},
        {"*.a.b", "c.a.b", true},
        {"*.", "a.", true},
        {"x, a.b ,y", "a.b", true},
        {"a.b:443", "a.b", true},
        {"a.b:80", "a.b", false},
        {":443", "a.b", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.4", false},
        {"10.1.2.3:443", "10.1.2.3", true},
        {"10.1.2.3:80", "10.1.2.3", false},
        {"10.0.0.0/8", "10.200.2.3", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "10.0.0.0.example.com", false},
        {"10.1.2.0/23", "10.1.3.255", true},
        {"10.1.2.0/23", "10.1.4.0", false},
        {"0.0.0.0/0", "9.9.9.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"10.0.0.0/33", "10.0.0.0", false},
        {"10.0.0.0/", "10.0.0.0", false},
        {"10.0.0.0/0008", "10.0.0.0", false},
        {"10.0.0.0/-1", "10.0.0.0", false},
        {"/8", "10.0.0.0", false},
        {"2001:db8::1", "2001:db8:0::1", true},
        {"[2001:db8::1]", "2001:db8::1", true},
        {"[2001:db8::1]:443", "2001:db8::1", true},
        {"[2001:db8::1]:80", "2001:db8::1", false},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"[", "a.b", false},
        {"[:", "a.b", false},
        {"[]", "a.b", false},
    };
    (void)state;
    setenv("HTTPS_PROXY", "proxy", 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(net_http_proxies_fini) struct net_http_proxies p = {0};
        setenv("no_proxy", cases[i].list, 1);
        net_http_proxies_init(&p);
        if ((proxy_of(&p, true, cases[i].host) == NULL) != cases[i].excepted)
            fail_msg("%s with NO_PROXY=%s", cases[i].host, cases[i].list);
    }
}

#define PROXY_TEST(f) cmocka_unit_test_setup(f, clear_environment)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PROXY_TEST(an_empty_environment_has_none),
        PROXY_TEST(each_scheme_has_its_own),
        PROXY_TEST(a_request_cannot_set_the_proxy_of_a_cgi_program),
        PROXY_TEST(this_machine_needs_none),
        PROXY_TEST(exceptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
