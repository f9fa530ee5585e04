/* SPDX-License-Identifier: Apache-2.0 */
/* How the sync of blocks gets on, for whoever asks: one thread tells, any may look. */
#ifndef STORE_SYNC_PROGRESS_H
#define STORE_SYNC_PROGRESS_H

#include "common/base/mutex.h"
#include "store/block_report.h"

/* One moment. Times are of the wall clock, INT64_MIN when there is none; release with
 * store_sync_moment_fini. */
struct store_sync_moment {
    bool is_running;
    size_t metas; /* that the running pass has to read, and how many are left */
    size_t unread;
    int64_t begun_ms; /* the running pass, or the last one */
    int64_t ended_ms; /* the last one; the rest is of it */
    int64_t took_ms;
    bool is_complete;
    struct err failure;  /* why it could not be made; ERR_NONE: it could */
    int64_t next_ns;     /* when the next one is due (clock_mono_ns); 0: not known */
    int64_t read_ms;     /* when the bucket was as what is served says */
    bool is_of_snapshot; /* which was read by an earlier run */
    size_t counts[STORE_BLOCK_STATE_COUNT]; /* blocks in each state */
    struct store_block_report *report;      /* referenced; NULL: nothing is known yet */
};

void store_sync_moment_fini(struct store_sync_moment *m);

struct store_sync_progress {
    /* private */
    struct mutex lock; /* LOCK_SYNC_PROGRESS */
    /* guarded by lock */
    struct store_sync_moment now;
    int64_t begun_ns;
};

void store_sync_progress_init(struct store_sync_progress *p);
void store_sync_progress_fini(struct store_sync_progress *p);

/* A pass begins, has so many metas left to read, and ends: failure is why it could not
 * be made, NULL if it could. */
void store_sync_progress_begin(struct store_sync_progress *p);
void store_sync_progress_unread(struct store_sync_progress *p, size_t left);
void store_sync_progress_end(struct store_sync_progress *p, bool is_complete,
                             const struct err *failure);

/* The next pass is due then (clock_mono_ns). */
void store_sync_progress_next(struct store_sync_progress *p, int64_t due_ns);

/* What is served is of that time. */
void store_sync_progress_read(struct store_sync_progress *p, int64_t read_ms,
                              bool is_of_snapshot);

/* A set was published; the reference is taken over. */
void store_sync_progress_publish(struct store_sync_progress *p,
                                 struct store_block_report *report,
                                 const size_t counts[STORE_BLOCK_STATE_COUNT]);

/* *m must be the zero value. Any thread. */
void store_sync_progress_look(struct store_sync_progress *p,
                              struct store_sync_moment *m);

#endif
