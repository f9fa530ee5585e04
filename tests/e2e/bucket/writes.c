/* SPDX-License-Identifier: Apache-2.0 */
/* What a successful write means, and what a refused one leaves. Large objects are those
 * that the tests' configurations store in several parts (part_size: 5 MiB). */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/file.h"
#include "tests/e2e/bucket/contract.h"

enum { PART = 5 << 20 };
enum { WRITERS = 4, ROUNDS = 6, SHARED_SIZE = 300001 };

/* Of a stream's buffers; several parts may be under way. */
enum { STREAM_KIB = 8 << 10, STREAMED = 96 << 20 };

#define TOO_LARGE ((UINT64_C(5) << 30) + 1)

static bool
replaces_an_object(struct contract *c)
{
    struct objstore_attrs before, after;
    struct bytes key = BYTES("replaced");
    if (!contract_put(c, "replaced", 1, 1000) ||
        !objstore_head(c->bucket, &c->call, key, &before, &c->err) ||
        !contract_put(c, "replaced", 2, 1000) ||
        !objstore_head(c->bucket, &c->call, key, &after, &c->err) ||
        !contract_holds(c, "replaced", 2, 1000))
        return false;
    EXPECT(c, *before.etag == 0 || strcmp(before.etag, after.etag) != 0);
    return contract_put(c, "replaced", 3, 10) && contract_holds(c, "replaced", 3, 10) &&
           contract_put(c, "replaced", 4, 0) && contract_holds(c, "replaced", 4, 0) &&
           contract_put(c, "replaced", 5, 2000) &&
           contract_holds(c, "replaced", 5, 2000) && contract_remove(c, "replaced");
}

/* From its start, whatever its position, as many bytes as asked. */
static bool
stores_the_start_of_a_file(struct contract *c)
{
    CLEANUP(file_close) int fd = -1;
    struct objstore_attrs stored = {0}, attrs;
    if (!contract_file(c, 6, 5000, &fd))
        return false;
    const struct objstore_file file = {.fd = fd, .size = 4000};
    if (!objstore_put_file(c->bucket, &c->call, BYTES("file"), &file, &stored,
                           &c->err) ||
        !contract_holds(c, "file", 6, 4000) ||
        !objstore_head(c->bucket, &c->call, BYTES("file"), &attrs, &c->err))
        return false;
    EXPECT(c, stored.size == 4000);
    EXPECT(c, *stored.etag == 0 || strcmp(stored.etag, attrs.etag) == 0);
    return contract_remove(c, "file");
}

static bool
refuse_short_file(struct contract *c, uint64_t has, uint64_t claims)
{
    CLEANUP(file_close) int fd = -1;
    struct objstore_attrs stored;
    if (!contract_put(c, "short", 1, 10) || !contract_file(c, 2, has, &fd))
        return false;
    const struct objstore_file file = {.fd = fd, .size = claims};
    EXPECT_ERR(
        c,
        objstore_put_file(c->bucket, &c->call, BYTES("short"), &file, &stored, &c->err),
        ERR_CORRUPT, "put", BYTES("short"));
    return contract_holds(c, "short", 1, 10);
}

/* The old object stays. */
static bool
refuses_a_file_that_is_too_short(struct contract *c)
{
    return refuse_short_file(c, 100, 101) && refuse_short_file(c, 0, 1) &&
           refuse_short_file(c, PART + 1000, PART + 2000) &&
           contract_remove(c, "short") && contract_lists(c, "", 0);
}

static bool
is_refused_creation(struct contract *c)
{
    struct bytes key = BYTES("created");
    EXPECT_ERR(c, objstore_create(c->bucket, &c->call, key, BYTES("one"), &c->err),
               ERR_UNSUPPORTED, "create", key);
    return contract_lacks(c, "created");
}

/* Or refuses to: a bucket that cannot, and a server that does not know how. */
static bool
creates_once(struct contract *c)
{
    struct bytes key = BYTES("created");
    CLEANUP(buf_fini) struct buf back = {0};
    if (!objstore_can(c->bucket, OBJSTORE_CAN_CREATE))
        return is_refused_creation(c);
    if (!objstore_create(c->bucket, &c->call, key, BYTES("one"), &c->err))
        return c->err.code == ERR_UNSUPPORTED && is_refused_creation(c);
    EXPECT_ERR(c, objstore_create(c->bucket, &c->call, key, BYTES("two"), &c->err),
               ERR_CONFLICT, "create", key);
    EXPECT_ERR(c, objstore_create(c->bucket, &c->call, key, BYTES(""), &c->err),
               ERR_CONFLICT, "create", key);
    if (!objstore_get(c->bucket, &c->call, key, 9, &back, &c->err))
        return false;
    EXPECT(c, bytes_eq(buf_bytes(&back), BYTES("one")));
    return contract_remove(c, "created") &&
           objstore_create(c->bucket, &c->call, key, BYTES("two"), &c->err) &&
           contract_remove(c, "created") && contract_lists(c, "", 0);
}

/* One of several threads that work on one key. */
struct rival {
    struct contract c; /* its own error */
    pthread_t thread;
    uint64_t number;
    unsigned won;
    bool ok;
};

static bool
run_rivals(struct contract *c, struct rival *rivals, size_t count,
           void *(*run)(void *arg))
{
    bool ok = true;
    for (size_t i = 0; i < count; i++) {
        rivals[i] = (struct rival){.c = *c, .number = i + 1};
        if (pthread_create(&rivals[i].thread, NULL, run, &rivals[i]) != 0)
            return err_set(&c->err, ERR_INTERNAL, "no thread");
    }
    for (size_t i = 0; i < count; i++) {
        pthread_join(rivals[i].thread, NULL);
        if (!rivals[i].ok)
            c->err = rivals[i].c.err;
        ok = ok && rivals[i].ok;
    }
    return ok;
}

static void *
create_rounds(void *arg)
{
    struct rival *r = arg;
    r->ok = true;
    for (unsigned i = 0; r->ok && i < ROUNDS; i++) {
        char key[32];
        uint8_t data[8];
        snprintf(key, sizeof key, "race/%u", i);
        contract_fill(r->number, 0, data, sizeof data);
        bool won = objstore_create(r->c.bucket, &r->c.call, bytes_of_str(key),
                                   bytes_of(data, sizeof data), &r->c.err);
        r->won += won << i;
        r->ok = won || r->c.err.code == ERR_CONFLICT;
    }
    return NULL;
}

/* Of all who create a key at the same time one wins, and the object is the winner's. */
static bool
lets_one_creator_win(struct contract *c)
{
    struct rival rivals[WRITERS];
    if (!objstore_can(c->bucket, OBJSTORE_CAN_CREATE) ||
        (!objstore_create(c->bucket, &c->call, BYTES("race/try"), BYTES(""), &c->err) &&
         c->err.code == ERR_UNSUPPORTED))
        return true;
    if (!run_rivals(c, rivals, WRITERS, create_rounds))
        return false;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char key[32];
        unsigned winners = 0;
        snprintf(key, sizeof key, "race/%u", i);
        for (size_t j = 0; j < WRITERS; j++) {
            if ((rivals[j].won >> i & 1) == 0)
                continue;
            winners++;
            if (!contract_holds(c, key, rivals[j].number, 8))
                return false;
        }
        EXPECT(c, winners == 1);
        if (!contract_remove(c, key))
            return false;
    }
    return contract_remove(c, "race/try") && contract_lists(c, "", 0);
}

/* Whose bytes these are; 0: nobody's alone. */
static uint64_t
author_of(struct bytes data)
{
    for (uint64_t number = 1; number <= WRITERS; number++)
        if (data.len == SHARED_SIZE + number && contract_is(number, 0, data))
            return number;
    return 0;
}

static bool
write_and_read_shared(struct rival *r)
{
    struct contract *c = &r->c;
    for (int i = 0; i < ROUNDS; i++) {
        CLEANUP(buf_fini) struct buf back = {0};
        struct objstore_attrs stored;
        size_t size = SHARED_SIZE + r->number;
        bool ok = i % 2 == 0 ? contract_put(c, "shared", r->number, size)
                             : contract_put_file(c, "shared", r->number, size, &stored);
        if (!ok || !objstore_get(c->bucket, &c->call, BYTES("shared"), 2 * SHARED_SIZE,
                                 &back, &c->err))
            return false;
        EXPECT(c, author_of(buf_bytes(&back)) != 0);
    }
    return true;
}

static void *
share(void *arg)
{
    struct rival *r = arg;
    r->ok = write_and_read_shared(r);
    return NULL;
}

static bool
keeps_concurrent_writers_apart(struct contract *c)
{
    struct rival rivals[WRITERS];
    CLEANUP(buf_fini) struct buf back = {0};
    if (!run_rivals(c, rivals, WRITERS, share) || !contract_lists(c, "", 1) ||
        !objstore_get(c->bucket, &c->call, BYTES("shared"), 2 * SHARED_SIZE, &back,
                      &c->err))
        return false;
    EXPECT(c, author_of(buf_bytes(&back)) != 0);
    return contract_remove(c, "shared");
}

static bool
keep_large(struct contract *c, uint64_t version, uint64_t size)
{
    enum { INTO = 2000, AT = PART - INTO / 2 };
    uint8_t into[INTO];
    size_t got;
    struct objstore_attrs stored, attrs;
    struct bytes key = BYTES("large");
    if (!contract_put_file(c, "large", version, size, &stored) ||
        !contract_holds(c, "large", version, size) ||
        !objstore_head(c->bucket, &c->call, key, &attrs, &c->err) ||
        !objstore_read_range(c->bucket, &c->call, key,
                             (struct objstore_range){AT, INTO}, into, &got, &c->err))
        return false;
    EXPECT(c, stored.size == size);
    EXPECT(c, *stored.etag == 0 || strcmp(stored.etag, attrs.etag) == 0);
    EXPECT(c, contract_is(version, AT, bytes_of(into, got)));
    EXPECT(c, got == (size - AT < INTO ? size - AT : INTO));
    return true;
}

/* Around the seams of its parts. */
static bool
keeps_large_objects(struct contract *c)
{
    return keep_large(c, 1, PART - 1) && keep_large(c, 2, PART) &&
           keep_large(c, 3, PART + 1) && keep_large(c, 4, 2 * PART) &&
           keep_large(c, 5, 3 * PART + 12345) && contract_put(c, "large", 6, 7) &&
           contract_holds(c, "large", 6, 7) && contract_remove(c, "large") &&
           contract_lists(c, "", 0);
}

static bool
streams_in_bounded_memory(struct contract *c)
{
    CLEANUP(file_close) int fd = -1;
    struct objstore_attrs stored;
    const struct objstore_call *call = &c->call;
    if (!contract_file(c, 9, STREAMED, &fd))
        return false;
    contract_forget_peak();
    long before_kib = contract_resident_kib();
    const struct objstore_file file = {.fd = fd, .size = STREAMED, .sole_writer = true};
    if (!objstore_put_file(c->bucket, call, BYTES("stream"), &file, &stored, &c->err) ||
        !contract_holds(c, "stream", 9, STREAMED))
        return false;
    EXPECT(c, contract_is_sanitized() || contract_peak_kib() - before_kib < STREAM_KIB);
    return contract_remove(c, "stream");
}

/* Objects above what one PUT may store, where the bucket says that it cannot have them;
 * of the others nobody waits for 5 GiB here. */
static bool
refuses_what_is_too_large(struct contract *c)
{
    CLEANUP(file_close) int fd = -1;
    struct objstore_attrs stored;
    if (objstore_can(c->bucket, OBJSTORE_CAN_LARGE))
        return true;
    if (!contract_file(c, 1, 1, &fd))
        return false;
    const struct objstore_file file = {.fd = fd, .size = TOO_LARGE};
    EXPECT_ERR(
        c,
        objstore_put_file(c->bucket, &c->call, BYTES("huge"), &file, &stored, &c->err),
        ERR_UNSUPPORTED, "put", BYTES("huge"));
    return contract_lacks(c, "huge");
}

const struct contract_case CONTRACT_WRITES[] = {
    {"replaces an object", replaces_an_object},
    {"stores the start of a file", stores_the_start_of_a_file},
    {"refuses a file that is too short", refuses_a_file_that_is_too_short},
    {"creates once", creates_once},
    {"lets one creator win", lets_one_creator_win},
    {"keeps concurrent writers apart", keeps_concurrent_writers_apart},
    {"keeps large objects", keeps_large_objects},
    {"streams in bounded memory", streams_in_bounded_memory},
    {"refuses what is too large", refuses_what_is_too_large},
};
const size_t CONTRACT_WRITES_COUNT = ARRAY_LEN(CONTRACT_WRITES);
