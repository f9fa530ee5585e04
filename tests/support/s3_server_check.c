/* SPDX-License-Identifier: Apache-2.0 */
/* Written from the manual of S3, and on purpose without the code it checks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/codec/crc32c.h"
#include "common/codec/digest.h"
#include "tests/support/s3_server_priv.h"

enum { HASH_HEX = 2 * DIGEST_SHA256_SIZE + 1 };

static void
hash_hex(struct bytes data, char hex[HASH_HEX])
{
    uint8_t hash[DIGEST_SHA256_SIZE];
    digest_sha256(data, hash);
    digest_hex(bytes_of(hash, sizeof hash), hex);
}

static void
crc_base64(struct bytes data, char text[S3_CRC_TEXT])
{
    uint32_t crc = crc32c(data);
    const uint8_t be[] = {(uint8_t)(crc >> 24), (uint8_t)(crc >> 16),
                          (uint8_t)(crc >> 8), (uint8_t)crc};
    digest_base64(bytes_of(be, sizeof be), text);
}

/* Take a line that ends in CRLF. */
static bool
take_line(struct bytes *body, char *line, size_t size)
{
    const uint8_t *end = body->len > 0 ? memmem(body->at, body->len, "\r\n", 2) : NULL;
    size_t len = end != NULL ? (size_t)(end - body->at) : size;
    if (len >= size)
        return false;
    memcpy(line, body->at, len);
    line[len] = 0;
    bytes_skip(body, len + 2);
    return true;
}

/* Undo aws-chunked; the trailer's line is what follows the last chunk. */
static bool
unchunk(struct bytes body, struct buf *content, char *trailer, size_t size)
{
    char line[64];
    for (;;) {
        char *end;
        if (!take_line(&body, line, sizeof line))
            return false;
        size_t len = strtoul(line, &end, 16);
        if (end == line || *end != 0 || len > body.len)
            return false;
        if (len == 0)
            break;
        buf_put(content, bytes_of(body.at, len));
        bytes_skip(&body, len);
        if (!take_line(&body, line, sizeof line) || *line != 0)
            return false;
    }
    return take_line(&body, trailer, size) && take_line(&body, line, sizeof line) &&
           *line == 0 && body.len == 0;
}

static bool
is(const char *value, const char *expected)
{
    return value != NULL && strcmp(value, expected) == 0;
}

static const char *
read_trailer(struct s3_payload *p, const struct net_http_exchange *x)
{
    char trailer[64], expected[64], crc[S3_CRC_TEXT], length[24];
    if (!is(net_http_exchange_header(x, "content-encoding"), "aws-chunked") ||
        !is(net_http_exchange_header(x, "x-amz-trailer"), "x-amz-checksum-crc32c"))
        return "MalformedTrailerError";
    if (!unchunk(net_http_exchange_body(x), &p->decoded, trailer, sizeof trailer))
        return "IncompleteBody";
    p->content = buf_bytes(&p->decoded);
    crc_base64(p->content, crc);
    snprintf(expected, sizeof expected, "x-amz-checksum-crc32c:%s", crc);
    snprintf(length, sizeof length, "%zu", p->content.len);
    p->has_checksum = true;
    if (!is(net_http_exchange_header(x, "x-amz-decoded-content-length"), length))
        return "IncompleteBody";
    return is(trailer, expected) ? NULL : "BadDigest";
}

static const char *
check_headers(struct s3_payload *p, const struct net_http_exchange *x)
{
    uint8_t md5[DIGEST_MD5_SIZE];
    char text[DIGEST_BASE64_SIZE(DIGEST_MD5_SIZE)], crc[S3_CRC_TEXT];
    const char *md5_sent = net_http_exchange_header(x, "content-md5");
    const char *crc_sent = net_http_exchange_header(x, "x-amz-checksum-crc32c");
    digest_md5(p->content, md5);
    digest_base64(bytes_of(md5, sizeof md5), text);
    crc_base64(p->content, crc);
    if ((md5_sent != NULL && strcmp(md5_sent, text) != 0) ||
        (crc_sent != NULL && strcmp(crc_sent, crc) != 0))
        return "BadDigest";
    p->has_checksum |= crc_sent != NULL;
    return md5_sent != NULL || p->has_checksum ? NULL : "MissingDigest";
}

const char *
s3_payload_read(struct s3_payload *p, const struct s3_faults *f,
                const struct net_http_exchange *x)
{
    const char *hash = net_http_exchange_header(x, "x-amz-content-sha256");
    char hex[HASH_HEX];
    p->content = net_http_exchange_body(x);
    if (f->keeps_framing && net_http_exchange_header(x, "x-amz-trailer") != NULL)
        return NULL;
    if (is(hash, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")) {
        const char *code = read_trailer(p, x);
        return code != NULL ? code : check_headers(p, x);
    }
    hash_hex(p->content, hex);
    if (!is(hash, hex))
        return "XAmzContentSHA256Mismatch";
    return check_headers(p, x);
}

void
s3_payload_fini(struct s3_payload *p)
{
    buf_fini(&p->decoded);
}

bool
s3_is_refused(const struct s3_faults *f, const struct net_http_exchange *x)
{
    bool begins = net_http_exchange_header(x, "x-amz-checksum-algorithm") != NULL;
    return f->refuse_status != 0 &&
           (net_http_exchange_header(x, "x-amz-checksum-crc32c") != NULL ||
            net_http_exchange_header(x, "x-amz-trailer") != NULL ||
            (f->refuses_to_begin && begins));
}

static void
put_encoded(struct buf *out, const char *raw, const char *kept)
{
    for (; *raw != 0; raw++)
        if (strchr("-._~", *raw) != NULL || strchr(kept, *raw) != NULL ||
            (*raw >= '0' && *raw <= '9') || (*raw >= 'a' && *raw <= 'z') ||
            (*raw >= 'A' && *raw <= 'Z'))
            buf_put_u8(out, (uint8_t)*raw);
        else
            buf_printf(out, "%%%02X", (unsigned)(uint8_t)*raw);
}

static void
put_query(struct buf *out, const struct net_http_exchange *x)
{
    static const char *const NAMES[] = {
        "continuation-token", "encoding-type", "list-type", "location", "marker",
        "max-keys",           "partNumber",    "prefix",    "uploadId", "uploads"};
    const char *separator = "";
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        const char *value = net_http_exchange_arg(x, NAMES[i]);
        if (value == NULL)
            continue;
        buf_printf(out, "%s%s=", separator, NAMES[i]);
        put_encoded(out, value, "");
        separator = "&";
    }
}

struct authorization {
    char key[64], day[9], region[64], headers[1024], signature[HASH_HEX];
};

static bool
read_authorization(struct authorization *a, const char *text)
{
    return text != NULL &&
           sscanf(text,
                  "AWS4-HMAC-SHA256 Credential=%63[^/]/%8[0-9]/%63[^/]/s3/"
                  "aws4_request,SignedHeaders=%1023[^,],Signature=%64[0-9a-f]",
                  a->key, a->day, a->region, a->headers, a->signature) == 5;
}

/* All that S3 wants to be signed. */
static bool
signs_all(const struct authorization *a, const struct net_http_exchange *x)
{
    char all[sizeof a->headers + 2], name[80];
    snprintf(all, sizeof all, ";%s;", a->headers);
    for (size_t i = 0; s3_server_headers[i] != NULL; i++) {
        const char *header = s3_server_headers[i];
        snprintf(name, sizeof name, ";%s;", header);
        bool must = strncmp(header, "x-amz-", 6) == 0 || is(header, "host") ||
                    is(header, "content-md5");
        if (must && net_http_exchange_header(x, header) != NULL &&
            strstr(all, name) == NULL)
            return false;
    }
    return true;
}

/* Append the signed headers with their values; false if they are not in order. */
static bool
put_headers(struct buf *out, const struct authorization *a,
            const struct net_http_exchange *x)
{
    char names[sizeof a->headers], *rest = names;
    const char *last = "";
    memcpy(names, a->headers, sizeof names);
    for (char *name; (name = strsep(&rest, ";")) != NULL;) {
        const char *value = net_http_exchange_header(x, name);
        if (value == NULL || strcmp(last, name) >= 0)
            return false;
        last = name;
        buf_printf(out, "%s:", name);
        for (; *value != 0; value++)
            if (*value != ' ' || (value[1] != ' ' && value[1] != 0))
                buf_put_u8(out, (uint8_t)*value);
        buf_put_u8(out, '\n');
    }
    return true;
}

static void
sign(const struct authorization *a, const char *date, struct bytes canonical,
     char hex[HASH_HEX])
{
    CLEANUP(buf_fini) struct buf text = {0};
    const char *const links[] = {a->day, a->region, "s3", "aws4_request"};
    uint8_t key[DIGEST_SHA256_SIZE];
    buf_printf(&text, "AWS4" S3_SECRET_PREFIX "%s", a->key);
    digest_hmac_sha256(buf_bytes(&text), bytes_of_str(links[0]), key);
    for (size_t i = 1; i < ARRAY_LEN(links); i++)
        digest_hmac_sha256(bytes_of(key, sizeof key), bytes_of_str(links[i]), key);
    hash_hex(canonical, hex);
    buf_clear(&text);
    buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%s/%s/s3/aws4_request\n%s", date, a->day,
               a->region, hex);
    digest_hmac_sha256(bytes_of(key, sizeof key), buf_bytes(&text), key);
    digest_hex(bytes_of(key, sizeof key), hex);
}

const char *
s3_signature_fault(const struct net_http_exchange *x, const char *method,
                   const char *path, char region[64], char access_key[64])
{
    CLEANUP(buf_fini) struct buf canonical = {0};
    struct authorization a;
    const char *date = net_http_exchange_header(x, "x-amz-date");
    const char *hash = net_http_exchange_header(x, "x-amz-content-sha256");
    char hex[HASH_HEX];
    if (!read_authorization(&a, net_http_exchange_header(x, "authorization")) ||
        date == NULL || hash == NULL || strncmp(date, a.day, 8) != 0)
        return "no signature";
    memcpy(region, a.region, sizeof a.region);
    memcpy(access_key, a.key, sizeof a.key);
    if (!signs_all(&a, x))
        return "a header is not signed";
    buf_printf(&canonical, "%s\n", method);
    put_encoded(&canonical, path, "/");
    buf_put_u8(&canonical, '\n');
    put_query(&canonical, x);
    buf_put_u8(&canonical, '\n');
    if (!put_headers(&canonical, &a, x))
        return "signed headers are missing or not in order";
    buf_printf(&canonical, "\n%s\n%s", a.headers, hash);
    sign(&a, date, buf_bytes(&canonical), hex);
    return is(hex, a.signature) ? NULL : "the signature is wrong";
}
