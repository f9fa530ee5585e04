/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/s3_exchange.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/xmalloc.h"

/* Bodies from this size on wait for the server's consent. A guess: a round trip for
 * less would cost more than it saves. */
enum { EXPECT_CONTINUE_BYTES = 1 << 20 };

/* The hash of no payload. */
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

#define DEFAULT_REGION "us-east-1"

struct objstore_s3_peer {
    struct net_http_client *http;
    struct objstore_requests *requests; /* borrowed; NULL: nobody counts */
    struct objstore_credentials *credentials;
    struct objstore_s3_endpoint endpoint; /* its texts are our own */
    int64_t expect_continue_ns;
    bool has_given_region;
    _Atomic int64_t skew_ns; /* what the server's clock shows more than ours */
    struct mutex lock;
    /* guarded by lock */
    struct objstore_s3_place place; /* its region is "" until the server was asked */
    uint64_t key_generation;        /* what signing_key was made of, with the region */
    char key_day[OBJSTORE_S3_DAY_LEN];
    uint8_t signing_key[DIGEST_SHA256_SIZE];
};

/* The region that is known without asking; "" otherwise. */
static struct bytes
first_region(const struct objstore_s3_options *o)
{
    struct bytes region = bytes_of_str(o->region);
    return region.len > 0
               ? region
               : objstore_s3_region_of_host(bytes_of_str(o->endpoint.address));
}

bool
objstore_s3_peer_new(struct objstore_s3_peer **out,
                     const struct objstore_s3_options *options, struct err *err)
{
    struct objstore_s3_place place;
    struct net_http_client *client;
    CLEANUP(xfree) char *region = xasprintf("%.*s", BYTES_FMT(first_region(options)));
    if (!objstore_s3_endpoint_check(&options->endpoint, err))
        return false;
    if (*region != 0 && !objstore_s3_is_region(bytes_of_str(region)))
        return err_set(err, ERR_INVALID,
                       "region \"%s\" has a character that it must not", region);
    if (!objstore_s3_place(&options->endpoint, region, &place))
        return err_set(err, ERR_INVALID, "bucket, endpoint or region is too long");
    if (!net_http_client_new(&client, &options->http, err))
        return false;
    struct objstore_s3_peer *p = xcalloc(1, sizeof *p);
    p->http = client;
    p->requests = options->requests;
    p->credentials = options->credentials;
    p->endpoint = options->endpoint;
    p->endpoint.address = xstrdup(options->endpoint.address);
    p->endpoint.bucket = xstrdup(options->endpoint.bucket);
    p->expect_continue_ns = options->expect_continue_ns;
    p->has_given_region = *options->region != 0;
    p->place = place;
    mutex_init(&p->lock, LOCK_CREDENTIALS);
    *out = p;
    return true;
}

void
objstore_s3_peer_free(struct objstore_s3_peer **peer)
{
    struct objstore_s3_peer *p = TAKE(*peer);
    if (p == NULL)
        return;
    net_http_client_free(&p->http);
    objstore_credentials_free(&p->credentials);
    xfree(&p->endpoint.address);
    xfree(&p->endpoint.bucket);
    digest_cleanse(p->signing_key, sizeof p->signing_key);
    mutex_fini(&p->lock);
    free(p);
}

/* The texts of one request. */
struct outgoing {
    const struct objstore_s3_target *target;
    const struct objstore_keys *keys;
    struct objstore_s3_place place;
    struct buf url;
    struct bytes path; /* in url, once that is complete */
    int64_t skew_ns;   /* of the peer, when time was taken */
    char time[OBJSTORE_S3_TIME_SIZE];
    struct objstore_s3_header *signed_headers;
    size_t signed_count;
    char **lines; /* "name: value", NULL-terminated; our own */
    size_t line_count;
};

static void
outgoing_fini(struct outgoing *o)
{
    objstore_keys_release(&o->keys);
    buf_fini(&o->url);
    for (size_t i = 0; i < o->line_count; i++) {
        digest_cleanse(o->lines[i], strlen(o->lines[i]));
        free(o->lines[i]);
    }
    free(o->lines);
    free(o->signed_headers);
}

static void
add_line(struct outgoing *o, const char *name, const char *value)
{
    o->lines[o->line_count++] = xasprintf("%s: %s", name, value);
}

/* Proxies may change the others. */
static bool
is_signed(const char *name)
{
    return strncmp(name, "x-amz-", strlen("x-amz-")) == 0 ||
           strcmp(name, "content-md5") == 0;
}

static void
add_header(struct outgoing *o, struct objstore_s3_header header)
{
    add_line(o, header.name, header.value);
    if (is_signed(header.name))
        o->signed_headers[o->signed_count++] = header;
}

static void
add_headers(struct outgoing *o, struct objstore_s3_headers headers)
{
    for (size_t i = 0; i < headers.count; i++)
        add_header(o, headers.at[i]);
}

static void
put_url(const struct objstore_s3_peer *p, struct outgoing *o)
{
    buf_printf(&o->url, "%s://%s", p->endpoint.insecure ? "http" : "https",
               o->place.host);
    size_t path_at = o->url.len;
    buf_printf(&o->url, "%s/", o->place.path);
    objstore_s3_encode(&o->url, o->target->key, true);
    size_t path_len = o->url.len - path_at;
    if (o->target->query.len > 0) {
        buf_put_u8(&o->url, '?');
        buf_put(&o->url, o->target->query);
    }
    buf_put_u8(&o->url, 0);
    o->path = bytes_of(o->url.at + path_at, path_len);
}

static void
take_signing_key(struct objstore_s3_peer *p, const struct outgoing *o,
                 uint8_t key[DIGEST_SHA256_SIZE])
{
    MUTEX_SCOPE(&p->lock);
    /* A region that has just been learnt is not that of this request. */
    if (strcmp(p->place.region, o->place.region) != 0) {
        objstore_s3_signing_key(o->keys->secret_key, o->time, o->place.region, key);
        return;
    }
    if (p->key_generation != o->keys->generation ||
        memcmp(p->key_day, o->time, sizeof p->key_day) != 0) {
        objstore_s3_signing_key(o->keys->secret_key, o->time, o->place.region,
                                p->signing_key);
        memcpy(p->key_day, o->time, sizeof p->key_day);
        p->key_generation = o->keys->generation;
    }
    memcpy(key, p->signing_key, DIGEST_SHA256_SIZE);
}

static void
sign(struct objstore_s3_peer *p, const char *method, const char *payload_hash,
     struct outgoing *o)
{
    CLEANUP(buf_fini) struct buf authorization = {0};
    struct objstore_s3_request request = {
        .method = method,
        .path = o->path,
        .query = o->target->query,
        .headers = o->signed_headers,
        .header_count = o->signed_count,
        .payload_hash = payload_hash,
    };
    uint8_t key[DIGEST_SHA256_SIZE];
    take_signing_key(p, o, key);
    const struct objstore_s3_signer signer = {o->keys->access_key, key, o->place.region,
                                              o->time};
    objstore_s3_authorization(&authorization, &signer, &request);
    digest_cleanse(key, sizeof key);
    add_line(o, "authorization", buf_text(&authorization));
}

/* o has its target, keys and place. */
static void
prepare(struct objstore_s3_peer *p, const char *method, struct outgoing *o)
{
    const struct objstore_s3_target *target = o->target;
    enum { OF_SIGNING = 5, TERMINATOR = 1 };
    size_t room = target->own.count + target->common.count + OF_SIGNING + TERMINATOR;
    const char *hash = target->payload_hash != NULL ? target->payload_hash : EMPTY_HASH;
    o->lines = xcalloc(room, sizeof *o->lines);
    o->signed_headers = xcalloc(room, sizeof *o->signed_headers);
    put_url(p, o);
    o->skew_ns = atomic_load(&p->skew_ns);
    objstore_s3_time(clock_wall_ns() + o->skew_ns, o->time);
    o->signed_headers[o->signed_count++] =
        (struct objstore_s3_header){"host", o->place.host};
    add_header(o, (struct objstore_s3_header){"x-amz-content-sha256", hash});
    add_header(o, (struct objstore_s3_header){"x-amz-date", o->time});
    if (*o->keys->session_token != 0)
        add_header(o, (struct objstore_s3_header){"x-amz-security-token",
                                                  o->keys->session_token});
    add_headers(o, target->own);
    add_headers(o, target->common);
    sign(p, method, hash, o);
}

/* The region that a refusal names; the empty slice otherwise. */
static struct bytes
region_of(const struct objstore_s3_answer *a)
{
    struct bytes region = net_http_response_header(&a->http, "x-amz-bucket-region");
    if (region.len == 0)
        region = bytes_of_str(a->error.region);
    if (region.len == 0) {
        struct bytes location = net_http_response_header(&a->http, "location");
        const uint8_t *slashes =
            location.len > 0 ? memmem(location.at, location.len, "://", 3) : NULL;
        if (slashes != NULL) {
            bytes_skip(&location, (size_t)(slashes + 3 - location.at));
            const uint8_t *end = memchr(location.at, '/', location.len);
            if (end != NULL)
                location.len = (size_t)(end - location.at);
            region = objstore_s3_region_of_host(location);
        }
    }
    return objstore_s3_is_region(region) ? region : (struct bytes){0};
}

static void
set_region(struct objstore_s3_peer *p, const char *region)
{
    struct objstore_s3_place place;
    if (!objstore_s3_place(&p->endpoint, region, &place))
        return;
    MUTEX_SCOPE(&p->lock);
    p->place = place;
    p->key_generation = 0;
}

/* The refusal says that the bucket is in another region. */
static bool
learn_region(struct objstore_s3_peer *p, const struct outgoing *o,
             const struct objstore_s3_answer *a, struct err *err)
{
    char region[OBJSTORE_S3_REGION_SIZE];
    snprintf(region, sizeof region, "%.*s", BYTES_FMT(region_of(a)));
    if (p->has_given_region)
        return err_set(err, ERR_INVALID,
                       "the bucket is in region %s, not in %s as configured", region,
                       o->place.region);
    set_region(p, region);
    LOG_INFO("the bucket is in another region", LOG_STR("bucket", p->endpoint.bucket),
             LOG_STR("region", region));
    return err_set(err, ERR_UNAVAILABLE, "the bucket is in region %s, not in %s",
                   region, o->place.region);
}

static bool
names_another_region(const struct outgoing *o, const struct objstore_s3_answer *a)
{
    struct bytes region = region_of(a);
    bool may = (a->http.status >= 300 && a->http.status < 400) ||
               strcmp(a->error.code, "AuthorizationHeaderMalformed") == 0 ||
               strcmp(a->error.code, "IllegalLocationConstraintException") == 0 ||
               (a->http.status == 400 && *a->error.code == 0);
    return may && region.len > 0 && !bytes_eq(region, bytes_of_str(o->place.region));
}

/* Refusals that other keys may not meet. An answer to HEAD has no code; for keys that
 * have ended, AWS then says just 400. */
static bool
doubts_keys(const struct objstore_s3_answer *a, enum err_code code)
{
    static const char *const CODES[] = {"",
                                        "ExpiredToken",
                                        "InvalidToken",
                                        "InvalidTokenId",
                                        "TokenRefreshRequired",
                                        "InvalidAccessKeyId",
                                        "SignatureDoesNotMatch"};
    if (code != ERR_DENIED)
        return a->http.status == 400 && *a->error.code == 0;
    for (size_t i = 0; i < ARRAY_LEN(CODES); i++)
        if (strcmp(a->error.code, CODES[i]) == 0)
            return true;
    return false;
}

static bool
refused(struct objstore_s3_peer *p, const struct outgoing *o,
        struct objstore_s3_answer *a, struct err *err)
{
    bool never = objstore_s3_refused(a, &p->skew_ns, o->skew_ns, err);
    if (names_another_region(o, a))
        return learn_region(p, o, a, err);
    if (doubts_keys(a, err->code) &&
        objstore_credentials_reject(p->credentials, o->keys->generation))
        err->code = ERR_UNAVAILABLE;
    return never;
}

/* Sign o->target for o->place and perform. */
static bool
perform(struct objstore_s3_peer *peer, const struct objstore_call *call,
        struct net_http_request request, struct outgoing *o,
        struct objstore_s3_answer *answer, struct err *err)
{
    if (!objstore_credentials_acquire(peer->credentials, call, &o->keys, err)) {
        /* It is not the bucket's server that wants fewer requests. */
        if (err->code == ERR_THROTTLED)
            err->code = ERR_UNAVAILABLE;
        return false;
    }
    prepare(peer, request.method, o);
    request.url = (const char *)o->url.at;
    request.headers = (const char *const *)o->lines;
    if (request.source != NULL && request.body_size >= EXPECT_CONTINUE_BYTES)
        request.expect_continue_ns = peer->expect_continue_ns;
    if (!objstore_s3_transfer(peer->http, peer->requests, call, request, &answer->http,
                              err))
        return err->code == ERR_UNSUPPORTED && !peer->endpoint.insecure
                   ? err_wrap(err, "insecure: true is missing, perhaps")
                   : false;
    return net_http_status_code(answer->http.status) == ERR_NONE ||
           refused(peer, o, answer, err);
}

/* The question for the region, off the stack. */
struct asking {
    struct outgoing outgoing;
    struct objstore_s3_answer answer;
    char region[OBJSTORE_S3_REGION_SIZE];
    char body[1024];
    size_t body_len;
};

static bool
keep_body(void *arg, struct bytes piece, struct err *err)
{
    struct asking *a = arg;
    if (piece.len > sizeof a->body - a->body_len)
        return err_set(err, ERR_CORRUPT, "the answer is too long");
    memcpy(a->body + a->body_len, piece.at, piece.len);
    a->body_len += piece.len;
    return true;
}

static void
asking_free(struct asking **a)
{
    outgoing_fini(&(*a)->outgoing);
    free(TAKE(*a));
}

/* What was answered; the default if it is not understood. */
static const char *
region_answered(struct asking *a)
{
    struct err ignored;
    const struct objstore_s3_field field = {"LocationConstraint", a->region,
                                            sizeof a->region};
    bool parsed = objstore_s3_fields(bytes_of(a->body, a->body_len),
                                     "LocationConstraint", &field, 1, &ignored);
    /* What the first region of Europe was called in the beginning. */
    if (parsed && strcmp(a->region, "EU") == 0)
        return "eu-west-1";
    return parsed && objstore_s3_is_region(bytes_of_str(a->region)) ? a->region
                                                                    : DEFAULT_REGION;
}

/* GetBucketLocation, which every region answers. What it refuses is no reason to give
 * up: the default is right for most servers, and a wrong one is corrected by the first
 * request. */
static bool
ask_region(struct objstore_s3_peer *p, const struct objstore_call *call,
           struct err *err)
{
    const struct objstore_s3_target target = {.query = BYTES("location=")};
    CLEANUP(asking_free) struct asking *a = xcalloc(1, sizeof *a);
    const struct net_http_request request = {
        .method = "GET", .sink = keep_body, .sink_arg = a};
    a->outgoing.target = &target;
    if (!objstore_s3_place(&p->endpoint, DEFAULT_REGION, &a->outgoing.place))
        return err_set(err, ERR_INVALID, "bucket, endpoint or region is too long");
    bool ok = perform(p, call, request, &a->outgoing, &a->answer, err);
    bool refused = !ok && a->answer.http.status >= 400 &&
                   !err_is_transient(err->code) &&
                   strcmp(a->answer.error.code, "NoSuchBucket") != 0;
    if (!ok && !refused)
        return err_wrap(err, "ask for the region");
    set_region(p, ok ? region_answered(a) : DEFAULT_REGION);
    return true;
}

static void
take_place(struct objstore_s3_peer *p, struct objstore_s3_place *place)
{
    MUTEX_SCOPE(&p->lock);
    *place = p->place;
}

bool
objstore_s3_perform(struct objstore_s3_peer *peer, const struct objstore_call *call,
                    const struct objstore_s3_target *target,
                    struct net_http_request request, struct objstore_s3_answer *answer,
                    struct err *err)
{
    CLEANUP(outgoing_fini) struct outgoing o = {.target = target};
    answer->http.status = 0;
    answer->error = (struct objstore_s3_error){0};
    take_place(peer, &o.place);
    if (*o.place.region == 0) {
        if (!ask_region(peer, call, err))
            return false;
        take_place(peer, &o.place);
    }
    return perform(peer, call, request, &o, answer, err);
}
