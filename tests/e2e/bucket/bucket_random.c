/* SPDX-License-Identifier: Apache-2.0 */
/* Random operations by several threads through a proxy that lets some requests go
 * wrong; whatever returns success has to be right, whatever fails to fail in time.
 *
 * usage: bucket_random CONFIG.yml CONTROL OPERATIONS [SEED [PERMILLE]]
 *   PERMILLE  of a thousand requests so many go wrong, 300 unless told */
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "tests/e2e/bucket/contract.h"
#include "tests/e2e/bucket/model.h"
#include "tests/e2e/bucket/proxy.h"

enum { THREADS = 8, KEYS = 5, SHARED_MAX = 4096, CODES = ERR_INTERNAL + 1 };
enum { PERMILLE = 300, MEDIUM = 200 << 10, LARGE = 6 << 20 };

/* What a call may take more than it has, on a machine that is busy; and what the
 * process may grow between its first third and its end. */
enum { SLACK_MS = 1000, GROWTH_KIB = 4 << 10 };

enum op { PUT, PUT_FILE, GET, READ, HEAD, LIST, REMOVE, CREATE, SHARE, OP_COUNT };

static const char *const OP_NAMES[OP_COUNT] = {
    "put", "put file", "get", "read", "head", "list", "remove", "create", "shared",
};
static const unsigned char CHANCES[OP_COUNT] = {18, 12, 15, 20, 10, 8, 7, 6, 4};

struct run {
    struct contract c;
    const char *control;
    atomic_long left; /* operations */
    long third;       /* of the operations: what is left then */
    atomic_long resident_kib;
    atomic_bool is_wrong;
    atomic_uint shared; /* versions of the shared key that may have been stored */
};

struct worker {
    struct run *run;
    struct contract c;
    struct proxy proxy;
    pthread_t thread;
    uint64_t number; /* from 1 */
    uint64_t random; /* state */
    uint64_t made;   /* versions */
    struct model models[KEYS];
    long done[OP_COUNT];
    long codes[CODES];
    long wrong_bytes;
    int64_t late_ms;  /* of the last call, behind its deadline; negative: in time */
    int64_t worst_ms; /* the largest of these */
};

static uint64_t
draw(struct worker *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % below;
}

/* Say what is wrong; the run ends. */
#define WRONG(w, m, what)                                                             \
    do {                                                                              \
        printf("WRONG line %d, key %s: %s; last error: %s: %s\n", __LINE__, (m)->key, \
               what, err_code_name((w)->c.err.code), (w)->c.err.text);                \
        atomic_store(&(w)->run->is_wrong, true);                                      \
    } while (0)

static struct model_version
new_version(struct worker *w)
{
    struct model_version v = {.version = w->number << 32 | ++w->made};
    switch (draw(w, 12)) {
    case 0:
        v.size = draw(w, 2);
        break;
    case 1:
    case 2:
    case 3:
        v.size = draw(w, MEDIUM);
        break;
    default:
        v.size = draw(w, 3000);
    }
    return v;
}

/* Any try of a write may have been given up and yet arrive later, behind the next
 * write. It is over when the proxy has none of its requests any more. */
static void
settle(struct worker *w, const struct model *m)
{
    proxy_tell(&w->proxy, "settle %s", m->key);
}

/* To be called as soon as a call is back. */
static bool
note(struct worker *w, bool ok)
{
    w->late_ms = (clock_mono_ns() - w->c.call.deadline_ns) / CLOCK_NS_PER_MS;
    w->worst_ms = NUM_MAX(w->worst_ms, w->late_ms);
    if (ok) /* it may tell of a try before */
        w->c.err = (struct err){0};
    w->codes[w->c.err.code]++;
    return ok;
}

static void
put(struct worker *w, struct model *m, bool as_file)
{
    struct objstore_attrs stored;
    struct model_version v = new_version(w);
    if (as_file && draw(w, 30) == 0)
        v.size = LARGE + draw(w, 1000);
    bool ok = as_file ? contract_put_file(&w->c, m->key, v.version, v.size, &stored)
                      : contract_put(&w->c, m->key, v.version, v.size);
    (void)note(w, ok);
    settle(w, m);
    if (ok)
        model_set(m, v);
    else
        model_add(m, v);
}

static void
create(struct worker *w, struct model *m)
{
    CLEANUP(buf_fini) struct buf data = {0};
    struct model_version v = new_version(w);
    contract_fill(v.version, 0, buf_reserve(&data, v.size + 1), v.size);
    data.len = v.size;
    bool ok = note(w, objstore_create(w->c.bucket, &w->c.call, bytes_of_str(m->key),
                                      buf_bytes(&data), &w->c.err));
    settle(w, m);
    if (ok) {
        if (!model_may_be_absent(m))
            WRONG(w, m, "created over an object");
        model_set(m, v);
    } else if (w->c.err.code == ERR_CONFLICT) {
        if (!model_may_be_present(m))
            WRONG(w, m, "a conflict with nothing");
        else
            model_exclude_absent(m);
    } else if (model_may_be_absent(m)) {
        model_add(m, v);
    }
}

static void
judge(struct worker *w, struct model *m, uint64_t offset, uint64_t len,
      struct bytes got)
{
    switch (model_judge(m, offset, len, got)) {
    case MODEL_RIGHT:
        break;
    case MODEL_WRONG_BYTES:
        w->wrong_bytes++;
        break;
    case MODEL_WRONG:
        printf("%zu bytes of %" PRIu64 " at %" PRIu64 "; may be", got.len, len, offset);
        for (unsigned i = 0; i < m->count; i++)
            printf(" %" PRIx64 "/%" PRIu64, m->may[i].version, m->may[i].size);
        printf("\n");
        WRONG(w, m, "read what cannot be there");
    }
}

static void
get(struct worker *w, struct model *m)
{
    CLEANUP(buf_fini) struct buf back = {0};
    enum { LIMIT = 2 * LARGE };
    if (note(w, objstore_get(w->c.bucket, &w->c.call, bytes_of_str(m->key), LIMIT,
                             &back, &w->c.err)))
        judge(w, m, 0, LIMIT, buf_bytes(&back));
    else if (back.len != 0)
        WRONG(w, m, "a failed get appends");
}

static void
read_some(struct worker *w, struct model *m)
{
    static _Thread_local uint8_t into[MEDIUM];
    size_t got;
    uint64_t size = m->may[draw(w, m->count)].size;
    const struct objstore_range range = {draw(w, size + 2), 1 + draw(w, MEDIUM)};
    if (note(w, objstore_read_range(w->c.bucket, &w->c.call, bytes_of_str(m->key),
                                    range, into, &got, &w->c.err)))
        judge(w, m, range.offset, range.len, bytes_of(into, got));
}

static void
head(struct worker *w, struct model *m)
{
    struct objstore_attrs attrs;
    if (note(w, objstore_head(w->c.bucket, &w->c.call, bytes_of_str(m->key), &attrs,
                              &w->c.err)) &&
        !model_may_have_size(m, attrs.size))
        WRONG(w, m, "a size that it cannot have");
}

static void
remove_one(struct worker *w, struct model *m)
{
    const struct model_version absent = {0};
    bool ok = note(w, contract_remove(&w->c, m->key));
    settle(w, m);
    if (ok)
        model_set(m, absent);
    else
        model_add(m, absent);
}

struct listing {
    struct worker *w;
    bool is_seen[KEYS];
};

static bool
check_listed(void *arg, const struct objstore_object *object, struct err *err)
{
    struct listing *l = arg;
    (void)err;
    for (size_t i = 0; i < KEYS; i++) {
        struct model *m = &l->w->models[i];
        if (!bytes_eq(object->key, bytes_of_str(m->key)))
            continue;
        l->is_seen[i] = true;
        if (!model_may_have_size(m, object->attrs.size))
            WRONG(l->w, m, "listed with a size that it cannot have");
        return true;
    }
    WRONG(l->w, &l->w->models[0], "lists an unknown key");
    return true;
}

static void
list(struct worker *w)
{
    char prefix[32];
    struct listing l = {.w = w};
    snprintf(prefix, sizeof prefix, "t%" PRIu64 "/", w->number);
    if (!note(w, objstore_list(w->c.bucket, &w->c.call, bytes_of_str(prefix),
                               check_listed, &l, &w->c.err)))
        return;
    for (size_t i = 0; i < KEYS; i++)
        if (!l.is_seen[i] && !model_may_be_absent(&w->models[i]))
            WRONG(w, &w->models[i], "missing in a listing");
}

/* All threads write one key; it is never a mixture. */
static uint64_t
shared_size(uint64_t version)
{
    return 1000 + version * 7919 % MEDIUM;
}

static bool
is_some_version(const struct run *run, struct bytes data, bool *has_a_size)
{
    for (uint64_t version = 1; version <= run->shared; version++) {
        *has_a_size = *has_a_size || data.len == shared_size(version);
        if (data.len == shared_size(version) && contract_is(version, 0, data))
            return true;
    }
    return false;
}

static void
share(struct worker *w)
{
    static const struct model SHARED = {.key = "shared"};
    CLEANUP(buf_fini) struct buf back = {0};
    bool has_a_size = false;
    uint64_t version = draw(w, 2) == 0 ? atomic_fetch_add(&w->run->shared, 1) + 1 : 0;
    if (version != 0) {
        (void)note(w, contract_put(&w->c, SHARED.key, version, shared_size(version)));
    } else if (note(w, objstore_get(w->c.bucket, &w->c.call, BYTES("shared"), LARGE,
                                    &back, &w->c.err)) &&
               !is_some_version(w->run, buf_bytes(&back), &has_a_size)) {
        w->wrong_bytes++;
        if (!has_a_size)
            WRONG(w, &SHARED, "a mixture");
    }
}

static void
perform(struct worker *w, enum op op, struct model *m)
{
    switch (op) {
    case PUT:
    case PUT_FILE:
        put(w, m, op == PUT_FILE);
        break;
    case GET:
        get(w, m);
        break;
    case READ:
        read_some(w, m);
        break;
    case HEAD:
        head(w, m);
        break;
    case LIST:
        list(w);
        break;
    case REMOVE:
        remove_one(w, m);
        break;
    case CREATE:
        create(w, m);
        break;
    case SHARE:
        share(w);
        break;
    case OP_COUNT:
        break;
    }
}

static enum op
draw_op(struct worker *w)
{
    unsigned op = 0;
    for (uint64_t at = draw(w, 100); op + 1 < OP_COUNT && at >= CHANCES[op]; op++)
        at -= CHANCES[op];
    return op;
}

/* What no fault can make of a call. */
static bool
is_expected(enum op op, const struct err *err)
{
    switch (err->code) {
    case ERR_NONE:
    case ERR_UNAVAILABLE:
    case ERR_THROTTLED:
    case ERR_TIMEOUT:
    case ERR_DENIED:
    case ERR_UNSUPPORTED:
    case ERR_INVALID: /* behind the end; a redirect */
    case ERR_CORRUPT:
        return true;
    case ERR_NOT_FOUND:
        return op == GET || op == READ || op == HEAD || op == SHARE;
    case ERR_CONFLICT: /* of a read: the object was replaced in the midst of it */
        return op == CREATE || op == GET || op == READ || op == SHARE;
    case ERR_BUDGET:
    case ERR_CANCELLED:
    case ERR_IO:
    case ERR_NOMEM:
    case ERR_INTERNAL:
        break;
    }
    return false;
}

static void
step(struct worker *w)
{
    static const int LIMITS_MS[] = {30, 300, 1000, 3000, 10000, 10000};
    struct model *m = &w->models[draw(w, KEYS)];
    enum op op = draw_op(w);
    if (model_is_full(m))
        op = GET;
    int64_t limit_ms = LIMITS_MS[draw(w, ARRAY_LEN(LIMITS_MS))];
    w->c.err = (struct err){0};
    w->c.call.deadline_ns = clock_deadline(limit_ms * CLOCK_NS_PER_MS);
    perform(w, op, m);
    w->done[op]++;
    if (!is_expected(op, &w->c.err))
        WRONG(w, m, "an unexpected error");
    if (*w->c.secret != 0 && strstr(w->c.err.text, w->c.secret) != NULL)
        WRONG(w, m, "the secret shows");
}

static void *
work(void *arg)
{
    struct worker *w = arg;
    struct run *run = w->run;
    for (long left; !run->is_wrong && (left = atomic_fetch_sub(&run->left, 1)) > 0;) {
        if (left == run->third)
            run->resident_kib = contract_resident_kib();
        step(w);
    }
    return NULL;
}

/* Without faults everything is found, as one of the things that it may be; then the
 * bucket is emptied. */
static void
check_end(struct worker *w)
{
    long wrong_bytes = w->wrong_bytes;
    w->c.call.deadline_ns = clock_deadline(60 * CLOCK_NS_PER_S);
    for (size_t i = 0; i < KEYS; i++) {
        struct model *m = &w->models[i];
        long failed = w->codes[ERR_NONE];
        w->c.err = (struct err){0};
        get(w, m);
        if (w->codes[ERR_NONE] == failed &&
            (w->c.err.code != ERR_NOT_FOUND || !model_may_be_absent(m)))
            WRONG(w, m, "lost in the end");
        if (w->wrong_bytes != wrong_bytes)
            WRONG(w, m, "wrong bytes in the end");
        if (!contract_remove(&w->c, m->key))
            WRONG(w, m, "cannot be removed");
    }
}

static void
start_worker(struct worker *w, struct run *run, uint64_t number, uint64_t seed)
{
    *w = (struct worker){.run = run, .c = run->c, .number = number};
    w->random = (seed * THREADS + number) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    proxy_open(&w->proxy, run->control);
    for (unsigned i = 0; i < KEYS; i++) {
        char key[32];
        snprintf(key, sizeof key, "t%" PRIu64 "/k%u", number, i);
        model_init(&w->models[i], key);
    }
    pthread_create(&w->thread, NULL, work, w);
}

static void
print_sums(const struct worker *workers, struct proxy *proxy)
{
    CLEANUP(xfree) char *stats = proxy_stats(proxy);
    printf("operations:");
    for (unsigned op = 0; op < OP_COUNT; op++) {
        long sum = 0;
        for (unsigned i = 0; i < THREADS; i++)
            sum += workers[i].done[op];
        printf(" %s=%ld", OP_NAMES[op], sum);
    }
    printf("\nresults:");
    for (unsigned code = 0; code < CODES; code++) {
        long sum = 0;
        for (unsigned i = 0; i < THREADS; i++)
            sum += workers[i].codes[code];
        if (sum > 0)
            printf(" %s=%ld", code == ERR_NONE ? "success" : err_code_name(code), sum);
    }
    printf("\nproxy: %s", stats);
}

/* Wrong bytes that nothing on the wire could tell, and not one more. */
static bool
check_wrong_bytes(const struct worker *workers, struct proxy *proxy)
{
    long wrong = 0;
    long made = proxy_count(proxy, "flip_down") + proxy_count(proxy, "foreign_same");
    for (unsigned i = 0; i < THREADS; i++)
        wrong += workers[i].wrong_bytes;
    printf("%ld reads with wrong bytes, %ld made by the proxy\n", wrong, made);
    return wrong <= made;
}

/* Longest time by which a thread that wanted to run each few milliseconds was late:
 * what the machine did to all threads, and no call can help. */
struct pulse {
    pthread_t thread;
    struct cancel stop;
    int64_t pause_ms; /* read after the thread has ended */
};

static void *
beat(void *arg)
{
    enum { BEAT_MS = 5 };
    struct pulse *p = arg;
    while (!cancel_is_raised(&p->stop)) {
        int64_t begin_ns = clock_mono_ns();
        cancel_wait(&p->stop, BEAT_MS * CLOCK_NS_PER_MS);
        int64_t ms = (clock_mono_ns() - begin_ns) / CLOCK_NS_PER_MS - BEAT_MS;
        p->pause_ms = NUM_MAX(p->pause_ms, ms);
    }
    return NULL;
}

static void
pulse_begin(struct pulse *p)
{
    *p = (struct pulse){0};
    pthread_create(&p->thread, NULL, beat, p);
}

static void
pulse_end(struct pulse *p)
{
    cancel_raise(&p->stop);
    pthread_join(p->thread, NULL);
    cancel_fini(&p->stop);
}

static bool
check_deadlines(const struct worker *workers, int64_t pause_ms)
{
    int64_t worst_ms = 0;
    for (unsigned i = 0; i < THREADS; i++)
        worst_ms = NUM_MAX(worst_ms, workers[i].worst_ms);
    printf("at most %" PRId64 " ms past a deadline; the machine paused up to %" PRId64
           " ms\n",
           worst_ms, pause_ms);
    return worst_ms <= pause_ms + SLACK_MS * (contract_is_sanitized() ? 5 : 1);
}

static bool
check_leaks(struct run *run, unsigned files)
{
    long grown_kib = contract_resident_kib() - run->resident_kib;
    objstore_free(&run->c.bucket);
    unsigned left = contract_open_files();
    printf("resident memory grew by %ld KiB behind the first third; %u files open, %u "
           "before\n",
           grown_kib, left, files);
    return left <= files && (contract_is_sanitized() || grown_kib < GROWTH_KIB);
}

static bool
run_all(struct run *run, uint64_t seed, long permille)
{
    static struct worker workers[THREADS];
    struct proxy proxy;
    struct pulse pulse;
    int64_t begin_ns = clock_mono_ns();
    printf("seed %" PRIu64 ", %ld operations, %ld of 1000 requests go wrong\n", seed,
           run->left, permille);
    proxy_open(&proxy, run->control);
    proxy_tell(&proxy, "random %" PRIu64 " %ld", seed, permille);
    pulse_begin(&pulse);
    for (unsigned i = 0; i < THREADS; i++)
        start_worker(&workers[i], run, i + 1, seed);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    pulse_end(&pulse);
    proxy_tell(&proxy, "clear");
    print_sums(workers, &proxy);
    bool ok = check_wrong_bytes(workers, &proxy);
    ok = check_deadlines(workers, pulse.pause_ms) && ok;
    for (unsigned i = 0; i < THREADS; i++) {
        check_end(&workers[i]);
        proxy_close(&workers[i].proxy);
    }
    run->c.call.deadline_ns = clock_deadline(60 * CLOCK_NS_PER_S);
    ok = contract_remove(&run->c, "shared") && contract_lists(&run->c, "", 0) && ok;
    proxy_close(&proxy);
    printf("%" PRId64 " s\n", (clock_mono_ns() - begin_ns) / CLOCK_NS_PER_S);
    return ok && !run->is_wrong;
}

int
main(int argc, char **argv)
{
    struct run run = {0};
    /* What each thread's arena keeps is no leak. */
    mallopt(M_ARENA_MAX, 1);
    unsigned files = contract_open_files();
    if (argc < 4 || argc > 6) {
        fprintf(stderr, "usage: bucket_random CONFIG.yml CONTROL OPERATIONS [SEED "
                        "[PERMILLE]]\n");
        return 2;
    }
    run.control = argv[2];
    run.left = atol(argv[3]);
    run.third = run.left * 2 / 3;
    uint64_t seed = argc > 4 ? strtoull(argv[4], NULL, 10) : (uint64_t)clock_wall_ns();
    long permille = argc > 5 ? atol(argv[5]) : PERMILLE;
    bool ok = contract_open(&run.c, argv[1]) && run_all(&run, seed, permille);
    if (!ok)
        printf("FAILED %s\n", run.c.err.text);
    ok = check_leaks(&run, files) && ok;
    contract_close(&run.c);
    return ok ? 0 : 1;
}
