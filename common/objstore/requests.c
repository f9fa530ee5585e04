/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/requests.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"

/* The last hour is told in minutes: the running one, and those before it. */
enum { MINUTES = 60, MINUTE_S = 60 };

static const char *const NAMES[] = {
#define X(name, label, what) [name] = label,
    OBJSTORE_REQUEST_KINDS(X)
#undef X
};

static const char *const MEANINGS[] = {
#define X(name, label, what) [name] = what,
    OBJSTORE_REQUEST_KINDS(X)
#undef X
};

struct minute {
    int64_t number; /* of minutes since the start */
    struct objstore_request_counts counts;
};

struct objstore_requests {
    struct metrics_value *requests[OBJSTORE_REQUEST_KIND_COUNT];
    struct metrics_value *received_bytes;
    int64_t start_ns;
    struct mutex lock; /* LOCK_REQUESTS */
    /* guarded by lock */
    struct objstore_request_counts total;
    struct minute minutes[MINUTES]; /* minute n at n % MINUTES */
};

struct objstore_requests *
objstore_requests_new(struct metrics_registry *metrics)
{
    static const char *const LABELS[] = {"kind", NULL};
    struct objstore_requests *r = xcalloc(1, sizeof *r);
    struct metrics_family *f = metrics_family_new(
        metrics, METRICS_COUNTER, "blockhouse_objstore_requests_total",
        "Requests that were sent to the bucket, retries and hedged ones included, by "
        "what providers bill: put counts each request that stores, list each page.",
        LABELS);
    for (size_t i = 0; i < OBJSTORE_REQUEST_KIND_COUNT; i++)
        r->requests[i] = metrics_child(f, &NAMES[i]);
    r->received_bytes =
        metrics_counter(metrics, "blockhouse_objstore_received_bytes_total",
                        "Bytes of bodies that came from the bucket.");
    r->start_ns = clock_mono_ns();
    mutex_init(&r->lock, LOCK_REQUESTS);
    return r;
}

void
objstore_requests_free(struct objstore_requests **out)
{
    struct objstore_requests *r = TAKE(*out);
    if (r == NULL)
        return;
    mutex_fini(&r->lock);
    free(r);
}

static int64_t
age_s(const struct objstore_requests *r)
{
    return (clock_mono_ns() - r->start_ns) / CLOCK_NS_PER_S;
}

static void
add(struct objstore_request_counts *to, const struct objstore_request_counts *counts)
{
    for (size_t i = 0; i < OBJSTORE_REQUEST_KIND_COUNT; i++)
        to->requests[i] += counts->requests[i];
    to->received_bytes += counts->received_bytes;
}

void
objstore_requests_count(struct objstore_requests *r, enum objstore_request_kind kind,
                        uint64_t received_bytes)
{
    if (r == NULL)
        return;
    struct objstore_request_counts one = {.received_bytes = received_bytes};
    one.requests[kind] = 1;
    metrics_add(r->requests[kind], 1);
    metrics_add(r->received_bytes, (double)received_bytes);
    int64_t number = age_s(r) / MINUTE_S;
    MUTEX_SCOPE(&r->lock);
    struct minute *m = &r->minutes[number % MINUTES];
    if (m->number < number)
        *m = (struct minute){.number = number};
    add(&m->counts, &one);
    add(&r->total, &one);
}

/* Only these GETs have a query: listings, and the question for the region. */
enum objstore_request_kind
objstore_requests_kind(const char *method, const char *url)
{
    const char *query = strchr(url, '?');
    if (strcmp(method, "HEAD") == 0)
        return OBJSTORE_REQUEST_HEAD;
    if (strcmp(method, "DELETE") == 0)
        return OBJSTORE_REQUEST_DELETE;
    if (strcmp(method, "GET") != 0)
        return OBJSTORE_REQUEST_PUT;
    return query == NULL || strcmp(query, "?location=") == 0 ||
                   strcmp(query, "?location") == 0
               ? OBJSTORE_REQUEST_GET
               : OBJSTORE_REQUEST_LIST;
}

void
objstore_requests_look(struct objstore_requests *r,
                       struct objstore_request_figures *figures)
{
    int64_t now_s = age_s(r);
    int64_t now = now_s / MINUTE_S;
    int64_t first = NUM_MAX(now - MINUTES + 1, INT64_C(0));
    MUTEX_SCOPE(&r->lock);
    *figures = (struct objstore_request_figures){
        .total = r->total, .recent_s = NUM_MAX(now_s - first * MINUTE_S, INT64_C(1))};
    for (size_t i = 0; i < MINUTES; i++)
        if (r->minutes[i].number >= first)
            add(&figures->recent, &r->minutes[i].counts);
}

const char *
objstore_requests_name(enum objstore_request_kind kind)
{
    return NAMES[kind];
}

const char *
objstore_requests_meaning(enum objstore_request_kind kind)
{
    return MEANINGS[kind];
}
