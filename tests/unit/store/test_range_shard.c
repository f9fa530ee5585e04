/* SPDX-License-Identifier: Apache-2.0 */
/* Random scripts against the policy written down plainly: lists that are searched from
 * end to end, ghosts included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "store/range_shard.h"

/* Few enough ghosts for bytes, not their number, to be what ends them. */
enum { LIMIT = 64 * 1024, KEYS = 300, STEPS = 40000, LEAST = 700, MODEL_MOST = 1024 };
enum { TRIAL_PART = 10, RANGE_PART = 4, TURNS = 3, UNIT = 64 };

static uint64_t state = 88172645463325252u;

static size_t
pick(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state >> 20) % n;
}

/* Lists in order of age, the oldest first. */
struct list {
    size_t count;
    struct {
        size_t key;
        unsigned asked;
    } at[MODEL_MOST];
};

struct model {
    struct list trial, main, ghosts;
    uint64_t ghost_hits;
    uint64_t evictions;
};

static size_t
len_of(size_t key)
{
    return LEAST + key * 7919 % 2000 + (key % 50 == 0 ? LIMIT / RANGE_PART : 0);
}

static size_t
cost_of(size_t key)
{
    return store_range_entry_cost(sizeof key, len_of(key));
}

static size_t
find(const struct list *l, size_t key)
{
    size_t i = 0;
    while (i < l->count && l->at[i].key != key)
        i++;
    return i;
}

static bool
has(const struct list *l, size_t key)
{
    return find(l, key) < l->count;
}

static void
drop(struct list *l, size_t i)
{
    memmove(&l->at[i], &l->at[i + 1], (--l->count - i) * sizeof l->at[0]);
}

static void
push(struct list *l, size_t key, unsigned asked)
{
    assert_true(l->count < MODEL_MOST);
    l->at[l->count].key = key;
    l->at[l->count++].asked = asked;
}

static size_t
used(const struct list *l)
{
    size_t bytes = 0;
    for (size_t i = 0; i < l->count; i++)
        bytes += cost_of(l->at[i].key);
    return bytes;
}

static size_t
ghost_bytes(const struct list *l)
{
    size_t bytes = 0;
    for (size_t i = 0; i < l->count; i++)
        bytes += (cost_of(l->at[i].key) / UNIT + 1) * UNIT;
    return bytes;
}

static void
add_ghost(struct model *m, size_t key)
{
    size_t bytes = (cost_of(key) / UNIT + 1) * UNIT;
    if (bytes > LIMIT)
        return;
    while (ghost_bytes(&m->ghosts) + bytes > LIMIT)
        drop(&m->ghosts, 0);
    push(&m->ghosts, key, 0);
}

static void
model_evict(struct model *m, size_t most)
{
    while (used(&m->trial) + used(&m->main) > most) {
        bool is_trial = m->main.count == 0 || used(&m->trial) > LIMIT / TRIAL_PART;
        struct list *l = is_trial ? &m->trial : &m->main;
        size_t key = l->at[0].key;
        unsigned asked = l->at[0].asked;
        drop(l, 0);
        if (asked > 0) {
            push(&m->main, key, is_trial ? 0 : asked - 1);
            continue;
        }
        m->evictions++;
        add_ghost(m, key);
    }
}

static bool
model_ask(struct model *m, size_t key, bool is_repeat)
{
    struct list *l = has(&m->trial, key) ? &m->trial : &m->main;
    size_t i = find(l, key);
    if (i == l->count) {
        m->ghost_hits += !is_repeat && has(&m->ghosts, key);
        return false;
    }
    if (!is_repeat)
        l->at[i].asked = NUM_MIN(l->at[i].asked + 1, (unsigned)TURNS);
    return true;
}

static void
model_put(struct model *m, size_t key, bool is_repeat, bool is_broad)
{
    size_t total = used(&m->trial) + used(&m->main), cost = cost_of(key);
    bool was_there = has(&m->ghosts, key);
    if (cost > LIMIT / RANGE_PART || has(&m->trial, key) || has(&m->main, key))
        return;
    if (is_broad && total + cost > LIMIT && (is_repeat || !was_there)) {
        if (!was_there)
            add_ghost(m, key);
        return;
    }
    if (was_there)
        drop(&m->ghosts, find(&m->ghosts, key));
    model_evict(m, LIMIT - cost);
    push(was_there && !is_repeat ? &m->main : &m->trial, key, 0);
}

static void
model_forget(struct model *m, size_t key)
{
    struct list *lists[] = {&m->trial, &m->main};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (has(lists[i], key))
            drop(lists[i], find(lists[i], key));
}

static void
release(struct store_range_entry *list)
{
    while (list != NULL) {
        struct store_range_entry *e = list;
        list = e->next;
        free(e);
    }
}

/* Keys share chains. */
static uint64_t
hash_of(size_t key)
{
    return key * UINT64_C(0x9e3779b97f4a7c15) & ~UINT64_C(15);
}

static void
put(struct store_range_shard *s, const struct store_range *r, size_t key)
{
    struct store_range_entry *out = NULL;
    if (!store_range_shard_wants(s, hash_of(key), r, cost_of(key)))
        return;
    uint8_t *data = xcalloc(1, len_of(key));
    struct store_range_entry *e =
        xcalloc(1, store_range_entry_size(sizeof key, len_of(key)));
    memset(data, (int)key & 0xff, len_of(key));
    store_range_entry_init(e, hash_of(key), r, bytes_of(data, len_of(key)));
    free(data);
    store_range_shard_insert(s, e, r, &out);
    release(out);
}

static void
step(struct store_range_shard *s, struct model *m)
{
    /* A few are asked for much more often. */
    size_t key = pick(2) == 0 ? pick(20) : pick(KEYS);
    struct store_range_entry *out = NULL;
    const struct store_range r = {.key = bytes_of(&key, sizeof key),
                                  .len = len_of(key),
                                  .is_repeat = pick(10) == 0,
                                  .is_broad = pick(4) == 0};
    size_t what = pick(1000);
    if (what < 2) {
        model_forget(m, key);
        store_range_shard_forget(s, r.key, &out);
    } else if (what < 20) {
        size_t most = pick(LIMIT);
        model_evict(m, most);
        store_range_shard_evict(s, most, &out);
    } else {
        const struct store_range_entry *e = store_range_shard_ask(s, hash_of(key), &r);
        assert_int_equal(e != NULL, model_ask(m, key, r.is_repeat));
        if (e != NULL) {
            assert_int_equal(store_range_entry_data(e).len, len_of(key));
            assert_int_equal(store_range_entry_data(e).at[0], key & 0xff);
        } else {
            put(s, &r, key);
            model_put(m, key, r.is_repeat, r.is_broad);
        }
    }
    release(out);
}

static void
keeps_what_the_model_keeps(void **unused)
{
    static struct model m;
    struct store_range_shard s;
    struct store_range_entry *out = NULL;
    (void)unused;
    store_range_shard_init(&s, LIMIT);
    for (size_t i = 0; i < STEPS; i++) {
        step(&s, &m);
        assert_int_equal(s.trial.used, used(&m.trial));
        assert_int_equal(s.main.used, used(&m.main));
        assert_int_equal(s.counts.ghost_hits, m.ghost_hits);
        assert_int_equal(s.counts.evictions, m.evictions);
        assert_int_equal(s.counts.ranges, m.trial.count + m.main.count);
        assert_true(store_range_shard_used(&s) <= LIMIT);
    }
    assert_true(m.evictions > STEPS / 10 && m.ghost_hits > STEPS / 100);
    store_range_shard_forget(&s, (struct bytes){0}, &out);
    release(out);
    assert_int_equal(store_range_shard_used(&s), 0);
    store_range_shard_fini(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_what_the_model_keeps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
