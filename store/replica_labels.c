/* SPDX-License-Identifier: Apache-2.0 */
#include "store/replica_labels.h"

#include <stdlib.h>

#include "common/base/utf8.h"
#include "common/base/xmalloc.h"

static bool
add_name(struct store_replica_labels *r, struct bytes name, struct err *err)
{
    if (name.len == 0 || !utf8_is_valid(name))
        return err_set(err, ERR_INVALID, "\"%.*s\" is no label name", BYTES_FMT(name));
    if (bytes_eq(name, BYTES("__name__")))
        return err_set(err, ERR_INVALID,
                       "without __name__ all metrics would be one; name the label that "
                       "tells replicas from each other");
    r->names = xrealloc(r->names, (r->count + 1) * sizeof *r->names);
    r->names[r->count++] = name;
    return true;
}

static bool
add_names(struct store_replica_labels *r, struct bytes text, struct err *err)
{
    for (;;) {
        const uint8_t *comma = memchr(text.at, ',', text.len);
        size_t len = comma != NULL ? (size_t)(comma - text.at) : text.len;
        if (!add_name(r, bytes_of(text.at, len), err))
            return false;
        if (comma == NULL)
            return true;
        bytes_skip(&text, len + 1);
    }
}

static int
by_name(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b;
    return bytes_cmp(*x, *y);
}

bool
store_replica_labels_init(struct store_replica_labels *r, const char *const *texts,
                          size_t count, struct err *err)
{
    *r = (struct store_replica_labels){0};
    for (size_t i = 0; i < count; i++)
        if (!add_names(r, bytes_of_str(texts[i]), err)) {
            store_replica_labels_fini(r);
            return false;
        }
    if (r->count == 0)
        return true;
    qsort(r->names, r->count, sizeof *r->names, by_name);
    size_t kept = 1;
    for (size_t i = 1; i < r->count; i++)
        if (!bytes_eq(r->names[i], r->names[kept - 1]))
            r->names[kept++] = r->names[i];
    r->count = kept;
    return true;
}

void
store_replica_labels_fini(struct store_replica_labels *r)
{
    free(r->names);
    *r = (struct store_replica_labels){0};
}

bool
store_replica_labels_has(const struct store_replica_labels *r, struct bytes name)
{
    for (size_t i = 0; i < r->count; i++)
        if (bytes_eq(r->names[i], name))
            return true;
    return false;
}

bool
store_replica_labels_in(const struct store_replica_labels *r, struct tsdb_labels labels)
{
    for (size_t i = 0; i < r->count; i++)
        for (size_t k = 0; k < labels.len; k++)
            if (bytes_eq(labels.at[k].name, r->names[i]))
                return true;
    return false;
}

bool
store_replica_labels_split(const struct store_replica_labels *r,
                           struct tsdb_labels labels, struct tsdb_labels *stay,
                           struct tsdb_labels *replica, struct arena *arena,
                           struct err *err)
{
    struct tsdb_label *at = arena_calloc(arena, 2 * labels.len, sizeof *at);
    size_t stays = 0, drops = 0;
    if (at == NULL)
        return arena_ok(arena, err);
    for (size_t i = 0; i < labels.len; i++) {
        if (store_replica_labels_has(r, labels.at[i].name))
            at[labels.len + drops++] = labels.at[i];
        else
            at[stays++] = labels.at[i];
    }
    *stay = (struct tsdb_labels){at, stays};
    *replica = (struct tsdb_labels){at + labels.len, drops};
    return true;
}
