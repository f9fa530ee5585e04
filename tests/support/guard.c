/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/guard.h"

#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/check.h"

struct guard
guard_new(struct bytes bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t readable = (bytes.len / page + 1) * page;
    size_t len = readable + page;
    uint8_t *map =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(map != MAP_FAILED);
    CHECK(mprotect(map + readable, page, PROT_NONE) == 0);
    uint8_t *copy = map + readable - bytes.len;
    if (bytes.len > 0)
        memcpy(copy, bytes.at, bytes.len);
    return (struct guard){{copy, bytes.len}, map, len};
}

void
guard_fini(struct guard *g)
{
    if (g->map != NULL)
        CHECK(munmap(g->map, g->map_len) == 0);
    *g = (struct guard){0};
}

void
for_each_truncation(struct bytes bytes, guard_fn *fn, void *arg)
{
    for (size_t len = 0; len < bytes.len; len++) {
        CLEANUP(guard_fini) struct guard g = guard_new((struct bytes){bytes.at, len});
        fn(arg, g.bytes);
    }
}

/* The mapping is ours and writable; only the slice that callers see is const. */
static void
invert_bit(struct guard *g, size_t bit)
{
    size_t offset = (size_t)(g->bytes.at - (const uint8_t *)g->map) + bit / CHAR_BIT;
    ((uint8_t *)g->map)[offset] ^= (uint8_t)(1U << bit % CHAR_BIT);
}

void
for_each_bit_flip(struct bytes bytes, guard_fn *fn, void *arg)
{
    CLEANUP(guard_fini) struct guard g = guard_new(bytes);
    for (size_t bit = 0; bit < bytes.len * CHAR_BIT; bit++) {
        invert_bit(&g, bit);
        fn(arg, g.bytes);
        invert_bit(&g, bit);
    }
}
