/* SPDX-License-Identifier: Apache-2.0 */
#include "store/damage.h"

#include "common/base/log.h"
#include "common/base/num.h"

void
store_damage_policy_init(struct store_damage_policy *p, bool skips,
                         struct metrics_registry *registry)
{
    p->skips = skips;
    p->found = metrics_counter(registry, "blockhouse_store_block_damages_total",
                               "Pieces of blocks that queries found to be damaged.");
    p->skipped =
        metrics_counter(registry, "blockhouse_store_block_damages_skipped_total",
                        "The part of them that was left out of an answer.");
}

static size_t
named_count(const struct store_damage *d)
{
    return NUM_MIN(d->block_count, (size_t)STORE_DAMAGE_NAMED_MAX);
}

/* Its place among those that are named; named_count if it is not. */
static size_t
place_of(const struct store_damage *d, const struct store_block *b)
{
    size_t i = 0;
    while (i < named_count(d) && strcmp(d->named[i].text, b->name.text) != 0)
        i++;
    return i;
}

/* Whether a damage of the block was counted when the data were read before. */
static bool
is_known(const struct store_damage *d, const struct store_block *b)
{
    return d->is_repeat &&
           (place_of(d, b) < named_count(d) || d->block_count > STORE_DAMAGE_NAMED_MAX);
}

/* Whether the block is a new one in the list; one that is not named may be in it. */
static bool
note(struct store_damage *d, const struct store_block *b, bool is_damaged)
{
    size_t place = place_of(d, b);
    bool is_new = place == named_count(d);
    if (is_damaged)
        metrics_add(d->policy->found, 1);
    d->is_any_damaged |= is_damaged;
    if (is_new)
        d->block_count++;
    if (place < named_count(d)) {
        d->named[place] = b->name;
        d->is_damaged[place] |= is_damaged;
    }
    return is_new;
}

bool
store_damage_skip(struct store_damage *d, const struct store_block *b,
                  const struct err *err)
{
    bool is_damaged = err->code == ERR_CORRUPT;
    if (d->policy == NULL || !d->policy->skips ||
        (!is_damaged && err->code != ERR_UNSUPPORTED))
        return false;
    if (is_known(d, b))
        return true;
    metrics_add(d->policy->skipped, 1);
    d->skipped++;
    /* Once a query and block: a block may have many damaged pieces. */
    if (note(d, b, is_damaged))
        LOG_WARN("left damaged data out of an answer", LOG_STR("block", b->name.text),
                 LOG_ERR(err));
    return true;
}

bool
store_damage_blame(struct store_damage *d, const struct store_block *b, struct err *err)
{
    if (d->policy != NULL && err->code == ERR_CORRUPT && !is_known(d, b))
        note(d, b, true);
    if (err->code == ERR_NOT_FOUND)
        d->vanished = b;
    return err_wrap(err, "block %s", b->name.text);
}

static void
forget(struct store_range_cache *cache, struct store_disk_cache *disk,
       struct bytes block)
{
    if (cache != NULL)
        store_range_cache_forget(cache, block);
    if (disk != NULL)
        store_disk_cache_forget(disk, block);
}

void
store_damage_forget(const struct store_damage *d, struct store_range_cache *cache,
                    struct store_disk_cache *disk)
{
    if (d->is_any_damaged && d->block_count > STORE_DAMAGE_NAMED_MAX) {
        forget(cache, disk, (struct bytes){0});
        return;
    }
    for (size_t i = 0; i < named_count(d); i++)
        if (d->is_damaged[i])
            forget(cache, disk, bytes_of_str(d->named[i].text));
}

void
store_damage_print(const struct store_damage *d, struct buf *out)
{
    for (size_t i = 0; i < named_count(d); i++) {
        if (i > 0)
            buf_put_str(out, ", ");
        buf_put_str(out, d->named[i].text);
    }
    if (d->block_count > STORE_DAMAGE_NAMED_MAX)
        buf_put_str(out, " and others");
}
