/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/objstore/requests.h"

static struct metrics_registry *metrics;
static struct objstore_requests *requests;

static void
at(int64_t seconds)
{
    clock_freeze(seconds * CLOCK_NS_PER_S, seconds * CLOCK_NS_PER_S);
}

static int
set_up(void **state)
{
    (void)state;
    at(1000);
    metrics = metrics_registry_new();
    requests = objstore_requests_new(metrics);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    clock_unfreeze();
    objstore_requests_free(&requests);
    metrics_registry_free(&metrics);
    return 0;
}

static void
tells_kinds_apart(void **state)
{
    static const struct {
        const char *method;
        const char *url;
        enum objstore_request_kind wanted;
    } cases[] = {
        {"GET", "https://b.s3.amazonaws.com/a/index", OBJSTORE_REQUEST_GET},
        {"GET", "https://b.s3.amazonaws.com/?location=", OBJSTORE_REQUEST_GET},
        {"GET", "http://m/b/?list-type=2&prefix=a%2F", OBJSTORE_REQUEST_LIST},
        {"GET", "http://m/b/?uploads=", OBJSTORE_REQUEST_LIST},
        {"GET", "http://m/b?max-keys=1000", OBJSTORE_REQUEST_LIST},
        {"HEAD", "http://m/b/a", OBJSTORE_REQUEST_HEAD},
        {"PUT", "http://m/b/a", OBJSTORE_REQUEST_PUT},
        {"PUT", "http://m/b/a?partNumber=1&uploadId=x", OBJSTORE_REQUEST_PUT},
        {"POST", "http://m/b/a?uploads=", OBJSTORE_REQUEST_PUT},
        {"DELETE", "http://m/b/a", OBJSTORE_REQUEST_DELETE},
        {"DELETE", "http://m/b/a?uploadId=x", OBJSTORE_REQUEST_DELETE},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(objstore_requests_kind(cases[i].method, cases[i].url),
                         cases[i].wanted);
}

static void
counts_since_the_start_and_in_metrics(void **state)
{
    struct objstore_request_figures f;
    CLEANUP(buf_fini) struct buf text = {0};
    (void)state;
    objstore_requests_count(requests, OBJSTORE_REQUEST_GET, 100);
    objstore_requests_count(requests, OBJSTORE_REQUEST_GET, 50);
    objstore_requests_count(requests, OBJSTORE_REQUEST_PUT, 0);
    objstore_requests_count(NULL, OBJSTORE_REQUEST_PUT, 0);
    objstore_requests_look(requests, &f);
    assert_int_equal(f.total.requests[OBJSTORE_REQUEST_GET], 2);
    assert_int_equal(f.total.requests[OBJSTORE_REQUEST_PUT], 1);
    assert_int_equal(f.total.requests[OBJSTORE_REQUEST_LIST], 0);
    assert_int_equal(f.total.received_bytes, 150);
    assert_int_equal(f.recent_s, 1);
    metrics_print(metrics, &text);
    assert_non_null(strstr(buf_text(&text),
                           "blockhouse_objstore_requests_total{kind=\"get\"} 2\n"));
    assert_non_null(strstr(buf_text(&text),
                           "blockhouse_objstore_requests_total{kind=\"list\"} 0\n"));
    assert_non_null(
        strstr(buf_text(&text), "blockhouse_objstore_received_bytes_total 150\n"));
}

static void
forgets_what_is_more_than_an_hour_old(void **state)
{
    struct objstore_request_figures f;
    (void)state;
    objstore_requests_count(requests, OBJSTORE_REQUEST_HEAD, 7);
    at(1000 + 1800);
    objstore_requests_count(requests, OBJSTORE_REQUEST_HEAD, 7);
    objstore_requests_look(requests, &f);
    assert_int_equal(f.recent.requests[OBJSTORE_REQUEST_HEAD], 2);
    assert_int_equal(f.recent_s, 1800);
    at(1000 + 3600);
    objstore_requests_look(requests, &f);
    assert_int_equal(f.recent.requests[OBJSTORE_REQUEST_HEAD], 1);
    assert_int_equal(f.recent.received_bytes, 7);
    assert_int_equal(f.total.requests[OBJSTORE_REQUEST_HEAD], 2);
    assert_in_range(f.recent_s, 3540, 3600);
    /* Minutes that nothing was sent in do not bring back what was there before. */
    at(1000 + 1800 + 3600);
    objstore_requests_count(requests, OBJSTORE_REQUEST_HEAD, 7);
    objstore_requests_look(requests, &f);
    assert_int_equal(f.recent.requests[OBJSTORE_REQUEST_HEAD], 1);
    at(1000 + 100 * 3600);
    objstore_requests_look(requests, &f);
    assert_int_equal(f.recent.requests[OBJSTORE_REQUEST_HEAD], 0);
    assert_int_equal(f.total.received_bytes, 21);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_kinds_apart),
        cmocka_unit_test_setup_teardown(counts_since_the_start_and_in_metrics, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(forgets_what_is_more_than_an_hour_old, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
