/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/s3_answer.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/codec/digest.h"
#include "common/net/http_date.h"
#include "common/objstore/bucket_priv.h"

/* S3 refuses requests whose time differs by more than this from its own. */
#define MAX_SKEW_NS (15 * 60 * CLOCK_NS_PER_S)

enum {
    MAX_RETRY_AFTER_S =
        24 * 60 * 60, /* more than any caller waits; keeps numbers small */
    MAX_ID = 64,      /* of a request id in an error */
};

bool
objstore_s3_transfer(struct net_http_client *http, struct objstore_requests *requests,
                     const struct objstore_call *call, struct net_http_request request,
                     struct net_http_response *response, struct err *err)
{
    request.deadline_ns = call->deadline_ns;
    request.cancel = call->cancel;
    request.patience = call->patience;
    bool ok = net_http_perform(http, &request, response, err);
    objstore_requests_count(requests,
                            objstore_requests_kind(request.method, request.url),
                            response->body_bytes);
    return ok;
}

/* Where S3's own code says more than the status. */
static enum err_code
code_of(int status, const char *s3_code)
{
    static const struct {
        const char *s3_code;
        enum err_code code;
    } KNOWN[] = {
        {"BadDigest", ERR_UNAVAILABLE}, /* the body changed on its way */
        {"ConditionalRequestConflict", ERR_UNAVAILABLE},
        {"ExpiredToken", ERR_DENIED},
        {"IncompleteBody", ERR_UNAVAILABLE},
        {"InvalidAccessKeyId", ERR_DENIED},
        {"InvalidToken", ERR_DENIED},
        {"InvalidTokenId", ERR_DENIED},
        /* Not found would read as: the object is not there. */
        {"NoSuchBucket", ERR_INVALID},
        {"NotImplemented", ERR_UNSUPPORTED},
        {"OperationAborted", ERR_UNAVAILABLE},
        {"RequestTimeout", ERR_TIMEOUT},
        {"SlowDown", ERR_THROTTLED},
        {"TokenRefreshRequired", ERR_DENIED},
        {"XAmzContentChecksumMismatch", ERR_UNAVAILABLE},
        {"XAmzContentSHA256Mismatch", ERR_UNAVAILABLE},
    };
    for (size_t i = 0; i < ARRAY_LEN(KNOWN); i++)
        if (strcmp(KNOWN[i].s3_code, s3_code) == 0)
            return KNOWN[i].code;
    if (status == 501)
        return ERR_UNSUPPORTED;
    return status == 412 ? ERR_CONFLICT : net_http_status_code(status);
}

/* Whether the answer shows another time than the one that was signed; its clock then
 * counts from now on. Requests that were under way together learn it once. */
static bool
learn_clock(_Atomic int64_t *skew_ns, int64_t signed_skew_ns,
            const struct net_http_response *response)
{
    int64_t date_ms;
    if (!net_http_date(net_http_response_header(response, "date"), &date_ms))
        return false;
    /* No clock is right outside of 1970 to 2262, and no nanoseconds count further. */
    if (date_ms < 0 || date_ms > INT64_MAX / CLOCK_NS_PER_MS)
        return false;
    int64_t shown_ns = date_ms * CLOCK_NS_PER_MS - clock_wall_ns();
    int64_t change_ns = shown_ns - signed_skew_ns;
    if (change_ns > -MAX_SKEW_NS && change_ns < MAX_SKEW_NS)
        return false;
    if (atomic_compare_exchange_strong(skew_ns, &signed_skew_ns, shown_ns))
        LOG_WARN("requests are signed by the clock of the server, which differs",
                 LOG_INT("ahead_s", shown_ns / CLOCK_NS_PER_S));
    return true;
}

/* What the answer asks to be waited: seconds, or until a time of the server's clock. */
static int64_t
retry_after_ns(const struct net_http_response *response, int64_t skew_ns)
{
    uint64_t seconds;
    int64_t date_ms;
    struct bytes text = net_http_response_header(response, "retry-after");
    if (objstore_parse_u64(text, &seconds))
        return (int64_t)NUM_MIN(seconds, (uint64_t)MAX_RETRY_AFTER_S) * CLOCK_NS_PER_S;
    if (!net_http_date(text, &date_ms))
        return 0;
    int64_t left_ms = date_ms - (clock_wall_ns() + skew_ns) / CLOCK_NS_PER_MS;
    return NUM_MIN(NUM_MAX(left_ms, INT64_C(0)), MAX_RETRY_AFTER_S * INT64_C(1000)) *
           CLOCK_NS_PER_MS;
}

/* The id by which those who run the server find the request. */
static void
note_request_id(struct objstore_s3_answer *a)
{
    struct bytes id = net_http_response_header(&a->http, "x-amz-request-id");
    if (id.len > 0)
        snprintf(a->error.request_id, sizeof a->error.request_id, "%.*s",
                 BYTES_FMT(id));
}

bool
objstore_s3_refused(struct objstore_s3_answer *answer, _Atomic int64_t *skew_ns,
                    int64_t signed_skew_ns, struct err *err)
{
    const struct net_http_response *http = &answer->http;
    const struct objstore_s3_error *e = &answer->error;
    objstore_s3_error_parse(bytes_of(http->error_body, http->error_body_len),
                            &answer->error);
    note_request_id(answer);
    enum err_code code = code_of(http->status, e->code);
    if (code == ERR_DENIED && learn_clock(skew_ns, signed_skew_ns, http))
        return err_set(err, ERR_UNAVAILABLE,
                       "the clocks of this machine and of the server differ");
    err_set(err, code, "status %d%s%s%s%s%s%s%s", http->status, *e->code ? " " : "",
            e->code, *e->message ? ": " : "", e->message,
            *e->request_id ? " (request " : "", e->request_id,
            *e->request_id ? ")" : "");
    err->retry_after_ns = retry_after_ns(http, atomic_load(skew_ns));
    return false;
}

struct bytes
objstore_s3_etag(const struct net_http_response *response)
{
    struct bytes etag = net_http_response_header(response, "etag");
    if (etag.len >= 2 && etag.at[0] == '"' && etag.at[etag.len - 1] == '"')
        etag = bytes_of(etag.at + 1, etag.len - 2);
    return etag;
}

void
objstore_s3_copy_etag(const struct net_http_response *response,
                      char etag[OBJSTORE_ETAG_SIZE])
{
    struct bytes text = objstore_s3_etag(response);
    snprintf(etag, OBJSTORE_ETAG_SIZE, "%.*s",
             text.len < OBJSTORE_ETAG_SIZE ? (int)text.len : 0,
             text.len > 0 ? (const char *)text.at : "");
}

bool
objstore_s3_settle(const struct objstore_s3_receipt *receipt,
                   struct objstore_attrs *attrs, bool *was_replaced, struct err *err)
{
    *was_replaced = *receipt->etag != 0 && *attrs->etag != 0 &&
                    strcmp(receipt->etag, attrs->etag) != 0;
    if (!*was_replaced)
        return true;
    attrs->size = receipt->size;
    memcpy(attrs->etag, receipt->etag, sizeof attrs->etag);
    return receipt->is_compared ||
           err_set(err, ERR_CONFLICT,
                   "another writer has replaced it before it could be compared");
}

static bool
is_md5(const struct net_http_response *response, struct bytes etag)
{
    static const char BY_SERVER[] = "x-amz-server-side-encryption";
    static const char BY_CUSTOMER[] = "x-amz-server-side-encryption-customer-algorithm";
    struct bytes encryption = net_http_response_header(response, BY_SERVER);
    if (etag.len != 2 * DIGEST_MD5_SIZE ||
        net_http_response_header(response, BY_CUSTOMER).len > 0 ||
        (encryption.len > 0 && !bytes_eq(encryption, BYTES("AES256"))))
        return false;
    for (size_t i = 0; i < etag.len; i++)
        if (!isxdigit(etag.at[i]))
            return false;
    return true;
}

bool
objstore_s3_compare_etag(const struct net_http_response *response, const char *md5,
                         bool *same, struct err *err)
{
    struct bytes etag = objstore_s3_etag(response);
    *same = is_md5(response, etag) &&
            strncasecmp((const char *)etag.at, md5, etag.len) == 0;
    return *same || !is_md5(response, etag) ||
           err_set(err, ERR_CORRUPT, "the server has stored MD5 %.*s instead of %s",
                   BYTES_FMT(etag), md5);
}

bool
objstore_s3_attrs(const struct net_http_response *response,
                  struct objstore_attrs *attrs, struct err *err)
{
    struct objstore_attrs read = {0};
    objstore_s3_copy_etag(response, read.etag);
    if (!objstore_parse_u64(net_http_response_header(response, "content-length"),
                            &read.size) ||
        !net_http_date(net_http_response_header(response, "last-modified"),
                       &read.mtime_ms))
        return err_set(err, ERR_CORRUPT,
                       "the answer lacks Content-Length or Last-Modified");
    *attrs = read;
    return true;
}

/* Parse "bytes 0-9/10" or "bytes 0-9/\*"; *total is then UINT64_MAX. */
static bool
parse_content_range(struct bytes text, uint64_t *first, uint64_t *last, uint64_t *total)
{
    if (!bytes_starts_with(text, BYTES("bytes ")))
        return false;
    bytes_skip(&text, strlen("bytes "));
    const uint8_t *dash = memchr(text.at, '-', text.len);
    const uint8_t *slash = memchr(text.at, '/', text.len);
    if (dash == NULL || slash == NULL || slash < dash)
        return false;
    struct bytes behind = bytes_of(slash + 1, text.len - (size_t)(slash + 1 - text.at));
    *total = UINT64_MAX;
    return objstore_parse_u64(bytes_of(text.at, (size_t)(dash - text.at)), first) &&
           objstore_parse_u64(bytes_of(dash + 1, (size_t)(slash - dash - 1)), last) &&
           (bytes_eq(behind, BYTES("*")) || objstore_parse_u64(behind, total));
}

/* Whether this is the content that the read has begun with. */
static bool
check_content(const struct objstore_s3_ranged *r, struct err *err)
{
    struct bytes etag = objstore_s3_etag(r->response);
    if (*r->read->etag != 0 && !bytes_eq(etag, bytes_of_str(r->read->etag)))
        return err_set(err, ERR_CONFLICT, "the object was replaced while it was read");
    objstore_s3_copy_etag(r->response, r->read->etag);
    return true;
}

/* Whether the body is that of the range; another one may be a mistake of the way. */
static bool
check_length(const struct objstore_s3_ranged *r, struct err *err)
{
    uint64_t len;
    struct bytes text = net_http_response_header(r->response, "content-length");
    return text.len == 0 || (objstore_parse_u64(text, &len) && len == r->left) ||
           err_set(err, ERR_UNAVAILABLE,
                   "a range of %" PRIu64 " bytes came with a body of %.*s", r->left,
                   BYTES_FMT(text));
}

static bool
check_range_answer(struct objstore_s3_ranged *r, struct err *err)
{
    uint64_t first, last, total;
    struct bytes range = net_http_response_header(r->response, "content-range");
    r->is_checked = true;
    /* Some servers have no range of an empty object to refuse. */
    if (r->response->status == 200 && r->response->body_bytes == 0)
        return err_set(err, ERR_INVALID,
                       "range begins at %" PRIu64 ", the object is empty",
                       r->read->offset);
    if (r->response->status != 206)
        return err_set(err, ERR_UNSUPPORTED, "status %d: the server ignores ranges",
                       r->response->status);
    if (!parse_content_range(range, &first, &last, &total) ||
        first != r->read->offset || last < first || last - first >= r->read->len ||
        last >= total || (last - first + 1 < r->read->len && last + 1 != total))
        return err_set(err, ERR_CORRUPT,
                       "asked for %" PRIu64 " bytes at %" PRIu64
                       ", the server answers with the range \"%.*s\"",
                       r->read->len, r->read->offset, BYTES_FMT(range));
    r->left = last - first + 1;
    return check_length(r, err) && check_content(r, err);
}

bool
objstore_s3_ranged_sink(void *arg, struct bytes piece, struct err *err)
{
    struct objstore_s3_ranged *r = arg;
    if (!r->is_checked && !check_range_answer(r, err))
        return false;
    if (piece.len > r->left)
        return err_set(err, ERR_CORRUPT, "the server sends more than it announced");
    r->left -= piece.len;
    return r->sink(r->arg, piece, err);
}

bool
objstore_s3_ranged_end(struct objstore_s3_ranged *r, struct err *err)
{
    if (!r->is_checked && !check_range_answer(r, err))
        return false;
    return r->left == 0 || err_set(err, ERR_UNAVAILABLE,
                                   "the answer ends %" PRIu64 " bytes early", r->left);
}
