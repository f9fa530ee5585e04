/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "sidecar/prom_client.h"
#include "tests/unit/sidecar/fake_prometheus.h"

static enum sidecar_prom_state
ask(const char *url, struct sidecar_ext_labels *labels, struct err *err)
{
    CLEANUP(sidecar_prom_client_free) struct sidecar_prom_client *client = NULL;
    assert_true(sidecar_prom_client_new(&client, url, (struct bytes){0}, err));
    return sidecar_prom_client_labels(client, clock_deadline(10 * CLOCK_NS_PER_S), NULL,
                                      labels, err);
}

static void
tells_states_apart(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum sidecar_prom_state state;
    } cases[] = {
        {200, FAKE_CONFIG("a: b"), SIDECAR_PROM_UP},
        {200, FAKE_CONFIG(""), SIDECAR_PROM_UNLABELED},
        {503, "Service Unavailable", SIDECAR_PROM_REPLAYING},
        {401, "", SIDECAR_PROM_REJECTING},
        {403, "", SIDECAR_PROM_REJECTING},
        {302, "", SIDECAR_PROM_CONFUSED},
        {404, "", SIDECAR_PROM_CONFUSED},
        {500, "", SIDECAR_PROM_CONFUSED},
        {200, "", SIDECAR_PROM_CONFUSED},
        {200, "<html>", SIDECAR_PROM_CONFUSED},
        {200, "{\"status\":\"success\"}", SIDECAR_PROM_CONFUSED},
        {200, "{\"data\":{\"yaml\":7}}", SIDECAR_PROM_CONFUSED},
        {200, "{\"data\":{\"yaml\":\"global: [\"}}", SIDECAR_PROM_CONFUSED},
    };
    struct fake_prometheus prometheus;
    fake_prometheus_start(&prometheus);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels labels = {0};
        fake_prometheus_say(&prometheus, cases[i].status, cases[i].body);
        assert_int_equal(ask(prometheus.url, &labels, &err), cases[i].state);
        assert_int_equal(err.text[0] == 0, cases[i].state == SIDECAR_PROM_UP);
        assert_int_equal(labels.set.len, i == 0 ? 1 : 0);
    }
    fake_prometheus_stop(&prometheus);
}

static void
keeps_the_password_out_of_errors(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
    } cases[] = {{500, ""}, {200, "<html>"}};
    struct fake_prometheus prometheus;
    fake_prometheus_start(&prometheus);
    CLEANUP(xfree)
    char *url = xasprintf("http://user:secret@%s", prometheus.url + strlen("http://"));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        struct sidecar_ext_labels labels = {0};
        fake_prometheus_say(&prometheus, cases[i].status, cases[i].body);
        assert_int_equal(ask(url, &labels, &err), SIDECAR_PROM_CONFUSED);
        assert_null(strstr(err.text, "secret"));
        assert_non_null(strstr(err.text, "GET http://127.0.0.1:"));
    }
    fake_prometheus_stop(&prometheus);
}

static void
says_that_nobody_listens(void **state)
{
    (void)state;
    struct err err;
    struct sidecar_ext_labels labels = {0};
    struct fake_prometheus prometheus;
    fake_prometheus_start(&prometheus);
    fake_prometheus_stop(&prometheus);
    assert_int_equal(ask(prometheus.url, &labels, &err), SIDECAR_PROM_UNREACHABLE);
}

static void
has_a_text_for_each_state(void **state)
{
    (void)state;
    for (int s = SIDECAR_PROM_UP; s < SIDECAR_PROM_STATES; s++) {
        assert_non_null(
            strstr(sidecar_prom_state_text((enum sidecar_prom_state)s), "prometheus"));
        assert_non_null(sidecar_prom_state_name((enum sidecar_prom_state)s));
    }
}

static bool
ask_for_snapshot(const char *url, char **name, struct err *err)
{
    CLEANUP(sidecar_prom_client_free) struct sidecar_prom_client *client = NULL;
    assert_true(sidecar_prom_client_new(&client, url, (struct bytes){0}, err));
    return sidecar_prom_client_snapshot(client, clock_deadline(10 * CLOCK_NS_PER_S),
                                        NULL, name, err);
}

static void
tells_the_name_of_a_snapshot(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(xfree) char *name = NULL;
    struct fake_prometheus prometheus;
    fake_prometheus_start(&prometheus);
    fake_prometheus_say_snapshot(&prometheus, 200,
                                 FAKE_SNAPSHOT("20261125T103911Z-00ff"));
    if (!ask_for_snapshot(prometheus.url, &name, &err))
        fail_msg("%s", err.text);
    assert_string_equal(name, "20261125T103911Z-00ff");
    fake_prometheus_stop(&prometheus);
}

static void
tells_why_there_is_no_snapshot(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum err_code code;
        const char *text;
    } cases[] = {
        {503, FAKE_NO_ADMIN_API, ERR_UNSUPPORTED, "--web.enable-admin-api"},
        {503, "Service Unavailable", ERR_UNAVAILABLE, "status 503"},
        {500, "{\"status\":\"error\",\"error\":\"no space left\"}", ERR_UNAVAILABLE,
         "status 500: no space left"},
        {401, "", ERR_DENIED, "--prometheus.http-client"},
        {404, "", ERR_INVALID, "status 404"},
        {200, "", ERR_INVALID, "/snapshot"},
        {200, "{\"status\":\"success\"}", ERR_INVALID, "no name"},
        {200, "{\"data\":{\"name\":7}}", ERR_INVALID, "no name"},
        {200, FAKE_SNAPSHOT(""), ERR_INVALID, "no name"},
        {200, FAKE_SNAPSHOT(".."), ERR_INVALID, "no name"},
        {200, FAKE_SNAPSHOT("../data"), ERR_INVALID, "no name"},
        {200, FAKE_SNAPSHOT("a/b"), ERR_INVALID, "no name"},
        {200, FAKE_SNAPSHOT("/"), ERR_INVALID, "no name"},
    };
    struct fake_prometheus prometheus;
    fake_prometheus_start(&prometheus);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        char *name = NULL;
        fake_prometheus_say_snapshot(&prometheus, cases[i].status, cases[i].body);
        assert_false(ask_for_snapshot(prometheus.url, &name, &err));
        assert_null(name);
        assert_int_equal(err.code, cases[i].code);
        if (strstr(err.text, cases[i].text) == NULL)
            fail_msg("%s", err.text);
    }
    fake_prometheus_stop(&prometheus);
}

struct world {
    struct fake_prometheus prometheus;
    char directory[32];
    char secret[48]; /* path of a file in it */
    struct sidecar_prom_client *client;
};

static int
setup(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    strcpy(w->directory, "/tmp/test-prom-client-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->secret, sizeof w->secret, "%s/secret", w->directory);
    fake_prometheus_start(&w->prometheus);
    fake_prometheus_say(&w->prometheus, 200, FAKE_CONFIG("a: b"));
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct err err;
    struct world *w = *state;
    sidecar_prom_client_free(&w->client);
    fake_prometheus_stop(&w->prometheus);
    assert_true(file_remove_tree(w->directory, &err));
    free(w);
    return 0;
}

static void
put_secret(struct world *w, const char *text)
{
    struct err err;
    assert_true(file_replace(w->secret, bytes_of_str(text), &err));
}

/* Make the client; %s in the configuration is the path of the secret. */
static void
configure(struct world *w, const char *before, const char *after)
{
    struct err err;
    CLEANUP(xfree) char *yaml = xasprintf("%s%s%s", before, w->secret, after);
    if (!sidecar_prom_client_new(&w->client, w->prometheus.url, bytes_of_str(yaml),
                                 &err))
        fail_msg("%s", err.text);
}

static enum sidecar_prom_state
ask_again(struct world *w, struct err *err)
{
    CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels labels = {0};
    *err = (struct err){0};
    return sidecar_prom_client_labels(w->client, clock_deadline(10 * CLOCK_NS_PER_S),
                                      NULL, &labels, err);
}

static void
reads_a_token_at_each_request(void **state)
{
    enum { ROTATIONS = 100 };
    struct world *w = *state;
    struct err err;
    static char headers[ROTATIONS][32];
    configure(w, "bearer_token_file: ", "\n");
    atomic_store(&w->prometheus.wants, "Bearer none");
    assert_int_equal(ask_again(w, &err), SIDECAR_PROM_LOCKED);
    assert_non_null(strstr(err.text, w->secret));
    for (size_t i = 0; i < ROTATIONS; i++) {
        snprintf(headers[i], sizeof headers[i], "Bearer token-%zu", i);
        atomic_store(&w->prometheus.wants, headers[i]);
        put_secret(w, headers[i] + strlen("Bearer "));
        if (ask_again(w, &err) != SIDECAR_PROM_UP)
            fail_msg("rotation %zu: %s", i, err.text);
    }
    assert_int_equal(atomic_load(&w->prometheus.refused), 0);
}

static void
reads_a_password_at_each_request(void **state)
{
    struct world *w = *state;
    struct err err;
    configure(w, "basic_auth: {username: user, password_file: ", "}\n");
    put_secret(w, "pass word\n");
    atomic_store(&w->prometheus.wants, "Basic dXNlcjpwYXNzIHdvcmQ=");
    assert_int_equal(ask_again(w, &err), SIDECAR_PROM_UP);
    atomic_store(&w->prometheus.wants, "Basic dXNlcjpvdGhlcg==");
    assert_int_equal(ask_again(w, &err), SIDECAR_PROM_REJECTING);
    assert_non_null(strstr(err.text, "status 401"));
    assert_non_null(strstr(err.text, "--prometheus.http-client"));
    put_secret(w, " other ");
    assert_int_equal(ask_again(w, &err), SIDECAR_PROM_UP);
}

static void
keeps_secrets_out_of_headers_and_errors(void **state)
{
    static const char *const secrets[] = {"planted\nHost: x", "planted\r\nX: y", "\n",
                                          "plan\x7fted"};
    struct world *w = *state;
    struct err err;
    configure(w, "bearer_token_file: ", "\n");
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        put_secret(w, secrets[i]);
        assert_int_equal(ask_again(w, &err), SIDECAR_PROM_LOCKED);
        assert_non_null(strstr(err.text, w->secret));
        assert_null(strstr(err.text, "plan"));
    }
    assert_int_equal(atomic_load(&w->prometheus.asked), 0);
}

static void
tells_flags_and_that_it_does_not_know_them(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum sidecar_prom_state state;
        bool told;
    } cases[] = {
        {200, FAKE_FLAGS("\"storage.tsdb.path\":\"d\""), SIDECAR_PROM_UP, true},
        {404, "", SIDECAR_PROM_UP, false},
        {503, "", SIDECAR_PROM_REPLAYING, false},
        {401, "", SIDECAR_PROM_REJECTING, false},
        {200, "{}", SIDECAR_PROM_CONFUSED, false},
        {500, "", SIDECAR_PROM_CONFUSED, false},
    };
    struct world *w = *state;
    configure(w, "# ", "\n");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        CLEANUP(sidecar_prom_flags_fini) struct sidecar_prom_flags flags = {0};
        fake_prometheus_say_flags(&w->prometheus, cases[i].status, cases[i].body);
        assert_int_equal(sidecar_prom_client_flags(w->client,
                                                   clock_deadline(10 * CLOCK_NS_PER_S),
                                                   NULL, &flags, &err),
                         cases[i].state);
        assert_int_equal(flags.told, cases[i].told);
        if (cases[i].state != SIDECAR_PROM_UP)
            assert_non_null(strstr(err.text, "/api/v1/status/flags"));
    }
}

static void
goes_through_the_proxy(void **state)
{
    struct world *w = *state;
    struct err err;
    CLEANUP(xfree)
    char *yaml = xasprintf("proxy_url: %.*s",
                           (int)(strlen(w->prometheus.url) - strlen("/prom/")),
                           w->prometheus.url);
    assert_true(sidecar_prom_client_new(&w->client, "http://elsewhere.invalid/prom",
                                        bytes_of_str(yaml), &err));
    /* The fake one does not know what is asked of a proxy; but it was asked. */
    assert_int_equal(ask_again(w, &err), SIDECAR_PROM_CONFUSED);
    assert_non_null(strstr(err.text, "status 404"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_states_apart),
        cmocka_unit_test(keeps_the_password_out_of_errors),
        cmocka_unit_test(says_that_nobody_listens),
        cmocka_unit_test(tells_the_name_of_a_snapshot),
        cmocka_unit_test(tells_why_there_is_no_snapshot),
        cmocka_unit_test(has_a_text_for_each_state),
        CASE(reads_a_token_at_each_request),
        CASE(reads_a_password_at_each_request),
        CASE(keeps_secrets_out_of_headers_and_errors),
        CASE(tells_flags_and_that_it_does_not_know_them),
        CASE(goes_through_the_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
