/* SPDX-License-Identifier: Apache-2.0 */
/* One set of keys is current. Its life has three parts, by the monotonic clock:
 *
 *     fetched ......... refresh_ns ............... end_ns
 *         all use it        all use it, but one        nobody uses it: one fetches,
 *                           fetches others             the rest wait
 *
 * Fetches are rare and made by callers, one at a time, outside of the lock. Whoever
 * fetches while the keys still hold spends only a part of its time on that, and goes on
 * with them if it fails. */
#include "common/objstore/credentials.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/objstore/bucket_priv.h"
#include "common/objstore/credentials_priv.h"
#include "common/objstore/retry.h"

/* Guesses. AWS has the next keys of a role ready five minutes before the end; a fifth
 * is for keys that live shorter than that. */
#define EARLY_MAX_NS (300 * CLOCK_NS_PER_S)
enum { EARLY_PART = 5 };
/* A request that is signed in the last moment arrives too late. */
#define LATE_MAX_NS (5 * CLOCK_NS_PER_S)
enum { LATE_PART = 20 };
/* Between fetches that failed: a part of what is left, within these. */
#define AGAIN_MIN_NS CLOCK_NS_PER_S
#define AGAIN_MAX_NS (60 * CLOCK_NS_PER_S)
enum { AGAIN_PART = 10 };
enum { FETCH_TRIES = 3 };
#define WARN_NS (60 * CLOCK_NS_PER_S)
/* What a fetch may take of its caller's time while there are keys to go on with. */
#define SPEND_MAX_NS (10 * CLOCK_NS_PER_S)
enum { SPEND_PART = 4 };
/* How soon a waiting caller notices its cancel. */
#define SLICE_NS (20 * CLOCK_NS_PER_MS)

struct key_set {
    struct objstore_keys keys; /* first: what callers hold */
    atomic_uint refs;
};

struct objstore_credentials {
    struct objstore_sources sources;
    struct objstore_retrier *retrier; /* of fetches */
    bool is_quiet;
    struct mutex lock;
    struct cond changed; /* a fetch has ended */
    /* guarded by lock */
    struct key_set *current;                  /* NULL before the first */
    const struct objstore_provider *provider; /* of current */
    int64_t refresh_ns;
    int64_t end_ns;
    bool is_refused; /* by the server: as good as ended */
    bool is_fetching;
    uint64_t generations;
    int64_t reject_after_ns; /* a refusal before leads to no fetch */
    struct err failure;      /* of the last fetch, for those who come before ... */
    int64_t fetch_after_ns;  /* ... this */
    int64_t warn_after_ns;
};

bool
objstore_credentials_new(struct objstore_credentials **out,
                         const struct objstore_credentials_options *options,
                         struct err *err)
{
    struct objstore_sources sources;
    if (!objstore_sources_init(&sources, options, err))
        return false;
    struct objstore_credentials *c = xcalloc(1, sizeof *c);
    c->sources = sources;
    c->is_quiet = options->is_quiet;
    c->retrier = objstore_retrier_new(&(struct objstore_retrier_options){FETCH_TRIES});
    c->reject_after_ns = c->fetch_after_ns = c->warn_after_ns = INT64_MIN;
    mutex_init(&c->lock, LOCK_KEYS);
    cond_init(&c->changed);
    *out = c;
    return true;
}

static void
unref(struct key_set **set)
{
    struct key_set *s = TAKE(*set);
    if (s == NULL || atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    objstore_secret_free(s->keys.access_key);
    objstore_secret_free(s->keys.secret_key);
    objstore_secret_free(s->keys.session_token);
    free(s);
}

static const struct objstore_keys *
ref(struct key_set *set)
{
    atomic_fetch_add(&set->refs, 1);
    return &set->keys;
}

void
objstore_keys_release(const struct objstore_keys **keys)
{
    union {
        const struct objstore_keys *borrowed;
        struct key_set *set;
    } same = {TAKE(*keys)};
    unref(&same.set);
}

void
objstore_credentials_free(struct objstore_credentials **out)
{
    struct objstore_credentials *c = TAKE(*out);
    if (c == NULL)
        return;
    CHECK(!c->is_fetching);
    unref(&c->current);
    objstore_retrier_free(&c->retrier);
    objstore_sources_fini(&c->sources);
    cond_fini(&c->changed);
    mutex_fini(&c->lock);
    free(c);
}

static bool
holds(const struct objstore_credentials *c, int64_t now_ns)
{
    return c->current != NULL && !c->is_refused && now_ns < c->end_ns;
}

enum step { USE, FETCH, WAIT, FAIL };

/* What a caller has to do, who has the lock. To fetch is its task alone from now on. */
static enum step
next_step(struct objstore_credentials *c, int64_t now_ns)
{
    mutex_check_held(&c->lock);
    if (holds(c, now_ns) && (c->is_fetching || now_ns < c->refresh_ns))
        return USE;
    if (c->is_fetching)
        return WAIT;
    if (!holds(c, now_ns) && now_ns < c->fetch_after_ns)
        return FAIL;
    c->is_fetching = true;
    return FETCH;
}

/* Up to a quarter of ns: machines that started together do not ask together. */
static int64_t
jitter(int64_t ns)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = 0;
    return (int64_t)((double)ns / 4 * random / UINT32_MAX);
}

static void
set_times(struct objstore_credentials *c, const struct objstore_found *found,
          int64_t now_ns)
{
    c->refresh_ns = found->change_ns;
    c->end_ns = found->end_ns;
    if (found->end_ns == CLOCK_NEVER)
        return;
    int64_t left_ns = NUM_MAX(found->end_ns - now_ns, 0);
    int64_t early_ns = NUM_MIN(left_ns / EARLY_PART, EARLY_MAX_NS);
    int64_t refresh_ns = found->end_ns - early_ns - jitter(early_ns);
    /* Who gives the same keys again until their end is not asked all the time. */
    refresh_ns = NUM_MAX(refresh_ns, now_ns + NUM_MIN(AGAIN_MIN_NS, left_ns / 2));
    c->refresh_ns = NUM_MIN(c->refresh_ns, refresh_ns);
    c->end_ns -= NUM_MIN(left_ns / LATE_PART, LATE_MAX_NS);
}

static bool
are_the_same(const struct key_set *set, const struct objstore_found *found)
{
    return set != NULL && strcmp(set->keys.access_key, found->access_key) == 0 &&
           strcmp(set->keys.secret_key, found->secret_key) == 0 &&
           strcmp(set->keys.session_token, found->session_token) == 0;
}

/* Make *found current, and nothing of it. Returns the set to unref after the lock. */
NODISCARD static struct key_set *
install(struct objstore_credentials *c, struct objstore_found *found, int64_t now_ns)
{
    mutex_check_held(&c->lock);
    set_times(c, found, now_ns);
    bool was_refused = c->is_refused;
    c->is_refused = false;
    c->fetch_after_ns = INT64_MIN;
    if (are_the_same(c->current, found)) {
        /* To ask again at once would bring them once more. */
        if (was_refused)
            c->reject_after_ns = NUM_MAX(c->reject_after_ns, now_ns + AGAIN_MIN_NS);
        return NULL;
    }
    struct key_set *old = c->current;
    c->current = xcalloc(1, sizeof *c->current);
    atomic_init(&c->current->refs, 1);
    c->current->keys = (struct objstore_keys){
        .access_key = TAKE(found->access_key),
        .secret_key = TAKE(found->secret_key),
        .session_token = TAKE(found->session_token),
        .generation = ++c->generations,
    };
    return old;
}

struct attempt {
    const struct objstore_sources *sources;
    struct objstore_call call;
    const struct objstore_provider *provider;
    struct objstore_found found;
};

static void
attempt_fini(struct attempt *a)
{
    objstore_found_fini(&a->found);
}

static bool
try_find(void *arg, struct err *err)
{
    struct attempt *a = arg;
    return objstore_find(a->sources, &a->call, &a->provider, &a->found, err);
}

/* All of the caller's time, or a part of it when there are keys to go on with. */
static int64_t
deadline_of(const struct objstore_call *call, bool has_keys)
{
    int64_t part_ns = clock_left_ns(call->deadline_ns) / SPEND_PART;
    return has_keys ? clock_deadline(NUM_MIN(part_ns, SPEND_MAX_NS))
                    : call->deadline_ns;
}

static void
conclude_success(struct objstore_credentials *c, struct attempt *a)
{
    CLEANUP(unref) struct key_set *old = NULL;
    bool is_other = false;
    {
        MUTEX_SCOPE(&c->lock);
        is_other = c->provider != a->provider;
        c->provider = a->provider;
        old = install(c, &a->found, clock_mono_ns());
        c->is_fetching = false;
        cond_broadcast(&c->changed);
    }
    if (is_other)
        LOG_AT(c->is_quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
               "credentials for S3 found", LOG_STR("provider", a->provider->name));
}

/* Keys without an end come from files, which cost nothing to read. */
static int64_t
again_after(int64_t end_ns, int64_t now_ns)
{
    int64_t again_ns = NUM_MIN((end_ns - now_ns) / AGAIN_PART, AGAIN_MAX_NS);
    if (end_ns == CLOCK_NEVER || again_ns < AGAIN_MIN_NS)
        again_ns = AGAIN_MIN_NS;
    return again_ns + jitter(again_ns);
}

/* A caller that ran out of its own time proves nothing: the next one tries again. */
static void
conclude_failure(struct objstore_credentials *c, bool is_callers, const struct err *err)
{
    bool is_news = false;
    {
        MUTEX_SCOPE(&c->lock);
        int64_t now_ns = clock_mono_ns();
        c->is_fetching = false;
        cond_broadcast(&c->changed);
        if (is_callers)
            return;
        if (holds(c, now_ns)) {
            c->refresh_ns = now_ns + again_after(c->end_ns, now_ns);
            is_news = now_ns >= c->warn_after_ns;
            if (is_news)
                c->warn_after_ns = now_ns + WARN_NS;
        } else {
            c->failure = *err;
            c->fetch_after_ns = now_ns + AGAIN_MIN_NS;
        }
    }
    if (is_news)
        LOG_WARN("credentials for S3 cannot be refreshed, the old ones still hold",
                 LOG_STR("code", err_code_name(err->code)), LOG_ERR(err));
}

static bool
fetch(struct objstore_credentials *c, const struct objstore_call *call, bool has_keys,
      bool is_first, struct err *err)
{
    CLEANUP(attempt_fini)
    struct attempt a = {
        .sources = &c->sources,
        .call = {.deadline_ns = deadline_of(call, has_keys), .cancel = call->cancel},
    };
    struct err ended;
    if (objstore_retry(c->retrier, &a.call, try_find, &a, err)) {
        conclude_success(c, &a);
        return true;
    }
    bool is_callers = !objstore_call_check(call, &ended);
    if (is_first && !is_callers)
        objstore_explain(&c->sources, a.provider, err);
    conclude_failure(c, is_callers, err);
    return false;
}

/* Wait for the end of a fetch, or for a moment. */
static bool
wait(struct objstore_credentials *c, const struct objstore_call *call, struct err *err)
{
    int64_t until_ns = NUM_MIN(call->deadline_ns, clock_deadline(SLICE_NS));
    if (c->is_fetching)
        cond_wait_until(&c->changed, &c->lock, until_ns);
    return objstore_call_check(call, err);
}

/* One step of acquire. *done when *keys or err is set. */
static bool
advance(struct objstore_credentials *c, const struct objstore_call *call,
        const struct objstore_keys **keys, bool *done, struct err *err)
{
    bool has_keys, is_first;
    {
        MUTEX_SCOPE(&c->lock);
        int64_t now_ns = clock_mono_ns();
        enum step step = next_step(c, now_ns);
        if (step == WAIT)
            return wait(c, call, err);
        *done = step != FETCH;
        if (step == USE)
            *keys = ref(c->current);
        if (step == FAIL)
            *err = c->failure;
        if (step != FETCH)
            return step == USE;
        has_keys = holds(c, now_ns);
        is_first = c->current == NULL;
    }
    /* If keys are left, the next step hands them out. */
    return fetch(c, call, has_keys, is_first, err) || has_keys;
}

bool
objstore_credentials_acquire(struct objstore_credentials *c,
                             const struct objstore_call *call,
                             const struct objstore_keys **keys, struct err *err)
{
    bool done = false;
    while (!done)
        if (!objstore_call_check(call, err) || !advance(c, call, keys, &done, err))
            return false;
    return true;
}

bool
objstore_credentials_reject(struct objstore_credentials *c, uint64_t generation)
{
    MUTEX_SCOPE(&c->lock);
    int64_t now_ns = clock_mono_ns();
    CHECK(c->current != NULL);
    if (c->current->keys.generation != generation || c->is_refused)
        return true;
    if (c->provider->is_fixed || now_ns < c->reject_after_ns)
        return false;
    c->is_refused = true;
    c->reject_after_ns = now_ns + c->provider->reject_pause_ns;
    return true;
}

const char *
objstore_credentials_describe(struct objstore_credentials *c)
{
    MUTEX_SCOPE(&c->lock);
    return c->provider != NULL ? c->provider->name : "none yet";
}
