/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/net/http_client.h"
#include "common/net/http_proxy_priv.h"
#include "tests/support/raw_http.h"

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

/* GET with a new client; the code of the failure, or ERR_NONE. */
static enum err_code
get_with(const struct net_http_client_options *options, const char *url,
         struct err *err)
{
    static struct net_http_response response;
    CLEANUP(net_http_client_free) struct net_http_client *c = NULL;
    if (!net_http_client_new(&c, options, err))
        fail_msg("%s", err->text);
    const struct net_http_request q = {.method = "GET",
                                       .url = url,
                                       .deadline_ns =
                                           clock_deadline(10 * CLOCK_NS_PER_S)};
    *err = (struct err){0};
    return net_http_perform(c, &q, &response, err) ? ERR_NONE : err->code;
}

static enum err_code
get(const char *url, struct err *err)
{
    const struct net_http_client_options options = {.proxy_of_environment = true};
    return get_with(&options, url, err);
}

static void
a_client_goes_through_the_proxy(void **state)
{
    static const char *const asked[] = {
        "GET http://bucket.test/a/../b?c HTTP/1.1\r\n", "\r\nHost: bucket.test\r\n",
        "\r\nProxy-Authorization: Basic ", "CONNECT bucket.test:443 HTTP/1.1\r\n"};
    struct raw_peer p = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
    char proxy[100];
    struct err err;
    (void)state;
    raw_peer_begin(&p);
    snprintf(proxy, sizeof proxy, "http://user:pass@127.0.0.1:%u", p.port);
    setenv("HTTP_PROXY", proxy, 1);
    setenv("HTTPS_PROXY", proxy, 1);
    setenv("NO_PROXY", "direct.test", 1);
    assert_int_equal(get("http://bucket.test/a/../b?c", &err), ERR_NONE);
    /* The proxy agrees to CONNECT and hangs up. */
    assert_int_equal(get("https://bucket.test/", &err), ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "GET bucket.test: "));
    assert_null(strstr(err.text, "pass"));
    assert_int_equal(p.connections, 2);
    assert_int_equal(get("http://direct.test/", &err), ERR_UNAVAILABLE);
    assert_int_equal(get("http://127.0.0.1:1/", &err), ERR_UNAVAILABLE);
    assert_int_equal(p.connections, 2);
    raw_peer_end(&p);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++)
        assert_non_null(strstr(buf_text(&p.request), asked[i]));
    buf_fini(&p.request);
}

/* For this machine, too, and against the environment. */
static void
a_fixed_proxy_is_for_every_host(void **state)
{
    struct raw_peer p = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
    char proxy[100];
    struct err err;
    (void)state;
    raw_peer_begin(&p);
    snprintf(proxy, sizeof proxy, "http://user:pass@127.0.0.1:%u", p.port);
    const struct net_http_client_options options = {.proxy = proxy,
                                                    .proxy_of_environment = true};
    setenv("HTTP_PROXY", "http://127.0.0.1:1", 1);
    setenv("NO_PROXY", "*", 1);
    assert_int_equal(get_with(&options, "http://127.0.0.1:1/x", &err), ERR_NONE);
    assert_int_equal(get_with(&options, "http://bucket.test/", &err), ERR_NONE);
    raw_peer_end(&p);
    assert_non_null(strstr(buf_text(&p.request), "GET http://127.0.0.1:1/x HTTP/1.1"));
    assert_non_null(strstr(buf_text(&p.request), "GET http://bucket.test/ HTTP/1.1"));
    buf_fini(&p.request);
}

static void
a_client_refuses_what_is_no_proxy(void **state)
{
    static const char *const values[] = {"ftp://user:planted@h", "http://u:planted@ h",
                                         "http://user:planted@h:99999"};
    const struct net_http_client_options options = {.proxy_of_environment = true};
    struct net_http_client *c = NULL;
    struct err err;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        const struct net_http_client_options fixed = {.proxy = values[i]};
        unsetenv("HTTPS_PROXY");
        assert_false(net_http_client_new(&c, &fixed, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_null(strstr(err.text, "planted"));
        setenv("HTTPS_PROXY", values[i], 1);
        assert_false(net_http_client_new(&c, &options, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.text, "HTTPS_PROXY"));
        assert_null(strstr(err.text, "planted"));
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
        PROXY_TEST(a_client_goes_through_the_proxy),
        PROXY_TEST(a_fixed_proxy_is_for_every_host),
        PROXY_TEST(a_client_refuses_what_is_no_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
