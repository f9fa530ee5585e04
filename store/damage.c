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

static bool
is_named(const struct store_damage *d, const struct store_block *b)
{
    for (size_t i = 0; i < named_count(d); i++)
        if (strcmp(d->named[i].text, b->name.text) == 0)
            return true;
    return false;
}

/* Whether a damage of the block was counted when the data were read before. */
static bool
is_known(const struct store_damage *d, const struct store_block *b)
{
    return d->is_repeat && (is_named(d, b) || d->block_count > STORE_DAMAGE_NAMED_MAX);
}

/* Whether the block is a new one in the list; one that is not named may be in it. */
static bool
note(struct store_damage *d, const struct store_block *b)
{
    metrics_add(d->policy->found, 1);
    if (is_named(d, b))
        return false;
    if (d->block_count < STORE_DAMAGE_NAMED_MAX)
        d->named[d->block_count] = b->name;
    d->block_count++;
    return true;
}

bool
store_damage_skip(struct store_damage *d, const struct store_block *b,
                  const struct err *err)
{
    if (d->policy == NULL || !d->policy->skips || err->code != ERR_CORRUPT)
        return false;
    if (is_known(d, b))
        return true;
    metrics_add(d->policy->skipped, 1);
    d->skipped++;
    /* Once a query and block: a block may have many damaged pieces. */
    if (note(d, b))
        LOG_WARN("left damaged data out of an answer", LOG_STR("block", b->name.text),
                 LOG_ERR(err));
    return true;
}

bool
store_damage_blame(struct store_damage *d, const struct store_block *b, struct err *err)
{
    if (d->policy != NULL && err->code == ERR_CORRUPT && !is_known(d, b))
        note(d, b);
    if (err->code == ERR_NOT_FOUND)
        d->vanished = b;
    return err_wrap(err, "block %s", b->name.text);
}

void
store_damage_forget(const struct store_damage *d, struct store_range_cache *cache)
{
    if (d->block_count > STORE_DAMAGE_NAMED_MAX)
        store_range_cache_forget(cache, (struct bytes){0});
    else
        for (size_t i = 0; i < d->block_count; i++)
            store_range_cache_forget(cache, bytes_of_str(d->named[i].text));
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
