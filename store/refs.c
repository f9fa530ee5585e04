/* SPDX-License-Identifier: Apache-2.0 */
#include "store/refs.h"

/* Below this many, moving neighbours is faster than parting by bits. A guess. */
enum { FEW = 24, BITS = 32 };

_Static_assert(sizeof(tsdb_ref) * 8 == BITS, "a reference is sorted bit by bit");

void
store_refs_append(struct store_refs *refs, struct tsdb_postings list)
{
    tsdb_ref ref;
    while (tsdb_postings_next(&list, 0, &ref))
        refs->at[refs->count++] = ref;
}

static bool
is_ascending(const struct store_refs *refs)
{
    for (size_t i = 1; i < refs->count; i++)
        if (refs->at[i - 1] > refs->at[i])
            return false;
    return true;
}

static void
sort_few(tsdb_ref *at, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        tsdb_ref moved = at[i];
        size_t to = i;
        for (; to > 0 && at[to - 1] > moved; to--)
            at[to] = at[to - 1];
        at[to] = moved;
    }
}

/* Move those without the bit in front of those with it; returns how many they are. */
static size_t
part(tsdb_ref *at, size_t count, tsdb_ref bit)
{
    size_t begin = 0, end = count;
    while (begin < end) {
        tsdb_ref ref = at[begin];
        if ((ref & bit) == 0) {
            begin++;
        } else {
            at[begin] = at[--end];
            at[end] = ref;
        }
    }
    return begin;
}

/* Parts by the highest bit first. What waits has one bit less each time, so there are
 * never more waiting than bits. */
void
store_refs_sort(struct store_refs *refs)
{
    struct {
        tsdb_ref *at;
        size_t count;
        unsigned bits;
    } waiting[BITS + 1], now;
    size_t depth = 0;
    if (is_ascending(refs))
        return;
    waiting[depth].at = refs->at;
    waiting[depth].count = refs->count;
    waiting[depth++].bits = BITS;
    while (depth > 0) {
        now = waiting[--depth];
        if (now.count <= FEW) {
            sort_few(now.at, now.count);
            continue;
        }
        if (now.bits == 0)
            continue;
        size_t zeros = part(now.at, now.count, (tsdb_ref)1 << --now.bits);
        waiting[depth] = now;
        waiting[depth].at += zeros;
        waiting[depth++].count -= zeros;
        waiting[depth] = now;
        waiting[depth++].count = zeros;
    }
}

/* Position of the first reference from begin on that is not below ref. The step doubles
 * until it is passed, so that near ones are found fast. */
static size_t
first_not_below(const struct store_refs *refs, size_t begin, tsdb_ref ref)
{
    size_t step = 1, end = begin;
    while (end < refs->count && refs->at[end] < ref) {
        begin = end + 1;
        end = step < refs->count - end ? end + step : refs->count;
        step *= 2;
    }
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (refs->at[middle] < ref)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

/* Step to the next reference that both have, from refs->at[*at] on. */
static bool
next_common(const struct store_refs *refs, struct tsdb_postings *list, size_t *at)
{
    tsdb_ref ref;
    while (*at < refs->count && tsdb_postings_next(list, refs->at[*at], &ref)) {
        *at = first_not_below(refs, *at, ref);
        if (*at < refs->count && refs->at[*at] == ref)
            return true;
    }
    return false;
}

void
store_refs_mark(const struct store_refs *refs, struct tsdb_postings list, bool *hits,
                struct store_refs *copy)
{
    for (size_t i = 0; next_common(refs, &list, &i); i++) {
        hits[i] = true;
        if (copy != NULL)
            copy->at[copy->count++] = refs->at[i];
    }
}

bool
store_refs_meet(const struct store_refs *refs, struct tsdb_postings list)
{
    size_t at = 0;
    return next_common(refs, &list, &at);
}

void
store_refs_keep(struct store_refs *refs, const bool *hits, bool wanted)
{
    size_t kept = 0;
    for (size_t i = 0; i < refs->count; i++)
        if (hits[i] == wanted)
            refs->at[kept++] = refs->at[i];
    refs->count = kept;
}
