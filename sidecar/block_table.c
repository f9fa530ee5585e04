/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/block_table.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"

/* How often a long upload is told of: after both of these. */
#define TELL_NS (30 * CLOCK_NS_PER_S)
enum { TELL_PART = 10 };

enum listing { LISTING_NONE, LISTING_WANTED, LISTING_RUNS };

struct sidecar_block_table {
    struct mutex lock;
    struct cond changed; /* there may be a job */
    /* guarded by lock */
    size_t count;
    struct sidecar_block_row *rows; /* by id */
    enum listing listing;
    int64_t newest_shipped_ms;
    char *trouble;
    bool takes_newest; /* next */
    bool is_stopped;
};

struct sidecar_block_table *
sidecar_block_table_new(void)
{
    struct sidecar_block_table *t = xcalloc(1, sizeof *t);
    mutex_init(&t->lock, LOCK_BLOCKS);
    cond_init(&t->changed);
    t->newest_shipped_ms = INT64_MIN;
    return t;
}

static void
row_fini(struct sidecar_block_row *row)
{
    sidecar_ext_labels_fini(&row->held);
    free(row->reason);
}

void
sidecar_block_table_free(struct sidecar_block_table **out)
{
    struct sidecar_block_table *t = TAKE(*out);
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++)
        row_fini(&t->rows[i]);
    free(t->rows);
    free(t->trouble);
    cond_fini(&t->changed);
    mutex_fini(&t->lock);
    free(t);
}

/* Position of the row with this id, or where it belongs. */
static size_t
position(const struct sidecar_block_table *t, const struct tsdb_ulid *id)
{
    mutex_check_held(&t->lock);
    size_t lo = 0, hi = t->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (tsdb_ulid_cmp(&t->rows[mid].block.id, id) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct sidecar_block_row *
find(struct sidecar_block_table *t, const struct tsdb_ulid *id)
{
    size_t at = position(t, id);
    bool is_there = at < t->count && tsdb_ulid_cmp(&t->rows[at].block.id, id) == 0;
    return is_there ? &t->rows[at] : NULL;
}

static bool
is_running(const struct sidecar_block_row *row)
{
    return row->state == SIDECAR_BLOCK_CHECKING ||
           row->state == SIDECAR_BLOCK_UPLOADING;
}

void
sidecar_block_table_begin(struct sidecar_block_table *t)
{
    MUTEX_SCOPE(&t->lock);
    for (size_t i = 0; i < t->count; i++)
        t->rows[i].is_seen = false;
}

void
sidecar_block_table_end(struct sidecar_block_table *t)
{
    MUTEX_SCOPE(&t->lock);
    size_t kept = 0;
    for (size_t i = 0; i < t->count; i++) {
        struct sidecar_block_row *row = &t->rows[i];
        if (row->is_seen || is_running(row))
            t->rows[kept++] = *row;
        else
            row_fini(row);
    }
    t->count = kept;
}

bool
sidecar_block_table_see(struct sidecar_block_table *t,
                        const struct sidecar_block *block)
{
    MUTEX_SCOPE(&t->lock);
    struct sidecar_block_row *row = find(t, &block->id);
    bool is_new = row == NULL;
    if (is_new) {
        size_t at = position(t, &block->id);
        t->rows = xrealloc(t->rows, (t->count + 1) * sizeof *t->rows);
        row = &t->rows[at];
        memmove(row + 1, row, (t->count - at) * sizeof *row);
        *row = (struct sidecar_block_row){0};
        t->count++;
    }
    row->block = *block;
    row->is_seen = true;
    return is_new;
}

void
sidecar_block_table_measure(struct sidecar_block_table *t, const struct tsdb_ulid *id,
                            uint64_t size)
{
    MUTEX_SCOPE(&t->lock);
    struct sidecar_block_row *row = find(t, id);
    if (row != NULL)
        row->size = size;
}

bool
sidecar_block_table_is_free(struct sidecar_block_table *t, const struct tsdb_ulid *id,
                            int64_t now_ns)
{
    MUTEX_SCOPE(&t->lock);
    const struct sidecar_block_row *row = find(t, id);
    return row != NULL && !is_running(row) && row->state != SIDECAR_BLOCK_COMMITTED &&
           sidecar_backoff_is_due(&row->backoff, now_ns);
}

enum sidecar_block_state
sidecar_block_table_state(struct sidecar_block_table *t, const struct tsdb_ulid *id)
{
    MUTEX_SCOPE(&t->lock);
    const struct sidecar_block_row *row = find(t, id);
    return row != NULL ? row->state : SIDECAR_BLOCK_FOUND;
}

static void
forget_failure(struct sidecar_block_row *row)
{
    row->backoff = (struct sidecar_backoff){0};
    row->code = ERR_NONE;
    free(row->reason);
    row->reason = NULL;
}

static void
hold(struct sidecar_block_row *row, struct tsdb_labels labels)
{
    sidecar_ext_labels_fini(&row->held);
    row->held = sidecar_ext_labels_copy(labels);
    row->holds_labels = labels.len > 0;
}

void
sidecar_block_table_hold(struct sidecar_block_table *t, const struct tsdb_ulid *id,
                         struct tsdb_labels labels)
{
    MUTEX_SCOPE(&t->lock);
    struct sidecar_block_row *row = find(t, id);
    if (row != NULL)
        hold(row, labels);
}

bool
sidecar_block_table_held(struct sidecar_block_table *t, const struct tsdb_ulid *id,
                         struct sidecar_ext_labels *out)
{
    MUTEX_SCOPE(&t->lock);
    const struct sidecar_block_row *row = find(t, id);
    if (row == NULL || !row->holds_labels)
        return false;
    *out = sidecar_ext_labels_copy(row->held.set);
    return true;
}

static void
enter(struct sidecar_block_table *t, struct sidecar_block_row *row,
      enum sidecar_block_state state)
{
    mutex_check_held(&t->lock);
    row->state = state;
    if (state == SIDECAR_BLOCK_COMMITTED || state == SIDECAR_BLOCK_SHIPPED) {
        forget_failure(row);
        hold(row, (struct tsdb_labels){0});
        row->sent = row->size;
        t->newest_shipped_ms = NUM_MAX(t->newest_shipped_ms, row->block.maxt_ms);
    }
    if (state == SIDECAR_BLOCK_READY)
        cond_broadcast(&t->changed);
}

void
sidecar_block_table_set(struct sidecar_block_table *t, const struct tsdb_ulid *id,
                        enum sidecar_block_state state)
{
    MUTEX_SCOPE(&t->lock);
    struct sidecar_block_row *row = find(t, id);
    if (row != NULL && !is_running(row))
        enter(t, row, state);
}

void
sidecar_block_table_move(struct sidecar_block_table *t, const struct tsdb_ulid *id,
                         enum sidecar_block_state state)
{
    MUTEX_SCOPE(&t->lock);
    struct sidecar_block_row *row = find(t, id);
    if (row != NULL)
        enter(t, row, state);
}

int64_t
sidecar_block_table_fail(struct sidecar_block_table *t, const struct tsdb_ulid *id,
                         const struct err *err, int64_t now_ns)
{
    MUTEX_SCOPE(&t->lock);
    struct sidecar_block_row *row = find(t, id);
    if (row == NULL)
        return 0;
    if (is_running(row))
        row->state = SIDECAR_BLOCK_READY;
    free(row->reason);
    row->reason = xstrdup(err->text);
    row->code = err->code;
    cond_broadcast(&t->changed);
    return sidecar_backoff_failed(&row->backoff, id, now_ns);
}

int64_t
sidecar_block_table_next_ns(struct sidecar_block_table *t, int64_t now_ns)
{
    MUTEX_SCOPE(&t->lock);
    int64_t next_ns = CLOCK_NEVER;
    for (size_t i = 0; i < t->count; i++) {
        const struct sidecar_block_row *row = &t->rows[i];
        bool is_ours =
            row->state < SIDECAR_BLOCK_READY || row->state == SIDECAR_BLOCK_COMMITTED;
        if (is_ours && row->backoff.failures > 0 && row->backoff.retry_at_ns > now_ns)
            next_ns = NUM_MIN(next_ns, row->backoff.retry_at_ns);
    }
    return next_ns;
}

void
sidecar_block_table_trouble(struct sidecar_block_table *t, const char *trouble)
{
    MUTEX_SCOPE(&t->lock);
    free(t->trouble);
    t->trouble = trouble != NULL ? xstrdup(trouble) : NULL;
}

void
sidecar_block_table_want_listing(struct sidecar_block_table *t)
{
    MUTEX_SCOPE(&t->lock);
    t->listing = LISTING_WANTED;
    cond_broadcast(&t->changed);
}

bool
sidecar_block_table_is_listed(struct sidecar_block_table *t)
{
    MUTEX_SCOPE(&t->lock);
    return t->listing == LISTING_NONE;
}

void
sidecar_block_table_listing_done(struct sidecar_block_table *t)
{
    MUTEX_SCOPE(&t->lock);
    t->listing = LISTING_NONE;
}

static bool
is_older(const struct sidecar_block_row *a, const struct sidecar_block_row *b)
{
    return a->block.mint_ms != b->block.mint_ms
               ? a->block.mint_ms < b->block.mint_ms
               : tsdb_ulid_cmp(&a->block.id, &b->block.id) < 0;
}

/* The block whose turn it is, NULL if none is due; *next_ns comes down to the end of
 * the first pause. */
static struct sidecar_block_row *
choose(struct sidecar_block_table *t, int64_t now_ns, int64_t *next_ns)
{
    struct sidecar_block_row *best = NULL;
    for (size_t i = 0; i < t->count; i++) {
        struct sidecar_block_row *row = &t->rows[i];
        if (row->state != SIDECAR_BLOCK_READY)
            continue;
        if (!sidecar_backoff_is_due(&row->backoff, now_ns))
            *next_ns = NUM_MIN(*next_ns, row->backoff.retry_at_ns);
        else if (best == NULL || is_older(row, best) != t->takes_newest)
            best = row;
    }
    return best;
}

static bool
take(struct sidecar_block_table *t, int64_t now_ns, int64_t *next_ns,
     struct sidecar_job *job)
{
    if (t->listing == LISTING_WANTED) {
        t->listing = LISTING_RUNS;
        job->kind = SIDECAR_JOB_LISTING;
        return true;
    }
    struct sidecar_block_row *row = choose(t, now_ns, next_ns);
    if (row == NULL)
        return false;
    t->takes_newest = !t->takes_newest;
    row->state = SIDECAR_BLOCK_CHECKING;
    row->sent = 0;
    row->told_bytes = 0;
    row->told_ns = now_ns;
    row->started_ns = now_ns;
    *job = (struct sidecar_job){SIDECAR_JOB_BLOCK, row->block};
    return true;
}

bool
sidecar_block_table_take(struct sidecar_block_table *t, int64_t deadline_ns,
                         struct sidecar_job *job)
{
    MUTEX_SCOPE(&t->lock);
    for (;;) {
        int64_t now_ns = clock_mono_ns();
        int64_t next_ns = deadline_ns;
        if (t->is_stopped)
            return false;
        if (take(t, now_ns, &next_ns, job))
            return true;
        if (now_ns >= deadline_ns)
            return false;
        cond_wait_until(&t->changed, &t->lock, next_ns);
    }
}

/* Without what the row owns. */
static struct sidecar_block_row
copy_of(const struct sidecar_block_row *row)
{
    struct sidecar_block_row copy = *row;
    copy.reason = NULL;
    copy.held = (struct sidecar_ext_labels){0};
    return copy;
}

bool
sidecar_block_table_sent(struct sidecar_block_table *t, const struct tsdb_ulid *id,
                         uint64_t bytes, int64_t now_ns, struct sidecar_block_row *copy)
{
    MUTEX_SCOPE(&t->lock);
    struct sidecar_block_row *row = find(t, id);
    if (row == NULL)
        return false;
    /* What is sent again counts once. */
    row->sent = NUM_MIN(row->sent + bytes, row->size);
    bool is_time = now_ns - row->told_ns >= TELL_NS &&
                   row->sent - row->told_bytes >= row->size / TELL_PART;
    if (!is_time)
        return false;
    row->told_ns = now_ns;
    row->told_bytes = row->sent;
    *copy = copy_of(row);
    return true;
}

void
sidecar_block_table_stop(struct sidecar_block_table *t)
{
    MUTEX_SCOPE(&t->lock);
    t->is_stopped = true;
    cond_broadcast(&t->changed);
}

static int
by_time(const void *a, const void *b)
{
    const struct sidecar_block_row *x = a, *y = b;
    return is_older(x, y) ? -1 : is_older(y, x);
}

void
sidecar_block_table_copy(struct sidecar_block_table *t, struct sidecar_block_rows *out)
{
    {
        MUTEX_SCOPE(&t->lock);
        out->newest_shipped_ms = t->newest_shipped_ms;
        out->trouble = t->trouble != NULL ? xstrdup(t->trouble) : NULL;
        out->count = t->count;
        out->at = xcalloc(t->count + 1, sizeof *out->at);
        for (size_t i = 0; i < t->count; i++) {
            out->at[i] = copy_of(&t->rows[i]);
            if (t->rows[i].reason != NULL)
                out->at[i].reason = xstrdup(t->rows[i].reason);
        }
    }
    qsort(out->at, out->count, sizeof *out->at, by_time);
}

void
sidecar_block_rows_fini(struct sidecar_block_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        free(rows->at[i].reason);
    free(rows->at);
    free(rows->trouble);
    *rows = (struct sidecar_block_rows){0};
}

bool
sidecar_block_row_is_settled(const struct sidecar_block_row *row)
{
    return row->state == SIDECAR_BLOCK_SHIPPED ||
           row->state == SIDECAR_BLOCK_PASSED_OVER;
}

bool
sidecar_block_row_has_range(const struct sidecar_block_row *row)
{
    return row->block.mint_ms != row->block.maxt_ms;
}

const char *
sidecar_block_state_name(enum sidecar_block_state state)
{
    static const char *const names[] = {
#define X(id, name) [SIDECAR_BLOCK_##id] = (name),
        SIDECAR_BLOCK_STATES(X)
#undef X
    };
    return names[state];
}
