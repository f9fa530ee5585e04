/* SPDX-License-Identifier: Apache-2.0 */
#include "store/options.h"

#include <stddef.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/num.h"
#include "store/memory_limit.h"

/* Below this not even one query could run beside the caches. */
static const uint64_t MIN_MEMORY_BYTES = UINT64_C(32) << 20;

static const struct app_flag flags[] = {
#define APP_FLAGS_OPTIONS struct store_options
#include "common/app/flags_rows.def"
};

static const struct app_flags table = {
    .program = "blockhouse-store",
    .purpose = "Serves the blocks of a bucket over Prometheus remote read.",
    .note = "It " STORE_NOTE ".",
    .flags = flags,
    .count = ARRAY_LEN(flags),
    .inert_at = offsetof(struct store_options, inert),
};

static bool
derive_times(struct store_options *o, struct err *err)
{
    int64_t now_ms = clock_wall_ns() / CLOCK_NS_PER_MS;
    if (!store_time_bound_parse(o->min_time, &o->mint, err))
        return err_wrap(err, "--min-time");
    if (!store_time_bound_parse(o->max_time, &o->maxt, err))
        return err_wrap(err, "--max-time");
    if (store_time_bound_at(o->mint, now_ms) > store_time_bound_at(o->maxt, now_ms))
        return err_set(err, ERR_INVALID, "--min-time %s is after --max-time %s",
                       o->min_time, o->max_time);
    return true;
}

static bool
derive_memory(struct store_options *o, struct err *err)
{
    if (o->memory_limit_bytes == 0)
        o->memory_limit_bytes =
            NUM_MAX(store_memory_limit("") / 10 * 7, MIN_MEMORY_BYTES);
    if (o->memory_limit_bytes < MIN_MEMORY_BYTES)
        return err_set(err, ERR_INVALID,
                       "--store.memory-limit: %zu bytes are below the limit of 32MiB",
                       (size_t)o->memory_limit_bytes);
    if (o->query_memory_limit_bytes == 0)
        o->query_memory_limit_bytes = o->memory_limit_bytes / 4;
    return true;
}

static bool
derive_bad_block(struct store_options *o, struct err *err)
{
    static const char *const policies[] = {"fail", "skip"};
    size_t chosen;
    if (!app_flags_choose("store.bad-block", o->bad_block, policies,
                          ARRAY_LEN(policies), &chosen, err))
        return false;
    o->skip_bad_blocks = chosen == 1;
    return true;
}

static bool
derive_strategy(struct store_options *o, struct err *err)
{
    static const char *const strategies[] = {"eager", "lazy"};
    size_t chosen;
    if (!app_flags_choose("store.index-header-lazy-download-strategy",
                          o->header_strategy, strategies, ARRAY_LEN(strategies),
                          &chosen, err))
        return false;
    o->has_lazy_headers = chosen == 1;
    return true;
}

static bool
derive_encodings(struct store_options *o, struct err *err)
{
    static const char *const choices[] = {
        [STORE_READ_PLAIN] = "plain", [STORE_READ_STORED] = "stored"};
    size_t chosen;
    if (!app_flags_choose("store.read-encodings", o->read_encodings, choices,
                          ARRAY_LEN(choices), &chosen, err))
        return false;
    o->encodings = (enum store_read_encodings)chosen;
    return true;
}

static bool
derive_dropped(struct store_options *o, struct err *err)
{
    return store_replica_labels_init(&o->dropped, o->replica_labels.at,
                                     o->replica_labels.count, err) ||
           err_wrap(err, "--store.replica-label");
}

/* Former names stand for the new ones. */
static void
derive_limits(struct store_options *o)
{
    if (o->limit_request_series == 0)
        o->limit_request_series = o->touched_series;
    if (o->limit_request_samples == 0)
        o->limit_request_samples = o->series_samples;
}

enum app_flags_result
store_options_parse(struct store_options *options, int argc, char **argv,
                    struct err *err)
{
    enum app_flags_result result = app_flags_parse(&table, argc, argv, options, err);
    if (result == APP_FLAGS_OK &&
        (!app_flags_log(options->log_level, options->log_format, &options->level,
                        &options->format, err) ||
         !derive_times(options, err) || !derive_memory(options, err) ||
         !derive_bad_block(options, err) || !derive_strategy(options, err) ||
         !derive_encodings(options, err) || !derive_dropped(options, err)))
        return APP_FLAGS_USAGE;
    derive_limits(options);
    return result;
}

void
store_options_fini(struct store_options *options)
{
    store_replica_labels_fini(&options->dropped);
}

const struct app_flags *
store_options_table(void)
{
    return &table;
}
