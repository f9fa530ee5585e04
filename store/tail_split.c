/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tail_split.h"

#include "common/base/num.h"

/* The name of external labels that sorts last, of those that stay. */
static struct bytes
last_external(const struct store_block *block,
              const struct store_replica_labels *dropped)
{
    struct tsdb_labels external = block->meta.external;
    struct bytes last = {0};
    for (size_t i = 0; i < external.len; i++)
        if (!store_replica_labels_has(dropped, external.at[i].name))
            last = external.at[i].name;
    return last;
}

bool
store_tail_split_is_needed(const struct store_block *block,
                           const struct store_replica_labels *dropped, bool *is_needed,
                           struct err *err)
{
    struct bytes last = last_external(block, dropped);
    *is_needed = false;
    for (size_t i = 0; i < dropped->count && !*is_needed; i++)
        if (bytes_cmp(dropped->names[i], last) > 0 &&
            !store_index_header_has_name(block->header, dropped->names[i], is_needed,
                                         err))
            return false;
    return true;
}

#define NO_TAIL UINT32_MAX

struct splitting {
    struct store_stream_context *context;
    struct store_refs refs;
    size_t share_bytes;
    struct store_series_batch batches[2];
    size_t started; /* references that are, or were, in a batch */
    const struct store_series_batch *batch;
    size_t begin; /* number of its first reference */
    struct arena scratch;
    struct arena arena;
    uint32_t *tails; /* for each reference the labels of its series if the last one is
                        dropped, else 0 */
};

static bool
note_tail(void *arg, const struct tsdb_series *series, struct err *err)
{
    struct splitting *s = arg;
    struct bytes last = {0};
    arena_reset(&s->scratch);
    for (size_t i = 0; i < series->label_count; i++) {
        struct bytes name;
        if (!store_symbol_memo_get(s->context->memo, s->context->block,
                                   series->labels[i].name, &s->scratch, &name, err))
            return false;
        if (i == 0 || bytes_cmp(name, last) > 0)
            last = name;
    }
    uint32_t tail = (uint32_t)series->label_count;
    if (!store_replica_labels_has(s->context->dropped, last))
        tail = 0;
    s->tails[s->begin + s->batch->turn] = tail;
    return true;
}

static bool
start_batch(struct splitting *s, struct store_series_batch *b, struct err *err)
{
    const struct store_refs left = {s->refs.at + s->started,
                                    s->refs.count - s->started};
    if (left.count == 0)
        return true;
    bool ok = store_series_batch_start(b, s->context, left, s->share_bytes, err);
    s->started += b->count;
    return ok;
}

/* Read all entries, one batch while another is fetched. */
static bool
read_entries(struct splitting *s, struct err *err)
{
    if (!start_batch(s, &s->batches[0], err))
        return false;
    for (unsigned turn = 0; s->batches[turn].started; turn = !turn) {
        s->batch = &s->batches[turn];
        if (!start_batch(s, &s->batches[!turn], err) ||
            !store_series_batch_each(&s->batches[turn], s->context, note_tail, s,
                                     err) ||
            !store_fetch_check(s->context->source, err))
            return false;
        s->begin += s->batch->count;
        store_series_batch_fini(&s->batches[turn]);
    }
    return true;
}

/* The references whose tail is this, in order; nothing if there is none. */
static bool
push_tail(const struct splitting *s, uint32_t tail, struct arena *arena,
          struct store_ref_lists *parts, struct err *err)
{
    struct store_refs refs = s->refs;
    size_t count = 0;
    for (size_t i = 0; i < refs.count; i++)
        count += s->tails[i] == tail;
    if (count == 0)
        return true;
    tsdb_ref *at = arena_calloc(arena, count, sizeof *at);
    struct store_refs *grown =
        arena_grow(arena, parts->at, parts->count, &parts->cap, sizeof *grown);
    if (at == NULL || grown == NULL)
        return arena_ok(arena, err);
    parts->at = grown;
    parts->at[parts->count++] = (struct store_refs){at, count};
    for (size_t i = 0, n = 0; i < refs.count; i++)
        if (s->tails[i] == tail)
            at[n++] = refs.at[i];
    return true;
}

/* The smallest tail above one. */
static uint32_t
next_tail(const struct splitting *s, uint32_t tail)
{
    uint32_t next = NO_TAIL;
    for (size_t i = 0; i < s->refs.count; i++)
        if (s->tails[i] > tail)
            next = NUM_MIN(next, s->tails[i]);
    return next;
}

static bool
split(struct splitting *s, struct arena *arena, struct store_ref_lists *parts,
      struct err *err)
{
    s->tails = arena_calloc(&s->arena, s->refs.count, sizeof *s->tails);
    if (s->tails == NULL)
        return arena_ok(&s->arena, err);
    if (!read_entries(s, err))
        return false;
    for (uint32_t tail = 0; tail != NO_TAIL; tail = next_tail(s, tail))
        if (!push_tail(s, tail, arena, parts, err))
            return false;
    return true;
}

bool
store_tail_split(struct store_stream_context *c, struct store_refs refs,
                 size_t share_bytes, struct arena *arena, struct store_ref_lists *parts,
                 struct err *err)
{
    struct splitting s = {.context = c, .refs = refs, .share_bytes = share_bytes};
    arena_init(&s.arena, c->budget);
    arena_init(&s.scratch, c->budget);
    bool ok = split(&s, arena, parts, err);
    for (size_t i = 0; i < ARRAY_LEN(s.batches); i++) {
        store_records_drain(&s.batches[i].records); /* the query may go on */
        store_series_batch_fini(&s.batches[i]);
    }
    arena_fini(&s.scratch);
    arena_fini(&s.arena);
    return ok;
}
