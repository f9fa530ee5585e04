/* SPDX-License-Identifier: Apache-2.0 */
#include "store/disk_index.h"

#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"

/* Entries hang in the chains of a hash table and, whether they are in use or void, in
 * the list of their file: an entry that was dropped is free only when its file goes. */

struct store_disk_entry {
    uint64_t hash;
    uint32_t group;
    uint32_t file;
    uint32_t at;
    uint32_t len : 30;
    bool is_wanted : 1;
    bool is_void : 1;
    uint32_t next;    /* in its chain, or of the free ones */
    uint32_t sibling; /* the next of its file */
};

_Static_assert(sizeof(struct store_disk_entry) == 32, "32 bytes, and 4 of a chain");

enum { MIN_CAPACITY = 256, MAX_CAPACITY = 1 << 28, MAX_LEN = (1 << 30) - 1 };

static size_t
bytes_of_capacity(size_t capacity)
{
    return capacity * (sizeof(struct store_disk_entry) + sizeof(uint32_t));
}

void
store_disk_index_init(struct store_disk_index *x, size_t limit, struct budget *budget)
{
    *x = (struct store_disk_index){.most = MIN_CAPACITY, .budget = budget};
    while (2 * x->most <= MAX_CAPACITY && bytes_of_capacity(2 * x->most) <= limit)
        x->most *= 2;
}

void
store_disk_index_fini(struct store_disk_index *x)
{
    budget_give(x->budget, bytes_of_capacity(x->capacity));
    free(x->entries);
    free(x->chains);
    free(x->files);
    *x = (struct store_disk_index){0};
}

static struct store_disk_entry *
entry(const struct store_disk_index *x, uint32_t name)
{
    return &x->entries[name - 1];
}

static uint32_t *
chain_of(const struct store_disk_index *x, uint64_t hash)
{
    return &x->chains[hash & (x->capacity - 1)];
}

static uint32_t
find(const struct store_disk_index *x, uint64_t hash)
{
    uint32_t name = x->capacity > 0 ? *chain_of(x, hash) : 0;
    while (name != 0 && entry(x, name)->hash != hash)
        name = entry(x, name)->next;
    return name;
}

/* Take an entry out of its chain. */
static void
make_void(struct store_disk_index *x, uint32_t name)
{
    struct store_disk_entry *e = entry(x, name);
    uint32_t *link = chain_of(x, e->hash);
    if (e->is_void)
        return;
    while (*link != name)
        link = &entry(x, *link)->next;
    *link = e->next;
    e->is_void = true;
    x->ranges--;
}

static void
link_all(struct store_disk_index *x)
{
    for (uint32_t name = 1; name <= x->used; name++) {
        struct store_disk_entry *e = entry(x, name);
        if (e->is_void)
            continue;
        e->next = *chain_of(x, e->hash);
        *chain_of(x, e->hash) = name;
    }
}

static bool
grow(struct store_disk_index *x)
{
    uint32_t capacity = NUM_MAX(2 * x->capacity, (uint32_t)MIN_CAPACITY);
    size_t more = bytes_of_capacity(capacity) - bytes_of_capacity(x->capacity);
    if (capacity > x->most || !budget_try(x->budget, more))
        return false;
    x->entries = xrealloc(x->entries, capacity * sizeof *x->entries);
    free(x->chains);
    x->chains = xcalloc(capacity, sizeof *x->chains);
    x->capacity = capacity;
    link_all(x);
    return true;
}

/* The name of an entry that is free; 0: there is no memory for one. */
static uint32_t
take_entry(struct store_disk_index *x)
{
    uint32_t name = x->free;
    if (name != 0) {
        x->free = entry(x, name)->next;
        return name;
    }
    return x->used < x->capacity || grow(x) ? ++x->used : 0;
}

void
store_disk_index_add_file(struct store_disk_index *x, uint32_t number, uint64_t bytes)
{
    CHECK(x->file_count == 0 || x->files[x->file_count - 1].number < number);
    if (x->file_count == x->file_room) {
        x->file_room = 2 * x->file_room + 16;
        x->files = xrealloc(x->files, x->file_room * sizeof *x->files);
    }
    x->files[x->file_count++] =
        (struct store_disk_file){.number = number, .bytes = bytes};
    x->bytes += bytes;
}

struct store_disk_file *
store_disk_index_file(const struct store_disk_index *x, uint32_t number)
{
    size_t lo = 0, hi = x->file_count;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if (x->files[middle].number < number)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo < x->file_count && x->files[lo].number == number ? &x->files[lo] : NULL;
}

void
store_disk_index_set_bytes(struct store_disk_index *x, struct store_disk_file *f,
                           uint64_t bytes)
{
    x->bytes += bytes - f->bytes;
    f->bytes = bytes;
}

void
store_disk_index_drop_file(struct store_disk_index *x, uint32_t number)
{
    struct store_disk_file *f = store_disk_index_file(x, number);
    if (f == NULL)
        return;
    for (uint32_t name = f->first, sibling; name != 0; name = sibling) {
        struct store_disk_entry *e = entry(x, name);
        sibling = e->sibling;
        make_void(x, name);
        e->next = x->free;
        x->free = name;
    }
    x->bytes -= f->bytes;
    x->file_count--;
    memmove(f, f + 1, (size_t)(x->files + x->file_count - f) * sizeof *f);
}

bool
store_disk_index_find(struct store_disk_index *x, uint64_t hash,
                      struct store_disk_place *place)
{
    uint32_t name = find(x, hash);
    if (name == 0)
        return false;
    struct store_disk_entry *e = entry(x, name);
    e->is_wanted = true;
    *place = (struct store_disk_place){e->file, e->at, e->len};
    return true;
}

bool
store_disk_index_has(const struct store_disk_index *x, uint64_t hash)
{
    return find(x, hash) != 0;
}

void
store_disk_index_forget(struct store_disk_index *x, uint32_t group)
{
    bool is_all = group == store_disk_group((struct bytes){0});
    for (uint32_t name = 1; name <= x->used; name++)
        if (is_all || entry(x, name)->group == group)
            make_void(x, name);
}

bool
store_disk_index_put(struct store_disk_index *x, uint32_t file,
                     const struct store_disk_row *row)
{
    struct store_disk_file *f = store_disk_index_file(x, file);
    CHECK(f != NULL);
    if (row->flags & STORE_DISK_FORGET) {
        store_disk_index_forget(x, row->group);
        return true;
    }
    uint32_t earlier = find(x, row->hash);
    if (earlier != 0)
        make_void(x, earlier);
    uint32_t name = row->len <= MAX_LEN ? take_entry(x) : 0;
    if (name == 0)
        return false;
    uint32_t *chain = chain_of(x, row->hash);
    *entry(x, name) = (struct store_disk_entry){.hash = row->hash,
                                                .group = row->group,
                                                .file = file,
                                                .at = row->at,
                                                .len = row->len & MAX_LEN,
                                                .next = *chain,
                                                .sibling = f->first};
    *chain = name;
    f->first = name;
    x->ranges++;
    return true;
}

void
store_disk_index_drop(struct store_disk_index *x, uint64_t hash,
                      const struct store_disk_place *place)
{
    uint32_t name = find(x, hash);
    if (name != 0 && entry(x, name)->file == place->file &&
        entry(x, name)->at == place->at)
        make_void(x, name);
}

bool
store_disk_index_next_wanted(struct store_disk_index *x, uint32_t file, uint32_t *from,
                             uint64_t *hash, struct store_disk_place *place)
{
    const struct store_disk_file *f = store_disk_index_file(x, file);
    uint32_t name = f == NULL ? 0 : *from == 0 ? f->first : entry(x, *from)->sibling;
    while (name != 0 && (entry(x, name)->is_void || !entry(x, name)->is_wanted))
        name = entry(x, name)->sibling;
    if (name == 0)
        return false;
    struct store_disk_entry *e = entry(x, name);
    e->is_wanted = false;
    *from = name;
    *hash = e->hash;
    *place = (struct store_disk_place){e->file, e->at, e->len};
    return true;
}
