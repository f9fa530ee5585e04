/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/s3_sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/xmalloc.h"

static bool
is_unreserved(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_' || c == '~';
}

void
objstore_s3_encode(struct buf *out, struct bytes raw, bool keep_slash)
{
    static const char DIGITS[] = "0123456789ABCDEF";
    for (size_t i = 0; i < raw.len; i++) {
        uint8_t c = raw.at[i];
        if (is_unreserved(c) || (keep_slash && c == '/')) {
            buf_put_u8(out, c);
            continue;
        }
        buf_put_u8(out, '%');
        buf_put_u8(out, (uint8_t)DIGITS[c >> 4]);
        buf_put_u8(out, (uint8_t)DIGITS[c & 15]);
    }
}

/* Names and values are compared as they are encoded: "%" sorts before letters. */
static int
by_encoded(struct bytes a, struct bytes b)
{
    CLEANUP(buf_fini) struct buf x = {0};
    CLEANUP(buf_fini) struct buf y = {0};
    objstore_s3_encode(&x, a, false);
    objstore_s3_encode(&y, b, false);
    return bytes_cmp(buf_bytes(&x), buf_bytes(&y));
}

static int
by_param(const void *a, const void *b)
{
    const struct objstore_s3_param *x = a, *y = b;
    int order = by_encoded(bytes_of_str(x->name), bytes_of_str(y->name));
    return order != 0 ? order : by_encoded(x->value, y->value);
}

void
objstore_s3_query(struct buf *out, struct objstore_s3_param *params, size_t count)
{
    qsort(params, count, sizeof *params, by_param);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_put_u8(out, '&');
        objstore_s3_encode(out, bytes_of_str(params[i].name), false);
        buf_put_u8(out, '=');
        objstore_s3_encode(out, params[i].value, false);
    }
}

void
objstore_s3_time(int64_t wall_ns, char time[OBJSTORE_S3_TIME_SIZE])
{
    time_t seconds = (time_t)(wall_ns / CLOCK_NS_PER_S);
    struct tm utc;
    CHECK(gmtime_r(&seconds, &utc) != NULL);
    CHECK(strftime(time, OBJSTORE_S3_TIME_SIZE, "%Y%m%dT%H%M%SZ", &utc) ==
          OBJSTORE_S3_TIME_SIZE - 1);
}

void
objstore_s3_signing_key(const char *secret_key, const char *time, const char *region,
                        uint8_t key[DIGEST_SHA256_SIZE])
{
    char *seed = xasprintf("AWS4%s", secret_key);
    struct bytes link = {key, DIGEST_SHA256_SIZE};
    digest_hmac_sha256(bytes_of_str(seed), bytes_of(time, OBJSTORE_S3_DAY_LEN), key);
    digest_hmac_sha256(link, bytes_of_str(region), key);
    digest_hmac_sha256(link, BYTES("s3"), key);
    digest_hmac_sha256(link, BYTES("aws4_request"), key);
    digest_cleanse(seed, strlen(seed));
    free(seed);
}

/* By name alone: "x-amz-meta-a" before "x-amz-meta-a-b", although ":" sorts behind "-".
 */
static int
by_header(const void *a, const void *b)
{
    const struct objstore_s3_header *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Without blanks at the ends, and with one where there are several. */
static void
put_squeezed(struct buf *out, const char *value)
{
    bool started = false, blank = false;
    for (; *value != 0; value++) {
        if (*value == ' ' || *value == '\t') {
            blank = true;
            continue;
        }
        if (blank && started)
            buf_put_u8(out, ' ');
        buf_put_u8(out, (uint8_t)*value);
        started = true;
        blank = false;
    }
}

/* "host;x-amz-date"; headers are sorted. */
static void
put_signed_names(struct buf *out, const struct objstore_s3_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (i > 0)
            buf_put_u8(out, ';');
        buf_put_str(out, request->headers[i].name);
    }
}

void
objstore_s3_canonical(struct buf *out, const struct objstore_s3_request *request)
{
    qsort(request->headers, request->header_count, sizeof *request->headers, by_header);
    buf_put_str(out, request->method);
    buf_put_u8(out, '\n');
    buf_put(out, request->path);
    buf_put_u8(out, '\n');
    buf_put(out, request->query);
    buf_put_u8(out, '\n');
    for (size_t i = 0; i < request->header_count; i++) {
        buf_put_str(out, request->headers[i].name);
        buf_put_u8(out, ':');
        put_squeezed(out, request->headers[i].value);
        buf_put_u8(out, '\n');
    }
    buf_put_u8(out, '\n');
    put_signed_names(out, request);
    buf_put_u8(out, '\n');
    buf_put_str(out, request->payload_hash);
}

static void
put_hash(struct buf *out, struct bytes data)
{
    uint8_t hash[DIGEST_SHA256_SIZE];
    char hex[2 * sizeof hash + 1];
    digest_sha256(data, hash);
    digest_hex(bytes_of(hash, sizeof hash), hex);
    buf_put_str(out, hex);
}

/* "20130524/us-east-1/s3/aws4_request" */
static void
put_scope(struct buf *out, const struct objstore_s3_signer *signer)
{
    buf_put(out, bytes_of(signer->time, OBJSTORE_S3_DAY_LEN));
    buf_printf(out, "/%s/s3/aws4_request", signer->region);
}

static void
sign(const struct objstore_s3_signer *signer, const struct objstore_s3_request *request,
     char hex[2 * DIGEST_SHA256_SIZE + 1])
{
    CLEANUP(buf_fini) struct buf canonical = {0};
    CLEANUP(buf_fini) struct buf to_sign = {0};
    uint8_t signature[DIGEST_SHA256_SIZE];
    objstore_s3_canonical(&canonical, request);
    buf_printf(&to_sign, "AWS4-HMAC-SHA256\n%s\n", signer->time);
    put_scope(&to_sign, signer);
    buf_put_u8(&to_sign, '\n');
    put_hash(&to_sign, buf_bytes(&canonical));
    digest_hmac_sha256(bytes_of(signer->signing_key, DIGEST_SHA256_SIZE),
                       buf_bytes(&to_sign), signature);
    digest_hex(bytes_of(signature, sizeof signature), hex);
}

void
objstore_s3_authorization(struct buf *out, const struct objstore_s3_signer *signer,
                          const struct objstore_s3_request *request)
{
    char signature[2 * DIGEST_SHA256_SIZE + 1];
    sign(signer, request, signature);
    buf_printf(out, "AWS4-HMAC-SHA256 Credential=%s/", signer->access_key);
    put_scope(out, signer);
    buf_put_str(out, ",SignedHeaders=");
    put_signed_names(out, request);
    buf_printf(out, ",Signature=%s", signature);
}
