/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/options.h"

#include <stddef.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"

enum { THANOS = APP_FLAG_THANOS, HIDDEN = APP_FLAG_HIDDEN, OURS = APP_FLAG_OURS };

static const struct app_flag flags[] = {
#define TEXT(field, name_, initial_, argument_, origin_, help_) \
    {.name = (name_),                                           \
     .kind = APP_FLAG_TEXT,                                     \
     .at = offsetof(struct sidecar_options, field),             \
     .initial = (initial_),                                     \
     .argument = (argument_),                                   \
     .help = (help_),                                           \
     .origin = (enum app_flag_origin)(origin_)},
#define DURATION(field, name_, initial_, min_ns_, origin_, help_) \
    {.name = (name_),                                             \
     .kind = APP_FLAG_DURATION,                                   \
     .at = offsetof(struct sidecar_options, field##_ns),          \
     .initial = (initial_),                                       \
     .argument = "<duration>",                                    \
     .help = (help_),                                             \
     .min = (min_ns_),                                            \
     .max = INT64_MAX,                                            \
     .origin = (enum app_flag_origin)(origin_)},
#define BOOL(field, name_, initial_, origin_, help_) \
    {.name = (name_),                                \
     .kind = APP_FLAG_BOOL,                          \
     .at = offsetof(struct sidecar_options, field),  \
     .initial = (initial_),                          \
     .argument = "",                                 \
     .help = (help_),                                \
     .origin = (enum app_flag_origin)(origin_)},
#define INERT(kind_, name_, initial_, argument_, help_) \
    {.name = (name_),                                   \
     .kind = APP_FLAG_##kind_,                          \
     .initial = (initial_),                             \
     .argument = (argument_),                           \
     .help = (help_),                                   \
     .max = INT64_MAX,                                  \
     .origin = APP_FLAG_INERT},
#define REFUSED(kind_, name_, argument_, why_) \
    {.name = (name_),                          \
     .kind = APP_FLAG_##kind_,                 \
     .initial = "",                            \
     .argument = (argument_),                  \
     .help = (why_),                           \
     .origin = APP_FLAG_INERT,                 \
     .refused = (why_)},
#define INT(field, name_, initial_, min_, max_, origin_, help_) \
    {.name = (name_),                                           \
     .kind = APP_FLAG_INT,                                      \
     .at = offsetof(struct sidecar_options, field),             \
     .initial = (initial_),                                     \
     .argument = "<number>",                                    \
     .help = (help_),                                           \
     .min = (min_),                                             \
     .max = (max_),                                             \
     .origin = (enum app_flag_origin)(origin_)},
#define SIZE(field, name_, initial_, origin_, help_)        \
    {.name = (name_),                                       \
     .kind = APP_FLAG_SIZE,                                 \
     .at = offsetof(struct sidecar_options, field##_bytes), \
     .initial = (initial_),                                 \
     .argument = "<size>",                                  \
     .help = (help_),                                       \
     .origin = (enum app_flag_origin)(origin_)},
#include "sidecar/options.def"
#undef TEXT
#undef DURATION
#undef BOOL
#undef INT
#undef SIZE
#undef INERT
#undef REFUSED
};

static const struct app_flags table = {
    .program = "blockhouse-sidecar",
    .purpose = "Ships the blocks of a Prometheus to object storage.",
    .flags = flags,
    .count = ARRAY_LEN(flags),
    .inert_at = offsetof(struct sidecar_options, inert),
};

static bool
derive(struct sidecar_options *o, struct err *err)
{
    static const char *const hashes[] = {"", "SHA256"};
    static const char *const levels[] = {
        [TSDB_VERIFY_FRAME] = "frame",
        [TSDB_VERIFY_FULL] = "full",
    };
    size_t hash = 0, level = 0;
    if (!app_flags_log(o->log_level, o->log_format, &o->level, &o->format, err) ||
        !app_flags_choose("hash-func", o->hash_func, hashes, ARRAY_LEN(hashes), &hash,
                          err) ||
        !app_flags_choose("shipper.verify", o->verify, levels, ARRAY_LEN(levels),
                          &level, err))
        return false;
    o->hash_sha256 = hash == 1;
    o->verify_level = (enum tsdb_verify_level)level;
    return true;
}

static bool
check(const struct sidecar_options *o, struct err *err)
{
    if (strncmp(o->prometheus_url, "http://", 7) != 0 &&
        strncmp(o->prometheus_url, "https://", 8) != 0)
        return err_set(err, ERR_INVALID,
                       "--prometheus.url: \"%s\" does not begin with http:// or "
                       "https://",
                       o->prometheus_url);
    if (o->tsdb_path[0] == 0)
        return err_set(err, ERR_INVALID, "--tsdb.path is empty");
    if (o->meta_file_name[0] == 0 || strchr(o->meta_file_name, '/') != NULL)
        return err_set(err, ERR_INVALID,
                       "--shipper.meta-file-name: \"%s\" is not a file name",
                       o->meta_file_name);
    return true;
}

enum app_flags_result
sidecar_options_parse(struct sidecar_options *options, int argc, char **argv,
                      struct err *err)
{
    enum app_flags_result result = app_flags_parse(&table, argc, argv, options, err);
    if (result == APP_FLAGS_OK && (!derive(options, err) || !check(options, err)))
        return APP_FLAGS_USAGE;
    return result;
}

const struct app_flags *
sidecar_options_table(void)
{
    return &table;
}
