/* SPDX-License-Identifier: Apache-2.0 */
/* Listings, page by page, by either version of the request. */
#include "common/base/xmalloc.h"
#include "common/objstore/s3_priv.h"
#include "common/objstore/s3_xml.h"

/* A listing under way. */
struct listing {
    const struct objstore_s3 *s3;
    const struct objstore_call *call;
    struct bytes prefix;
    objstore_list_fn *fn;
    void *arg;
    struct buf token; /* of the next page; empty for the first */
    struct buf last;  /* key that was listed last */
    struct objstore_s3_page *page;
};

static void
listing_fini(struct listing *l)
{
    buf_fini(&l->token);
    buf_fini(&l->last);
    objstore_s3_page_free(&l->page);
}

static bool
feed_page(void *arg, struct bytes piece, struct err *err)
{
    return objstore_s3_page_feed(arg, piece, err);
}

/* Append the query of the next page. */
static void
put_query(const struct listing *l, struct buf *query)
{
    struct objstore_s3_param params[] = {
        {"encoding-type", BYTES("url")},
        {"max-keys", BYTES("1000")},
        {"prefix", l->prefix},
        {"list-type", BYTES("2")},
        {"continuation-token", buf_bytes(&l->token)}, /* left out for the first page */
    };
    size_t count = ARRAY_LEN(params);
    if (l->s3->list_v1) {
        params[3] = (struct objstore_s3_param){"marker", buf_bytes(&l->token)};
        count--;
    }
    objstore_s3_query(query, params, count - (l->token.len == 0));
}

/* Fetch the next page; may be called again for it. */
static bool
try_page(void *arg, struct err *err)
{
    struct listing *l = arg;
    CLEANUP(buf_fini) struct buf query = {0};
    CLEANUP(xfree) struct objstore_s3_answer *answer = xcalloc(1, sizeof *answer);
    put_query(l, &query);
    const struct objstore_s3_target target = {.query = buf_bytes(&query)};
    objstore_s3_page_free(&l->page);
    l->page = objstore_s3_page_new(l->s3->list_v1);
    return objstore_s3_perform(l->s3->peer, l->call, &target,
                               (struct net_http_request){.method = "GET",
                                                         .sink = feed_page,
                                                         .sink_arg = l->page},
                               answer, err) &&
           objstore_s3_page_finish(l->page, err);
}

/* The order is promised to callers, who find the end of a block by it. */
static bool
check_listed(const struct listing *l, struct bytes key, struct err *err)
{
    if (!bytes_starts_with(key, l->prefix))
        return err_set(err, ERR_CORRUPT, "the server lists keys without the prefix");
    if (l->last.len > 0 && bytes_cmp(key, buf_bytes(&l->last)) <= 0)
        return err_set(
            err, ERR_CORRUPT,
            "the server does not list in byte order: \"%.*s\" after \"%.*s\"",
            BYTES_FMT(key), BYTES_FMT(buf_bytes(&l->last)));
    return true;
}

static bool
deliver_page(struct listing *l, struct err *err)
{
    for (size_t i = 0; i < objstore_s3_page_count(l->page); i++) {
        struct objstore_object object = objstore_s3_page_object(l->page, i);
        if (!check_listed(l, object.key, err))
            return false;
        buf_clear(&l->last);
        buf_put(&l->last, object.key);
        /* "folder/", as consoles make them, and other keys that no call can read. */
        if (objstore_key_is_valid(object.key) && !l->fn(l->arg, &object, err))
            return false;
    }
    return true;
}

static bool
turn_page(struct listing *l, struct err *err)
{
    struct bytes next = objstore_s3_page_next(l->page);
    if (next.len > 0 && bytes_eq(next, buf_bytes(&l->token)))
        return err_set(err, ERR_CORRUPT, "the server repeats a page of its listing");
    buf_clear(&l->token);
    buf_put(&l->token, next);
    return true;
}

bool
objstore_s3_list(const struct objstore_s3 *s3, const struct objstore_call *call,
                 struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    CLEANUP(listing_fini)
    struct listing l = {
        .s3 = s3, .call = call, .prefix = prefix, .fn = fn, .arg = arg};
    do {
        if (!objstore_retry(s3->retrier, call, try_page, &l, err) ||
            !deliver_page(&l, err) || !turn_page(&l, err))
            return false;
    } while (l.token.len > 0);
    return true;
}
