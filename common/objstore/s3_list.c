/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/s3_list.h"

/* A listing under way. */
struct state {
    const struct objstore_s3_listing *listing;
    struct buf from; /* of the next page; empty for the first */
    struct buf last; /* key that was listed last */
    struct objstore_s3_page *page;
};

static void
state_fini(struct state *s)
{
    buf_fini(&s->from);
    buf_fini(&s->last);
    objstore_s3_page_free(&s->page);
}

/* Fetch the next page; may be called again for it. */
static bool
try_page(void *arg, struct err *err)
{
    struct state *s = arg;
    const struct objstore_s3_wanted wanted = {.call = s->listing->call,
                                              .prefix = s->listing->prefix,
                                              .from = buf_bytes(&s->from)};
    objstore_s3_page_free(&s->page);
    s->page = objstore_s3_page_new(s->listing->paging);
    return s->listing->fetch(s->listing->fetch_arg, &wanted, s->page, err) &&
           objstore_s3_page_finish(s->page, err);
}

/* The order is promised to callers, who find the end of a block by it. */
static bool
check_listed(const struct state *s, struct bytes key, struct err *err)
{
    if (!bytes_starts_with(key, s->listing->prefix))
        return err_set(err, ERR_CORRUPT, "the server lists keys without the prefix");
    if (s->last.len > 0 && bytes_cmp(key, buf_bytes(&s->last)) <= 0)
        return err_set(
            err, ERR_CORRUPT,
            "the server does not list in byte order: \"%.*s\" after \"%.*s\"",
            BYTES_FMT(key), BYTES_FMT(buf_bytes(&s->last)));
    return true;
}

static bool
deliver_page(struct state *s, objstore_list_fn *fn, void *arg, struct err *err)
{
    for (size_t i = 0; i < objstore_s3_page_count(s->page); i++) {
        struct objstore_object object = objstore_s3_page_object(s->page, i);
        if (!check_listed(s, object.key, err))
            return false;
        buf_clear(&s->last);
        buf_put(&s->last, object.key);
        /* "folder/", as consoles make them, and other keys that no call can read. */
        if (objstore_key_is_valid(object.key) && !fn(arg, &object, err))
            return false;
    }
    return true;
}

static bool
turn_page(struct state *s, struct err *err)
{
    struct bytes next = objstore_s3_page_next(s->page);
    if (next.len > 0 && bytes_eq(next, buf_bytes(&s->from)))
        return err_set(err, ERR_CORRUPT, "the server repeats a page of its listing");
    buf_clear(&s->from);
    buf_put(&s->from, next);
    return true;
}

bool
objstore_s3_list(const struct objstore_s3_listing *listing, objstore_list_fn *fn,
                 void *arg, struct err *err)
{
    CLEANUP(state_fini) struct state s = {.listing = listing};
    do {
        if (!objstore_retry(listing->retrier, listing->call, try_page, &s, err) ||
            !deliver_page(&s, fn, arg, err) || !turn_page(&s, err))
            return false;
    } while (s.from.len > 0);
    return true;
}
