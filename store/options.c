/* SPDX-License-Identifier: Apache-2.0 */
#include "store/options.h"

#include <stddef.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/num.h"
#include "store/memory_limit.h"

enum { THANOS = false, OURS = true };

/* Below this not even one query could run beside the caches. */
static const uint64_t MIN_MEMORY_BYTES = UINT64_C(32) << 20;

static const struct app_flag flags[] = {
#define TEXT(field, name_, initial_, argument_, origin, help_) \
    {.name = (name_),                                          \
     .kind = APP_FLAG_TEXT,                                    \
     .at = offsetof(struct store_options, field),              \
     .initial = (initial_),                                    \
     .argument = (argument_),                                  \
     .help = (help_),                                          \
     .ours = (origin)},
#define DURATION(field, name_, initial_, min_ns_, origin, help_) \
    {.name = (name_),                                            \
     .kind = APP_FLAG_DURATION,                                  \
     .at = offsetof(struct store_options, field##_ns),           \
     .initial = (initial_),                                      \
     .argument = "<duration>",                                   \
     .help = (help_),                                            \
     .min = (min_ns_),                                           \
     .max = INT64_MAX,                                           \
     .ours = (origin)},
#define INT(field, name_, initial_, min_, max_, origin, help_) \
    {.name = (name_),                                          \
     .kind = APP_FLAG_INT,                                     \
     .at = offsetof(struct store_options, field),              \
     .initial = (initial_),                                    \
     .argument = "<number>",                                   \
     .help = (help_),                                          \
     .min = (min_),                                            \
     .max = (max_),                                            \
     .ours = (origin)},
#define SIZE(field, name_, initial_, origin, help_)       \
    {.name = (name_),                                     \
     .kind = APP_FLAG_SIZE,                               \
     .at = offsetof(struct store_options, field##_bytes), \
     .initial = (initial_),                               \
     .argument = "<size>",                                \
     .help = (help_),                                     \
     .ours = (origin)},
#include "store/options.def"
#undef TEXT
#undef DURATION
#undef INT
#undef SIZE
};

static const struct app_flags table = {
    .program = "blockhouse-store",
    .purpose = "Serves the blocks of a bucket over Prometheus remote read.",
    .flags = flags,
    .count = ARRAY_LEN(flags),
};

/* Position of value in names, or an error that lists them. */
static bool
choose(const char *flag, const char *value, const char *const *names, size_t count,
       size_t *chosen, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(value, names[i]) == 0) {
            *chosen = i;
            return true;
        }
    }
    CLEANUP(buf_fini) struct buf known = {0};
    for (size_t i = 0; i < count; i++)
        buf_printf(&known, " \"%s\"", names[i]);
    return err_set(err, ERR_INVALID, "--%s: \"%s\" is none of%s", flag, value,
                   buf_text(&known));
}

static bool
derive_log(struct store_options *o, struct err *err)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    static const char *const formats[] = {"logfmt", "json"};
    size_t level = 0, format = 0;
    if (!choose("log.level", o->log_level, levels, ARRAY_LEN(levels), &level, err) ||
        !choose("log.format", o->log_format, formats, ARRAY_LEN(formats), &format, err))
        return false;
    o->level = (enum log_level)level;
    o->format = (enum log_format)format;
    return true;
}

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
        return err_set(err, ERR_INVALID, "--store.memory-limit is below 32MiB");
    if (o->query_memory_limit_bytes == 0)
        o->query_memory_limit_bytes = o->memory_limit_bytes / 4;
    return true;
}

enum app_flags_result
store_options_parse(struct store_options *options, int argc, char **argv,
                    struct err *err)
{
    enum app_flags_result result = app_flags_parse(&table, argc, argv, options, err);
    if (result == APP_FLAGS_OK &&
        (!derive_log(options, err) || !derive_times(options, err) ||
         !derive_memory(options, err)))
        return APP_FLAGS_USAGE;
    return result;
}
