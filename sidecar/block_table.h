/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks that there are, and how far each has come: what the shipper's thread, its
 * workers and the status page share.
 *
 * The table is the memory of one process and decides nothing: after a restart it is
 * filled again from the data directory, the pins and the bucket. The shipper's thread
 * adds blocks and drops them; a worker takes one that is ready, tells how far it is,
 * and gives it back. Functions of a block that the table does not have do nothing. */
#ifndef SIDECAR_BLOCK_TABLE_H
#define SIDECAR_BLOCK_TABLE_H

#include "common/base/err.h"
#include "sidecar/backoff.h"
#include "sidecar/block_scan.h"
#include "sidecar/ext_labels.h"

/* X(id, name for people) */
#define SIDECAR_BLOCK_STATES(X)                                                     \
    X(FOUND, "discovered")        /* not pinned yet, or it cannot be */             \
    X(PINNED, "pinned")           /* waits for its labels, or for the first look at \
                                     the bucket */                                  \
    X(READY, "waiting")           /* a worker may take it */                        \
    X(CHECKING, "checking")       /* a worker has it, */                            \
    X(UPLOADING, "uploading")     /* and has it still */                            \
    X(COMMITTED, "committed")     /* in the bucket, to be recorded */               \
    X(SHIPPED, "shipped")         /* recorded */                                    \
    X(PASSED_OVER, "passed over") /* compacted, and nobody asked for those */

enum sidecar_block_state {
#define X(id, name) SIDECAR_BLOCK_##id,
    SIDECAR_BLOCK_STATES(X)
#undef X
};

/* One row, and a copy of one. */
struct sidecar_block_row {
    struct sidecar_block block;
    enum sidecar_block_state state;
    uint64_t size;      /* bytes of its files; 0: not measured */
    uint64_t sent;      /* of these, how many are in the bucket */
    int64_t started_ns; /* when a worker took it, clock_mono_ns */
    struct sidecar_backoff backoff;
    enum err_code code; /* of the last failure; ERR_NONE after a success */
    char *reason;       /* its text; NULL: none */
    bool holds_labels;  /* see sidecar_block_table_hold */
    /* private */
    struct sidecar_ext_labels held;
    bool is_seen;
    uint64_t told_bytes;
    int64_t told_ns;
};

/* Copies, by time range; release with fini. */
struct sidecar_block_rows {
    size_t count;
    struct sidecar_block_row *at;
    int64_t newest_shipped_ms; /* end of the newest range shipped; INT64_MIN: none */
    char *trouble; /* with the data directory, at the last pass; NULL: none */
};

struct sidecar_block_table;

struct sidecar_block_table *sidecar_block_table_new(void);
void sidecar_block_table_free(struct sidecar_block_table **t);

/* ---- the shipper's thread ---- */

/* A look at the directories begins and ends: blocks that were not seen in between, and
 * that no worker has, are dropped. */
void sidecar_block_table_begin(struct sidecar_block_table *t);
void sidecar_block_table_end(struct sidecar_block_table *t);

/* This block is there. Returns whether it is new; then it is FOUND. */
bool sidecar_block_table_see(struct sidecar_block_table *t,
                             const struct sidecar_block *block);

void sidecar_block_table_measure(struct sidecar_block_table *t,
                                 const struct tsdb_ulid *id, uint64_t size);

/* Whether the thread may work on a block: its pause is over and no worker has it, nor
 * has finished it. */
NODISCARD bool sidecar_block_table_is_free(struct sidecar_block_table *t,
                                           const struct tsdb_ulid *id, int64_t now_ns);

enum sidecar_block_state sidecar_block_table_state(struct sidecar_block_table *t,
                                                   const struct tsdb_ulid *id);

/* Move a block to another state, unless a worker has it: a step has succeeded. */
void sidecar_block_table_set(struct sidecar_block_table *t, const struct tsdb_ulid *id,
                             enum sidecar_block_state state);

/* A step has failed: keep why and begin a pause, which is returned. A block that a
 * worker has is READY again. Workers, too. */
int64_t sidecar_block_table_fail(struct sidecar_block_table *t,
                                 const struct tsdb_ulid *id, const struct err *err,
                                 int64_t now_ns);

/* Keep a copy of the labels of a block while they cannot be noted on the disk; an empty
 * set: they can. They go when the bucket has the block. */
void sidecar_block_table_hold(struct sidecar_block_table *t, const struct tsdb_ulid *id,
                              struct tsdb_labels labels);

/* When the next pause of a block that waits for the thread ends; CLOCK_NEVER. */
int64_t sidecar_block_table_next_ns(struct sidecar_block_table *t, int64_t now_ns);

/* A pass over the data directory has ended; why that cannot be used, NULL if it can. */
void sidecar_block_table_trouble(struct sidecar_block_table *t, const char *trouble);

/* Have a worker list the whole bucket, once. */
void sidecar_block_table_want_listing(struct sidecar_block_table *t);

/* Whether nothing of that is open. */
NODISCARD bool sidecar_block_table_is_listed(struct sidecar_block_table *t);

/* ---- workers ---- */

enum sidecar_job_kind { SIDECAR_JOB_BLOCK, SIDECAR_JOB_LISTING };

struct sidecar_job {
    enum sidecar_job_kind kind;
    struct sidecar_block block; /* of JOB_BLOCK; it is CHECKING now */
};

/* Take the next job, in turns the oldest and the newest block that is due; wait for one
 * until deadline_ns. False: there was none, or the table was stopped. */
NODISCARD bool sidecar_block_table_take(struct sidecar_block_table *t,
                                        int64_t deadline_ns, struct sidecar_job *job);

/* Move a block to another state: the one that was taken, or one that the listing has
 * found. */
void sidecar_block_table_move(struct sidecar_block_table *t, const struct tsdb_ulid *id,
                              enum sidecar_block_state state);

/* Bytes are sent, or were there. Returns whether it is time to log how far the block is
 * (30 s and a tenth of it after the last time); then *row is a copy without reason. */
bool sidecar_block_table_sent(struct sidecar_block_table *t, const struct tsdb_ulid *id,
                              uint64_t bytes, int64_t now_ns,
                              struct sidecar_block_row *row);

void sidecar_block_table_listing_done(struct sidecar_block_table *t);

/* ---- any thread ---- */

/* The labels that are held; false: none are. *out must be the zero value. */
NODISCARD bool sidecar_block_table_held(struct sidecar_block_table *t,
                                        const struct tsdb_ulid *id,
                                        struct sidecar_ext_labels *out);

/* Every take returns false from now on. */
void sidecar_block_table_stop(struct sidecar_block_table *t);

/* Copy all rows. *out must be the zero value. */
void sidecar_block_table_copy(struct sidecar_block_table *t,
                              struct sidecar_block_rows *out);
void sidecar_block_rows_fini(struct sidecar_block_rows *rows);

/* Whether the bucket has this block, or does not get it: nothing is to be done. */
NODISCARD bool sidecar_block_row_is_settled(const struct sidecar_block_row *row);

/* Whether its time range is known: its meta.json could be read. */
NODISCARD bool sidecar_block_row_has_range(const struct sidecar_block_row *row);

const char *sidecar_block_state_name(enum sidecar_block_state state);

#endif
