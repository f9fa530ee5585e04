/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tools/options.h"

#include <stddef.h>
#include <string.h>

#include "common/base/clock.h"

enum { THANOS = APP_FLAG_THANOS, OURS = APP_FLAG_OURS };

/* Below this there is no room for the listing of a bucket beside one block. */
static const uint64_t MIN_MEMORY_BYTES = UINT64_C(32) << 20;

#define ROW(field_, name_, initial_, origin_, help_)               \
    .name = (name_), .at = offsetof(struct tools_options, field_), \
    .initial = (initial_), .help = (help_), .origin = (enum app_flag_origin)(origin_)

/* What all commands have. */
#define COMMON_FLAGS                                                         \
    {ROW(objstore_config, "objstore.config", "", THANOS,                     \
         "Object storage configuration as YAML; $(NAME) is replaced by the " \
         "environment variable."),                                           \
     .kind = APP_FLAG_TEXT, .argument = "<yaml>"},                           \
        {ROW(objstore_config_file, "objstore.config-file", "", THANOS,       \
             "File with the object storage configuration, instead of "       \
             "--objstore.config."),                                          \
         .kind = APP_FLAG_TEXT, .argument = "<path>"},                       \
        {ROW(log_level, "log.level", "info", THANOS,                         \
             "Least severe events to log: error, warn, info or debug."),     \
         .kind = APP_FLAG_TEXT, .argument = "<level>"},                      \
        {ROW(log_format, "log.format", "logfmt", THANOS,                     \
             "Format of log lines: logfmt, json or journald."),              \
         .kind = APP_FLAG_TEXT, .argument = "<format>"},                     \
    {                                                                        \
        ROW(memory_limit_bytes, "memory-limit", "256MiB", OURS,              \
            "Memory for the list of blocks and for what is read of them."),  \
            .kind = APP_FLAG_SIZE, .argument = "<size>"                      \
    }

#define TIMEOUT(origin)                                                  \
    {                                                                    \
        ROW(timeout_ns, "timeout", "5m", origin,                         \
            "Time limit for listing the bucket and reading the metas."), \
            .kind = APP_FLAG_DURATION, .argument = "<duration>",         \
            .min = CLOCK_NS_PER_MS, .max = INT64_MAX                     \
    }

#define SELECTOR(origin)                                                          \
    {                                                                             \
        ROW(selectors, "selector", "", origin,                                    \
            "Only blocks whose external labels match: name=\"value\", also with " \
            "!=, =~ and !~; of several all have to match."),                      \
            .kind = APP_FLAG_LIST, .argument = "<matcher>", .letter = 'l'         \
    }

#define OUTPUT(origin, help_)                                            \
    {                                                                    \
        ROW(output, "output", "table", origin, help_),                   \
            .kind = APP_FLAG_TEXT, .argument = "<format>", .letter = 'o' \
    }

#define EXCLUDE_DELETE(origin)                                 \
    {                                                          \
        ROW(exclude_delete, "exclude-delete", "false", origin, \
            "Leave out blocks that are marked for deletion."), \
            .kind = APP_FLAG_BOOL, .argument = ""              \
    }

static const struct app_flag ls_flags[] = {
    COMMON_FLAGS,
    OUTPUT(THANOS, "How to print: table, tsv, csv or json."),
    EXCLUDE_DELETE(THANOS),
    TIMEOUT(OURS),
};

static const struct app_flag inspect_flags[] = {
    COMMON_FLAGS,
    SELECTOR(THANOS),
    {ROW(sort_by, "sort-by", "", THANOS,
         "Column to sort by, FROM and then UNTIL if none is given; later ones order "
         "what is equal in earlier ones."),
     .kind = APP_FLAG_LIST, .argument = "<column>"},
    OUTPUT(THANOS, "How to print: table, tsv, csv or json."),
    TIMEOUT(THANOS),
    EXCLUDE_DELETE(OURS),
};

static const struct app_flag verify_flags[] = {
    COMMON_FLAGS,
    {ROW(ids, "id", "", THANOS,
         "Block to verify, also as an argument without a flag; if none is given, all."),
     .kind = APP_FLAG_LIST, .argument = "<id>", .takes_arguments = true},
    SELECTOR(OURS),
    OUTPUT(OURS, "How to print: table or json."),
    TIMEOUT(OURS),
    EXCLUDE_DELETE(OURS),
    {ROW(concurrency, "concurrency", "2", OURS,
         "Blocks that are read at the same time; each takes some 12 MiB."),
     .kind = APP_FLAG_INT, .argument = "<number>", .min = 1, .max = 64},
};

static const struct {
    const char *name;
    struct app_flags table;
} commands[TOOLS_COMMAND_COUNT] = {
    [TOOLS_LS] = {"ls",
                  {.program = "blockhouse-bucket ls",
                   .purpose = "Lists the blocks of a bucket without opening them.",
                   .flags = ls_flags,
                   .count = ARRAY_LEN(ls_flags)}},
    [TOOLS_INSPECT] = {"inspect",
                       {.program = "blockhouse-bucket inspect",
                        .purpose =
                            "Shows what the blocks of a bucket say of themselves.",
                        .flags = inspect_flags,
                        .count = ARRAY_LEN(inspect_flags)}},
    [TOOLS_VERIFY] = {"verify",
                      {.program = "blockhouse-bucket verify",
                       .purpose =
                           "Reads blocks of a bucket and checks them completely.",
                       .flags = verify_flags,
                       .count = ARRAY_LEN(verify_flags)}},
};

const char *
tools_command_name(enum tools_command command)
{
    return commands[command].name;
}

static bool
derive(struct tools_options *o, struct err *err)
{
    static const char *const outputs[] = {[TOOLS_TABLE] = "table",
                                          [TOOLS_JSON] = "json",
                                          [TOOLS_TSV] = "tsv",
                                          [TOOLS_CSV] = "csv"};
    /* The problems of a block do not fit into a row. */
    size_t count = o->command == TOOLS_VERIFY ? TOOLS_JSON + 1 : ARRAY_LEN(outputs);
    size_t chosen;
    if (!app_flags_log(o->log_level, o->log_format, &o->level, &o->format, err) ||
        !app_flags_choose("output", o->output, outputs, count, &chosen, err))
        return false;
    o->output_format = (enum tools_output)chosen;
    return o->memory_limit_bytes >= MIN_MEMORY_BYTES ||
           err_set(err, ERR_INVALID,
                   "--memory-limit: %llu bytes are below the limit of 32MiB",
                   (unsigned long long)o->memory_limit_bytes);
}

enum app_flags_result
tools_options_parse(struct tools_options *options, enum tools_command command, int argc,
                    char **argv, struct err *err)
{
    memset(options, 0, sizeof *options);
    options->command = command;
    enum app_flags_result result =
        app_flags_parse(&commands[command].table, argc, argv, options, err);
    if (result == APP_FLAGS_OK && !derive(options, err))
        return APP_FLAGS_USAGE;
    return result;
}
