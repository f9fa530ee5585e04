/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/metrics/registry.h"
#include "common/objstore/config.h"
#include "tests/unit/common/objstore/fixture.h"

#define S3_YAML          \
    "type: S3\n"         \
    "config:\n"          \
    "  bucket: blocks\n" \
    "  endpoint: s3.example.com\n"
#define KEYS_YAML                 \
    "  access_key: AKIAEXAMPLE\n" \
    "  secret_key: hush-hush\n"

static void
clear_environment(void)
{
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_SESSION_TOKEN");
}

static bool
opens(const char *yaml, struct objstore_bucket **b, struct err *err)
{
    return objstore_open(b, text(yaml), "sidecar", NULL, err);
}

static void
makes_no_directory_to_read(void **state)
{
    struct err err;
    struct objstore_bucket *b = NULL;
    char root[] = "/tmp/blockhouse-config-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(root));
    CLEANUP(xfree) char *missing = xasprintf("%s/mistyped", root);
    CLEANUP(xfree)
    char *yaml = xasprintf("type: FILESYSTEM\nconfig:\n  directory: %s\n", missing);
    assert_false(objstore_open_to_read(&b, text(yaml), "bucket", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "line 3: directory: "));
    assert_non_null(strstr(err.text, "mistyped does not exist"));
    assert_false(file_exists(missing));
    assert_true(opens(yaml, &b, &err));
    objstore_free(&b);
    assert_true(objstore_open_to_read(&b, text(yaml), "bucket", &err));
    objstore_free(&b);
    assert_true(file_remove_tree(root, &err));
}

/* All of its keys with the values that ask for nothing. */
static const char EVERY_S3_KEY[] =
    "type: s3\n"
    "prefix: /\n"
    "hedging_config: {enabled: false, up_to: 3, quantile: 0.9}\n"
    "config:\n"
    "  bucket: blocks\n"
    "  endpoint: localhost:9000\n"
    "  region: \"\"\n"
    "  disable_dualstack: true\n"
    "  aws_sdk_auth: false\n"
    "  access_key: AKIAEXAMPLE\n"
    "  insecure: true\n"
    "  signature_version2: false\n"
    "  secret_key: hush-hush\n"
    "  session_token: \"\"\n"
    "  put_user_metadata: {}\n"
    "  http_config:\n"
    "    idle_conn_timeout: 90s\n"
    "    response_header_timeout: 2m\n"
    "    insecure_skip_verify: false\n"
    "    tls_handshake_timeout: 10s\n"
    "    expect_continue_timeout: 1000ms\n"
    "    max_idle_conns: 100\n"
    "    max_idle_conns_per_host: 100\n"
    "    max_conns_per_host: 0\n"
    "    tls_config:\n"
    "      ca_file: \"\"\n"
    "      cert_file: \"\"\n"
    "      key_file: \"\"\n"
    "      server_name: \"\"\n"
    "      insecure_skip_verify: false\n"
    "    disable_compression: false\n"
    "  trace: {enable: false}\n"
    "  list_objects_version: \"\"\n"
    "  bucket_lookup_type: auto\n"
    "  send_content_md5: true\n"
    "  disable_multipart: false\n"
    "  part_size: 67108864\n"
    "  sse_config: {type: \"\", kms_key_id: \"\", kms_encryption_context: {}, "
    "encryption_key: \"\"}\n"
    "  sts_endpoint: \"\"\n"
    "  max_retries: 0\n";

static void
opens_s3(void **state)
{
    (void)state;
    static const char *const cases[] = {
        S3_YAML KEYS_YAML,
        EVERY_S3_KEY,
        S3_YAML,
        S3_YAML "  aws_sdk_auth: true\n  sts_endpoint: https://sts.example.com\n",
        S3_YAML KEYS_YAML "  signature_version2: true\n  send_content_md5: true\n",
        S3_YAML KEYS_YAML "  list_objects_version: v1\n  max_retries: 3\n",
        S3_YAML KEYS_YAML "  part_size: 5242880\n  send_content_md5: false\n",
        S3_YAML KEYS_YAML "  trace: {enable: true}\n  sse_config: {type: SSE-S3}\n",
        S3_YAML KEYS_YAML "  sse_config: {type: SSE-KMS, kms_key_id: k, "
                          "kms_encryption_context: {a: b}}\n",
        S3_YAML KEYS_YAML "  put_user_metadata: {X-Amz-Acl: private, Owner: me}\n",
        S3_YAML KEYS_YAML "  http_config: {idle_conn_timeout: 5m, max_idle_conns: 7, "
                          "max_conns_per_host: 9, tls_handshake_timeout: 0s, "
                          "expect_continue_timeout: 0s, disable_compression: true}\n",
        S3_YAML KEYS_YAML "  http_config:\n  trace:\n  sse_config:\n",
        S3_YAML KEYS_YAML "hedging_config: {enabled: true, up_to: 2, quantile: .95}\n",
        S3_YAML KEYS_YAML "  bucket_lookup_type: virtual-hosted\n",
        S3_YAML KEYS_YAML "  bucket_lookup_type: path\n  list_objects_version: v2\n",
        S3_YAML KEYS_YAML
        "  disable_multipart: true\n  session_token: T\nprefix: a/b\n",
        S3_YAML KEYS_YAML
        "  http_config: {response_header_timeout: 5s, insecure_skip_verify: true,\n"
        "    tls_config: {ca_file: /dev/null}}\n",
    };
    clear_environment();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        struct objstore_bucket *b;
        if (!opens(cases[i], &b, &err))
            fail_msg("case %zu: %s", i, err.text);
        assert_string_equal(objstore_name(b), "blocks");
        objstore_free(&b);
    }
}

static void
names_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        enum err_code code;
        const char *parts[3];
    } cases[] = {
        {"", ERR_INVALID, {"type is missing"}},
        {"type: ''\n", ERR_INVALID, {"type is missing"}},
        {"- S3\n", ERR_INVALID, {"line 1", "not a map"}},
        {"type: GCS\nconfig: {bucket: b}\n",
         ERR_UNSUPPORTED,
         {"GCS", "S3 and FILESYSTEM"}},
        {"type: SWIFT\n", ERR_UNSUPPORTED, {"line 1", "SWIFT"}},
        {"type: S3\nconfg: {}\n", ERR_INVALID, {"line 2", "confg"}},
        {S3_YAML KEYS_YAML "hedging_config: {up_to: 0}\n",
         ERR_INVALID,
         {"line 7", "up_to: 0", "1 to 10"}},
        {S3_YAML KEYS_YAML "hedging_config: {enabled: true, quantile: 1}\n",
         ERR_INVALID,
         {"line 7", "quantile", "between 0 and 1"}},
        {S3_YAML KEYS_YAML "hedging_config: {quantile: nan}\n",
         ERR_INVALID,
         {"line 7", "nan"}},
        {S3_YAML KEYS_YAML "hedging_config: {upto: 3}\n",
         ERR_INVALID,
         {"line 7", "upto", "hedging_config"}},
        {"type: S3\nconfig:\n  endpoint: e\n",
         ERR_INVALID,
         {"S3", "bucket is missing"}},
        {"type: S3\nconfig:\n  bucket: b\n",
         ERR_INVALID,
         {"S3", "endpoint is missing"}},
        {"type: S3\n", ERR_INVALID, {"bucket is missing"}},
        {S3_YAML "  buckt: x\n", ERR_INVALID, {"line 5", "buckt"}},
        {S3_YAML "  access_key: AKIAEXAMPLE\n",
         ERR_INVALID,
         {"secret_key", "together"}},
        {S3_YAML "  secret_key: hush-hush\n", ERR_INVALID, {"access_key", "together"}},
        {S3_YAML "  session_token: T\n",
         ERR_INVALID,
         {"line 5: session_token", "needs access_key"}},
        {S3_YAML KEYS_YAML "  insecure: yes-please\n",
         ERR_INVALID,
         {"line 7", "insecure"}},
        {S3_YAML KEYS_YAML "  disable_dualstack: 3\n", ERR_INVALID, {"line 7"}},
        {S3_YAML KEYS_YAML "  aws_sdk_auth: true\n",
         ERR_INVALID,
         {"line 7: aws_sdk_auth", "excludes access_key", "leave one of them out"}},
        {S3_YAML KEYS_YAML "  sts_endpoint: 'no url'\n",
         ERR_INVALID,
         {"sts_endpoint", "no URL"}},
        {S3_YAML KEYS_YAML "  signature_version2: true\n  session_token: T\n",
         ERR_INVALID,
         {"line 7: signature_version2", "session_token"}},
        {S3_YAML "  signature_version2: true\n",
         ERR_INVALID,
         {"line 5: signature_version2", "access_key and secret_key"}},
        {S3_YAML KEYS_YAML "  signature_version2: true\n  list_objects_version: v2\n",
         ERR_INVALID,
         {"line 8: list_objects_version", "signature_version2", "leave it out"}},
        {S3_YAML KEYS_YAML "  signature_version2: true\n  send_content_md5: false\n",
         ERR_INVALID,
         {"line 8: send_content_md5", "signature_version2"}},
        {S3_YAML KEYS_YAML
         "  signature_version2: true\n  put_user_metadata: {X-Amz-Acl: private}\n",
         ERR_INVALID,
         {"line 8: put_user_metadata", "signature_version2"}},
        {S3_YAML KEYS_YAML "  signature_version2: true\n  sse_config: {type: SSE-S3}\n",
         ERR_INVALID,
         {"line 8: sse_config", "signature_version2"}},
        {S3_YAML KEYS_YAML "  signature_version2: ja\n",
         ERR_INVALID,
         {"line 7", "signature_version2"}},
        {S3_YAML KEYS_YAML "  put_user_metadata: [a]\n",
         ERR_INVALID,
         {"line 7: put_user_metadata", "no map"}},
        {S3_YAML KEYS_YAML "  put_user_metadata:\n    X-Amz-Date: now\n",
         ERR_INVALID,
         {"line 8: X-Amz-Date", "made for each upload"}},
        {S3_YAML KEYS_YAML
         "  put_user_metadata:\n    X-Amz-Server-Side-Encryption: AES256\n",
         ERR_INVALID,
         {"line 8", "sse_config"}},
        {S3_YAML KEYS_YAML "  put_user_metadata: {'a b': c}\n",
         ERR_INVALID,
         {"line 7: a b", "a header must not"}},
        {S3_YAML KEYS_YAML "  put_user_metadata:\n    Owner: a\n    owner: b\n",
         ERR_INVALID,
         {"line 9: owner", "this header is there already"}},
        {S3_YAML KEYS_YAML "  put_user_metadata: {a: \"b\\nc\"}\n",
         ERR_INVALID,
         {"line 7: a", "a header must not"}},
        {S3_YAML KEYS_YAML "  list_objects_version: v3\n",
         ERR_INVALID,
         {"line 7: list_objects_version", "none of v1, v2"}},
        {S3_YAML KEYS_YAML "  bucket_lookup_type: dns\n",
         ERR_INVALID,
         {"line 7", "dns"}},
        {S3_YAML KEYS_YAML "  send_content_md5: maybe\n",
         ERR_INVALID,
         {"line 7", "send_content_md5"}},
        {S3_YAML KEYS_YAML "  part_size: 5242879\n",
         ERR_INVALID,
         {"line 7: part_size", "5242879", "5242880"}},
        {S3_YAML KEYS_YAML "  part_size: 64MiB\n",
         ERR_INVALID,
         {"line 7", "part_size"}},
        {S3_YAML KEYS_YAML "  max_retries: -1\n",
         ERR_INVALID,
         {"line 7: max_retries", "-1"}},
        {S3_YAML KEYS_YAML "  trace:\n    enabled: true\n",
         ERR_INVALID,
         {"line 8", "enabled", "trace"}},
        {S3_YAML KEYS_YAML "  sse_config:\n    type: AES\n",
         ERR_INVALID,
         {"line 8: type", "AES", "SSE-KMS"}},
        {S3_YAML KEYS_YAML "  sse_config: {kms_encryption_context: {a: b}}\n",
         ERR_INVALID,
         {"kms_encryption_context", "no meaning"}},
        {S3_YAML KEYS_YAML "  sse_config: {type: SSE-KMS}\n",
         ERR_INVALID,
         {"line 7: type", "kms_key_id"}},
        {S3_YAML KEYS_YAML "  sse_config: {type: SSE-KMS, kms_key_id: k, "
                           "encryption_key: /k}\n",
         ERR_INVALID,
         {"encryption_key", "no meaning"}},
        {S3_YAML KEYS_YAML "  sse_config: {type: SSE-C}\n",
         ERR_INVALID,
         {"line 7: type", "encryption_key"}},
        {S3_YAML KEYS_YAML "  sse_config: {type: SSE-C, encryption_key: /no/key}\n",
         ERR_NOT_FOUND,
         {"line 7: encryption_key", "/no/key"}},
        {S3_YAML KEYS_YAML "  sse_config: {type: SSE-C, encryption_key: /dev/null}\n",
         ERR_INVALID,
         {"line 7: encryption_key", "/dev/null has 0 bytes"}},
        {S3_YAML KEYS_YAML
         "  insecure: true\n  sse_config: {type: SSE-C, encryption_key: /dev/null}\n",
         ERR_INVALID,
         {"line 8: type", "TLS", "insecure"}},
        {S3_YAML KEYS_YAML "  http_config:\n    idle_conn_timeout: 5 minutes\n",
         ERR_INVALID,
         {"line 8", "idle_conn_timeout"}},
        {S3_YAML KEYS_YAML "  http_config: {max_idle_conns: -7}\n",
         ERR_INVALID,
         {"max_idle_conns", "-7"}},
        {S3_YAML KEYS_YAML "  http_config: {response_header_timeout: 0s}\n",
         ERR_INVALID,
         {"line 7: response_header_timeout", "0s", "above 0"}},
        {S3_YAML KEYS_YAML "  http_config: {expect_continue_timeout: -1s}\n",
         ERR_INVALID,
         {"line 7: expect_continue_timeout", "-1s"}},
        {S3_YAML KEYS_YAML "  http_config: {response_header_timeout: soon}\n",
         ERR_INVALID,
         {"response_header_timeout"}},
        {S3_YAML KEYS_YAML "  http_config: {tls_config: {cert_file: /dev/null}}\n",
         ERR_INVALID,
         {"line 7: cert_file", "key_file", "together"}},
        {S3_YAML KEYS_YAML "  http_config: {tls_config: {ca_file: /no/ca.pem}}\n",
         ERR_INVALID,
         {"line 7", "ca_file", "/no/ca.pem"}},
        {S3_YAML KEYS_YAML "  http_config: {proxy: x}\n", ERR_INVALID, {"proxy"}},
        {"type: S3\nconfig: {bucket: b, endpoint: 'https://e', access_key: a, "
         "secret_key: hush-hush}\n",
         ERR_INVALID,
         {"https://e", "scheme", "insecure"}},
        {"type: S3\nconfig: {bucket: b, endpoint: e/p, access_key: a, secret_key: s}\n",
         ERR_INVALID,
         {"endpoint", "e/p"}},
        {"type: S3\nconfig: {bucket: b/c, endpoint: e, access_key: a, secret_key: s}\n",
         ERR_INVALID,
         {"bucket", "b/c"}},
        {"type: S3\nconfig: {bucket: b, endpoint: e, region: a/b, access_key: a, "
         "secret_key: s}\n",
         ERR_INVALID,
         {"region", "a/b"}},
        {S3_YAML KEYS_YAML "prefix: a/../b\n", ERR_INVALID, {"prefix", "a/../b"}},
        {S3_YAML KEYS_YAML "prefix: $(BLOCKHOUSE_TEST_UNSET)\n",
         ERR_INVALID,
         {"BLOCKHOUSE_TEST_UNSET"}},
        {"type: FILESYSTEM\nconfig: {}\n", ERR_INVALID, {"FILESYSTEM", "directory"}},
        {"type: FILESYSTEM\nconfig: {directory: /tmp, bucket: b}\n",
         ERR_INVALID,
         {"FILESYSTEM", "bucket"}},
    };
    clear_environment();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        struct objstore_bucket *b = NULL;
        assert_false(opens(cases[i].yaml, &b, &err));
        assert_null(b);
        if (err.code != cases[i].code)
            fail_msg("case %zu: %s: %s", i, err_code_name(err.code), err.text);
        for (size_t k = 0; k < 3 && cases[i].parts[k] != NULL; k++)
            if (strstr(err.text, cases[i].parts[k]) == NULL)
                fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].parts[k]);
        if (strstr(err.text, "hush") != NULL)
            fail_msg("a secret in \"%s\"", err.text);
    }
}

static void
opens_a_directory_with_prefix_and_metrics(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct objstore_bucket *b = NULL;
    struct metrics_registry *registry = metrics_registry_new();
    setenv("BLOCKHOUSE_TEST_DIR", f.root, 1);
    assert_true(objstore_open(&b,
                              text("type: filesystem\n"
                                   "config: {directory: $(BLOCKHOUSE_TEST_DIR)}\n"
                                   "prefix: tenant/\n"),
                              "store", registry, &f.err));
    assert_true(objstore_put(b, &CALL, text("k"), text("v"), &f.err));
    expect_object(&f, "tenant/k", "v");
    struct buf page = {0};
    metrics_print(registry, &page);
    assert_non_null(strstr(buf_text(&page), "operation=\"upload\"} 1\n"));
    buf_fini(&page);
    objstore_free(&b);
    metrics_registry_free(&registry);
    fixture_fini(&f);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_s3),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(makes_no_directory_to_read),
        cmocka_unit_test(opens_a_directory_with_prefix_and_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
