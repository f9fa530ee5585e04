/* SPDX-License-Identifier: Apache-2.0 */
/* Each kind of fault under each operation, once and always: what comes out of it.
 *
 * usage: bucket_faults CONFIG.yml CONTROL [PART]
 *   CONFIG.yml  names an empty bucket behind fault_proxy.py, with part_size 5 MiB and a
 *               response_header_timeout of half a second
 *   CONTROL     the proxy's control port, 127.0.0.1:PORT
 *   PART        only cases with this in their name */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "tests/e2e/bucket/contract.h"
#include "tests/e2e/bucket/proxy.h"

enum { SMALL = 2000, MEDIUM = 300 << 10, LARGE = 11 << 20 };

/* Time of a call that cannot succeed: enough to read and hash what it sends. And what
 * any may take more than it has. */
enum { HOPELESS_MS = 400, HOPELESS_LARGE_MS = 2000, SLACK_MS = 900 };

enum op { HEAD, READ, GET, PUT, PUT_FILE, PUT_LARGE, CREATE, LIST, REMOVE, OP_COUNT };

static const char *const OP_NAMES[OP_COUNT] = {
    "head", "read", "get", "put", "put-file", "put-parts", "create", "list", "remove",
};

/* Codes as a set; a success is bit 0, as ERR_NONE is 0. */
#define ONE(code) (1u << (code))
#define OK ONE(ERR_NONE)
#define LOST (ONE(ERR_UNAVAILABLE) | ONE(ERR_TIMEOUT))
#define READS (1u << READ | 1u << GET)
#define WITH_BODY (READS | 1u << LIST)
#define WRITES (1u << PUT | 1u << PUT_FILE | 1u << PUT_LARGE)
#define SENDS (WRITES | 1u << CREATE)
#define ALL ((1u << OP_COUNT) - 1)

struct fault {
    const char *rule;
    unsigned ops;
    unsigned once;   /* what may come out when it strikes the first request only */
    unsigned always; /* and when it strikes every request; 0: not tried */
};

static const struct fault FAULTS[] = {
    {"delay ms=50", ALL, OK, OK},
    {"rate bytes=20000000", WITH_BODY | SENDS, OK, OK},
    {"no_continue", SENDS, OK, OK},
    {"status status=500 code=InternalError", ALL, OK, ONE(ERR_UNAVAILABLE)},
    {"status status=503 code=SlowDown", ALL, OK, ONE(ERR_THROTTLED)},
    {"status status=503 retry_after=1", ALL, OK, ONE(ERR_THROTTLED)},
    {"status status=429", ALL, OK, ONE(ERR_THROTTLED)},
    {"status status=403 code=AccessDenied", ALL, ONE(ERR_DENIED), ONE(ERR_DENIED)},
    {"status status=404 code=NoSuchKey", 1u << HEAD | READS, ONE(ERR_NOT_FOUND),
     ONE(ERR_NOT_FOUND)},
    {"status status=404 code=NoSuchBucket", SENDS | 1u << LIST, ONE(ERR_INVALID),
     ONE(ERR_INVALID)},
    {"status status=307 code=TemporaryRedirect location=http://127.0.0.1:9/", ALL,
     ONE(ERR_UNSUPPORTED) | ONE(ERR_INVALID), ONE(ERR_UNSUPPORTED) | ONE(ERR_INVALID)},
    {"cut way=up after=-1", ALL, OK, LOST},
    {"cut way=up method=PUT after=1000", SENDS, OK, LOST},
    {"cut after=-1", ALL, OK, LOST},
    {"cut after=0", WITH_BODY, OK, LOST},
    {"cut after=100", WITH_BODY, OK, LOST},
    {"reset way=up after=-1", ALL, OK, LOST},
    {"reset way=up method=PUT after=1000", SENDS, OK, LOST},
    {"reset after=-1", ALL, OK, LOST},
    {"reset after=100", WITH_BODY, OK, LOST},
    {"hole", ALL, OK, ONE(ERR_TIMEOUT)},
    {"mute", ALL, OK, ONE(ERR_TIMEOUT)},
    {"lost", ALL, OK, LOST},
    {"stall way=up method=PUT after=1000", SENDS, OK, ONE(ERR_TIMEOUT)},
    {"stall after=100", WITH_BODY, OK, ONE(ERR_TIMEOUT)},
    {"flip way=up method=PUT after=100", SENDS, OK | ONE(ERR_CORRUPT),
     LOST | ONE(ERR_CORRUPT)},
    {"flip after=45", 1u << LIST, OK | ONE(ERR_CORRUPT), LOST | ONE(ERR_CORRUPT)},
    {"foreign length=other", READS, OK | ONE(ERR_CORRUPT), LOST | ONE(ERR_CORRUPT)},
};

/* One operation, which suffers each fault in turn; beside the others, on keys of its
 * own. */
struct lane {
    struct contract c;
    struct proxy proxy;
    enum op op;
    char key[32];
    char other[32];
    uint64_t old, new; /* versions, like those of no other lane */
    pthread_t thread;
    const char *config;
    const char *part; /* of the rules that it is about */
    unsigned strikes;
    unsigned failed;
};

static bool
count_object(void *arg, const struct objstore_object *object, struct err *err)
{
    (void)err, (void)object;
    (*(size_t *)arg)++;
    return true;
}

/* One version is there, of the size that the operation is about, and another object,
 * the body of which the proxy knows. */
static bool
prepare(struct lane *l)
{
    struct contract *c = &l->c;
    c->call =
        (struct objstore_call){.deadline_ns = clock_deadline(60 * CLOCK_NS_PER_S)};
    if (!contract_put(c, l->other, l->old + 2, MEDIUM / 2) ||
        !contract_holds(c, l->other, l->old + 2, MEDIUM / 2))
        return false;
    return l->op == CREATE
               ? contract_remove(c, l->key)
               : contract_put(c, l->key, l->old, l->op == GET ? SMALL : MEDIUM);
}

static bool
read_right(struct lane *l)
{
    struct contract *c = &l->c;
    static _Thread_local uint8_t into[MEDIUM];
    size_t got;
    if (!objstore_read_range(c->bucket, &c->call, bytes_of_str(l->key),
                             (struct objstore_range){0, MEDIUM}, into, &got, &c->err))
        return false;
    EXPECT(c, got == MEDIUM && contract_is(l->old, 0, bytes_of(into, got)));
    return true;
}

static bool
get_right(struct lane *l)
{
    struct contract *c = &l->c;
    CLEANUP(buf_fini) struct buf back = {0};
    if (!objstore_get(c->bucket, &c->call, bytes_of_str(l->key), MEDIUM, &back,
                      &c->err))
        return false;
    EXPECT(c, back.len == SMALL && contract_is(l->old, 0, buf_bytes(&back)));
    return true;
}

static bool
create(struct lane *l)
{
    uint8_t data[SMALL];
    contract_fill(l->new, 0, data, sizeof data);
    return objstore_create(l->c.bucket, &l->c.call, bytes_of_str(l->key),
                           bytes_of(data, sizeof data), &l->c.err);
}

static bool
list_right(struct lane *l)
{
    struct contract *c = &l->c;
    size_t count = 0;
    char prefix[32];
    snprintf(prefix, sizeof prefix, "it%d/", (int)l->op);
    if (!objstore_list(c->bucket, &c->call, bytes_of_str(prefix), count_object, &count,
                       &c->err))
        return false;
    EXPECT(c, count == 2);
    return true;
}

static bool
head_right(struct lane *l)
{
    struct contract *c = &l->c;
    struct objstore_attrs attrs;
    if (!objstore_head(c->bucket, &c->call, bytes_of_str(l->key), &attrs, &c->err))
        return false;
    EXPECT(c, attrs.size == MEDIUM);
    return true;
}

/* Reads check what they got: a wrong one fails with ERR_INTERNAL. */
static bool
perform(struct lane *l)
{
    struct objstore_attrs stored;
    struct contract *c = &l->c;
    switch (l->op) {
    case HEAD:
        return head_right(l);
    case READ:
        return read_right(l);
    case GET:
        return get_right(l);
    case PUT:
        return contract_put(c, l->key, l->new, MEDIUM);
    case PUT_FILE:
        return contract_put_file(c, l->key, l->new, MEDIUM, &stored);
    case PUT_LARGE:
        return contract_put_file(c, l->key, l->new, LARGE, &stored);
    case CREATE:
        return create(l);
    case LIST:
        return list_right(l);
    case REMOVE:
        return contract_remove(c, l->key);
    case OP_COUNT:
        break;
    }
    return err_set(&c->err, ERR_INTERNAL, "no such operation");
}

/* After a success what was asked for, after a failure that or what was there before. */
static bool
check_after(struct lane *l, bool ok)
{
    struct contract *c = &l->c;
    size_t size = l->op == PUT_LARGE ? LARGE : l->op == CREATE ? SMALL : MEDIUM;
    c->call.deadline_ns = clock_deadline(60 * CLOCK_NS_PER_S);
    if ((1u << l->op & SENDS) != 0) {
        bool is_new = contract_holds(c, l->key, l->new, size);
        return is_new ||
               (!ok && (l->op == CREATE ? contract_lacks(c, l->key)
                                        : contract_holds(c, l->key, l->old, MEDIUM)));
    }
    if (l->op != REMOVE)
        return contract_holds(c, l->key, l->old, l->op == GET ? SMALL : MEDIUM);
    return contract_lacks(c, l->key) ||
           (!ok && contract_holds(c, l->key, l->old, MEDIUM));
}

/* Nothing is under way any more, and all is well again. */
static void
heal(struct lane *l)
{
    proxy_tell(&l->proxy, "forget it%d/", (int)l->op);
    proxy_tell(&l->proxy, "settle it%d/", (int)l->op);
}

static void
arm(struct lane *l, const char *rule, unsigned times)
{
    proxy_tell(&l->proxy, "fault %s part=it%d/ label=%s times=%u", rule, (int)l->op,
               OP_NAMES[l->op], times);
}

/* Curl waits for "100 Continue" with very large bodies only, if at all. */
static bool
may_miss(const struct lane *l, const struct fault *fault, enum err_code code)
{
    return strcmp(fault->rule, "no_continue") == 0 ||
           (l->op == CREATE && code == ERR_UNSUPPORTED);
}

static bool
strike(struct lane *l, const struct fault *fault, bool always)
{
    struct contract *c = &l->c;
    unsigned expected = always ? fault->always : fault->once;
    /* A server that refuses parts may yet take the whole. */
    if (l->op == PUT_LARGE && !always)
        expected |= OK;
    /* A try may be under way when the short deadline passes. */
    if ((expected & OK) == 0 && (expected & LOST) != 0)
        expected |= ONE(ERR_TIMEOUT);
    int64_t hopeless_ms = l->op == PUT_LARGE ? HOPELESS_LARGE_MS : HOPELESS_MS;
    int64_t limit_ns = ((expected & OK) == 0 ? hopeless_ms : 20000) * CLOCK_NS_PER_MS;
    if (!prepare(l))
        return false;
    long before = proxy_count(&l->proxy, OP_NAMES[l->op]);
    arm(l, fault->rule, always ? 0 : 1);
    int64_t begin_ns = clock_mono_ns();
    c->call.deadline_ns = begin_ns + limit_ns;
    bool ok = perform(l);
    int64_t took_ns = clock_mono_ns() - begin_ns;
    heal(l);
    enum err_code code = ok ? ERR_NONE : c->err.code;
    long struck = proxy_count(&l->proxy, OP_NAMES[l->op]) - before;
    if (struck == 0 && may_miss(l, fault, code))
        return true;
    EXPECT(c, (expected & ONE(code)) != 0);
    EXPECT(c, struck > 0);
    EXPECT(c, took_ns <= limit_ns + SLACK_MS * CLOCK_NS_PER_MS);
    EXPECT(c, ok || contract_error_is_good(c, "", BYTES("it")));
    return check_after(l, ok);
}

/* Each time with a bucket that has not learned yet what the server takes. */
static bool
reopen(struct lane *l)
{
    contract_close(&l->c);
    l->c = (struct contract){0};
    return contract_open(&l->c, l->config);
}

static void
strike_and_tell(struct lane *l, const struct fault *fault, bool always)
{
    int64_t begin_ns = clock_mono_ns();
    l->strikes++;
    if (reopen(l) && strike(l, fault, always))
        return;
    l->failed++;
    printf("FAILED %s, %s, %s (%" PRId64 " ms): %s: %s\n", fault->rule, OP_NAMES[l->op],
           always ? "always" : "once", (clock_mono_ns() - begin_ns) / CLOCK_NS_PER_MS,
           err_code_name(l->c.err.code), l->c.err.text);
    fflush(stdout);
}

/* A read of an object that is replaced while it is read, and whose connection then
 * breaks. */
struct interrupted {
    struct lane *l;
    uint64_t got;
    bool is_old, is_new; /* so far */
};

static bool
replace_meanwhile(void *arg, struct bytes piece, struct err *err)
{
    struct interrupted *i = arg;
    struct contract writer = i->l->c;
    if (i->got == 0 && !contract_put(&writer, i->l->key, i->l->new, MEDIUM)) {
        *err = writer.err;
        return false;
    }
    i->is_old = i->is_old && contract_is(i->l->old, i->got, piece);
    i->is_new = i->is_new && contract_is(i->l->new, i->got, piece);
    i->got += piece.len;
    return true;
}

static bool
never_mixes_two_versions(struct lane *l)
{
    struct contract *c = &l->c;
    struct interrupted i = {.l = l, .is_old = true, .is_new = true};
    if (l->op != READ)
        return true;
    if (!prepare(l))
        return false;
    arm(l, "cut method=GET after=100000", 1);
    bool ok = objstore_get_range(c->bucket, &c->call, bytes_of_str(l->key), 0, MEDIUM,
                                 replace_meanwhile, &i, &c->err);
    heal(l);
    EXPECT(c, !ok || (i.got == MEDIUM && (i.is_old || i.is_new)));
    return true;
}

/* Who lost the answer to the creation of an object does not hear that somebody else has
 * created it. */
static bool
knows_its_own_creation(struct lane *l)
{
    struct contract *c = &l->c;
    if (l->op != CREATE)
        return true;
    if (!prepare(l))
        return false;
    arm(l, "lost method=PUT", 1);
    bool ok = create(l);
    heal(l);
    EXPECT(c, ok || c->err.code == ERR_UNAVAILABLE || c->err.code == ERR_UNSUPPORTED);
    return !ok || contract_holds(c, l->key, l->new, SMALL);
}

static bool
ends_in_time(struct lane *l, int64_t most_ms, enum err_code code)
{
    struct contract *c = &l->c;
    int64_t begin_ns = clock_mono_ns();
    bool ok = perform(l);
    int64_t took_ms = (clock_mono_ns() - begin_ns) / CLOCK_NS_PER_MS;
    if (l->op == CREATE && c->err.code == ERR_UNSUPPORTED)
        return true;
    EXPECT(c, !ok && c->err.code == code);
    EXPECT(c, took_ms <= most_ms);
    return true;
}

/* Against a server that never answers, and one that stops in the middle. */
static bool
keeps_deadlines(struct lane *l)
{
    static const struct {
        const char *rule;
        unsigned ops;
    } SILENCES[] = {{"hole", ALL},
                    {"mute", ALL},
                    {"stall after=-1", ALL},
                    {"stall after=0", WITH_BODY},
                    {"stall way=up after=10", SENDS}};
    for (size_t i = 0; i < ARRAY_LEN(SILENCES); i++) {
        if ((SILENCES[i].ops & 1u << l->op) == 0)
            continue;
        if (!prepare(l))
            return false;
        arm(l, SILENCES[i].rule, 0);
        l->c.call.deadline_ns = clock_deadline(200 * CLOCK_NS_PER_MS);
        bool ok = ends_in_time(l, 200 + SLACK_MS, ERR_TIMEOUT);
        heal(l);
        if (!ok)
            return err_wrap(&l->c.err, "%s", SILENCES[i].rule);
    }
    return true;
}

struct canceller {
    struct proxy *proxy;
    const char *name;
    struct cancel cancel;
    atomic_bool is_over;
    long before;
};

/* Once the request has arrived at the proxy. */
static void *
cancel_soon(void *arg)
{
    struct canceller *k = arg;
    while (!k->is_over && proxy_count(k->proxy, k->name) == k->before)
        continue;
    cancel_raise(&k->cancel);
    return NULL;
}

static bool
is_cancelled_at_once(struct lane *l)
{
    struct canceller k = {.proxy = &l->proxy, .name = OP_NAMES[l->op]};
    pthread_t thread;
    if (!prepare(l))
        return false;
    k.before = proxy_count(&l->proxy, k.name);
    arm(l, "hole", 0);
    l->c.call.cancel = &k.cancel;
    pthread_create(&thread, NULL, cancel_soon, &k);
    bool ok = ends_in_time(l, SLACK_MS, ERR_CANCELLED);
    k.is_over = true;
    pthread_join(thread, NULL);
    l->c.call.cancel = NULL;
    cancel_fini(&k.cancel);
    heal(l);
    return ok;
}

static void
run_special(struct lane *l, const char *name, bool (*run)(struct lane *l))
{
    if (strstr(name, l->part) == NULL)
        return;
    l->strikes++;
    if (reopen(l) && run(l))
        return;
    l->failed++;
    printf("FAILED %s, %s: %s: %s\n", name, OP_NAMES[l->op],
           err_code_name(l->c.err.code), l->c.err.text);
    fflush(stdout);
}

static void *
run_lane(void *arg)
{
    struct lane *l = arg;
    for (size_t i = 0; i < ARRAY_LEN(FAULTS); i++) {
        if (strstr(FAULTS[i].rule, l->part) == NULL ||
            (FAULTS[i].ops & 1u << l->op) == 0)
            continue;
        strike_and_tell(l, &FAULTS[i], false);
        if (FAULTS[i].always != 0)
            strike_and_tell(l, &FAULTS[i], true);
    }
    run_special(l, "never mixes two versions", never_mixes_two_versions);
    run_special(l, "knows its own creation", knows_its_own_creation);
    run_special(l, "keeps deadlines", keeps_deadlines);
    run_special(l, "is cancelled at once", is_cancelled_at_once);
    bool ok = reopen(l);
    l->c.call.deadline_ns = clock_deadline(60 * CLOCK_NS_PER_S);
    if (!ok || !contract_remove(&l->c, l->key) || !contract_remove(&l->c, l->other))
        l->failed++;
    contract_close(&l->c);
    return NULL;
}

static unsigned
run_lanes(const char *config, const char *control, const char *part)
{
    static struct lane lanes[OP_COUNT];
    unsigned failed = 0;
    for (unsigned op = 0; op < OP_COUNT; op++) {
        struct lane *l = &lanes[op];
        *l = (struct lane){.config = config,
                           .op = op,
                           .part = part,
                           .old = 10 * op + 1,
                           .new = 10 * op + 2};
        snprintf(l->key, sizeof l->key, "it%u/is", op);
        snprintf(l->other, sizeof l->other, "it%u/other", op);
        proxy_open(&l->proxy, control);
        pthread_create(&l->thread, NULL, run_lane, l);
    }
    for (unsigned op = 0; op < OP_COUNT; op++) {
        struct lane *l = &lanes[op];
        pthread_join(l->thread, NULL);
        proxy_close(&l->proxy);
        printf("%-10s %3u faults, %u failed\n", OP_NAMES[op], l->strikes, l->failed);
        failed += l->failed;
    }
    return failed;
}

int
main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: bucket_faults CONFIG.yml CONTROL [PART]\n");
        return 2;
    }
    return run_lanes(argv[1], argv[2], argc > 3 ? argv[3] : "") == 0 ? 0 : 1;
}
