/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "sidecar/options.h"

enum { ARGS_MAX = 12 };

/* args ends with NULL. */
static enum app_flags_result
parse(struct sidecar_options *o, const char *const *args, struct err *err)
{
    char *argv[ARGS_MAX + 2] = {(char *)"blockhouse-sidecar"};
    int argc = 1;
    for (; *args != NULL; args++)
        argv[argc++] = (char *)*args;
    return sidecar_options_parse(o, argc, argv, err);
}

static void
has_the_defaults_of_thanos(void **state)
{
    (void)state;
    struct err err;
    struct sidecar_options o;
    assert_int_equal(parse(&o, (const char *const[]){NULL}, &err), APP_FLAGS_OK);
    assert_string_equal(o.http_address, "0.0.0.0:10902");
    assert_int_equal(o.http_grace_period_ns, 120 * CLOCK_NS_PER_S);
    assert_string_equal(o.tsdb_path, "./data");
    assert_string_equal(o.prometheus_url, "http://localhost:9090");
    assert_int_equal(o.ready_timeout_ns, 600 * CLOCK_NS_PER_S);
    assert_int_equal(o.get_config_interval_ns, 30 * CLOCK_NS_PER_S);
    assert_int_equal(o.get_config_timeout_ns, 30 * CLOCK_NS_PER_S);
    assert_string_equal(o.http_client, "");
    assert_string_equal(o.http_client_file, "");
    assert_false(o.ignore_unequal_block_size);
    assert_int_equal(o.inert.names.count, 0);
    assert_string_equal(o.reloader_config_file, "");
    assert_int_equal(o.reloader_rule_dirs.count, 0);
    assert_int_equal(o.reloader_watch_interval_ns, 180 * CLOCK_NS_PER_S);
    assert_int_equal(o.reloader_retry_interval_ns, 5 * CLOCK_NS_PER_S);
    assert_int_equal(o.method, SIDECAR_RELOADER_HTTP);
    assert_string_equal(o.reloader_process_name, "prometheus");
    assert_string_equal(o.objstore_config, "");
    assert_string_equal(o.objstore_config_file, "");
    assert_false(o.upload_compacted);
    assert_int_equal(o.upload_concurrency, 0);
    assert_false(o.allow_out_of_order_uploads);
    assert_false(o.skip_corrupted_blocks);
    assert_int_equal(o.block_concurrency, 2);
    assert_int_equal(o.bandwidth_limit_bytes, 0);
    assert_int_equal(o.verify_level, TSDB_VERIFY_FRAME);
    assert_string_equal(o.meta_file_name, "thanos.shipper.json");
    assert_false(o.hash_sha256);
    assert_int_equal(o.level, LOG_LEVEL_INFO);
    assert_int_equal(o.format, LOG_FORMAT_LOGFMT);
    assert_int_equal(o.shutdown_deadline_ns, 25 * CLOCK_NS_PER_S);
}

static void
understands_values(void **state)
{
    (void)state;
    static const char *const args[] = {
        "--hash-func=SHA256",
        "--log.level",
        "debug",
        "--log.format=json",
        "--tsdb.path=/tmp",
        "--shipper.upload-compacted",
        "--shipper.verify=full",
        "--shipper.bandwidth-limit=10MiB",
        "--reloader.method=signal",
        "--reloader.rule-dir=/a",
        "--reloader.rule-dir=/b",
        NULL,
    };
    struct err err;
    struct sidecar_options o;
    assert_int_equal(parse(&o, args, &err), APP_FLAGS_OK);
    assert_true(o.hash_sha256);
    assert_true(o.upload_compacted);
    assert_int_equal(o.verify_level, TSDB_VERIFY_FULL);
    assert_int_equal(o.bandwidth_limit_bytes, 10 << 20);
    assert_int_equal(o.level, LOG_LEVEL_DEBUG);
    assert_int_equal(o.format, LOG_FORMAT_JSON);
    assert_string_equal(o.tsdb_path, "/tmp");
    assert_int_equal(o.method, SIDECAR_RELOADER_SIGNAL);
    assert_int_equal(o.reloader_rule_dirs.count, 2);
    assert_string_equal(o.reloader_rule_dirs.at[1], "/b");
}

static void
names_the_flag_with_a_wrong_value(void **state)
{
    (void)state;
    static const struct {
        const char *argument;
        const char *named;
    } cases[] = {
        {"--log.level=loud", "log.level"},
        {"--log.format=xml", "log.format"},
        {"--hash-func=MD5", "hash-func"},
        {"--shipper.verify=half", "shipper.verify"},
        {"--shipper.block-concurrency=0", "shipper.block-concurrency"},
        {"--shipper.upload-concurrency=-1", "shipper.upload-concurrency"},
        {"--shipper.bandwidth-limit=fast", "shipper.bandwidth-limit"},
        {"--prometheus.url=localhost:9090", "prometheus.url"},
        {"--tsdb.path=", "tsdb.path"},
        {"--shipper.meta-file-name=../x", "shipper.meta-file-name"},
        {"--shipper.meta-file-name=", "shipper.meta-file-name"},
        {"--prometheus.get_config_interval=0s", "prometheus.get_config_interval"},
        {"--prometheus.get_config_timeout=30", "prometheus.get_config_timeout"},
        {"--no-such-flag", "no-such-flag"},
        {"--reloader.method=mail", "reloader.method"},
        {"--reloader.retry-interval=0s", "reloader.retry-interval"},
        {"--reloader.config-envsubst-file=/p.yml", "reloader.config-envsubst-file"},
        {"--grpc-grace-period=2", "grpc-grace-period"},
        {"--store.limits.request-series=-1", "store.limits.request-series"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        struct sidecar_options o;
        const char *const args[] = {cases[i].argument, NULL};
        assert_int_equal(parse(&o, args, &err), APP_FLAGS_USAGE);
        assert_non_null(strstr(err.text, cases[i].named));
    }
}

static void
keeps_the_password_of_a_url_out_of_errors(void **state)
{
    (void)state;
    static const struct {
        const char *argument;
        bool ok;
    } cases[] = {
        {"--prometheus.url=http://me:hun/ter2@host:9090", false},
        {"--prometheus.url=http://me:hun?ter2@host", false},
        {"--prometheus.url=https://me:h#unter2@host/p", false},
        {"--prometheus.url=http://me:9hun/ter2@host", false},
        {"--prometheus.url=me:hunter2@host:9090", false},
        {"--prometheus.url=http://me:hun%2Fter2@host/p", true},
        {"--prometheus.url=http://me:pw@host/p@q", true},
        {"--prometheus.url=http://host:9090/p@q", true},
        {"--prometheus.url=http://host/p@q", true},
        {"--prometheus.url=http://[::1]/p@q", true},
        {"--prometheus.url=http://[::1]:9090/p@q", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        struct sidecar_options o;
        const char *const args[] = {cases[i].argument, NULL};
        assert_int_equal(parse(&o, args, &err),
                         cases[i].ok ? APP_FLAGS_OK : APP_FLAGS_USAGE);
        assert_null(strstr(err.text, "hun"));
    }
}

static void
refuses_to_write_over_the_configuration(void **state)
{
    (void)state;
    static const char *const args[] = {"--reloader.config-file=/p.yml",
                                       "--reloader.config-envsubst-file=/p.yml", NULL};
    struct err err;
    struct sidecar_options o;
    assert_int_equal(parse(&o, args, &err), APP_FLAGS_USAGE);
    assert_non_null(strstr(err.text, "/p.yml"));
}

static void
takes_flags_without_function_by_their_names(void **state)
{
    (void)state;
    static const char *const args[] = {
        "--grpc-address=:10901",
        "--grpc-server-tls-ciphers=a",
        "--grpc-server-tls-ciphers=b",
        "--min-time=-2w",
        "--enable-auto-gomemlimit",
        "--tracing.config=",
        "--shipper.ignore-unequal-block-size",
        NULL,
    };
    static const char *const names[] = {"grpc-address", "grpc-server-tls-ciphers",
                                        "min-time", "enable-auto-gomemlimit",
                                        "tracing.config"};
    struct err err;
    struct sidecar_options o;
    assert_int_equal(parse(&o, args, &err), APP_FLAGS_OK);
    assert_true(o.ignore_unequal_block_size);
    assert_int_equal(o.inert.names.count, ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_string_equal(o.inert.names.at[i], names[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_defaults_of_thanos),
        cmocka_unit_test(understands_values),
        cmocka_unit_test(names_the_flag_with_a_wrong_value),
        cmocka_unit_test(keeps_the_password_of_a_url_out_of_errors),
        cmocka_unit_test(refuses_to_write_over_the_configuration),
        cmocka_unit_test(takes_flags_without_function_by_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
