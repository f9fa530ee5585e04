/* SPDX-License-Identifier: Apache-2.0 */
/* Two rings of buffers: series entries are decoded from one batch while further batches
 * are fetched, and chunks are yielded from one window while further windows are
 * fetched. Windows copy what they need, so a batch may go as soon as all its entries
 * are in windows.
 *
 * Batches begin small, so that the first series is there soon, and grow; all that the
 * ring has room for are fetched at once, so this costs no round trip. A selection that
 * is small itself is one batch: then each block answers with one read. */
#include "store/series_stream.h"

#include "common/base/num.h"

/* Series of a batch: the first of many, how much the next may be larger, and what is
 * few. Guesses, but that the first is decoded within a millisecond. */
enum { FIRST_REFS = 64, GROWTH = 4, FEW_REFS = 512 };

/* Bytes of the first windows of many. They grow each time that one had to be waited
 * for, by the same factor, up to their share: what a bucket next door delivers fits the
 * caches of the CPU, and far ones are read in large pieces. */
enum { FIRST_WINDOW = 256 * 1024 };

/* What is read ahead of files of this machine, at most, and as a part of what would be
 * of others: they are there as soon as a thread gets to them. More was not faster, but
 * pushed out of the caches of the CPU what was read before, and twenty broad queries
 * held 20 MiB each. */
enum { LOCAL_BYTES = 1024 * 1024, LOCAL_PART = 4 };

/* How far starting a window may go for its entries. */
enum effort { TAKE_DECODED, TAKE_ARRIVED, WAIT_FOR_THEM };

/* Of the look-ahead, the decoded entries get one part and chunks the others: the
 * entries that are being fetched are a tenth of what they are when decoded. */
enum { PARTS = 4 };

static struct store_series_batch *
batch(struct store_series_stream *s, size_t ahead)
{
    return &s->batches[(s->batch_turn + ahead) % s->ahead.depth];
}

static struct store_chunk_window *
window(struct store_series_stream *s, size_t ahead)
{
    return &s->windows[(s->window_turn + ahead) % s->ahead.depth];
}

/* What the stream may read ahead now: less than at first when more queries run. */
static size_t
bytes_ahead(const struct store_series_stream *s)
{
    const struct store_fetch_source *source = s->context.source;
    size_t bytes = store_fetch_share(source, s->ahead.bytes);
    return objstore_can(source->bucket, OBJSTORE_IS_LOCAL)
               ? NUM_MIN(bytes / LOCAL_PART, (size_t)LOCAL_BYTES)
               : bytes;
}

/* What a window may become. */
static size_t
window_share(const struct store_series_stream *s)
{
    return bytes_ahead(s) / PARTS * (PARTS - 1) / (s->ahead.depth - 1);
}

static bool
start_batches(struct store_series_stream *s, struct err *err)
{
    size_t share = bytes_ahead(s) / PARTS;
    while (s->next_ref < s->refs.count && s->batches_ahead + 1 < s->ahead.depth) {
        struct store_series_batch *b = batch(s, ++s->batches_ahead);
        const struct store_refs left = {
            s->refs.at + s->next_ref,
            NUM_MIN(s->refs.count - s->next_ref, s->most_refs)};
        if (!store_series_batch_start(b, &s->context, left, share, err))
            return false;
        s->next_ref += b->count;
        s->most_refs *= GROWTH;
        if (s->most_refs > s->refs.count)
            s->most_refs = s->refs.count;
    }
    return true;
}

bool
store_series_stream_open(struct store_series_stream *s,
                         const struct store_stream_context *context,
                         struct store_refs refs, struct store_lookahead ahead,
                         struct arena *arena, struct err *err)
{
    memset(s, 0, sizeof *s); /* larger than a frame may be */
    s->context = *context;
    s->context.arena = arena;
    s->refs = refs;
    s->ahead = ahead;
    s->window_bytes = SIZE_MAX;
    s->most_refs = FEW_REFS;
    if (refs.count > FEW_REFS) {
        s->window_bytes = FIRST_WINDOW;
        s->most_refs = FIRST_REFS;
    }
    s->batches = arena_calloc(arena, ahead.depth, sizeof *s->batches);
    s->windows = arena_calloc(arena, ahead.depth, sizeof *s->windows);
    if (s->batches == NULL || s->windows == NULL)
        return arena_ok(arena, err);
    return start_batches(s, err);
}

/* Make the next batch the current one, and fetch another. */
static bool
advance_batch(struct store_series_stream *s, struct err *err)
{
    bool is_last = s->next_ref == s->refs.count && s->batches_ahead == 1;
    if (!store_series_batch_decode(batch(s, 1), &s->context, &s->order, is_last, err))
        return false;
    store_series_batch_fini(batch(s, 0));
    s->batch_turn = (s->batch_turn + 1) % s->ahead.depth;
    s->batches_ahead--;
    s->next_entry = 0;
    return start_batches(s, err);
}

/* Make sure that the current batch holds an entry that is in no window yet, when there
 * are any and the effort is not too great. */
static bool
find_entries(struct store_series_stream *s, enum effort effort, bool *found,
             struct err *err)
{
    *found = false;
    while (s->next_entry == batch(s, 0)->entries.count) {
        if (s->batches_ahead == 0)
            return true;
        if (effort == TAKE_DECODED ||
            (effort == TAKE_ARRIVED && !store_records_is_done(&batch(s, 1)->records)))
            return true;
        if (!advance_batch(s, err))
            return false;
    }
    *found = true;
    return true;
}

/* Start a window with the next series, when there are any. */
static bool
start_window(struct store_series_stream *s, enum effort effort, struct err *err)
{
    bool found;
    if (!find_entries(s, effort, &found, err))
        return false;
    if (!found)
        return true;
    const struct store_entry *entries = batch(s, 0)->entries.at + s->next_entry;
    size_t left = batch(s, 0)->entries.count - s->next_entry;
    struct store_chunk_window *w = window(s, ++s->windows_ahead);
    size_t most = NUM_MIN(s->window_bytes, window_share(s));
    if (!store_chunk_window_start(w, &s->context, entries, left, most, err))
        return false;
    s->next_entry += w->count;
    if (s->next_entry == batch(s, 0)->entries.count && s->batches_ahead == 0) {
        store_series_batch_fini(batch(s, 0));
        s->next_entry = 0;
    }
    return true;
}

/* Start windows until the ring is full, or the effort too great. */
static bool
start_windows(struct store_series_stream *s, enum effort effort, struct err *err)
{
    for (size_t before = SIZE_MAX;
         s->windows_ahead + 1 < s->ahead.depth && s->windows_ahead != before;) {
        before = s->windows_ahead;
        if (!start_window(s, effort, err))
            return false;
    }
    return true;
}

bool
store_series_stream_prime(struct store_series_stream *s, struct err *err)
{
    return s->context.labels_only || start_window(s, WAIT_FOR_THEM, err);
}

/* The current window is spent: go on with the next one. No more entries are decoded
 * before the very first series, unless that has to be waited for. */
static bool
advance_window(struct store_series_stream *s, struct err *err)
{
    store_chunk_window_fini(window(s, 0));
    if (s->windows_ahead == 0 && !start_window(s, WAIT_FOR_THEM, err))
        return false;
    if (s->windows_ahead == 0)
        return true;
    s->window_turn = (s->window_turn + 1) % s->ahead.depth;
    s->windows_ahead--;
    bool is_here = store_records_is_done(&window(s, 0)->records);
    if (!is_here && s->window_bytes < s->ahead.bytes)
        s->window_bytes *= GROWTH;
    enum effort effort = is_here && !s->is_begun ? TAKE_DECODED : TAKE_ARRIVED;
    s->is_begun = true;
    return start_windows(s, effort, err);
}

static bool
next_labels(struct store_series_stream *s, struct store_series *series, bool *end,
            struct err *err)
{
    bool found;
    if (!find_entries(s, WAIT_FOR_THEM, &found, err))
        return false;
    *end = !found;
    if (found)
        *series = (struct store_series){
            .labels = batch(s, 0)->entries.at[s->next_entry++].labels};
    return true;
}

static bool
next_series(struct store_series_stream *s, struct store_series *series, bool *end,
            struct err *err)
{
    bool is_spent = store_chunk_window_is_empty(window(s, 0));
    if (is_spent && !advance_window(s, err))
        return false;
    *end = !window(s, 0)->started;
    if (*end)
        return true;
    return (!is_spent || store_chunk_window_wait(window(s, 0), &s->context, err)) &&
           store_chunk_window_next(window(s, 0), &s->context, series, err);
}

bool
store_series_stream_next(struct store_series_stream *s, struct store_series *series,
                         bool *end, struct err *err)
{
    return s->context.labels_only ? next_labels(s, series, end, err)
                                  : next_series(s, series, end, err);
}

void
store_series_stream_fini(struct store_series_stream *s)
{
    for (size_t i = 0; s->windows != NULL && i < s->ahead.depth; i++)
        store_chunk_window_fini(&s->windows[i]);
    for (size_t i = 0; s->batches != NULL && i < s->ahead.depth; i++)
        store_series_batch_fini(&s->batches[i]);
}

void
store_series_stream_end(struct store_series_stream *s)
{
    for (size_t i = 0; s->windows != NULL && i < s->ahead.depth; i++)
        store_records_drain(&s->windows[i].records);
    for (size_t i = 0; s->batches != NULL && i < s->ahead.depth; i++)
        store_records_drain(&s->batches[i].records);
    store_series_stream_fini(s);
    s->batches_ahead = 0;
    s->windows_ahead = 0;
    s->refs = (struct store_refs){0};
    s->next_ref = 0;
    s->next_entry = 0;
}
