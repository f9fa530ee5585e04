/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "store/read_client.h"

static void
expect(const char *user_agent, enum tsdb_chunk_encoding newest)
{
    for (int others = STORE_READ_PLAIN; others <= STORE_READ_STORED; others++) {
        enum tsdb_chunk_encoding got =
            store_read_client_newest(user_agent, (enum store_read_encodings)others);
        if (got != newest)
            fail_msg("%s: %s", user_agent, tsdb_chunk_encoding_name(got));
    }
}

static void
releases_know_what_came_with_them(void **state)
{
    static const struct {
        const char *user_agent;
        enum tsdb_chunk_encoding newest;
    } cases[] = {
        {"Prometheus/0.1", TSDB_CHUNK_FLOAT_HISTOGRAM},
        {"Prometheus/2.42.0+ds", TSDB_CHUNK_FLOAT_HISTOGRAM},
        {"Prometheus/2.55.1", TSDB_CHUNK_FLOAT_HISTOGRAM},
        {"Prometheus/2.99.0", TSDB_CHUNK_FLOAT_HISTOGRAM},
        {"Prometheus/3.0.0", TSDB_CHUNK_FLOAT_HISTOGRAM},
        {"Prometheus/3.9.1", TSDB_CHUNK_FLOAT_HISTOGRAM},
        {"Prometheus/3.10.0", TSDB_CHUNK_FLOAT_HISTOGRAM},
        {"Prometheus/3.11.0", TSDB_CHUNK_XOR2},
        {"Prometheus/3.11", TSDB_CHUNK_XOR2},
        {"Prometheus/3.011.7", TSDB_CHUNK_XOR2},
        {"Prometheus/3.13.2", TSDB_CHUNK_XOR2},
        {"Prometheus/3.14.0", TSDB_CHUNK_FLOAT_HISTOGRAM_ST},
        {"Prometheus/3.16.0-rc.1", TSDB_CHUNK_FLOAT_HISTOGRAM_ST},
        {"Prometheus/3.16-dev", TSDB_CHUNK_FLOAT_HISTOGRAM_ST},
        {"Prometheus/3.16.0 (linux)", TSDB_CHUNK_FLOAT_HISTOGRAM_ST},
        {"Prometheus/3.16+build", TSDB_CHUNK_FLOAT_HISTOGRAM_ST},
        {"Prometheus/3.100.0", TSDB_CHUNK_FLOAT_HISTOGRAM_ST},
        {"Prometheus/4.0.0", TSDB_CHUNK_FLOAT_HISTOGRAM_ST},
        {"Prometheus/10.2.0", TSDB_CHUNK_FLOAT_HISTOGRAM_ST},
        {"Prometheus/999999999.999999999", TSDB_CHUNK_FLOAT_HISTOGRAM_ST},
        {"Prometheus/3.999999999", TSDB_CHUNK_FLOAT_HISTOGRAM_ST},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect(cases[i].user_agent, cases[i].newest);
}

static void
others_get_what_the_flag_says(void **state)
{
    static const char *const cases[] = {
        NULL,
        "",
        "Prometheus",
        "Prometheus/",
        "Prometheus/.",
        "Prometheus/3",
        "Prometheus/3.",
        "Prometheus/.16",
        "Prometheus/(devel)",
        "Prometheus/v3.16.0",
        "Prometheus/-3.16.0",
        "Prometheus/3.-16.0",
        "Prometheus/3.x",
        "Prometheus/3.16x",
        "Prometheus/3,16.0",
        "Prometheus/ 3.16.0",
        "Prometheus/1000000000.0.0",
        "Prometheus/3.1000000000",
        "Prometheus/3.99999999999999999999999999999999999999",
        "Prometheus/18446744073709551619.18446744073709551632.0",
        " Prometheus/3.16.0",
        "prometheus/3.16.0",
        "PROMETHEUS/3.16.0",
        "Prometheus 3.16.0",
        "PrometheusAgent/3.16.0",
        "Thanos/0.42.5",
        "Thanos/3.16.0",
        "Mozilla/5.0 Prometheus/3.16.0",
        "Go-http-client/1.1",
        "\xff\xfe\x01",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum tsdb_chunk_encoding plain =
            store_read_client_newest(cases[i], STORE_READ_PLAIN);
        enum tsdb_chunk_encoding stored =
            store_read_client_newest(cases[i], STORE_READ_STORED);
        if (plain != TSDB_CHUNK_FLOAT_HISTOGRAM ||
            stored != TSDB_CHUNK_FLOAT_HISTOGRAM_ST)
            fail_msg("%s: %s, %s", cases[i], tsdb_chunk_encoding_name(plain),
                     tsdb_chunk_encoding_name(stored));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(releases_know_what_came_with_them),
        cmocka_unit_test(others_get_what_the_flag_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
