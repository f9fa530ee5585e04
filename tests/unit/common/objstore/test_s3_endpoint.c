/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/objstore/s3_endpoint.h"

enum { HTTP = 1, DUAL = 2, VIRTUAL = 4, PATH = 8 };

static void
finds_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        unsigned how;
        const char *region;
        const char *host;
        const char *path;
    } cases[] = {
        {"minio:9000", HTTP, "us-east-1", "minio:9000", "/b"},
        {"minio:9000", HTTP | VIRTUAL, "us-east-1", "b.minio:9000", ""},
        {"minio:80", HTTP, "us-east-1", "minio", "/b"},
        {"minio:443", HTTP, "us-east-1", "minio:443", "/b"},
        {"minio:443", 0, "us-east-1", "minio", "/b"},
        {"[::1]:9000", HTTP, "us-east-1", "[::1]:9000", "/b"},
        {"[::1]", HTTP, "us-east-1", "[::1]", "/b"},
        {"s3.amazonaws.com", 0, "eu-west-1", "b.s3.eu-west-1.amazonaws.com", ""},
        {"s3.amazonaws.com", PATH, "eu-west-1", "s3.eu-west-1.amazonaws.com", "/b"},
        {"s3.amazonaws.com:443", 0, "eu-west-1", "b.s3.eu-west-1.amazonaws.com", ""},
        {"s3.amazonaws.com", DUAL, "eu-west-1",
         "b.s3.dualstack.eu-west-1.amazonaws.com", ""},
        {"s3.us-east-1.amazonaws.com", 0, "eu-west-1", "b.s3.eu-west-1.amazonaws.com",
         ""},
        {"s3-eu-west-1.amazonaws.com", 0, "eu-west-1", "b.s3.eu-west-1.amazonaws.com",
         ""},
        {"s3.dualstack.eu-west-1.amazonaws.com", 0, "eu-west-1",
         "b.s3.eu-west-1.amazonaws.com", ""},
        {"s3.cn-north-1.amazonaws.com.cn", DUAL, "cn-north-1",
         "b.s3.dualstack.cn-north-1.amazonaws.com.cn", ""},
        {"s3-fips.us-gov-west-1.amazonaws.com", DUAL, "us-gov-west-1",
         "b.s3-fips.us-gov-west-1.amazonaws.com", ""},
        {"bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com", PATH, "eu-west-1",
         "bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com", "/b"},
        /* The first region by its old name, and what is no host of buckets. */
        {"s3-external-1.amazonaws.com", PATH, "us-east-1", "s3.us-east-1.amazonaws.com",
         "/b"},
        {"s3-fips.dualstack.us-gov-west-1.amazonaws.com", PATH, "us-gov-west-1",
         "s3-fips.dualstack.us-gov-west-1.amazonaws.com", "/b"},
        {"s3-accelerate.amazonaws.com", DUAL, "eu-west-1",
         "b.s3-accelerate.amazonaws.com", ""},
        {"s3-accelerate.dualstack.amazonaws.com", 0, "eu-west-1",
         "b.s3-accelerate.dualstack.amazonaws.com", ""},
        {"s3.eu-west-1.amazonaws.com", HTTP | PATH, "eu-west-1",
         "s3.eu-west-1.amazonaws.com", "/b"},
        {"s3.eu-west-1.amazonaws.com:80", HTTP | PATH, "eu-west-1",
         "s3.eu-west-1.amazonaws.com", "/b"},
        {"s3.eu-west-1.amazonaws.com:80", PATH, "eu-west-1",
         "s3.eu-west-1.amazonaws.com:80", "/b"},
        {"s3.dualstack.cn-north-1.amazonaws.com.cn", 0, "cn-north-1",
         "b.s3.cn-north-1.amazonaws.com.cn", ""},
        {"s3.eu-west-1.amazonaws.com.evil.org", DUAL, "eu-west-1",
         "s3.eu-west-1.amazonaws.com.evil.org", "/b"},
        {"10.0.0.1:9000", HTTP, "x", "10.0.0.1:9000", "/b"},
        {"[fe80::1:80]", HTTP, "x", "[fe80::1:80]", "/b"},
        {"[::1]:80", HTTP, "x", "[::1]", "/b"},
        {"[::1]:443", 0, "x", "[::1]", "/b"},
        {"s3.amazonaws.com:8443", PATH, "eu-west-1", "s3.amazonaws.com:8443", "/b"},
        {"storage.googleapis.com", 0, "auto", "b.storage.googleapis.com", ""},
        {"oss-eu.aliyuncs.com", 0, "x", "b.oss-eu.aliyuncs.com", ""},
        {"s3.eu-central-003.backblazeb2.com", 0, "x",
         "s3.eu-central-003.backblazeb2.com", "/b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct objstore_s3_place place;
        const struct objstore_s3_endpoint e = {
            .address = cases[i].address,
            .bucket = "b",
            .insecure = (cases[i].how & HTTP) != 0,
            .dualstack = (cases[i].how & DUAL) != 0,
            .lookup = (cases[i].how & VIRTUAL) != 0 ? OBJSTORE_S3_LOOKUP_VIRTUAL_HOSTED
                      : (cases[i].how & PATH) != 0  ? OBJSTORE_S3_LOOKUP_PATH
                                                    : OBJSTORE_S3_LOOKUP_AUTO};
        struct err err;
        assert_true(objstore_s3_endpoint_check(&e, &err));
        assert_true(objstore_s3_place(&e, cases[i].region, &place));
        assert_string_equal(place.host, cases[i].host);
        assert_string_equal(place.path, cases[i].path);
        assert_string_equal(place.region, cases[i].region);
    }
}

/* No certificate for *.s3.amazonaws.com covers "a.b.s3...". */
static void
keeps_dots_out_of_hosts_that_tls_verifies(void **state)
{
    (void)state;
    const struct objstore_s3_endpoint tls = {.address = "s3.amazonaws.com",
                                             .bucket = "a.b"};
    const struct objstore_s3_endpoint plain = {
        .address = "s3.amazonaws.com", .bucket = "a.b", .insecure = true};
    assert_false(objstore_s3_is_virtual_hosted(&tls));
    assert_true(objstore_s3_is_virtual_hosted(&plain));
}

static void
reads_regions_from_hosts(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"s3.eu-west-1.amazonaws.com", "eu-west-1"},
        {"s3-eu-west-1.amazonaws.com:443", "eu-west-1"},
        {"b.s3.dualstack.ap-south-1.amazonaws.com", "ap-south-1"},
        {"a.b.s3.eu-west-1.amazonaws.com", "eu-west-1"},
        {"s3.cn-north-1.amazonaws.com.cn", "cn-north-1"},
        {"s3.amazonaws.com", ""},
        {"s3-fips.us-gov-west-1.amazonaws.com", ""},
        {"s3-accelerate.amazonaws.com", ""},
        {"s3..amazonaws.com", ""},
        {"s3.eu-west-1.example.com", ""},
        {"amazonaws.com", ""},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes region = objstore_s3_region_of_host(bytes_of_str(cases[i][0]));
        if (!bytes_eq(region, bytes_of_str(cases[i][1])))
            fail_msg("%s: \"%.*s\"", cases[i][0], BYTES_FMT(region));
    }
}

static void
refuses_what_does_not_fit(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"https://minio", "scheme"},   {"minio/x", "endpoint"},
        {"", "endpoint is empty"},     {"mi nio", "endpoint"},
        {"minio:99999", "wrong port"}, {"minio:0", "wrong port"},
        {"minio:", "wrong port"},      {"[::1]:x", "wrong port"},
    };
    struct err err;
    struct objstore_s3_place place;
    char *long_name = calloc(1, 500);
    memset(long_name, 'a', 499);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct objstore_s3_endpoint e = {.address = bad[i][0], .bucket = "b"};
        assert_false(objstore_s3_endpoint_check(&e, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.text, bad[i][1]));
    }
    struct objstore_s3_endpoint e = {.address = "minio", .bucket = ".."};
    assert_false(objstore_s3_endpoint_check(&e, &err));
    e.bucket = long_name;
    assert_false(objstore_s3_place(&e, "us-east-1", &place));
    e = (struct objstore_s3_endpoint){.address = long_name, .bucket = "b"};
    assert_false(objstore_s3_place(&e, "us-east-1", &place));
    e.address = "minio";
    assert_false(objstore_s3_place(&e, long_name, &place));
    free(long_name);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_place),
        cmocka_unit_test(keeps_dots_out_of_hosts_that_tls_verifies),
        cmocka_unit_test(reads_regions_from_hosts),
        cmocka_unit_test(refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
