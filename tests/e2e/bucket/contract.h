/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs that test buckets share: a bucket under test, objects whose every
 * byte tells which version it belongs to, and expectations that say what they saw. */
#ifndef TESTS_E2E_BUCKET_CONTRACT_H
#define TESTS_E2E_BUCKET_CONTRACT_H

#include <stdio.h>

#include "common/objstore/bucket.h"

struct metrics_registry;

struct contract {
    struct objstore_bucket *bucket;
    struct objstore_call call; /* for the case that runs */
    size_t many;               /* keys of a long listing */
    struct metrics_registry *metrics;
    char secret[128]; /* must not show in any error; "" if the bucket has none */
    struct err err;   /* of the last call; then of the failed expectation */
};

struct contract_case {
    const char *name;
    bool (*run)(struct contract *c);
};

/* Fail the case, saying what was expected and what the last call said. */
#define EXPECT(c, cond)                                           \
    do {                                                          \
        if (!(cond))                                              \
            return contract_fail((c), __func__, __LINE__, #cond); \
    } while (0)

/* That a call failed with this code, as an error has to: operation and key in it, no
 * secret. */
#define EXPECT_ERR(c, ok, expected, op, key)                 \
    do {                                                     \
        bool is_ok = (ok);                                   \
        EXPECT(c, !is_ok);                                   \
        EXPECT(c, (c)->err.code == (expected));              \
        EXPECT(c, contract_error_is_good((c), (op), (key))); \
    } while (0)

/* Open what the YAML file describes. */
NODISCARD bool contract_open(struct contract *c, const char *config);
void contract_close(struct contract *c);

/* Always false; c->err then tells of the expectation. */
NODISCARD bool contract_fail(struct contract *c, const char *where, int line,
                             const char *expected);

NODISCARD bool contract_error_is_good(const struct contract *c, const char *op,
                                      struct bytes key);

/* The bytes [offset, offset + len) of an object that is version of its key. */
void contract_fill(uint64_t version, uint64_t offset, uint8_t *into, size_t len);
NODISCARD bool contract_is(uint64_t version, uint64_t offset, struct bytes data);

/* A file of size bytes of that version, which nobody else sees. */
NODISCARD bool contract_file(struct contract *c, uint64_t version, uint64_t size,
                             int *fd);

/* Store that version; whole or as a file. */
NODISCARD bool contract_put(struct contract *c, const char *key, uint64_t version,
                            size_t size);
NODISCARD bool contract_put_file(struct contract *c, const char *key, uint64_t version,
                                 uint64_t size, struct objstore_attrs *stored);

/* Expect that the object is whole and of that version, by a ranged read of all of it,
 * which needs no memory, and by its attributes. */
NODISCARD bool contract_holds(struct contract *c, const char *key, uint64_t version,
                              uint64_t size);
NODISCARD bool contract_lacks(struct contract *c, const char *key);
NODISCARD bool contract_remove(struct contract *c, const char *key);

/* Every operation on key but a listing has to fail with code; version is what the puts
 * would store. */
NODISCARD bool contract_refuses(struct contract *c, const char *key, uint64_t version,
                                enum err_code code);

/* List; fails unless there are count objects, in order of their keys. */
NODISCARD bool contract_lists(struct contract *c, const char *prefix, size_t count);

/* Run the cases whose name has part in it ("": all), each with a deadline of its own,
 * and print how long each took. Goes on behind a failure; returns whether there was
 * none. */
NODISCARD bool contract_run(struct contract *c, const struct contract_case *cases,
                            size_t count, const char *part);

/* Open descriptors of this process, and its memory without what the allocator keeps. */
unsigned contract_open_files(void);
long contract_resident_kib(void);
long contract_peak_kib(void); /* the most since the last contract_forget_peak */
void contract_forget_peak(void);

/* Whether a sanitizer watches, which keeps freed memory on purpose. */
bool contract_is_sanitized(void);

/* The cases, by subject. */
extern const struct contract_case CONTRACT_KEYS[], CONTRACT_READS[], CONTRACT_WRITES[],
    CONTRACT_LISTS[], CONTRACT_LIMITS[];
extern const size_t CONTRACT_KEYS_COUNT, CONTRACT_READS_COUNT, CONTRACT_WRITES_COUNT,
    CONTRACT_LISTS_COUNT, CONTRACT_LIMITS_COUNT;

#endif
