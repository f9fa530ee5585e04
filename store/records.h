/* SPDX-License-Identifier: Apache-2.0 */
/* Reading records whose length stands in their own first bytes: series entries and
 * chunk records. Until the first bytes are there only bounds are known. Where the next
 * wanted record is near, the space up to it is read, which a plan would bridge anyway;
 * elsewhere a guess; what turns out to be longer is read again, all of it at once. */
#ifndef STORE_RECORDS_H
#define STORE_RECORDS_H

#include "store/fetch.h"

/* Bytes of a record from its start alone; false when that does not tell. */
typedef bool store_records_size_fn(struct bytes start, uint64_t *size);

/* The zero value is an empty group. */
struct store_records {
    /* Filled in by the caller; all of it outlives the group. Of each piece the object,
     * the offset (ascending) and the room are given. */
    const char *const *keys;
    struct store_piece *pieces;
    size_t count;
    enum store_data data;
    store_records_size_fn *size;
    uint64_t
        guess; /* bytes; after the wait also the longest that had to be read again */
    store_piece_fn *on_record; /* as store_fetch.on_piece, false for one that is cut;
                                * may be NULL. Not called for what is read again. */
    void *on_record_arg;
    /* private */
    struct arena *arena;
    struct store_fetch first;
    struct store_fetch *again; /* NULL: nothing was cut */
};

/* What is read at first of a record at offset that has room bytes at most; next is
 * where the next wanted record of the object stands, 0 if there is none. Pure. */
uint64_t store_records_reach(uint64_t offset, uint64_t next, uint64_t room,
                             uint64_t guess);

/* Start reading. Errors as store_fetch_start. */
NODISCARD bool store_records_start(struct store_records *r,
                                   struct store_fetch_source *source,
                                   struct arena *arena, struct err *err);

/* Whether a wait would not block, unless something has to be read again. */
NODISCARD bool store_records_is_done(struct store_records *r);

/* Wait until all records are whole: one round trip more when a guess was short. Once.
 * Errors as store_fetch_wait and store_fetch_start. */
NODISCARD bool store_records_wait(struct store_records *r, struct err *err);

/* The bytes of a record, after the wait: cut only where the object or its room ends.
 * Borrowed from the arena. */
struct bytes store_records_get(const struct store_records *r,
                               const struct store_piece *piece);

/* Wait for what is being read, whatever comes of it: then fini does not end the query.
 */
void store_records_drain(struct store_records *r);

/* As store_fetch_fini. Accepts the zero value. */
void store_records_fini(struct store_records *r);

#endif
