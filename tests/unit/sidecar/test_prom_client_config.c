/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "sidecar/prom_client_config.h"

static void
parse(const char *yaml, struct sidecar_prom_client_config *c)
{
    struct err err;
    *c = (struct sidecar_prom_client_config){0};
    if (!sidecar_prom_client_config_parse(c, bytes_of_str(yaml), &err))
        fail_msg("%s", err.text);
}

static void
an_empty_text_has_the_defaults_of_thanos(void **state)
{
    static const char *const texts[] = {"", "{}", "# nothing\n", "basic_auth:\n",
                                        "transport_config: {}\ntls_config:\n"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP(sidecar_prom_client_config_fini) struct sidecar_prom_client_config c;
        parse(texts[i], &c);
        assert_null(c.auth.username);
        assert_null(c.auth.bearer_token);
        assert_null(c.http.proxy);
        assert_null(c.http.ca_file);
        assert_false(c.http.proxy_of_environment);
        assert_int_equal(c.http.idle_timeout_ns, 90 * CLOCK_NS_PER_S);
        assert_int_equal(c.http.tls_handshake_timeout_ns, 10 * CLOCK_NS_PER_S);
        assert_int_equal(c.http.connect_timeout_ns, 5 * CLOCK_NS_PER_S);
        assert_int_equal(c.http.first_byte_timeout_ns, CLOCK_NEVER);
    }
}

static void
reads_every_key(void **state)
{
    CLEANUP(sidecar_prom_client_config_fini) struct sidecar_prom_client_config c;
    (void)state;
    parse("basic_auth: {username: $(HOME), password: \"p:w\"}\n"
          "proxy_url: socks5://user:pass@proxy:1080\n"
          "tls_config:\n"
          "  ca_file: /dev/null\n"
          "  cert_file: /dev/null\n"
          "  key_file: /dev/zero\n"
          "  server_name: prometheus\n"
          "  insecure_skip_verify: true\n"
          "transport_config:\n"
          "  max_idle_conns: 100\n"
          "  max_idle_conns_per_host: 2\n"
          "  idle_conn_timeout: 60000000000\n"
          "  response_header_timeout: 3s\n"
          "  expect_continue_timeout: 10s\n"
          "  max_conns_per_host: 0\n"
          "  disable_compression: false\n"
          "  tls_handshake_timeout: 0\n"
          "  dialer_timeout: 1m30s\n",
          &c);
    assert_string_equal(c.auth.username, "$(HOME)"); /* never expanded */
    assert_string_equal(c.auth.password, "p:w");
    assert_string_equal(c.http.proxy, "socks5://user:pass@proxy:1080");
    assert_string_equal(c.http.ca_file, "/dev/null");
    assert_string_equal(c.http.cert_file, "/dev/null");
    assert_string_equal(c.http.key_file, "/dev/zero");
    assert_string_equal(c.http.server_name, "prometheus");
    assert_true(c.http.insecure_skip_verify);
    assert_int_equal(c.http.idle_timeout_ns, 60 * CLOCK_NS_PER_S);
    assert_int_equal(c.http.first_byte_timeout_ns, 3 * CLOCK_NS_PER_S);
    assert_int_equal(c.http.tls_handshake_timeout_ns, CLOCK_NEVER);
    assert_int_equal(c.http.connect_timeout_ns, 90 * CLOCK_NS_PER_S);
}

static void
reads_what_an_operator_writes(void **state)
{
    CLEANUP(sidecar_prom_client_config_fini) struct sidecar_prom_client_config c;
    (void)state;
    parse("{\"tls_config\": {\"insecure_skip_verify\":true}}", &c);
    assert_true(c.http.insecure_skip_verify);
}

static void
names_line_and_key_of_what_is_wrong(void **state)
{
    static const struct {
        const char *yaml;
        const char *text;
    } cases[] = {
        {"basic_aut: {}\n", "line 1: unknown key \"basic_aut\" in the document"},
        {"basic_auth: {user: u}\n", "line 1: unknown key \"user\" in basic_auth"},
        {"basic_auth: u\n", "basic_auth"},
        {"basic_auth:\n  username: \"u:hush\"\n", "line 2: username: it holds a colon"},
        {"basic_auth:\n  password: hush\n  password_file: /f\n",
         "line 3: password_file: it excludes password: leave one"},
        {"bearer_token: hush\nbearer_token_file: /f\n",
         "line 2: bearer_token_file: it excludes bearer_token: leave one"},
        {"bearer_token: hush\nbasic_auth: {username: u}\n",
         "line 2: basic_auth: it excludes bearer_token and bearer_token_file"},
        {"bearer_token: [hush]\n", "bearer_token"},
        {"proxy_url: hush:3128\n", "line 1: proxy_url: it does not begin with http://"},
        {"tls_config: {ca_file: /no/ca.pem}\n", "line 1: ca_file: there is no /no/ca"},
        {"tls_config: {cert_file: /dev/null}\n", "cert_file and key_file go together"},
        {"tls_config: {min_version: TLS12}\n", "unknown key \"min_version\""},
        {"transport_config:\n  dialer_timeout: -1\n",
         "line 2: dialer_timeout: -1 is negative"},
        {"transport_config:\n  dialer_timeout: soon\n", "line 2: dialer_timeout: "},
        {"transport_config:\n  max_idle_conns: -1\n", "line 2: max_idle_conns: -1 is"},
        {"transport_config:\n  max_conns: 1\n", "unknown key \"max_conns\""},
        {"transport_config:\n  disable_compression: maybe\n", "disable_compression"},
        {"bearer_token: hush\nbearer_token: hush\n", "line 2"},
        {"- hush\n", "the document"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        struct sidecar_prom_client_config c = {0};
        assert_false(
            sidecar_prom_client_config_parse(&c, bytes_of_str(cases[i].yaml), &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_null(c.tree);
        if (strstr(err.text, cases[i].text) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].text);
        if (strstr(err.text, "hush") != NULL)
            fail_msg("a secret in \"%s\"", err.text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_text_has_the_defaults_of_thanos),
        cmocka_unit_test(reads_every_key),
        cmocka_unit_test(reads_what_an_operator_writes),
        cmocka_unit_test(names_line_and_key_of_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
