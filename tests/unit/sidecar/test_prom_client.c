/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/xmalloc.h"
#include "sidecar/prom_client.h"
#include "tests/unit/sidecar/fake_prometheus.h"

static enum sidecar_prom_state
ask(const char *url, struct sidecar_ext_labels *labels, struct err *err)
{
    CLEANUP(sidecar_prom_client_free) struct sidecar_prom_client *client = NULL;
    assert_true(sidecar_prom_client_new(&client, url, err));
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
        {200, FAKE_CONFIG(""), SIDECAR_PROM_UP},
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
    for (int s = SIDECAR_PROM_UP; s <= SIDECAR_PROM_CONFUSED; s++)
        assert_true(strstr(sidecar_prom_state_text((enum sidecar_prom_state)s),
                           "prometheus") != NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_states_apart),
        cmocka_unit_test(keeps_the_password_out_of_errors),
        cmocka_unit_test(says_that_nobody_listens),
        cmocka_unit_test(has_a_text_for_each_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
