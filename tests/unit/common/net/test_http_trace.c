/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/net/http_trace_priv.h"
#include "tests/support/guard.h"

static void
assert_redacted(const char *head, const char *wanted)
{
    CLEANUP(buf_fini) struct buf out = {0};
    net_http_trace_redact(bytes_of_str(head), &out);
    assert_string_equal(buf_text(&out), wanted);
}

static void
shows_what_is_no_secret(void **state)
{
    (void)state;
    assert_redacted("GET /b/a%20b?list-type=2&prefix=x%2F&uploads HTTP/1.1\r\n"
                    "Host: s3.example.com:9000\r\nRange: bytes=0-9\r\n"
                    "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n\r\n",
                    "GET /b/a%20b?list-type=2&prefix=x%2F&uploads HTTP/1.1\n"
                    "Host: s3.example.com:9000\nRange: bytes=0-9\n"
                    "x-amz-content-sha256: UNSIGNED-PAYLOAD\n");
    assert_redacted("", "");
    assert_redacted("\r\n\r\n", "");
    assert_redacted("no header\n: no name\nx", "no header\n: no name\nx\n");
}

static void
hides_secret_headers(void **state)
{
    (void)state;
    assert_redacted("Authorization: AWS4-HMAC-SHA256 Credential=planted\r\n"
                    "PROXY-authorization:planted\r\nA: 1\r\n",
                    "Authorization: REDACTED\nPROXY-authorization: REDACTED\nA: 1\n");
    assert_redacted("X-Amz-Security-Token: planted\n"
                    "x-amz-server-side-encryption-customer-key: planted\n"
                    "x-amz-server-side-encryption-customer-key-MD5: planted\n"
                    "X-aws-ec2-metadata-token: planted\n"
                    "my-secret-is: planted\nPassword: planted\nSet-Cookie: planted\n",
                    "X-Amz-Security-Token: REDACTED\n"
                    "x-amz-server-side-encryption-customer-key: REDACTED\n"
                    "x-amz-server-side-encryption-customer-key-MD5: REDACTED\n"
                    "X-aws-ec2-metadata-token: REDACTED\n"
                    "my-secret-is: REDACTED\nPassword: REDACTED\n"
                    "Set-Cookie: REDACTED\n");
    assert_redacted("X-Token: planted\r\n planted\r\n\tplanted\r\nA: 1\r\n b\r\n",
                    "X-Token: REDACTED\nA: 1\n b\n");
    assert_redacted("x token : planted\n", "x token : REDACTED\n");
}

static void
hides_secret_parameters(void **state)
{
    (void)state;
    assert_redacted(
        "GET /k?X-Amz-Signature=planted&X-Amz-Credential=planted&a=1 H\r\n",
        "GET /k?X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED&a=1 H\n");
    assert_redacted("GET /?WebIdentityToken=planted HTTP/1.1",
                    "GET /?WebIdentityToken=REDACTED HTTP/1.1\n");
    assert_redacted(
        "GET /?AWSAccessKeyId=planted&Signature=pl?anted&x-amz-security-token="
        "planted&Action=A",
        "GET /?AWSAccessKeyId=REDACTED&Signature=REDACTED&"
        "x-amz-security-token=REDACTED&Action=A\n");
    assert_redacted("location: https://h/k?a=b&X-Amz-Signature=planted#end",
                    "location: https://h/k?a=b&X-Amz-Signature=REDACTED#end\n");
    assert_redacted(
        "GET /?X-Amz-%53ignature=planted&x-amz-signature&secret=",
        "GET /?X-Amz-%53ignature=REDACTED&x-amz-signature&secret=REDACTED\n");
}

static void
assert_nothing_planted_shows(void *arg, struct bytes head)
{
    CLEANUP(buf_fini) struct buf out = {0};
    (void)arg;
    net_http_trace_redact(head, &out);
    assert_null(strstr(buf_text(&out), "plant"));
}

static void
hides_whatever_is_cut_off(void **state)
{
    (void)state;
    for_each_truncation(BYTES("GET /?a=b&X-Amz-Signature=planted&c HTTP/1.1\r\n"
                              "Authorization: planted\r\n planted\r\n"
                              "X: ?token=planted"),
                        assert_nothing_planted_shows, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_what_is_no_secret),
        cmocka_unit_test(hides_secret_headers),
        cmocka_unit_test(hides_secret_parameters),
        cmocka_unit_test(hides_whatever_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
