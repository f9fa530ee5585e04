/* SPDX-License-Identifier: Apache-2.0 */
/* libs3 2.0 composes the requests and signs them, and that is all it does here: the
 * copy of it that we link has its calls of libcurl, libxml2 and the clock renamed
 * (libs3_calls.txt), and they end in this file. Its curl_easy_setopt tells us what to
 * send, its curl_easy_perform sends it with our own HTTP client, and the answer goes
 * past it to the code that serves Signature Version 4 as well.
 *
 * It has to be so. By itself libs3 accepts any certificate, follows redirects to any
 * host, takes a body that was cut, a listing without an end and a PUT that was refused
 * without a body for success, reads the times of a listing as local ones, shares one
 * struct tm among all threads, and writes behind its arrays when an answer has more
 * than 157 x-amz-meta headers or an error more than eight elements that it does not
 * know.
 *
 * Its buffers for what it sends have fixed sizes too: what does not fit into them, or
 * what it would encode wrongly, is refused here before it gets there. */
#include "common/objstore/s3_v2.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <libs3.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/objstore/bucket_priv.h"
#include "common/objstore/s3_answer.h"
#include "common/objstore/s3_list.h"

/* What one PUT may store: the protocol's limit. */
#define MAX_PUT_BYTES (UINT64_C(5) << 30)

enum {
    /* "Authorization: AWS <key>:<28 characters>" has 128 bytes in libs3. */
    MAX_ACCESS_KEY = 128 - 1 - (int)sizeof "Authorization: AWS " - 28,
    /* libs3 cuts longer ones to the block of SHA-1 instead of hashing them. */
    MAX_SECRET_KEY = 64,
    /* Each byte may become three, and there is a NUL behind 3072 of them. */
    MAX_MARKER = 1023,
    MAX_HEADERS = 8, /* Content-MD5, Range, Authorization and x-amz-date at most */
    HASH_PIECE = 256 * 1024,
    MD5_HEX_SIZE = 2 * DIGEST_MD5_SIZE + 1,
};

struct s3_v2 {
    struct objstore_bucket base;
    struct net_http_client *http;
    struct objstore_requests *requests; /* borrowed; NULL: nobody counts */
    char *endpoint;
    char *name;
    char *access_key;
    char *secret_key;
    bool insecure;
    bool virtual_hosted;
    struct objstore_retrier *retrier;
    _Atomic int64_t skew_ns; /* what the server's clock shows more than ours */
};

/* One call of libs3 under way, on the thread that makes it. */
struct exchange {
    struct s3_v2 *s3;
    const struct objstore_call *call;
    struct err *err;
    S3BucketContext place;
    int64_t skew_ns; /* with which it is signed */
    /* Body and sink are the operation's; the rest comes out of libs3 and lives in there
     * until the call ends. */
    struct net_http_request request;
    const char *headers[MAX_HEADERS + 1]; /* NULL-terminated */
    size_t header_count;
    struct objstore_s3_answer answer;
    struct exchange *outer; /* the one whose sink makes this call; NULL: none */
    bool is_composed;
    bool is_answered;
    S3Status status; /* what libs3 makes of it; of interest when it sent nothing */
};

static _Thread_local struct exchange *running;

/* The functions that libs3 calls. */
CURLcode objstore_s3_v2_global_init(long flags);
CURL *objstore_s3_v2_easy_init(void);
void objstore_s3_v2_easy_reset(CURL *easy);
void objstore_s3_v2_easy_cleanup(CURL *easy);
CURLcode objstore_s3_v2_easy_setopt(CURL *easy, CURLoption option, ...);
CURLcode objstore_s3_v2_easy_perform(CURL *easy);
CURLcode objstore_s3_v2_easy_getinfo(CURL *easy, CURLINFO info, ...);
time_t objstore_s3_v2_time(time_t *unused);
struct tm *objstore_s3_v2_gmtime(const time_t *at);

/* Answers do not reach libs3, so it parses none, and it gets no request contexts. */
static _Noreturn void
never(void)
{
    CHECK(!"libs3 came upon an answer");
    abort();
}

#define NEVER(function) _Noreturn void function(void) __attribute__((alias("never")))
NEVER(objstore_s3_v2_multi_add_handle);
NEVER(objstore_s3_v2_xml_create);
NEVER(objstore_s3_v2_xml_free);
NEVER(objstore_s3_v2_xml_entity);
NEVER(objstore_s3_v2_xml_parse);

CURLcode
objstore_s3_v2_global_init(long flags)
{
    (void)flags; /* our HTTP client has done it */
    return CURLE_OK;
}

/* libs3 keeps a stack of handles; ours stand for nothing. */
CURL *
objstore_s3_v2_easy_init(void)
{
    static char handle;
    return &handle;
}

void
objstore_s3_v2_easy_reset(CURL *easy)
{
    (void)easy;
}

void
objstore_s3_v2_easy_cleanup(CURL *easy)
{
    (void)easy;
}

static void
note_headers(struct exchange *x, const struct curl_slist *list)
{
    for (; list != NULL; list = list->next) {
        /* The length of the body is the HTTP client's business. */
        if (strncasecmp(list->data, "content-length:", 15) == 0 ||
            strncasecmp(list->data, "transfer-encoding:", 18) == 0)
            continue;
        CHECK(x->header_count < MAX_HEADERS);
        x->headers[x->header_count++] = list->data;
    }
}

/* What is not taken up here is how to transfer: that is not for libs3 to say. */
CURLcode
objstore_s3_v2_easy_setopt(CURL *easy, CURLoption option, ...)
{
    va_list args;
    (void)easy;
    va_start(args, option);
    if (option == CURLOPT_URL)
        running->request.url = va_arg(args, const char *);
    else if (option == CURLOPT_HTTPHEADER)
        note_headers(running, va_arg(args, const struct curl_slist *));
    else if (option == CURLOPT_NOBODY)
        running->request.method = "HEAD";
    else if (option == CURLOPT_UPLOAD)
        running->request.method = "PUT";
    else if (option == CURLOPT_CUSTOMREQUEST)
        running->request.method = va_arg(args, const char *);
    va_end(args);
    return CURLE_OK;
}

CURLcode
objstore_s3_v2_easy_perform(CURL *easy)
{
    struct exchange *x = running;
    (void)easy;
    x->is_composed = true;
    x->request.headers = x->headers;
    x->is_answered = objstore_s3_transfer(x->s3->http, x->s3->requests, x->call,
                                          x->request, &x->answer.http, x->err);
    return x->is_answered ? CURLE_OK : CURLE_RECV_ERROR;
}

CURLcode
objstore_s3_v2_easy_getinfo(CURL *easy, CURLINFO info, ...)
{
    va_list args;
    (void)easy;
    if (info != CURLINFO_RESPONSE_CODE)
        return CURLE_UNKNOWN_OPTION;
    va_start(args, info);
    *va_arg(args, long *) = running->answer.http.status;
    va_end(args);
    return CURLE_OK;
}

/* The time to sign: that of the server. */
time_t
objstore_s3_v2_time(time_t *unused)
{
    (void)unused;
    int64_t now_ns = clock_wall_ns() + running->skew_ns;
    return (time_t)(now_ns / CLOCK_NS_PER_S);
}

struct tm *
objstore_s3_v2_gmtime(const time_t *at)
{
    static _Thread_local struct tm utc;
    return gmtime_r(at, &utc);
}

static S3Status
on_properties(const S3ResponseProperties *properties, void *data)
{
    (void)properties;
    (void)data;
    return S3StatusOK;
}

static void
on_complete(S3Status status, const S3ErrorDetails *details, void *data)
{
    (void)details;
    ((struct exchange *)data)->status = status;
}

#define HANDLER ((S3ResponseHandler){on_properties, on_complete})

/* Begin an exchange, to be ended with finish. Release with free. */
static struct exchange *
begin(struct s3_v2 *s3, const struct objstore_call *call, struct err *err)
{
    struct exchange *x = xcalloc(1, sizeof *x);
    x->s3 = s3;
    x->call = call;
    x->err = err;
    x->skew_ns = atomic_load(&s3->skew_ns);
    x->request.method = "GET";
    x->place = (S3BucketContext){
        .hostName = s3->endpoint,
        .bucketName = s3->name,
        .protocol = s3->insecure ? S3ProtocolHTTP : S3ProtocolHTTPS,
        .uriStyle = s3->virtual_hosted ? S3UriStyleVirtualHost : S3UriStylePath,
        .accessKeyId = s3->access_key,
        .secretAccessKey = s3->secret_key,
    };
    x->outer = running;
    running = x;
    return x;
}

/* The call of libs3 has returned. True after an answer of 2xx. */
static bool
finish(struct exchange *x)
{
    running = x->outer;
    if (!x->is_composed)
        return err_set(
            x->err, x->status == S3StatusOutOfMemory ? ERR_NOMEM : ERR_UNSUPPORTED,
            "libs3 cannot make this request: %s", S3_get_status_name(x->status));
    if (!x->is_answered)
        return false;
    if (net_http_status_code(x->answer.http.status) == ERR_NONE)
        return true;
    return objstore_s3_refused(&x->answer, &x->s3->skew_ns, x->skew_ns, x->err);
}

static struct s3_v2 *
s3_v2_of(struct objstore_bucket *b)
{
    return (struct s3_v2 *)b;
}

/* A key, prefix or marker as libs3 takes it. */
struct text {
    char at[OBJSTORE_KEY_MAX + 2]; /* a prefix ends in "/" */
};

static bool
plain_text(struct text *text, struct bytes key, struct err *err)
{
    if (!objstore_check_plain(key, err))
        return false;
    memcpy(text->at, key.at, key.len);
    text->at[key.len] = 0;
    return true;
}

static bool
fetch_page(void *arg, const struct objstore_s3_wanted *wanted,
           struct objstore_s3_page *page, struct err *err)
{
    static const S3ListBucketHandler handler = {.responseHandler = HANDLER};
    struct text prefix = {""}, marker = {""};
    if (wanted->prefix.len > 0 && !plain_text(&prefix, wanted->prefix, err))
        return false;
    /* Others may have stored odd keys; as a query they are encoded well. */
    if (wanted->from.len > MAX_MARKER)
        return err_set(err, ERR_UNSUPPORTED,
                       "libs3 cannot list behind a key of more than %d bytes",
                       MAX_MARKER);
    if (wanted->from.len > 0)
        memcpy(marker.at, wanted->from.at, wanted->from.len);
    CLEANUP(xfree) struct exchange *x = begin(arg, wanted->call, err);
    x->request.sink = objstore_s3_page_sink;
    x->request.sink_arg = page;
    S3_list_bucket(&x->place, *prefix.at != 0 ? prefix.at : NULL,
                   *marker.at != 0 ? marker.at : NULL, NULL, 1000, NULL, &handler, x);
    return finish(x);
}

static bool
s3_v2_list(struct objstore_bucket *b, const struct objstore_call *call,
           struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    const struct objstore_s3_listing listing = {.call = call,
                                                .prefix = prefix,
                                                .retrier = s3_v2_of(b)->retrier,
                                                .paging = OBJSTORE_S3_BY_MARKER,
                                                .fetch = fetch_page,
                                                .fetch_arg = s3_v2_of(b)};
    return objstore_s3_list(&listing, fn, arg, err);
}

static bool
s3_v2_head(struct objstore_bucket *b, const struct objstore_call *call,
           struct bytes key, struct objstore_attrs *attrs, struct err *err)
{
    static const S3ResponseHandler handler = HANDLER;
    struct text name;
    if (!plain_text(&name, key, err))
        return false;
    CLEANUP(xfree) struct exchange *x = begin(s3_v2_of(b), call, err);
    S3_head_object(&x->place, name.at, NULL, &handler, x);
    return finish(x) && objstore_s3_attrs(&x->answer.http, attrs, err);
}

static bool
s3_v2_get_range(struct objstore_bucket *b, const struct objstore_call *call,
                struct objstore_read *read, objstore_sink_fn *sink, void *arg,
                struct err *err)
{
    static const S3GetObjectHandler handler = {.responseHandler = HANDLER};
    struct text name;
    if (!plain_text(&name, read->key, err))
        return false;
    CLEANUP(xfree) struct exchange *x = begin(s3_v2_of(b), call, err);
    struct objstore_s3_ranged ranged = {
        .read = read, .sink = sink, .arg = arg, .response = &x->answer.http};
    x->request.sink = objstore_s3_ranged_sink;
    x->request.sink_arg = &ranged;
    S3_get_object(&x->place, name.at, NULL, read->offset, read->len, NULL, &handler, x);
    return finish(x) && objstore_s3_ranged_end(&ranged, err);
}

/* What a PUT sends. */
struct source {
    const struct objstore_put *put;
    uint64_t sent;
};

static bool
read_source(void *arg, uint8_t *into, size_t room, size_t *got, struct err *err)
{
    struct source *s = arg;
    if (!objstore_put_send(s->put, s->sent, into, room, err))
        return false;
    s->sent += room;
    *got = room;
    return true;
}

static bool
md5_of(const struct objstore_put *put, const struct objstore_call *call,
       uint8_t md5[DIGEST_MD5_SIZE], struct err *err)
{
    bool ok = true;
    CLEANUP(xfree) uint8_t *piece = xcalloc(1, HASH_PIECE);
    struct digest_stream *stream = digest_stream_new(DIGEST_MD5);
    for (uint64_t done = 0; ok && done < put->size;) {
        size_t n = NUM_MIN(put->size - done, (uint64_t)HASH_PIECE);
        ok = objstore_call_check(call, err) &&
             objstore_put_read(put, done, piece, n, err);
        if (ok)
            digest_stream_add(stream, bytes_of(piece, n));
        done += n;
    }
    digest_stream_finish(&stream, md5);
    return ok;
}

/* A put under way. */
struct putting {
    struct s3_v2 *s3;
    const struct objstore_call *call;
    const struct objstore_put *put;
    struct text name;
    char md5_hex[MD5_HEX_SIZE];
    char md5_base64[DIGEST_BASE64_SIZE(DIGEST_MD5_SIZE)];
    struct objstore_s3_receipt receipt;
    struct objstore_attrs *stored;
};

/* The server compares what arrives with the MD5, and we what it says it has stored. */
static bool
try_put(void *arg, struct err *err)
{
    static const S3PutObjectHandler handler = {.responseHandler = HANDLER};
    struct putting *p = arg;
    const S3PutProperties properties = {.md5 = p->md5_base64, .expires = -1};
    struct source source = {.put = p->put};
    CLEANUP(xfree) struct exchange *x = begin(p->s3, p->call, err);
    x->request.source = read_source;
    x->request.source_arg = &source;
    x->request.body_size = p->put->size;
    S3_put_object(&x->place, p->name.at, p->put->size, &properties, NULL, &handler, x);
    if (!finish(x))
        return false;
    objstore_s3_copy_etag(&x->answer.http, p->receipt.etag);
    return objstore_s3_compare_etag(&x->answer.http, p->md5_hex,
                                    &p->receipt.is_compared, err);
}

static bool
try_head(void *arg, struct err *err)
{
    const struct putting *p = arg;
    if (s3_v2_head(&p->s3->base, p->call, p->put->key, p->stored, err))
        return true;
    /* It is there: that is what the answer to the PUT meant. */
    if (err->code == ERR_NOT_FOUND)
        err->code = ERR_UNAVAILABLE;
    return err_wrap(err, "to see what was stored");
}

static bool
s3_v2_put(struct objstore_bucket *b, const struct objstore_call *call,
          const struct objstore_put *put, struct objstore_attrs *stored,
          struct err *err)
{
    uint8_t md5[DIGEST_MD5_SIZE];
    struct putting p = {.s3 = s3_v2_of(b), .call = call, .put = put, .stored = stored};
    if (put->create)
        return err_set(err, ERR_UNSUPPORTED,
                       "Signature Version 2 is spoken without conditional requests");
    if (put->size > MAX_PUT_BYTES)
        return err_set(err, ERR_UNSUPPORTED,
                       "%" PRIu64
                       " bytes are more than the 5 GiB that one PUT may store",
                       put->size);
    if (!plain_text(&p.name, put->key, err) || !md5_of(put, call, md5, err))
        return false;
    digest_hex(bytes_of(md5, sizeof md5), p.md5_hex);
    digest_base64(bytes_of(md5, sizeof md5), p.md5_base64);
    bool was_replaced;
    p.receipt.size = put->size;
    if (!objstore_retry(p.s3->retrier, call, try_put, &p, err) ||
        !objstore_retry(p.s3->retrier, call, try_head, &p, err) ||
        !objstore_s3_settle(&p.receipt, stored, &was_replaced, err))
        return false;
    if (!p.receipt.is_compared)
        LOG_DEBUG("only the size of the object could be compared",
                  LOG_BYTES("object", put->key), LOG_INT("bytes", put->size));
    return true;
}

static bool
s3_v2_remove(struct objstore_bucket *b, const struct objstore_call *call,
             struct bytes key, struct err *err)
{
    static const S3ResponseHandler handler = HANDLER;
    struct text name;
    if (!plain_text(&name, key, err))
        return false;
    CLEANUP(xfree) struct exchange *x = begin(s3_v2_of(b), call, err);
    S3_delete_object(&x->place, name.at, NULL, &handler, x);
    return finish(x) || err->code == ERR_NOT_FOUND;
}

static unsigned
s3_v2_abilities(const struct objstore_bucket *b)
{
    (void)b;
    return 0;
}

static const char *
s3_v2_name(const struct objstore_bucket *b)
{
    return ((const struct s3_v2 *)b)->name;
}

static void
s3_v2_free(struct objstore_bucket *b)
{
    struct s3_v2 *s3 = s3_v2_of(b);
    net_http_client_free(&s3->http);
    digest_cleanse(s3->secret_key, strlen(s3->secret_key));
    free(s3->endpoint);
    free(s3->name);
    free(s3->access_key);
    free(s3->secret_key);
    free(s3);
}

static const struct objstore_bucket_ops S3_V2_OPS = {
    .list = s3_v2_list,
    .head = s3_v2_head,
    .get_range = s3_v2_get_range,
    .put = s3_v2_put,
    .remove = s3_v2_remove,
    .abilities = s3_v2_abilities,
    .name = s3_v2_name,
    .free = s3_v2_free,
};

/* Keys go into a header. Says nothing of the value. */
static bool
check_secret(const char *name, const char *value, struct err *err)
{
    for (const char *c = value; *c != 0; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return err_set(err, ERR_INVALID, "%s has a blank or a control character",
                           name);
    return *value != 0 || err_set(err, ERR_INVALID, "%s is empty", name);
}

static bool
check_limits(const struct objstore_s3_v2_options *o, struct err *err)
{
    const struct objstore_s3_endpoint *e = &o->endpoint;
    bool is_virtual = objstore_s3_is_virtual_hosted(e);
    S3Status name = S3_validate_bucket_name(
        e->bucket, is_virtual ? S3UriStyleVirtualHost : S3UriStylePath);
    if (name != S3StatusOK)
        return err_set(err, ERR_INVALID, "bucket \"%s\": %s", e->bucket,
                       S3_get_status_name(name));
    if (strlen(e->address) >= S3_MAX_HOSTNAME_SIZE)
        return err_set(err, ERR_INVALID, "endpoint is longer than %d bytes",
                       S3_MAX_HOSTNAME_SIZE - 1);
    if (strlen(o->access_key) > MAX_ACCESS_KEY ||
        strlen(o->secret_key) > MAX_SECRET_KEY)
        return err_set(err, ERR_UNSUPPORTED,
                       "signature_version2 goes with an access_key of at most %d and a "
                       "secret_key of at most %d bytes",
                       MAX_ACCESS_KEY, MAX_SECRET_KEY);
    return check_secret("access_key", o->access_key, err) &&
           check_secret("secret_key", o->secret_key, err);
}

static pthread_once_t libs3_once = PTHREAD_ONCE_INIT;
static S3Status libs3_ready;

static void
init_libs3(void)
{
    libs3_ready = S3_initialize(NULL, S3_INIT_ALL, NULL);
}

bool
objstore_s3_v2_open(struct objstore_bucket **out,
                    const struct objstore_s3_v2_options *options, struct err *err)
{
    struct net_http_client *http;
    pthread_once(&libs3_once, init_libs3);
    if (libs3_ready != S3StatusOK)
        return err_set(err, ERR_INTERNAL, "start libs3: %s",
                       S3_get_status_name(libs3_ready));
    if (!objstore_s3_endpoint_check(&options->endpoint, err) ||
        !check_limits(options, err) || !net_http_client_new(&http, &options->http, err))
        return false;
    struct s3_v2 *s3 = xcalloc(1, sizeof *s3);
    s3->base.ops = &S3_V2_OPS;
    s3->http = http;
    s3->requests = options->requests;
    s3->endpoint = xstrdup(options->endpoint.address);
    s3->name = xstrdup(options->endpoint.bucket);
    s3->access_key = xstrdup(options->access_key);
    s3->secret_key = xstrdup(options->secret_key);
    s3->insecure = options->endpoint.insecure;
    s3->virtual_hosted = objstore_s3_is_virtual_hosted(&options->endpoint);
    s3->retrier = options->retrier;
    *out = &s3->base;
    return true;
}
