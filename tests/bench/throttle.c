/* SPDX-License-Identifier: Apache-2.0 */
/* Many small reads of a server that refuses with 503 what exceeds its limit: how long
 * they take, compared with what the limit allows, and how many requests were refused.
 *
 *   bench_throttle READS LIMIT
 *
 * Ends with 1 if a read fails. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/pool.h"
#include "common/net/http_server.h"
#include "common/objstore/config.h"

enum { MAX_THREADS = 64 };

/* A server that counts by the second, or one with a token bucket. */
struct limited {
    struct net_http_server *server;
    struct net_http_route route;
    struct budget budget;
    double limit; /* requests a second */
    double burst; /* of the token bucket; 0: by the second */
    struct mutex lock;
    /* guarded by lock */
    double tokens;
    int64_t filled_ns;
    unsigned refused;
};

static bool
admits(struct limited *l)
{
    MUTEX_SCOPE(&l->lock);
    int64_t now_ns = clock_mono_ns();
    if (l->burst > 0)
        l->tokens += l->limit * (double)(now_ns - l->filled_ns) / CLOCK_NS_PER_S;
    else if (now_ns / CLOCK_NS_PER_S != l->filled_ns / CLOCK_NS_PER_S)
        l->tokens = l->limit;
    l->tokens = NUM_MIN(l->tokens, l->burst > 0 ? l->burst : l->limit);
    l->filled_ns = now_ns;
    bool ok = l->tokens >= 1;
    l->tokens -= ok;
    l->refused += !ok;
    return ok;
}

static void
answer(void *arg, struct net_http_exchange *x)
{
    if (!admits(arg)) {
        net_http_reply(x, 503, "application/xml",
                       BYTES("<Error><Code>SlowDown</Code></Error>"));
        return;
    }
    net_http_exchange_add_header(x, "Content-Range", "bytes 0-4/5");
    net_http_reply(x, 206, "application/octet-stream", BYTES("hello"));
}

static void
limited_start(struct limited *l, double limit, double burst)
{
    struct err err;
    *l = (struct limited){.limit = limit, .burst = burst};
    l->filled_ns = clock_mono_ns();
    l->tokens = burst > 0 ? burst : limit;
    mutex_init(&l->lock, LOCK_TEST);
    budget_init(&l->budget, "bench", SIZE_MAX, NULL);
    l->route = (struct net_http_route){.method = "GET",
                                       .path = "/bench/k",
                                       .name = "bench",
                                       .handler = answer,
                                       .arg = l};
    CHECK(net_http_server_start(&l->server,
                                &(struct net_http_server_options){
                                    .address = "127.0.0.1:0",
                                    .routes = &l->route,
                                    .route_count = 1,
                                    .budget = &l->budget,
                                },
                                &err));
}

static void
limited_stop(struct limited *l)
{
    net_http_server_stop(&l->server, clock_deadline(10 * CLOCK_NS_PER_S));
    budget_fini(&l->budget);
    mutex_fini(&l->lock);
}

static bool
open_bucket(struct objstore_bucket **b, const struct limited *l, struct err *err)
{
    CLEANUP(buf_fini) struct buf yaml = {0};
    buf_printf(&yaml,
               "type: S3\n"
               "config: {bucket: bench, endpoint: '127.0.0.1:%u', insecure: true,\n"
               "  region: us-east-1, access_key: bench, secret_key: bench}\n",
               net_http_server_port(l->server));
    return objstore_open(b, buf_bytes(&yaml), "bench", NULL, err);
}

struct work {
    struct objstore_bucket *bucket;
    atomic_int left;
    atomic_uint failed;
};

static void *
read_some(void *arg)
{
    struct work *w = arg;
    while (atomic_fetch_sub(&w->left, 1) > 0) {
        struct err err;
        uint8_t into[5];
        size_t got;
        const struct objstore_call call = {.deadline_ns =
                                               clock_deadline(60 * CLOCK_NS_PER_S)};
        if (objstore_read_range(w->bucket, &call, BYTES("k"),
                                (struct objstore_range){0, sizeof into}, into, &got,
                                &err))
            continue;
        fprintf(stderr, "%s\n", err.text);
        atomic_fetch_add(&w->failed, 1);
    }
    return NULL;
}

/* Returns how many reads failed. */
static unsigned
measure(int reads, double limit, double burst, unsigned threads)
{
    struct err err;
    struct limited l;
    pthread_t thread[MAX_THREADS];
    struct work w = {.left = reads};
    limited_start(&l, limit, burst);
    CHECK(open_bucket(&w.bucket, &l, &err));
    int64_t begin_ns = clock_mono_ns();
    for (unsigned i = 0; i < threads; i++)
        CHECK(thread_start(&thread[i], "reader", read_some, &w, &err));
    for (unsigned i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    double seconds = (double)(clock_mono_ns() - begin_ns) / CLOCK_NS_PER_S;
    printf("| %s | %u | %.1f | %.2f | %u | %u |\n",
           burst > 0 ? "token bucket" : "by the second", threads, seconds,
           seconds * limit / reads, l.refused, w.failed);
    fflush(stdout);
    objstore_free(&w.bucket);
    limited_stop(&l);
    return w.failed;
}

int
main(int argc, char **argv)
{
    static const unsigned threads[] = {1, 16, 64};
    int reads = argc == 3 ? atoi(argv[1]) : 0;
    int limit = argc == 3 ? atoi(argv[2]) : 0;
    unsigned failed = 0;
    if (reads <= 0 || limit <= 0) {
        fputs("usage: bench_throttle READS LIMIT\n", stderr);
        return 2;
    }
    log_setup("bench", LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
    puts("| server | threads | seconds | x limit | refused | failed |\n"
         "|---|---|---|---|---|---|");
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        failed += measure(reads, limit, 0, threads[i]);
        failed += measure(reads, limit, limit, threads[i]);
    }
    return failed > 0;
}
