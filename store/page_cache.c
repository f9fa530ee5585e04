/* SPDX-License-Identifier: Apache-2.0 */
#include "store/page_cache.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/crc32c.h"

/* Slots hang in the chains of a hash table and are, by their position, the face of the
 * clock. A buffer belongs to a slot, or to the thread that is filling it; both kinds
 * count against the capacity, so that a filled buffer always finds a free slot. */

enum { MIN_PAGES = 16, GULP = 2048 };

static const uint32_t NO_SLOT = UINT32_MAX;

struct slot {
    uint64_t file_id;
    uint64_t page;
    uint8_t *data; /* STORE_PAGE_SIZE bytes; NULL: free */
    uint32_t next; /* in its chain, or in the list of free slots */
    bool is_recent;
};

struct store_page_cache {
    struct budget *budget;
    uint32_t capacity; /* slots, a power of two; as many chains */
    uint32_t limit;    /* buffers */
    struct mutex lock; /* LOCK_PAGE_CACHE */
    /* guarded by lock */
    struct slot *slots;
    uint32_t *chains;
    uint32_t free_slot;
    uint32_t hand;
    uint32_t buffers;
    uint64_t last_file_id;
};

/* One page as a reader asks for it. */
struct want {
    uint64_t file_id;
    const char *path;
    uint64_t page;
};

struct store_page_cache *
store_page_cache_new(size_t limit, struct budget *budget)
{
    struct store_page_cache *c = xcalloc(1, sizeof *c);
    size_t pages = NUM_MAX(limit / STORE_PAGE_SIZE, (size_t)MIN_PAGES);
    CHECK(pages < NO_SLOT / 2);
    c->budget = budget;
    c->limit = (uint32_t)pages;
    c->capacity = MIN_PAGES;
    while (c->capacity < c->limit)
        c->capacity *= 2;
    c->slots = xcalloc(c->capacity, sizeof *c->slots);
    c->chains = xcalloc(c->capacity, sizeof *c->chains);
    for (uint32_t i = 0; i < c->capacity; i++) {
        c->chains[i] = NO_SLOT;
        c->slots[i].next = i + 1 < c->capacity ? i + 1 : NO_SLOT;
    }
    mutex_init(&c->lock, LOCK_PAGE_CACHE);
    return c;
}

void
store_page_cache_free(struct store_page_cache **out)
{
    struct store_page_cache *c = TAKE(*out);
    if (c == NULL)
        return;
    for (uint32_t i = 0; i < c->capacity; i++)
        free(c->slots[i].data);
    budget_give(c->budget, (size_t)c->buffers * STORE_PAGE_SIZE);
    mutex_fini(&c->lock);
    free(c->slots);
    free(c->chains);
    free(c);
}

struct budget *
store_page_cache_budget(struct store_page_cache *c)
{
    return c->budget;
}

uint64_t
store_page_cache_file_id(struct store_page_cache *c)
{
    MUTEX_SCOPE(&c->lock);
    return ++c->last_file_id;
}

static uint32_t *
chain_of(struct store_page_cache *c, uint64_t file_id, uint64_t page)
{
    uint64_t hash = (file_id * UINT64_C(0x9e3779b97f4a7c15)) ^ page;
    hash *= UINT64_C(0xff51afd7ed558ccd);
    return &c->chains[(hash >> 32) & (c->capacity - 1)];
}

static struct slot *
find_slot(struct store_page_cache *c, const struct want *w)
{
    mutex_check_held(&c->lock);
    uint32_t at = *chain_of(c, w->file_id, w->page);
    while (at != NO_SLOT) {
        struct slot *s = &c->slots[at];
        if (s->file_id == w->file_id && s->page == w->page)
            return s;
        at = s->next;
    }
    return NULL;
}

/* Free the slot; its buffer goes to the caller. */
static uint8_t *
vacate(struct store_page_cache *c, struct slot *s)
{
    mutex_check_held(&c->lock);
    uint32_t position = (uint32_t)(s - c->slots);
    uint32_t *link = chain_of(c, s->file_id, s->page);
    while (*link != position)
        link = &c->slots[*link].next;
    *link = s->next;
    s->next = c->free_slot;
    c->free_slot = position;
    return TAKE(s->data);
}

/* The buffer of the page that was not read for longest, about; NULL when there is none.
 * Two rounds of the clock find one if there is one. */
static uint8_t *
evict(struct store_page_cache *c)
{
    MUTEX_SCOPE(&c->lock);
    for (uint64_t step = 0; step < 2 * (uint64_t)c->capacity; step++) {
        struct slot *s = &c->slots[c->hand];
        c->hand = (c->hand + 1) & (c->capacity - 1);
        if (s->data == NULL)
            continue;
        if (!s->is_recent)
            return vacate(c, s);
        s->is_recent = false;
    }
    return NULL;
}

static bool
may_grow(struct store_page_cache *c)
{
    MUTEX_SCOPE(&c->lock);
    if (c->buffers == c->limit)
        return false;
    c->buffers++;
    return true;
}

static void
shrink(struct store_page_cache *c)
{
    MUTEX_SCOPE(&c->lock);
    c->buffers--;
}

/* A buffer to fill: a new one while the limit and the budget allow. */
static uint8_t *
take_buffer(struct store_page_cache *c)
{
    if (!may_grow(c))
        return evict(c);
    if (budget_try(c->budget, STORE_PAGE_SIZE)) {
        uint8_t *data = malloc(STORE_PAGE_SIZE);
        if (data != NULL)
            return data;
        budget_give(c->budget, STORE_PAGE_SIZE);
    }
    shrink(c);
    return evict(c);
}

static void
drop_buffer(struct store_page_cache *c, uint8_t *data)
{
    free(data);
    shrink(c);
    budget_give(c->budget, STORE_PAGE_SIZE);
}

size_t
store_page_cache_reclaim(struct store_page_cache *c, size_t want)
{
    size_t released = 0;
    uint8_t *data;
    while (released < want && (data = evict(c)) != NULL) {
        drop_buffer(c, data);
        released += STORE_PAGE_SIZE;
    }
    return released;
}

/* Keep a filled buffer, unless another thread was faster. */
static void
keep(struct store_page_cache *c, const struct want *w, uint8_t *data)
{
    {
        MUTEX_SCOPE(&c->lock);
        if (find_slot(c, w) == NULL) {
            CHECK(c->free_slot != NO_SLOT);
            uint32_t position = c->free_slot;
            struct slot *s = &c->slots[position];
            uint32_t *chain = chain_of(c, w->file_id, w->page);
            c->free_slot = s->next;
            *s = (struct slot){w->file_id, w->page, data, *chain, true};
            *chain = position;
            return;
        }
    }
    drop_buffer(c, data);
}

static bool
is_cached(struct store_page_cache *c, const struct want *w, size_t begin, void *into,
          size_t len)
{
    MUTEX_SCOPE(&c->lock);
    struct slot *s = find_slot(c, w);
    if (s == NULL)
        return false;
    s->is_recent = true;
    memcpy(into, s->data + begin, len);
    return true;
}

static bool
bad_page(const struct want *w, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%s: checksum mismatch in page %" PRIu64, w->path,
                   w->page);
}

static bool
fill(const struct want *w, uint8_t *data, struct err *err)
{
    CLEANUP(file_close) int fd = -1;
    if (!file_open_read(w->path, &fd, err) ||
        !file_pread(fd, w->path, data, STORE_PAGE_SIZE, w->page * STORE_PAGE_SIZE, err))
        return false;
    if (crc32c(bytes_of(data, STORE_PAGE_DATA)) != be32_load(data + STORE_PAGE_DATA))
        return bad_page(w, err);
    return true;
}

/* Copy [begin, begin + len) of a page and check all of it without a buffer for it. */
static bool
read_uncached(const struct want *w, size_t begin, uint8_t *into, size_t len,
              struct err *err)
{
    CLEANUP(file_close) int fd = -1;
    if (!file_open_read(w->path, &fd, err))
        return false;
    uint8_t gulp[GULP];
    uint32_t crc = 0;
    for (size_t at = 0; at < STORE_PAGE_DATA; at += GULP) {
        size_t got = NUM_MIN((size_t)GULP, (size_t)STORE_PAGE_SIZE - at);
        size_t data = NUM_MIN(got, (size_t)STORE_PAGE_DATA - at);
        if (!file_pread(fd, w->path, gulp, got, w->page * STORE_PAGE_SIZE + at, err))
            return false;
        crc = crc32c_extend(crc, bytes_of(gulp, data));
        size_t from = NUM_MAX(begin, at), to = NUM_MIN(begin + len, at + data);
        if (from < to)
            memcpy(into + (from - begin), gulp + (from - at), to - from);
    }
    if (crc != be32_load(gulp + (STORE_PAGE_DATA % GULP)))
        return bad_page(w, err);
    return true;
}

_Static_assert(STORE_PAGE_SIZE % GULP == 0 && STORE_PAGE_DATA % GULP == GULP - 4,
               "the last gulp ends in the checksum");

static bool
read_page(struct store_page_cache *c, const struct want *w, size_t begin, uint8_t *into,
          size_t len, struct err *err)
{
    if (is_cached(c, w, begin, into, len))
        return true;
    uint8_t *data = take_buffer(c);
    if (data == NULL)
        return read_uncached(w, begin, into, len, err);
    if (!fill(w, data, err)) {
        drop_buffer(c, data);
        return false;
    }
    memcpy(into, data + begin, len);
    keep(c, w, data);
    return true;
}

bool
store_page_cache_read(struct store_page_cache *c, uint64_t file_id, const char *path,
                      uint64_t offset, void *into, size_t len, struct err *err)
{
    CHECK(offset <= INT64_MAX / 2 && len <= INT64_MAX / 2);
    uint8_t *to = into;
    while (len > 0) {
        struct want w = {file_id, path, offset / STORE_PAGE_DATA};
        size_t begin = (size_t)(offset % STORE_PAGE_DATA);
        size_t part = NUM_MIN(len, STORE_PAGE_DATA - begin);
        if (!read_page(c, &w, begin, to, part, err))
            return false;
        to += part;
        offset += part;
        len -= part;
    }
    return true;
}

bool
store_page_read(const char *path, uint64_t offset, void *into, size_t len,
                struct err *err)
{
    struct want w = {.path = path, .page = offset / STORE_PAGE_DATA};
    size_t begin = (size_t)(offset % STORE_PAGE_DATA);
    CHECK(len <= STORE_PAGE_DATA - begin);
    return read_uncached(&w, begin, into, len, err);
}

void
store_page_cache_forget(struct store_page_cache *c, uint64_t file_id)
{
    uint8_t *dropped = NULL; /* buffers, each beginning with the address of the next */
    {
        MUTEX_SCOPE(&c->lock);
        for (uint32_t i = 0; i < c->capacity; i++) {
            struct slot *s = &c->slots[i];
            if (s->data == NULL || s->file_id != file_id)
                continue;
            memcpy(s->data, &dropped, sizeof dropped);
            dropped = vacate(c, s);
        }
    }
    while (dropped != NULL) {
        uint8_t *data = dropped;
        memcpy(&dropped, data, sizeof dropped);
        drop_buffer(c, data);
    }
}
