/* SPDX-License-Identifier: Apache-2.0 */
/* The key: the name of the block, so that it is forgotten with the block's ranges;
 * whether the selection is exact; if not, the labels that are dropped and the names of
 * external labels, for a new meta.json may have others; the matchers, sorted. What is
 * kept, numbers as varints:
 *
 *   | CRC-32C of the rest, 4 bytes, big endian            |
 *   | lists, bytes of postings that were needed           |
 *   | filters; for each its place among the sorted ones   |
 *   | parts; for each: references, differences of these   |
 */
#include "store/select_memo.h"

#include <stdlib.h>

#include "common/base/num.h"
#include "common/codec/crc32c.h"
#include "common/codec/varint.h"

enum {
    KEY_MAX = 4096,
    MEMO_MAX = 1024 * 1024, /* about as many references */
    CRC_BYTES = 4,
};

/* No object has a byte there. */
static const uint64_t PLACE = UINT64_MAX;

static int
by_text(const void *a, const void *b)
{
    const struct tsdb_matcher *const *x = a, *const *y = b;
    int order = bytes_cmp(tsdb_matcher_name(*x), tsdb_matcher_name(*y));
    if (order == 0)
        order = (int)tsdb_matcher_type(*x) - (int)tsdb_matcher_type(*y);
    return order != 0 ? order
                      : bytes_cmp(tsdb_matcher_value(*x), tsdb_matcher_value(*y));
}

/* Writes, or only counts while at is NULL. */
struct writer {
    uint8_t *at;
    size_t len;
};

static void
put_number(struct writer *w, uint64_t v)
{
    if (w->at != NULL)
        (void)varint_store_u64(w->at + w->len, v);
    w->len += varint_size_u64(v);
}

static void
put_bytes(struct writer *w, struct bytes b)
{
    put_number(w, b.len);
    if (w->at != NULL && b.len > 0)
        memcpy(w->at + w->len, b.at, b.len);
    w->len += b.len;
}

/* What a selection is split by. */
static void
put_split(struct writer *w, const struct store_replica_labels *dropped,
          struct tsdb_labels external)
{
    for (size_t i = 0; i < dropped->count; i++)
        put_bytes(w, dropped->names[i]);
    put_number(w, external.len);
    for (size_t i = 0; i < external.len; i++)
        put_bytes(w, external.at[i].name);
}

static void
put_key(struct writer *w, const struct store_select_memo *memo,
        const struct store_select_question *q)
{
    struct bytes name = bytes_of_str(q->block->name.text);
    if (w->at != NULL)
        memcpy(w->at, name.at, name.len);
    w->len += name.len;
    put_number(w, q->dropped != NULL ? q->dropped->count + 1 : 0);
    if (q->dropped != NULL)
        put_split(w, q->dropped, q->block->meta.external);
    for (size_t i = 0; i < q->matchers.count; i++) {
        put_bytes(w, tsdb_matcher_name(memo->sorted[i]));
        put_number(w, tsdb_matcher_type(memo->sorted[i]));
        put_bytes(w, tsdb_matcher_value(memo->sorted[i]));
    }
}

bool
store_select_memo_init(struct store_select_memo *memo,
                       const struct store_select_question *question,
                       struct arena *arena, struct err *err)
{
    size_t count = question->matchers.count;
    struct writer size = {0};
    *memo = (struct store_select_memo){.count = count};
    memo->sorted = arena_calloc(arena, count, sizeof *memo->sorted);
    if (memo->sorted == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < count; i++)
        memo->sorted[i] = question->matchers.at[i];
    qsort(memo->sorted, count, sizeof *memo->sorted, by_text);
    put_key(&size, memo, question);
    if (size.len > KEY_MAX)
        return true;
    struct writer w = {.at = arena_alloc(arena, size.len)};
    if (w.at == NULL)
        return arena_ok(arena, err);
    put_key(&w, memo, question);
    memo->key = bytes_of(w.at, w.len);
    return true;
}

static struct store_range
range_of(const struct store_select_memo *memo, const struct store_fetch_source *source)
{
    return (struct store_range){.key = memo->key,
                                .offset = PLACE,
                                .len = MEMO_MAX,
                                .is_repeat = source->damage.is_repeat,
                                .is_broad = store_fetch_is_broad(source)};
}

/* How many things follow, which take at least a byte each. */
static uint64_t
get_count(struct cursor *c)
{
    uint64_t count = varint_u64(c);
    if (count <= c->rest.len)
        return count;
    c->bad = true;
    return 0;
}

static bool
get_refs(struct cursor *c, struct arena *arena, struct store_refs *refs)
{
    uint64_t count = get_count(c), ref = 0;
    refs->count = 0;
    refs->at = arena_calloc(arena, count, sizeof *refs->at);
    for (; refs->at != NULL && refs->count < count; refs->count++) {
        uint64_t step = varint_u64(c);
        if (c->bad || step > UINT32_MAX - ref)
            return false;
        ref += step;
        refs->at[refs->count] = (tsdb_ref)ref;
    }
    return refs->at != NULL && count > 0;
}

static bool
get_parts(struct cursor *c, struct arena *arena, struct store_ref_lists *parts)
{
    uint64_t count = get_count(c);
    parts->at = arena_calloc(arena, count, sizeof *parts->at);
    for (; parts->at != NULL && parts->count < count; parts->count++)
        if (!get_refs(c, arena, &parts->at[parts->count]))
            return false;
    return parts->at != NULL;
}

static bool
get_filters(struct cursor *c, const struct store_select_memo *memo, struct arena *arena,
            struct store_selection *s)
{
    uint64_t count = get_count(c);
    s->filters = arena_calloc(arena, count, sizeof *s->filters);
    for (; s->filters != NULL && s->filter_count < count; s->filter_count++) {
        uint64_t place = varint_u64(c);
        if (c->bad || place >= memo->count)
            return false;
        s->filters[s->filter_count] = memo->sorted[place];
    }
    return s->filters != NULL;
}

/* False: it is damaged, or the arena has failed. */
static bool
decode(struct store_select_memo *memo, struct bytes kept, struct arena *arena,
       struct store_selection *s)
{
    struct cursor c = cursor_of(kept);
    uint32_t crc = cursor_be32(&c);
    if (c.bad || crc32c(c.rest) != crc)
        return false;
    memo->lists = varint_u64(&c);
    memo->bytes = varint_u64(&c);
    return get_filters(&c, memo, arena, s) && get_parts(&c, arena, &s->parts) &&
           !c.bad && c.rest.len == 0;
}

static void
count_hit(const struct store_select_memo *memo, struct store_fetch_source *source,
          size_t bytes)
{
    struct store_data_totals *totals = &source->data[STORE_DATA_POSTINGS];
    totals->touched += memo->lists;
    totals->touched_bytes += memo->bytes;
    totals->cached_reads++;
    totals->cached_bytes += bytes;
}

bool
store_select_memo_get(struct store_select_memo *memo, struct store_fetch_source *source,
                      struct arena *arena, struct store_selection *selection,
                      bool *found, struct err *err)
{
    size_t room, len;
    struct store_selection s = {0};
    *found = false;
    if (memo->key.len == 0 || source->cache == NULL)
        return true;
    const struct store_range range = range_of(memo, source);
    if (!store_range_cache_find(source->cache, &range, &room))
        return true;
    uint8_t *at = arena_alloc(arena, room);
    if (at == NULL)
        return arena_ok(arena, err);
    *found = store_range_cache_get(source->cache, &range, at, room, &len) &&
             decode(memo, bytes_of(at, len), arena, &s);
    if (*found) {
        *selection = s;
        count_hit(memo, source, len);
    } else {
        memo->lists = memo->bytes = 0;
    }
    return arena_ok(arena, err);
}

static uint64_t
place_of(const struct store_select_memo *memo, const struct tsdb_matcher *m)
{
    uint64_t i = 0;
    while (memo->sorted[i] != m)
        i++;
    return i;
}

static void
put_refs(struct writer *w, struct store_refs refs)
{
    tsdb_ref before = 0;
    put_number(w, refs.count);
    for (size_t i = 0; i < refs.count; before = refs.at[i++])
        put_number(w, refs.at[i] - before);
}

static void
encode(struct writer *w, const struct store_select_memo *memo,
       const struct store_selection *s)
{
    w->len = CRC_BYTES;
    put_number(w, memo->lists);
    put_number(w, memo->bytes);
    put_number(w, s->filter_count);
    for (size_t i = 0; i < s->filter_count; i++)
        put_number(w, place_of(memo, s->filters[i]));
    put_number(w, s->parts.count);
    for (size_t i = 0; i < s->parts.count; i++)
        put_refs(w, s->parts.at[i]);
    if (w->at != NULL)
        be32_store(w->at, crc32c(bytes_of(w->at + CRC_BYTES, w->len - CRC_BYTES)));
}

static bool
is_in_order(const struct store_selection *s)
{
    for (size_t i = 0; i < s->parts.count; i++)
        for (size_t k = 1; k < s->parts.at[i].count; k++)
            if (s->parts.at[i].at[k - 1] > s->parts.at[i].at[k])
                return false;
    return true;
}

void
store_select_memo_put(const struct store_select_memo *memo,
                      const struct store_fetch_source *source, struct budget *budget,
                      const struct store_selection *selection)
{
    struct writer size = {0};
    if (memo->key.len == 0 || source->cache == NULL || !is_in_order(selection))
        return;
    encode(&size, memo, selection);
    if (size.len > MEMO_MAX || !budget_try(budget, size.len))
        return;
    struct writer w = {.at = malloc(size.len)};
    if (w.at != NULL) {
        const struct store_range range = range_of(memo, source);
        encode(&w, memo, selection);
        store_range_cache_put(source->cache, &range, bytes_of(w.at, w.len));
    }
    free(w.at);
    budget_give(budget, size.len);
}
