/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/backoff.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"

/* Guesses: short enough for a bucket that hiccups, long enough not to fill the log. */
#define SIDECAR_BACKOFF_FIRST_NS (5 * CLOCK_NS_PER_S)
#define SIDECAR_BACKOFF_LAST_NS (5 * 60 * CLOCK_NS_PER_S)

static struct sidecar_backoff_entry *
find(const struct sidecar_backoff *b, const struct tsdb_ulid *id)
{
    for (size_t i = 0; i < b->count; i++)
        if (tsdb_ulid_cmp(&b->entries[i].id, id) == 0)
            return &b->entries[i];
    return NULL;
}

bool
sidecar_backoff_is_due(const struct sidecar_backoff *b, const struct tsdb_ulid *id,
                       int64_t now_ns)
{
    const struct sidecar_backoff_entry *entry = find(b, id);
    return entry == NULL || now_ns >= entry->retry_at_ns;
}

static int64_t
pause_after(unsigned failures, const struct tsdb_ulid *id)
{
    int64_t pause_ns = SIDECAR_BACKOFF_FIRST_NS;
    for (unsigned i = 1; i < failures && pause_ns < SIDECAR_BACKOFF_LAST_NS; i++)
        pause_ns *= 2;
    pause_ns = NUM_MIN(pause_ns, SIDECAR_BACKOFF_LAST_NS);
    /* The end of an id is random. */
    return pause_ns - pause_ns / 4 * id->raw[TSDB_ULID_SIZE - 1] / UINT8_MAX;
}

int64_t
sidecar_backoff_failed(struct sidecar_backoff *b, const struct tsdb_ulid *id,
                       int64_t now_ns)
{
    struct sidecar_backoff_entry *entry = find(b, id);
    if (entry == NULL) {
        b->entries = xrealloc(b->entries, (b->count + 1) * sizeof *b->entries);
        entry = &b->entries[b->count++];
        *entry = (struct sidecar_backoff_entry){.id = *id};
    }
    if (entry->failures < UINT8_MAX) /* far behind the longest pause */
        entry->failures++;
    int64_t pause_ns = pause_after(entry->failures, id);
    entry->retry_at_ns = now_ns + pause_ns;
    return pause_ns;
}

void
sidecar_backoff_forget(struct sidecar_backoff *b, const struct tsdb_ulid *id)
{
    struct sidecar_backoff_entry *entry = find(b, id);
    if (entry != NULL)
        *entry = b->entries[--b->count];
}

int64_t
sidecar_backoff_next_ns(const struct sidecar_backoff *b, int64_t now_ns)
{
    int64_t next_ns = CLOCK_NEVER;
    for (size_t i = 0; i < b->count; i++)
        if (b->entries[i].retry_at_ns > now_ns)
            next_ns = NUM_MIN(next_ns, b->entries[i].retry_at_ns);
    return next_ns;
}

void
sidecar_backoff_prune(struct sidecar_backoff *b, int64_t now_ns)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->count; i++)
        if (now_ns - b->entries[i].retry_at_ns <= SIDECAR_BACKOFF_LAST_NS)
            b->entries[kept++] = b->entries[i];
    b->count = kept;
}

void
sidecar_backoff_fini(struct sidecar_backoff *b)
{
    free(b->entries);
    *b = (struct sidecar_backoff){0};
}
