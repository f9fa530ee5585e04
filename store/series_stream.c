/* SPDX-License-Identifier: Apache-2.0 */
/* Two pairs of buffers: series entries are decoded from one batch while the next batch
 * is fetched, and chunks are yielded from one window while the next window is fetched.
 * Windows copy what they need, so a batch may go as soon as all its entries are in
 * windows. */
#include "store/series_stream.h"

static struct store_series_batch *
batch(struct store_series_stream *s)
{
    return &s->batches[s->batch_turn];
}

static struct store_series_batch *
batch_ahead(struct store_series_stream *s)
{
    return &s->batches[!s->batch_turn];
}

static struct store_chunk_window *
window(struct store_series_stream *s)
{
    return &s->windows[s->window_turn];
}

static struct store_chunk_window *
window_ahead(struct store_series_stream *s)
{
    return &s->windows[!s->window_turn];
}

static bool
start_batch(struct store_series_stream *s, struct err *err)
{
    const struct store_refs left = {s->refs.at + s->next_ref,
                                    s->refs.count - s->next_ref};
    if (left.count == 0)
        return true;
    bool ok = store_series_batch_start(batch_ahead(s), &s->context, left,
                                       s->share_bytes, err);
    s->next_ref += batch_ahead(s)->count;
    return ok;
}

bool
store_series_stream_open(struct store_series_stream *s,
                         const struct store_stream_context *context,
                         struct store_refs refs, size_t share_bytes, struct err *err)
{
    memset(s, 0, sizeof *s); /* larger than a frame may be */
    s->context = *context;
    s->refs = refs;
    s->share_bytes = share_bytes;
    return start_batch(s, err);
}

/* Make the batch that is being fetched the current one, and fetch another. */
static bool
advance_batch(struct store_series_stream *s, struct err *err)
{
    bool is_last = s->next_ref == s->refs.count;
    if (!store_series_batch_decode(batch_ahead(s), &s->context, &s->order, is_last,
                                   err))
        return false;
    store_series_batch_fini(batch(s));
    s->batch_turn = !s->batch_turn;
    s->next_entry = 0;
    return start_batch(s, err);
}

/* Make sure that the current batch holds an entry that is in no window yet, when there
 * are any; without blocking only when they have arrived. */
static bool
find_entries(struct store_series_stream *s, bool may_block, bool *found,
             struct err *err)
{
    *found = false;
    while (s->next_entry == batch(s)->entries.count) {
        if (!batch_ahead(s)->started)
            return true;
        if (!may_block && !store_records_is_done(&batch_ahead(s)->records))
            return true;
        if (!advance_batch(s, err))
            return false;
    }
    *found = true;
    return true;
}

/* Start the window ahead with the next series, when there are any. */
static bool
start_window(struct store_series_stream *s, bool may_block, struct err *err)
{
    bool found;
    if (!find_entries(s, may_block, &found, err))
        return false;
    if (!found)
        return true;
    const struct store_entry *entries = batch(s)->entries.at + s->next_entry;
    size_t left = batch(s)->entries.count - s->next_entry;
    if (!store_chunk_window_start(window_ahead(s), &s->context, entries, left,
                                  s->share_bytes, err))
        return false;
    s->next_entry += window_ahead(s)->count;
    return true;
}

bool
store_series_stream_prime(struct store_series_stream *s, struct err *err)
{
    return s->context.labels_only || start_window(s, true, err);
}

/* The current window is spent: go on with the one ahead. */
static bool
advance_window(struct store_series_stream *s, struct err *err)
{
    store_chunk_window_fini(window(s));
    if (!window_ahead(s)->started && !start_window(s, true, err))
        return false;
    s->window_turn = !s->window_turn;
    return true;
}

static bool
next_labels(struct store_series_stream *s, struct store_series *series, bool *end,
            struct err *err)
{
    bool found;
    if (!find_entries(s, true, &found, err))
        return false;
    *end = !found;
    if (found)
        *series = (struct store_series){
            .labels = batch(s)->entries.at[s->next_entry++].labels};
    return true;
}

static bool
next_series(struct store_series_stream *s, struct store_series *series, bool *end,
            struct err *err)
{
    bool is_spent = store_chunk_window_is_empty(window(s));
    *end = false;
    if (is_spent && !advance_window(s, err))
        return false;
    if (!window(s)->started) {
        *end = true;
        return true;
    }
    if (!window_ahead(s)->started && !start_window(s, false, err))
        return false;
    return (!is_spent || store_chunk_window_wait(window(s), &s->context, err)) &&
           store_chunk_window_next(window(s), &s->context, series, err);
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
    for (unsigned i = 0; i < 2; i++) {
        store_chunk_window_fini(&s->windows[i]);
        store_series_batch_fini(&s->batches[i]);
    }
}

void
store_series_stream_end(struct store_series_stream *s)
{
    store_series_stream_fini(s);
    s->refs = (struct store_refs){0};
    s->next_ref = 0;
    s->next_entry = 0;
}
