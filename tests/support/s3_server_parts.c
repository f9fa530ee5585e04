/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/codec/crc32c.h"
#include "common/codec/digest.h"
#include "tests/support/s3_server_priv.h"

enum { MIN_PART_BYTES = 5 << 20 };

static void
forget(struct s3_upload *u)
{
    for (size_t i = 0; i < S3_PARTS_MAX; i++)
        s3_object_clear(&u->parts[i]);
    *u->id = 0;
}

void
s3_parts_create(struct s3_server *s, size_t key, struct s3_answer *a)
{
    size_t i = 0;
    while (i < S3_UPLOADS_MAX && *s->uploads[i].id != 0)
        i++;
    CHECK(i < S3_UPLOADS_MAX);
    struct s3_upload *u = &s->uploads[i];
    /* With characters that a query has to encode. */
    snprintf(u->id, sizeof u->id, "u+/%u=", s->upload_count++);
    u->key = key;
    buf_printf(&a->body,
               "<?xml version=\"1.0\"?><InitiateMultipartUploadResult><UploadId>%s"
               "</UploadId></InitiateMultipartUploadResult>",
               u->id);
}

/* The upload that a request names, or NULL with the answer made. */
static struct s3_upload *
find(struct s3_server *s, size_t key, const struct net_http_exchange *x,
     struct s3_answer *a)
{
    const char *id = net_http_exchange_arg(x, "uploadId");
    for (size_t i = 0; i < S3_UPLOADS_MAX; i++)
        if (*s->uploads[i].id != 0 && strcmp(s->uploads[i].id, id) == 0 &&
            s->uploads[i].key == key)
            return &s->uploads[i];
    s3_answer_error(a, 404, "NoSuchUpload", "");
    return NULL;
}

void
s3_parts_put(struct s3_server *s, size_t key, const struct net_http_exchange *x,
             struct s3_answer *a)
{
    struct s3_upload *u = find(s, key, x, a);
    const char *text = net_http_exchange_arg(x, "partNumber");
    size_t number = text != NULL ? strtoul(text, NULL, 10) : 0;
    struct s3_payload p = {0};
    if (u == NULL)
        return;
    CHECK(number >= 1 && number <= S3_PARTS_MAX);
    const char *code = s3_payload_read(&p, &s->faults, x);
    if (code == NULL) {
        s3_object_store(&u->parts[number - 1], &s->faults, &p);
        s3_answer_stored(a, &s->faults, &u->parts[number - 1]);
    } else {
        snprintf(s->complaint, sizeof s->complaint, "part %zu: %s", number, code);
        s3_answer_error(a, 400, code, "");
    }
    s3_payload_fini(&p);
}

/* What the manifest has to say, written anew. */
static void
put_manifest(const struct s3_upload *u, size_t count, struct buf *out)
{
    buf_put_str(out, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "<Part><PartNumber>%zu</PartNumber><ETag>\"%s\"</ETag>", i + 1,
                   u->parts[i].etag);
        if (*u->parts[i].crc != 0)
            buf_printf(out, "<ChecksumCRC32C>%s</ChecksumCRC32C>", u->parts[i].crc);
        buf_put_str(out, "</Part>");
    }
    buf_put_str(out, "</CompleteMultipartUpload>");
}

static uint8_t
base64_value(char c)
{
    static const char DIGITS[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = strchr(DIGITS, c);
    return (uint8_t)(at != NULL ? at - DIGITS : 0);
}

/* The four bytes of a checksum. */
static void
put_crc(struct buf *out, const char *text)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < 6; i++)
        bits = bits << 6 | base64_value(text[i]);
    buf_put_be32(out, (uint32_t)(bits >> 4));
}

static void
put_hex(struct buf *out, const char *hex)
{
    for (; hex[0] != 0 && hex[1] != 0; hex += 2) {
        const char digits[] = {hex[0], hex[1], 0};
        buf_put_u8(out, (uint8_t)strtoul(digits, NULL, 16));
    }
}

/* Put the parts together. */
static void
assemble(struct s3_object *o, const struct s3_upload *u, size_t count)
{
    CLEANUP(buf_fini) struct buf crcs = {0};
    CLEANUP(buf_fini) struct buf md5s = {0};
    uint8_t md5[DIGEST_MD5_SIZE], be[4];
    char hex[2 * DIGEST_MD5_SIZE + 1], base64[DIGEST_BASE64_SIZE(4)];
    s3_object_clear(o);
    o->exists = true;
    for (size_t i = 0; i < count; i++) {
        const struct s3_object *part = &u->parts[i];
        o->size += part->size;
        buf_put(&o->data, buf_bytes(&part->data));
        put_crc(&crcs, part->crc);
        put_hex(&md5s, part->etag);
    }
    digest_md5(buf_bytes(&md5s), md5);
    digest_hex(bytes_of(md5, sizeof md5), hex);
    snprintf(o->etag, sizeof o->etag, "%s-%zu", hex, count);
    be32_store(be, crc32c(buf_bytes(&crcs)));
    digest_base64(bytes_of(be, sizeof be), base64);
    if (*u->parts[0].crc != 0)
        snprintf(o->crc, sizeof o->crc, "%s-%zu", base64, count);
}

/* NULL, or the code of what is wrong. */
static const char *
manifest_fault(const struct s3_upload *u, struct bytes body, size_t *count)
{
    CLEANUP(buf_fini) struct buf expected = {0};
    for (*count = 0; *count < S3_PARTS_MAX && u->parts[*count].exists; ++*count)
        if (*count > 0 && u->parts[*count - 1].size < MIN_PART_BYTES)
            return "EntityTooSmall";
    put_manifest(u, *count, &expected);
    return *count > 0 && bytes_eq(body, buf_bytes(&expected)) ? NULL : "InvalidPart";
}

void
s3_parts_complete(struct s3_server *s, size_t key, const struct net_http_exchange *x,
                  struct s3_answer *a)
{
    struct s3_upload *u = find(s, key, x, a);
    size_t count;
    if (u == NULL)
        return;
    const char *code = manifest_fault(u, net_http_exchange_body(x), &count);
    if (code != NULL) {
        snprintf(s->complaint, sizeof s->complaint, "complete: %s", code);
        s3_answer_error(a, 400, code, "");
        return;
    }
    if (s->faults.error_in_200 > 0) {
        s->faults.error_in_200--;
        s3_answer_error(a, 200, "InternalError", "");
        return;
    }
    if (s->faults.blanks)
        buf_put_str(&a->body, "  \r\n\t\n ");
    assemble(&s->objects[key], u, count);
    forget(u);
    buf_printf(&a->body,
               "<?xml version=\"1.0\"?><CompleteMultipartUploadResult><ETag>"
               "&quot;%s&quot;</ETag></CompleteMultipartUploadResult>",
               s->objects[key].etag);
}

void
s3_parts_abort(struct s3_server *s, size_t key, const struct net_http_exchange *x,
               struct s3_answer *a)
{
    struct s3_upload *u = find(s, key, x, a);
    if (u == NULL)
        return;
    forget(u);
    a->status = 204;
}

void
s3_parts_list(struct s3_server *s, const struct net_http_exchange *x,
              struct s3_answer *a)
{
    const char *prefix = net_http_exchange_arg(x, "prefix");
    if (s->faults.no_list_uploads) {
        s3_answer_error(a, 501, "NotImplemented", "");
        return;
    }
    buf_put_str(&a->body, "<ListMultipartUploadsResult>");
    for (size_t i = 0; i < S3_UPLOADS_MAX; i++) {
        const struct s3_upload *u = &s->uploads[i];
        const char *key = s3_server_keys[u->key];
        if (*u->id != 0 &&
            (prefix == NULL || strncmp(key, prefix, strlen(prefix)) == 0))
            buf_printf(&a->body,
                       "<Upload><Key>%s</Key><UploadId>%s</UploadId></Upload>", key,
                       u->id);
    }
    buf_put_str(&a->body, "</ListMultipartUploadsResult>");
}
