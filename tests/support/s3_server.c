/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/s3_server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/codec/crc32c.h"
#include "common/codec/digest.h"
#include "tests/support/s3_server_priv.h"

#define LAST_MODIFIED "Fri, 24 May 2013 00:00:00 GMT"

const char *const s3_server_keys[S3_KEYS] = {S3_KEY_BELOW, S3_KEY, S3_KEY_ODD};

const char *const s3_server_headers[] = {
    "authorization",
    "cache-control",
    "content-encoding",
    "content-md5",
    "expect",
    "host",
    "if-none-match",
    "range",
    "user-agent",
    "x-amz-acl",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-mode",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-meta-a",
    "x-amz-meta-a-b",
    "x-amz-security-token",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-context",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
    "x-amz-storage-class",
    "x-amz-trailer",
    NULL,
};

static const char *const OP_NAMES[S3_OPS] = {"PUT",      "HEAD",     "GET",    "DELETE",
                                             "LIST",     "LOCATION", "CREATE", "PART",
                                             "COMPLETE", "ABORT",    "UPLOADS"};

void
s3_answer_header(struct s3_answer *a, const char *name, const char *value)
{
    CHECK(a->header_count < ARRAY_LEN(a->headers));
    snprintf(a->headers[a->header_count].name, sizeof a->headers[0].name, "%s", name);
    snprintf(a->headers[a->header_count].value, sizeof a->headers[0].value, "%s",
             value);
    a->header_count++;
}

void
s3_answer_error(struct s3_answer *a, int status, const char *code, const char *more)
{
    a->status = status;
    a->is_head = false;
    buf_clear(&a->body);
    if (*code != 0)
        buf_printf(&a->body,
                   "<Error><Code>%s</Code><Message>the model says so</Message>%s"
                   "<RequestId>R1</RequestId></Error>",
                   code, more);
}

void
s3_object_clear(struct s3_object *o)
{
    buf_fini(&o->data);
    *o = (struct s3_object){0};
}

void
s3_object_store(struct s3_object *o, const struct s3_faults *f,
                const struct s3_payload *p)
{
    uint8_t md5[DIGEST_MD5_SIZE];
    uint32_t crc = crc32c(p->content);
    const uint8_t be[] = {(uint8_t)(crc >> 24), (uint8_t)(crc >> 16),
                          (uint8_t)(crc >> 8), (uint8_t)crc};
    s3_object_clear(o);
    o->exists = true;
    o->size = p->content.len;
    if (!f->drops_content)
        buf_put(&o->data, p->content);
    digest_md5(p->content, md5);
    /* Not the MD5 of the content, as it is after encryption. */
    md5[0] ^= f->wrong_etag || f->encryption != NULL || f->customer_key;
    digest_hex(bytes_of(md5, sizeof md5), o->etag);
    if (p->has_checksum)
        digest_base64(bytes_of(be, sizeof be), o->crc);
}

void
s3_answer_stored(struct s3_answer *a, const struct s3_faults *f,
                 const struct s3_object *o)
{
    char etag[S3_ETAG_TEXT + 2];
    snprintf(etag, sizeof etag, "\"%s\"", o->etag);
    if (!f->no_etag)
        s3_answer_header(a, "ETag", etag);
    if (*o->crc != 0 && !f->says_no_checksum && !f->keeps_framing)
        s3_answer_header(a, "x-amz-checksum-crc32c",
                         f->wrong_crc ? "AAAAAA==" : o->crc);
    if (f->encryption != NULL)
        s3_answer_header(a, "x-amz-server-side-encryption", f->encryption);
    if (f->customer_key)
        s3_answer_header(a, "x-amz-server-side-encryption-customer-algorithm",
                         "AES256");
}

static void
put_object(struct s3_server *s, size_t key, const struct net_http_exchange *x,
           struct s3_answer *a)
{
    struct s3_payload p = {0};
    const char *code = s3_payload_read(&p, &s->faults, x);
    bool is_conditional = net_http_exchange_header(x, "if-none-match") != NULL;
    if (code != NULL) {
        snprintf(s->complaint, sizeof s->complaint, "%s", code);
        s3_answer_error(a, 400, code, "");
    } else if (is_conditional && s->faults.no_conditions) {
        s3_answer_error(a, 501, "NotImplemented", "");
    } else if (is_conditional && s->objects[key].exists) {
        s3_answer_error(a, 412, "PreconditionFailed", "");
    } else {
        s3_object_store(&s->objects[key], &s->faults, &p);
        s3_answer_stored(a, &s->faults, &s->objects[key]);
    }
    s3_payload_fini(&p);
}

static void
describe(const struct s3_server *s, const struct s3_object *o,
         const struct net_http_exchange *x, struct s3_answer *a)
{
    struct s3_object said = *o;
    if (net_http_exchange_header(x, "x-amz-checksum-mode") == NULL)
        *said.crc = 0;
    s3_answer_stored(a, &s->faults, &said);
    s3_answer_header(a, "Last-Modified", LAST_MODIFIED);
}

static void
head_object(struct s3_server *s, size_t key, const struct net_http_exchange *x,
            struct s3_answer *a)
{
    const struct s3_object *o = &s->objects[key];
    if (!o->exists) {
        a->status = 404;
        return;
    }
    describe(s, o, x, a);
    a->is_head = true;
    a->head_size = o->size + s->faults.wrong_size;
}

static void
get_object(struct s3_server *s, size_t key, const struct net_http_exchange *x,
           struct s3_answer *a)
{
    const struct s3_object *o = &s->objects[key];
    uint64_t first, last;
    const char *range = net_http_exchange_header(x, "range");
    char said[80];
    if (!o->exists) {
        s3_answer_error(a, 404, "NoSuchKey", "");
        return;
    }
    CHECK(range != NULL &&
          sscanf(range, "bytes=%" SCNu64 "-%" SCNu64, &first, &last) == 2);
    if (first >= o->data.len) {
        s3_answer_error(a, 416, "InvalidRange", "");
        return;
    }
    last = last < o->data.len ? last : o->data.len - 1;
    snprintf(said, sizeof said, "bytes %" PRIu64 "-%" PRIu64 "/%zu", first, last,
             o->data.len);
    describe(s, o, x, a);
    s3_answer_header(a, "Content-Range", said);
    a->status = 206;
    buf_put(&a->body, bytes_of(o->data.at + first, last - first + 1));
    if (s->faults.flips > 0) {
        s->faults.flips--;
        a->body.at[0] ^= 1;
    }
}

static void
list_objects(struct s3_server *s, const struct net_http_exchange *x,
             struct s3_answer *a)
{
    bool is_v2 = net_http_exchange_arg(x, "list-type") != NULL;
    const char *from =
        net_http_exchange_arg(x, is_v2 ? "continuation-token" : "marker");
    const char *last = "";
    size_t count = 0;
    bool is_cut = false;
    buf_put_str(&a->body, "<ListBucketResult>");
    for (size_t i = 0; i < S3_KEYS && !is_cut; i++) {
        const char *key = s3_server_keys[i];
        if (!s->objects[i].exists || (from != NULL && strcmp(key, from) <= 0))
            continue;
        is_cut = s->faults.page_keys != 0 && count == s->faults.page_keys;
        if (is_cut)
            break;
        count++;
        last = key;
        buf_printf(&a->body,
                   "<Contents><Key>%s</Key><LastModified>2013-05-24T00:00:00.000Z"
                   "</LastModified><ETag>&quot;%s&quot;</ETag><Size>%" PRIu64
                   "</Size></Contents>",
                   key, s->objects[i].etag, s->objects[i].size);
    }
    buf_printf(&a->body, "<IsTruncated>%s</IsTruncated>", is_cut ? "true" : "false");
    if (is_cut && is_v2)
        buf_printf(&a->body, "<NextContinuationToken>%s</NextContinuationToken>", last);
    buf_put_str(&a->body, "</ListBucketResult>");
}

static void
say_location(const struct s3_server *s, struct s3_answer *a)
{
    const char *region = s->faults.region != NULL ? s->faults.region : "";
    buf_printf(&a->body, "<LocationConstraint>%s</LocationConstraint>",
               s->faults.location != NULL ? s->faults.location : region);
}

static void
send_elsewhere(const struct s3_faults *f, struct s3_answer *a)
{
    char text[128];
    if (f->redirect == S3_BY_HEADER) {
        s3_answer_error(a, 301, "PermanentRedirect", "");
        s3_answer_header(a, "x-amz-bucket-region", f->region);
    } else if (f->redirect == S3_BY_LOCATION) {
        snprintf(text, sizeof text, "http://blocks.s3.%s.amazonaws.com/k", f->region);
        s3_answer_error(a, 307, "TemporaryRedirect", "");
        s3_answer_header(a, "Location", text);
    } else {
        snprintf(text, sizeof text, "<Region>%s</Region>", f->region);
        s3_answer_error(a, 400, "AuthorizationHeaderMalformed", text);
    }
}

/* Whether the work may begin. */
static bool
admit(struct s3_server *s, const struct s3_target *t, enum s3_op op, unsigned part,
      const struct net_http_exchange *x, struct s3_answer *a)
{
    struct s3_faults *f = &s->faults;
    char path[128], region[64] = "", access_key[64] = "";
    snprintf(path, sizeof path, "/blocks/%s",
             t->key < S3_KEYS ? s3_server_keys[t->key] : "");
    const char *fault = s3_signature_fault(x, t->method, path, region, access_key);
    if (fault != NULL) {
        snprintf(s->complaint, sizeof s->complaint, "%s %s: %s", OP_NAMES[op], path,
                 fault);
        s3_answer_error(a, 403, "SignatureDoesNotMatch", "");
    } else if (f->expired_key != NULL && strcmp(f->expired_key, access_key) == 0) {
        s3_answer_error(a, f->expired_status, f->expired_code, "");
    } else if (op != S3_LOCATION && f->region != NULL &&
               strcmp(f->region, region) != 0) {
        send_elsewhere(f, a);
    } else if (f->fail[op].times > 0 &&
               (f->fail[op].part == 0 || f->fail[op].part == part)) {
        f->fail[op].times--;
        s3_answer_error(a, f->fail[op].status, f->fail[op].code, "");
        if (f->fail[op].retry_after != NULL)
            s3_answer_header(a, "Retry-After", f->fail[op].retry_after);
    } else if (s3_is_refused(f, x)) {
        s3_answer_error(a, f->refuse_status, f->refuse_code, "");
    } else {
        return true;
    }
    return false;
}

static void
work(struct s3_server *s, size_t key, enum s3_op op, const struct net_http_exchange *x,
     struct s3_answer *a)
{
    switch (op) {
    case S3_PUT:
        put_object(s, key, x, a);
        break;
    case S3_HEAD:
        head_object(s, key, x, a);
        break;
    case S3_GET:
        get_object(s, key, x, a);
        break;
    case S3_DELETE:
        s3_object_clear(&s->objects[key]);
        a->status = 204;
        break;
    case S3_LIST:
        list_objects(s, x, a);
        break;
    case S3_LOCATION:
        say_location(s, a);
        break;
    case S3_CREATE:
        s3_parts_create(s, key, a);
        break;
    case S3_PART:
        s3_parts_put(s, key, x, a);
        break;
    case S3_COMPLETE:
        s3_parts_complete(s, key, x, a);
        break;
    case S3_ABORT:
        s3_parts_abort(s, key, x, a);
        break;
    case S3_UPLOADS:
        s3_parts_list(s, x, a);
        break;
    case S3_OPS:
        break;
    }
}

static enum s3_op
op_of(const struct s3_target *t, const struct net_http_exchange *x)
{
    bool has_id = net_http_exchange_arg(x, "uploadId") != NULL;
    if (t->key == S3_KEYS && net_http_exchange_arg(x, "uploads") != NULL)
        return S3_UPLOADS;
    if (t->key == S3_KEYS)
        return net_http_exchange_arg(x, "location") != NULL ? S3_LOCATION : S3_LIST;
    if (strcmp(t->method, "HEAD") == 0)
        return S3_HEAD;
    if (strcmp(t->method, "GET") == 0)
        return S3_GET;
    if (strcmp(t->method, "PUT") == 0)
        return has_id ? S3_PART : S3_PUT;
    if (strcmp(t->method, "DELETE") == 0)
        return has_id ? S3_ABORT : S3_DELETE;
    return has_id ? S3_COMPLETE : S3_CREATE;
}

static void
record(struct s3_server *s, enum s3_op op, const struct net_http_exchange *x)
{
    CHECK(s->request_count < S3_REQUESTS_MAX);
    struct s3_request *r = &s->requests[s->request_count++];
    r->op = op;
    buf_clear(&r->headers);
    for (size_t i = 0; s3_server_headers[i] != NULL; i++) {
        const char *value = net_http_exchange_header(x, s3_server_headers[i]);
        if (value != NULL)
            buf_printf(&r->headers, "%s: %s\n", s3_server_headers[i], value);
    }
    if (net_http_exchange_arg(x, "list-type") != NULL)
        buf_printf(&r->headers, "?list-type: %s\n",
                   net_http_exchange_arg(x, "list-type"));
}

static bool
no_content(void *arg, struct bytes *piece, struct err *err)
{
    (void)arg;
    (void)piece;
    return err_set(err, ERR_INTERNAL, "an answer to HEAD has no content");
}

static void
no_end(void *arg)
{
    (void)arg;
}

static void
reply(struct net_http_exchange *x, struct s3_answer *a)
{
    if (a->is_lost)
        shutdown(net_http_exchange_fd(x), SHUT_RDWR);
    for (size_t i = 0; i < a->header_count; i++)
        net_http_exchange_add_header(x, a->headers[i].name, a->headers[i].value);
    if (a->is_head)
        net_http_reply_stream(x, a->status, "application/octet-stream", a->head_size,
                              (struct net_http_stream){no_content, no_end, NULL});
    else
        net_http_reply(x, a->status, "application/xml", buf_bytes(&a->body));
    buf_fini(&a->body);
}

static void
handle(void *arg, struct net_http_exchange *x)
{
    const struct s3_target *t = arg;
    struct s3_server *s = t->server;
    enum s3_op op = op_of(t, x);
    const char *number = net_http_exchange_arg(x, "partNumber");
    unsigned part = number != NULL ? (unsigned)strtoul(number, NULL, 10) : 0;
    struct s3_answer a = {.status = 200};
    s3_hook_fn *hook;
    void *hook_arg;
    {
        MUTEX_SCOPE(&s->lock);
        record(s, op, x);
        hook = s->hook;
        hook_arg = s->hook_arg;
    }
    if (hook != NULL)
        hook(hook_arg, op, part, x);
    {
        MUTEX_SCOPE(&s->lock);
        if (admit(s, t, op, part, x, &a)) {
            work(s, t->key, op, x, &a);
            a.is_lost = s->faults.lose[op] > 0;
            s->faults.lose[op] -= a.is_lost;
        }
    }
    reply(x, &a);
}

void
s3_server_start(struct s3_server *s)
{
    enum { MAX_BODY = 64 << 20 };
    static const char *const METHODS[] = {"HEAD", "GET", "PUT", "POST", "DELETE"};
    static char paths[S3_KEYS + 1][64];
    struct err err;
    memset(s, 0, sizeof *s);
    mutex_init(&s->lock, LOCK_TEST);
    budget_init(&s->budget, "s3 model", SIZE_MAX, NULL);
    for (size_t i = 0; i < ARRAY_LEN(s->routes); i++) {
        size_t key = i / ARRAY_LEN(METHODS);
        const char *method = METHODS[i % ARRAY_LEN(METHODS)];
        snprintf(paths[key], sizeof paths[key], "/blocks/%s",
                 key < S3_KEYS ? s3_server_keys[key] : "");
        s->targets[i] = (struct s3_target){s, method, key};
        s->routes[i] = (struct net_http_route){.method = method,
                                               .path = paths[key],
                                               .name = "s3",
                                               .handler = handle,
                                               .arg = &s->targets[i],
                                               .max_body = MAX_BODY};
    }
    const struct net_http_server_options options = {.address = "127.0.0.1:0",
                                                    .routes = s->routes,
                                                    .route_count = ARRAY_LEN(s->routes),
                                                    .budget = &s->budget};
    CHECK(net_http_server_start(&s->server, &options, &err));
    snprintf(s->address, sizeof s->address, "127.0.0.1:%u",
             net_http_server_port(s->server));
}

void
s3_server_stop(struct s3_server *s)
{
    net_http_server_stop(&s->server, clock_deadline(10 * CLOCK_NS_PER_S));
    for (size_t i = 0; i < S3_KEYS; i++)
        s3_object_clear(&s->objects[i]);
    for (size_t i = 0; i < S3_UPLOADS_MAX; i++)
        for (size_t k = 0; k < S3_PARTS_MAX; k++)
            s3_object_clear(&s->uploads[i].parts[k]);
    for (size_t i = 0; i < S3_REQUESTS_MAX; i++)
        buf_fini(&s->requests[i].headers);
    budget_fini(&s->budget);
    mutex_fini(&s->lock);
}

void
s3_server_break(struct s3_server *s, const struct s3_faults *faults)
{
    MUTEX_SCOPE(&s->lock);
    s->faults = *faults;
}

void
s3_server_hook(struct s3_server *s, s3_hook_fn *hook, void *arg)
{
    MUTEX_SCOPE(&s->lock);
    s->hook = hook;
    s->hook_arg = arg;
}

void
s3_server_log(struct s3_server *s, struct buf *log)
{
    MUTEX_SCOPE(&s->lock);
    for (size_t i = 0; i < s->request_count; i++)
        buf_printf(log, "%s ", OP_NAMES[s->requests[i].op]);
    s->request_count = 0;
}

bool
s3_server_header(struct s3_server *s, enum s3_op op, size_t nth, const char *name,
                 char *value, size_t size)
{
    char line[80];
    size_t i = 0;
    MUTEX_SCOPE(&s->lock);
    for (; i < s->request_count; i++)
        if (s->requests[i].op == op && nth-- == 0)
            break;
    CHECK(i < s->request_count);
    snprintf(line, sizeof line, "\n%s: ", name);
    CLEANUP(buf_fini) struct buf headers = {0};
    buf_put_u8(&headers, '\n');
    buf_put(&headers, buf_bytes(&s->requests[i].headers));
    const char *at = strstr(buf_text(&headers), line);
    if (at == NULL)
        return false;
    at += strlen(line);
    snprintf(value, size, "%.*s", (int)strcspn(at, "\n"), at);
    return true;
}

static size_t
key_index(const char *key)
{
    size_t i = 0;
    while (i < S3_KEYS && strcmp(s3_server_keys[i], key) != 0)
        i++;
    CHECK(i < S3_KEYS);
    return i;
}

bool
s3_server_content(struct s3_server *s, const char *key, struct buf *content)
{
    MUTEX_SCOPE(&s->lock);
    const struct s3_object *o = &s->objects[key_index(key)];
    buf_put(content, buf_bytes(&o->data));
    return o->exists;
}

void
s3_server_store(struct s3_server *s, const char *key, const char *content)
{
    const struct s3_payload p = {.content = bytes_of_str(content)};
    MUTEX_SCOPE(&s->lock);
    s3_object_store(&s->objects[key_index(key)], &s->faults, &p);
}

void
s3_server_leave_upload(struct s3_server *s, const char *key)
{
    struct s3_answer ignored = {0};
    MUTEX_SCOPE(&s->lock);
    s3_parts_create(s, key_index(key), &ignored);
    buf_fini(&ignored.body);
}

size_t
s3_server_open_uploads(struct s3_server *s)
{
    size_t count = 0;
    MUTEX_SCOPE(&s->lock);
    for (size_t i = 0; i < S3_UPLOADS_MAX; i++)
        count += *s->uploads[i].id != 0;
    return count;
}

const char *
s3_server_complaint(struct s3_server *s)
{
    MUTEX_SCOPE(&s->lock);
    return s->complaint;
}
