/* SPDX-License-Identifier: Apache-2.0 */
#include "store/records.h"

#include "common/base/num.h"

uint64_t
store_records_reach(uint64_t offset, uint64_t next, uint64_t room, uint64_t guess)
{
    bool is_near = next > offset && next - offset <= guess + STORE_FETCH_MAX_GAP;
    return NUM_MIN(room, is_near ? next - offset : guess);
}

bool
store_records_start(struct store_records *r, struct store_fetch_source *source,
                    struct arena *arena, struct err *err)
{
    r->arena = arena;
    for (size_t i = 0; i < r->count; i++) {
        struct store_piece *p = &r->pieces[i];
        bool follows = i + 1 < r->count && p[1].object == p->object;
        p->len = store_records_reach(p->offset, follows ? p[1].offset : 0, p->room,
                                     r->guess);
    }
    r->first.data = r->data;
    r->first.on_piece = r->on_record;
    r->first.on_piece_arg = r->on_record_arg;
    return store_fetch_start(&r->first, source, r->keys, r->pieces, r->count, arena,
                             err);
}

bool
store_records_is_done(struct store_records *r)
{
    return store_fetch_is_done(&r->first);
}

/* Whether there is more of the record than was read. */
static bool
is_cut(const struct store_records *r, const struct store_piece *p, uint64_t *size)
{
    if (p->is_taken)
        return false;
    struct bytes got = store_fetch_piece(&r->first, p);
    return got.len == p->len && r->size(got, size) && *size > got.len &&
           *size <= p->room;
}

static size_t
count_cut(const struct store_records *r)
{
    size_t count = 0;
    uint64_t size;
    for (size_t i = 0; i < r->count; i++)
        count += is_cut(r, &r->pieces[i], &size);
    return count;
}

/* Copies of the pieces that are cut, with their true lengths; the tag is where they
 * come from. */
static void
collect_cut(struct store_records *r, struct store_piece *cut)
{
    uint64_t size;
    for (size_t i = 0; i < r->count; i++) {
        if (!is_cut(r, &r->pieces[i], &size))
            continue;
        *cut = r->pieces[i];
        cut->tag = (uint32_t)i;
        cut->len = size;
        cut++;
        r->guess = NUM_MAX(r->guess, size);
    }
}

bool
store_records_wait(struct store_records *r, struct err *err)
{
    if (!store_fetch_wait(&r->first, err))
        return false;
    size_t count = count_cut(r);
    if (count == 0)
        return true;
    struct store_piece *cut = arena_calloc(r->arena, count, sizeof *cut);
    r->again = arena_calloc(r->arena, 1, sizeof *r->again);
    if (cut == NULL || r->again == NULL)
        return arena_ok(r->arena, err);
    collect_cut(r, cut);
    r->again->data = r->data;
    r->again->is_again = true;
    if (!store_fetch_start(r->again, r->first.source, r->keys, cut, count, r->arena,
                           err) ||
        !store_fetch_wait(r->again, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct store_piece *p = &r->pieces[cut[i].tag];
        p->len = cut[i].len;
        p->read = cut[i].read;
        p->is_again = true;
    }
    return true;
}

struct bytes
store_records_get(const struct store_records *r, const struct store_piece *piece)
{
    return store_fetch_piece(piece->is_again ? r->again : &r->first, piece);
}

void
store_records_drain(struct store_records *r)
{
    struct err ignored;
    (void)!store_fetch_wait(&r->first, &ignored);
    if (r->again != NULL)
        (void)!store_fetch_wait(r->again, &ignored);
}

void
store_records_fini(struct store_records *r)
{
    store_fetch_fini(&r->first);
    if (r->again != NULL)
        store_fetch_fini(r->again);
    r->again = NULL;
}
