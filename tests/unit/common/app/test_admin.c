/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "common/app/admin.h"
#include "common/base/clock.h"
#include "tests/support/raw_http.h"

static struct {
    struct metrics_registry *metrics;
    struct app_admin *admin;
    struct budget budget;
    struct net_http_route routes[APP_ADMIN_ROUTES];
    struct net_http_server *server;
} t;

static int
start(void **state)
{
    struct err err;
    (void)state;
    budget_init(&t.budget, "test", SIZE_MAX, NULL);
    t.metrics = metrics_registry_new();
    t.admin = app_admin_new("sidecar", t.metrics);
    struct net_http_server_options options = {
        .address = "127.0.0.1:0",
        .routes = t.routes,
        .route_count = app_admin_routes(t.admin, t.routes),
        .budget = &t.budget,
        .metrics = t.metrics,
    };
    return net_http_server_start(&t.server, &options, &err) ? 0 : -1;
}

static int
stop(void **state)
{
    (void)state;
    net_http_server_stop(&t.server, clock_deadline(10 * CLOCK_NS_PER_S));
    app_admin_free(&t.admin);
    metrics_registry_free(&t.metrics);
    budget_fini(&t.budget);
    return 0;
}

static void
get(const char *path, struct buf *answer)
{
    char request[100];
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", path);
    buf_clear(answer);
    raw_exchange(net_http_server_port(t.server), request, answer);
}

static void
assert_answer(const char *path, const char *status, const char *body)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    get(path, &answer);
    const char *text = buf_text(&answer);
    const char *got = strstr(text, "\r\n\r\n");
    assert_non_null(got);
    assert_string_equal(got + 4, body);
    assert_memory_equal(text + strlen("HTTP/1.1 "), status, 3);
}

static void
assert_metric(const char *line)
{
    CLEANUP(buf_fini) struct buf answer = {0};
    get("/metrics", &answer);
    if (strstr(buf_text(&answer), line) == NULL)
        fail_msg("no \"%s\" in \"%s\"", line, buf_text(&answer));
}

static void
begins_healthy_and_not_ready(void **state)
{
    (void)state;
    assert_answer("/-/healthy", "200", "OK");
    assert_answer("/-/ready", "503", "NOT OK");
    assert_metric("thanos_status{component=\"sidecar\",check=\"ready\"} 0\n");
    assert_metric("thanos_status{component=\"sidecar\",check=\"healthy\"} 1\n");
}

static void
probes_follow_the_state(void **state)
{
    (void)state;
    app_admin_set_ready(t.admin, true, "");
    app_admin_set_healthy(t.admin, false);
    assert_answer("/-/ready", "200", "OK");
    assert_answer("/-/healthy", "503", "NOT OK");
    assert_metric("thanos_status{component=\"sidecar\",check=\"ready\"} 1\n");
    assert_metric("thanos_status{component=\"sidecar\",check=\"healthy\"} 0\n");
    app_admin_set_ready(t.admin, false, "stopping");
    assert_answer("/-/ready", "503", "NOT OK");
}

static void
knows_why_it_is_not_ready(void **state)
{
    (void)state;
    const char *reason;
    app_admin_set_ready(t.admin, false, "no labels");
    assert_false(app_admin_is_ready(t.admin, &reason));
    assert_string_equal(reason, "no labels");
    app_admin_set_ready(t.admin, false, "no answer"); /* the probe does not change */
    assert_false(app_admin_is_ready(t.admin, &reason));
    assert_string_equal(reason, "no answer");
    app_admin_set_ready(t.admin, true, "");
    assert_true(app_admin_is_ready(t.admin, &reason));
    assert_string_equal(reason, "");
}

static void
metrics_are_text_and_name_the_build(void **state)
{
    (void)state;
    assert_metric("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    assert_metric("\nthanos_build_info{version=\"");
    assert_metric("\nprocess_start_time_seconds ");
    assert_metric(
        "\nhttp_requests_total{code=\"200\",handler=\"ready\",method=\"get\"} 0\n");
}

#define ADMIN_TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        ADMIN_TEST(begins_healthy_and_not_ready),
        ADMIN_TEST(probes_follow_the_state),
        ADMIN_TEST(knows_why_it_is_not_ready),
        ADMIN_TEST(metrics_are_text_and_name_the_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
