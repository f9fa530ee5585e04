/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a steady load on a bucket until its input ends, and says when calls begin to
 * fail and when they work again. The log, with everything, goes to stderr.
 *
 * usage: bucket_load CONFIG.yml FILE THREADS PERIOD_MS
 *
 * Each thread calls once a period; it stores FILE, or the first bytes of it, and reads
 * them back. Ends with "calls N, failures N" and the status 0, whatever failed. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "common/metrics/registry.h"
#include "common/objstore/config.h"

enum {
    MAX_THREADS = 32,
    SMALL = 4000,
    WHOLE_EVERY = 30,
};
#define CALL_NS (20 * CLOCK_NS_PER_S)

struct load {
    struct objstore_bucket *bucket;
    int64_t period_ns;
    int fd;
    uint64_t size;
    uint8_t small[SMALL]; /* what the file begins with */
    struct cancel stop;
    atomic_uint calls;
    atomic_uint failures;
    atomic_bool is_failing;
};

struct worker {
    struct load *load;
    pthread_t thread;
    struct objstore_call call;
    char key[32];
    struct bytes prefix; /* the part of key that no other worker has */
    unsigned turn;
};

static struct bytes
small_of(const struct load *l)
{
    return bytes_of(l->small, SMALL);
}

static bool
put(struct worker *w, struct err *err)
{
    return objstore_put(w->load->bucket, &w->call, bytes_of_str(w->key),
                        small_of(w->load), err);
}

static bool
head(struct worker *w, struct err *err)
{
    struct objstore_attrs attrs;
    return objstore_head(w->load->bucket, &w->call, bytes_of_str(w->key), &attrs,
                         err) &&
           (attrs.size == SMALL || err_set(err, ERR_CORRUPT, "another size"));
}

static bool
get(struct worker *w, struct err *err)
{
    CLEANUP(buf_fini) struct buf back = {0};
    return objstore_get(w->load->bucket, &w->call, bytes_of_str(w->key), SMALL, &back,
                        err) &&
           (bytes_eq(buf_bytes(&back), small_of(w->load)) ||
            err_set(err, ERR_CORRUPT, "another object"));
}

static bool
get_range(struct worker *w, struct err *err)
{
    enum { OFFSET = 100, LEN = 1000 };
    uint8_t into[LEN];
    size_t got;
    return objstore_read_range(w->load->bucket, &w->call, bytes_of_str(w->key),
                               (struct objstore_range){OFFSET, LEN}, into, &got, err) &&
           (bytes_eq(bytes_of(into, got), bytes_of(w->load->small + OFFSET, LEN)) ||
            err_set(err, ERR_CORRUPT, "another range"));
}

static bool
is_ours(void *arg, const struct objstore_object *object, struct err *err)
{
    struct worker *w = arg;
    return bytes_eq(object->key, bytes_of_str(w->key)) ||
           err_set(err, ERR_CORRUPT, "a listing with another key");
}

static bool
list(struct worker *w, struct err *err)
{
    return objstore_list(w->load->bucket, &w->call, w->prefix, is_ours, w, err);
}

static bool
put_file(struct worker *w, uint64_t size, struct err *err)
{
    const struct objstore_file file = {.fd = w->load->fd, .size = size};
    struct objstore_attrs stored;
    return objstore_put_file(w->load->bucket, &w->call, bytes_of_str(w->key), &file,
                             &stored, err);
}

static bool
put_small_file(struct worker *w, struct err *err)
{
    return put_file(w, SMALL, err);
}

static bool
put_whole_file(struct worker *w, struct err *err)
{
    return put_file(w, w->load->size, err) && put(w, err);
}

static const struct {
    const char *name;
    bool (*run)(struct worker *w, struct err *err);
} CALLS[] = {{"put", put},
             {"head", head},
             {"get_range", get_range},
             {"list", list},
             {"put_file", put_small_file},
             {"get", get}};

static void
call_once(struct worker *w)
{
    struct load *l = w->load;
    struct err err;
    unsigned turn = w->turn++;
    bool is_whole = turn % WHOLE_EVERY == WHOLE_EVERY - 1;
    size_t i = turn % ARRAY_LEN(CALLS);
    w->call.deadline_ns = clock_deadline(CALL_NS);
    bool ok = is_whole ? put_whole_file(w, &err) : CALLS[i].run(w, &err);
    atomic_fetch_add(&l->calls, 1);
    if (!ok)
        atomic_fetch_add(&l->failures, 1);
    if (atomic_exchange(&l->is_failing, !ok) == !ok)
        return;
    if (ok)
        printf("works\n");
    else
        printf("fails: %s: %s: %s\n", is_whole ? "put_file, whole" : CALLS[i].name,
               err_code_name(err.code), err.text);
    fflush(stdout);
}

static void *
work(void *arg)
{
    struct worker *w = arg;
    int64_t next_ns = clock_mono_ns();
    do {
        call_once(w);
        next_ns = NUM_MAX(next_ns + w->load->period_ns, clock_mono_ns());
    } while (!cancel_wait(&w->load->stop, next_ns - clock_mono_ns()));
    return NULL;
}

static bool
run(struct load *l, unsigned threads, struct err *err)
{
    struct worker workers[MAX_THREADS];
    unsigned started = 0;
    bool ok = true;
    for (; ok && started < threads; started += ok) {
        struct worker *w = &workers[started];
        *w = (struct worker){.load = l};
        int len = snprintf(w->key, sizeof w->key, "load/%u/", started);
        w->prefix = bytes_of(w->key, (size_t)len);
        strcat(w->key, "object");
        ok = thread_start(&w->thread, "load", work, w, err);
    }
    while (ok && getchar() != EOF)
        ;
    cancel_raise(&l->stop);
    for (unsigned i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    return ok;
}

static bool
open_file(struct load *l, const char *path, struct err *err)
{
    return file_open_read(path, &l->fd, err) && file_size(l->fd, path, &l->size, err) &&
           file_pread(l->fd, path, l->small, SMALL, 0, err);
}

static bool
open_bucket(struct load *l, const char *config, struct metrics_registry *registry,
            struct err *err)
{
    CLEANUP(buf_fini) struct buf yaml = {0};
    return file_read_all(config, 1 << 20, &yaml, err) &&
           objstore_open(&l->bucket, buf_bytes(&yaml), "load", registry, err);
}

int
main(int argc, char **argv)
{
    CLEANUP(xfree) struct load *l = xcalloc(1, sizeof *l);
    struct err err;
    int threads = argc == 5 ? atoi(argv[3]) : 0;
    if (threads < 1 || threads > MAX_THREADS) {
        fprintf(stderr, "usage: bucket_load CONFIG.yml FILE THREADS PERIOD_MS\n");
        return 2;
    }
    l->period_ns = atoi(argv[4]) * CLOCK_NS_PER_MS;
    l->fd = -1;
    log_setup("load", LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
    struct metrics_registry *registry = metrics_registry_new();
    bool ok = open_file(l, argv[2], &err) && open_bucket(l, argv[1], registry, &err) &&
              run(l, (unsigned)threads, &err);
    if (ok)
        printf("calls %u, failures %u\n", l->calls, l->failures);
    else
        printf("bucket_load: %s: %s\n", err_code_name(err.code), err.text);
    objstore_free(&l->bucket);
    metrics_registry_free(&registry);
    cancel_fini(&l->stop);
    file_close(&l->fd);
    return !ok;
}
