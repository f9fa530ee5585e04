/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/base/compiler.h"
#include "common/net/web_config.h"

#define HASH "$2y$10$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u"
#define PAIR "tls_server_config:\n  cert_file: c.pem\n  key_file: /k.pem\n"

static bool
parse(struct net_web_config *c, const char *text, struct err *err)
{
    return net_web_config_parse(c, bytes_of_str(text), "/etc/web/web.yml", err);
}

static void
protects_nothing_when_empty(void **state)
{
    static const char *const empty[] = {"", "{}",
                                        "tls_server_config: {}\nbasic_auth_users:\n",
                                        "http_server_config: {http2: false}"};
    struct err err;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        CLEANUP(net_web_config_fini) struct net_web_config c;
        assert_true(parse(&c, empty[i], &err));
        assert_false(c.has_tls);
        assert_null(c.users);
        assert_null(c.headers);
    }
}

static void
reads_every_key(void **state)
{
    CLEANUP(net_web_config_fini) struct net_web_config c;
    struct err err;
    (void)state;
    assert_true(parse(&c,
                      PAIR "  client_ca_file: ca.pem\n"
                           "  client_auth_type: RequireAndVerifyClientCert\n"
                           "  client_allowed_sans: [a.test, 10.0.0.1]\n"
                           "  min_version: TLS11\n"
                           "  max_version: TLS12\n"
                           "  prefer_server_cipher_suites: false\n"
                           "  curve_preferences: [X25519, CurveP256]\n"
                           "basic_auth_users:\n  alice: " HASH "\n"
                           "http_server_config:\n  http2: true\n  headers:\n"
                           "    X-Frame-Options: sameorigin\n",
                      &err));
    assert_true(c.has_tls);
    assert_true(c.has_http2);
    assert_string_equal(c.cert.path, "/etc/web/c.pem");
    assert_string_equal(c.key.path, "/k.pem");
    assert_string_equal(c.client_ca.path, "/etc/web/ca.pem");
    assert_int_equal(c.client_auth, NET_WEB_REQUIRE_AND_VERIFY_CLIENT_CERT);
    assert_int_equal(c.allowed_sans->count, 2);
    assert_string_equal(c.priority,
                        "NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.1:-RSA:-DHE-RSA"
                        ":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1");
    assert_string_equal(c.users->children[0].text, HASH);
    assert_string_equal(c.headers->keys[0], "X-Frame-Options");
}

static void
takes_pem_texts(void **state)
{
    CLEANUP(net_web_config_fini) struct net_web_config c;
    struct err err;
    (void)state;
    assert_true(parse(&c, "tls_server_config: {cert: C, key: K}", &err));
    assert_null(c.cert.path);
    assert_string_equal(c.cert.text, "C");
    assert_string_equal(c.key.text, "K");
}

static void
knows_the_former_name_of_a_type(void **state)
{
    CLEANUP(net_web_config_fini) struct net_web_config c;
    struct err err;
    (void)state;
    assert_true(parse(&c, PAIR "  client_auth_type: RequireClientCert\n", &err));
    assert_string_equal(net_web_client_auth_name(c.client_auth),
                        "RequireAnyClientCert");
}

static void
tells_suites_to_gnutls(void **state)
{
    static const struct {
        const char *suites;
        const char *part;
    } cases[] = {
        {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
         ":-CIPHER-ALL:-MAC-ALL:-KX-ALL:+ECDHE-RSA:+AES-256-GCM:+AEAD:"},
        {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
         ":+ECDHE-RSA:+AES-128-GCM:+AEAD:+AES-128-CBC:+SHA1:"},
        {"TLS_AES_128_GCM_SHA256", ":-KX-ALL:+AES-128-GCM:+AEAD:"},
    };
    struct err err;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(net_web_config_fini) struct net_web_config c;
        CLEANUP(buf_fini) struct buf text = {0};
        buf_printf(&text, PAIR "  cipher_suites: [%s]\n", cases[i].suites);
        assert_true(parse(&c, buf_text(&text), &err));
        assert_non_null(strstr(c.priority, cases[i].part));
    }
}

static void
refuses_what_is_wrong_with_its_line(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"tls_server_config:\n  cert_fil: x", "line 2: unknown key \"cert_fil\""},
        {"tls: {}", "line 1: unknown key \"tls\""},
        {"tls_server_config:\n  cert_file: x", "line 1: tls_server_config: key_file"},
        {"\ntls_server_config:\n  key_file: x", "line 2: tls_server_config: cert_file"},
        {"tls_server_config:\n  client_auth_type: NoClientCert\n",
         "cert_file is missing"},
        {PAIR "  client_auth_type: Always", "line 4: client_auth_type: unknown type"},
        {PAIR "  client_auth_type: VerifyClientCertIfGiven",
         "line 4: client_auth_type: VerifyClientCertIfGiven takes a client_ca_file"},
        {PAIR "  client_ca_file: x", "line 4: client_ca_file: no client is asked"},
        {PAIR "  client_ca_file: x\n  client_auth_type: VerifyClientCertIfGiven\n"
              "  client_allowed_sans: [a]",
         "line 6: client_allowed_sans: client_auth_type must be"},
        {PAIR "  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: a",
         "line 5: client_allowed_sans: want a list"},
        {PAIR "  min_version: SSL30", "line 4: min_version: unknown version \"SSL30\""},
        {PAIR "  min_version: TLS13\n  max_version: TLS12",
         "TLS13 is above max_version"},
        {PAIR "  cipher_suites: TLS_AES_128_GCM_SHA256", "want a list of names"},
        {PAIR "  cipher_suites: [TLS_AES_128_GCM_SHA256,\n  TLS_RSA_WITH_RC4_128_SHA]",
         "line 5: cipher_suites: no cipher suite \"TLS_RSA_WITH_RC4_128_SHA\""},
        {PAIR "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "
              "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]",
         "would take TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 with the others"},
        {PAIR "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA]",
         "no suite has a cipher of TLS 1.3"},
        {PAIR "  max_version: TLS12\n  cipher_suites: [TLS_AES_128_GCM_SHA256]",
         "line 5: cipher_suites: no suite is of a version up to max_version"},
        {PAIR "  curve_preferences: [X25519MLKEM768]",
         "line 4: curve_preferences: no curve \"X25519MLKEM768\""},
        {"basic_auth_users: [a]", "line 1: basic_auth_users: want users"},
        {"basic_auth_users:\n  alice: secret",
         "line 2: basic_auth_users: the password"},
        {"basic_auth_users:\n  alice: $2y$1" HASH,
         "the password of alice is no bcrypt"},
        {"basic_auth_users:\n  a:b: " HASH, "line 2: basic_auth_users: a name"},
        {"basic_auth_users:\n  a: $2y$17$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2Y"
         "GL5sa2u",
         "line 2: basic_auth_users: the hash of a has cost 17"},
        {"http_server_config:\n  headers:\n    Server: x",
         "line 3: unknown key \"Server"},
        {"http_server_config:\n  headers:\n    X-Frame-Options: allow",
         "line 3: X-Frame-Options: \"allow\"; there are deny and sameorigin"},
        {"http_server_config:\n  headers:\n    X-Content-Type-Options: sniff",
         "line 3: X-Content-Type-Options"},
        {"http_server_config:\n  headers:\n    X-XSS-Protection: \"1\\r\\nA: b\"",
         "line 3: X-XSS-Protection: want a text of one line"},
        {"http_server_config:\n  http2: perhaps", "line 2: http2"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(net_web_config_fini) struct net_web_config c;
        struct err err;
        if (parse(&c, cases[i].text, &err) || strstr(err.text, cases[i].says) == NULL)
            fail_msg("case %zu: \"%s\" is not in \"%s\"", i, cases[i].says, err.text);
        assert_null(strstr(err.text, "secret"));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protects_nothing_when_empty),
        cmocka_unit_test(reads_every_key),
        cmocka_unit_test(takes_pem_texts),
        cmocka_unit_test(knows_the_former_name_of_a_type),
        cmocka_unit_test(tells_suites_to_gnutls),
        cmocka_unit_test(refuses_what_is_wrong_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
