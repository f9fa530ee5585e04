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
 * clock. Of a page only what stands before the zeros at its end is kept: a small file
 * is mostly those. A page is filled in a buffer that has room for all of it, and both
 * kinds count against the limit.
 *
 * Tables are made for many more pages than are kept when all are full, but those slots
 * and chains that no page has used yet are never touched and cost nothing. */

enum { MIN_PAGES = 16, SLOTS_PER_FULL_PAGE = 8, GULP = 2048 };

/* What is kept of a page comes in so many bytes. */
enum { GRAIN = 128 };

_Static_assert(STORE_PAGE_SIZE % GRAIN == 0 && GRAIN >= sizeof(void *) * 2,
               "a page is a number of grains, and one can hold a struct held");

/* Slots are named by their position plus one; 0 is none. */
struct slot {
    uint64_t file_id;
    uint64_t page;
    uint8_t *data;   /* NULL: free */
    uint32_t next;   /* in its chain, or in the list of free slots */
    uint16_t grains; /* of data */
    bool is_recent;
};

/* What a slot held, for who frees it outside the lock. */
struct held {
    uint8_t *data; /* NULL: nothing */
    size_t size;
};

struct store_page_cache {
    struct budget *budget;
    uint32_t capacity; /* slots, a power of two; as many chains */
    size_t limit;
    struct mutex lock; /* LOCK_PAGE_CACHE */
    /* guarded by lock */
    struct slot *slots;
    uint32_t *chains;
    uint32_t free_slot;
    uint32_t touched; /* slots that have ever been used: the first ones */
    uint32_t hand;
    size_t held; /* bytes of pages and of buffers that are being filled */
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
    CHECK(pages < UINT32_MAX / 2 / SLOTS_PER_FULL_PAGE);
    c->budget = budget;
    c->limit = pages * STORE_PAGE_SIZE;
    c->capacity = MIN_PAGES;
    while (c->capacity < pages * SLOTS_PER_FULL_PAGE)
        c->capacity *= 2;
    c->slots = xcalloc(c->capacity, sizeof *c->slots);
    c->chains = xcalloc(c->capacity, sizeof *c->chains);
    mutex_init(&c->lock, LOCK_PAGE_CACHE);
    return c;
}

void
store_page_cache_free(struct store_page_cache **out)
{
    struct store_page_cache *c = TAKE(*out);
    if (c == NULL)
        return;
    for (uint32_t i = 0; i < c->touched; i++)
        free(c->slots[i].data);
    budget_give(c->budget, c->held);
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
    while (at != 0) {
        struct slot *s = &c->slots[at - 1];
        if (s->file_id == w->file_id && s->page == w->page)
            return s;
        at = s->next;
    }
    return NULL;
}

/* Free the slot; its page goes to the caller. */
static struct held
vacate(struct store_page_cache *c, struct slot *s)
{
    mutex_check_held(&c->lock);
    uint32_t name = (uint32_t)(s - c->slots) + 1;
    uint32_t *link = chain_of(c, s->file_id, s->page);
    while (*link != name)
        link = &c->slots[*link - 1].next;
    *link = s->next;
    s->next = c->free_slot;
    c->free_slot = name;
    return (struct held){TAKE(s->data), (size_t)s->grains * GRAIN};
}

/* The page that was not read for longest, about. Two rounds of the clock find one if
 * there is one. */
static struct held
evict_oldest(struct store_page_cache *c)
{
    mutex_check_held(&c->lock);
    for (uint64_t step = 0; step < 2 * (uint64_t)c->touched; step++) {
        c->hand = c->hand + 1 < c->touched ? c->hand + 1 : 0;
        struct slot *s = &c->slots[c->hand];
        if (s->data == NULL)
            continue;
        if (!s->is_recent)
            return vacate(c, s);
        s->is_recent = false;
    }
    return (struct held){0};
}

/* A slot for another page; *evicted is what had to go for it. */
static struct slot *
take_slot(struct store_page_cache *c, struct held *evicted)
{
    mutex_check_held(&c->lock);
    if (c->free_slot == 0 && c->touched < c->capacity)
        return &c->slots[c->touched++];
    if (c->free_slot == 0)
        *evicted = evict_oldest(c);
    CHECK(c->free_slot != 0);
    struct slot *s = &c->slots[c->free_slot - 1];
    c->free_slot = s->next;
    return s;
}

static bool
may_grow(struct store_page_cache *c)
{
    MUTEX_SCOPE(&c->lock);
    if (c->limit - c->held < STORE_PAGE_SIZE)
        return false;
    c->held += STORE_PAGE_SIZE;
    return true;
}

static void
shrink(struct store_page_cache *c, size_t size)
{
    MUTEX_SCOPE(&c->lock);
    c->held -= size;
}

static void
drop(struct store_page_cache *c, struct held page)
{
    if (page.data == NULL)
        return;
    free(page.data);
    shrink(c, page.size);
    budget_give(c->budget, page.size);
}

static void
drop_buffer(struct store_page_cache *c, uint8_t *data)
{
    drop(c, (struct held){data, STORE_PAGE_SIZE});
}

/* Returns the bytes that are released; 0 when there is no page. */
static size_t
evict(struct store_page_cache *c)
{
    struct held oldest;
    {
        MUTEX_SCOPE(&c->lock);
        oldest = evict_oldest(c);
    }
    drop(c, oldest);
    return oldest.size;
}

static uint8_t *
new_buffer(struct store_page_cache *c)
{
    if (!may_grow(c))
        return NULL;
    if (budget_try(c->budget, STORE_PAGE_SIZE)) {
        uint8_t *data = malloc(STORE_PAGE_SIZE);
        if (data != NULL)
            return data;
        budget_give(c->budget, STORE_PAGE_SIZE);
    }
    shrink(c, STORE_PAGE_SIZE);
    return NULL;
}

/* A buffer to fill; older pages go while the limit or the budget does not allow it. */
static uint8_t *
take_buffer(struct store_page_cache *c)
{
    uint8_t *data = new_buffer(c);
    while (data == NULL && evict(c) > 0)
        data = new_buffer(c);
    return data;
}

size_t
store_page_cache_reclaim(struct store_page_cache *c, size_t want)
{
    size_t released = 0, size;
    while (released < want && (size = evict(c)) > 0)
        released += size;
    return released;
}

static bool
is_zero(const uint8_t *grain)
{
    return grain[0] == 0 && memcmp(grain, grain + 1, GRAIN - 1) == 0;
}

/* A filled buffer, without the zeros at its end where that makes it smaller. Nothing is
 * read behind the data, so the checksum goes, too. */
static struct held
without_end(struct store_page_cache *c, uint8_t *data)
{
    struct held page = {data, STORE_PAGE_SIZE};
    memset(data + STORE_PAGE_DATA, 0, STORE_PAGE_SIZE - STORE_PAGE_DATA);
    size_t size = STORE_PAGE_SIZE;
    while (size > GRAIN && is_zero(data + size - GRAIN))
        size -= GRAIN;
    uint8_t *small = size < STORE_PAGE_SIZE ? malloc(size) : NULL;
    if (small == NULL)
        return page;
    memcpy(small, data, size);
    free(data);
    shrink(c, STORE_PAGE_SIZE - size);
    budget_give(c->budget, STORE_PAGE_SIZE - size);
    return (struct held){small, size};
}

/* Keep a filled buffer, unless another thread was faster. */
static void
keep(struct store_page_cache *c, const struct want *w, uint8_t *data)
{
    struct held page = without_end(c, data), unwanted = page;
    {
        MUTEX_SCOPE(&c->lock);
        if (find_slot(c, w) == NULL) {
            unwanted = (struct held){0};
            struct slot *s = take_slot(c, &unwanted);
            uint32_t *chain = chain_of(c, w->file_id, w->page);
            *s = (struct slot){.file_id = w->file_id,
                               .page = w->page,
                               .data = page.data,
                               .next = *chain,
                               .grains = (uint16_t)(page.size / GRAIN),
                               .is_recent = true};
            *chain = (uint32_t)(s - c->slots) + 1;
        }
    }
    drop(c, unwanted);
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
    size_t size = (size_t)s->grains * GRAIN;
    size_t kept = begin < size ? NUM_MIN(len, size - begin) : 0;
    if (kept > 0)
        memcpy(into, s->data + begin, kept);
    memset((uint8_t *)into + kept, 0, len - kept);
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
    struct held all = {0}; /* each begins with the next */
    {
        MUTEX_SCOPE(&c->lock);
        for (uint32_t i = 0; i < c->touched; i++) {
            struct slot *s = &c->slots[i];
            if (s->data == NULL || s->file_id != file_id)
                continue;
            struct held page = vacate(c, s);
            memcpy(page.data, &all, sizeof all);
            all = page;
        }
    }
    while (all.data != NULL) {
        struct held page = all;
        memcpy(&all, page.data, sizeof all);
        drop(c, page);
    }
}

size_t
store_page_cache_held(struct store_page_cache *c)
{
    MUTEX_SCOPE(&c->lock);
    return c->held;
}

size_t
store_page_cache_limit(const struct store_page_cache *c)
{
    return c->limit;
}
