/* SPDX-License-Identifier: Apache-2.0 */
/* blockhouse-bucket: a look into a bucket from the command line. */
#include "common/app/bucket.h"
#include "common/app/lifecycle.h"
#include "common/base/budget.h"
#include "common/tools/commands.h"

static const char program[] = "blockhouse-bucket";

static const char usage[] =
    "usage: blockhouse-bucket <command> [<flags>]\n\n"
    "Commands:\n"
    "  ls         List the blocks of a bucket.\n"
    "  inspect    Show what the blocks say of themselves: times, labels, sizes.\n"
    "  verify     Read blocks and check them completely.\n\n"
    "\"blockhouse-bucket <command> --help\" lists the flags of a command.\n";

static bool
open_bucket(const struct tools_options *o, struct objstore_bucket **bucket,
            struct err *err)
{
    return app_bucket_open(bucket,
                           &(struct app_bucket_options){
                               .config = o->objstore_config,
                               .config_file = o->objstore_config_file,
                               .component = "bucket",
                               .is_read_only = true,
                           },
                           err);
}

static bool
run(const struct tools_context *c, bool *sound, struct err *err)
{
    switch (c->options->command) {
    case TOOLS_LS:
        return tools_ls(c, err);
    case TOOLS_INSPECT:
        return tools_inspect(c, err);
    case TOOLS_VERIFY:
        return tools_verify(c, sound, err);
    case TOOLS_COMMAND_COUNT:
        break;
    }
    return err_set(err, ERR_INTERNAL, "no such command");
}

static int
run_command(enum tools_command command, int argc, char **argv)
{
    static struct tools_options options;
    struct budget budget;
    struct err err = {0};
    bool sound = true;
    enum app_flags_result parsed =
        tools_options_parse(&options, command, argc, argv, &err);
    if (parsed == APP_FLAGS_EXIT_OK)
        return APP_EXIT_OK;
    if (parsed == APP_FLAGS_USAGE)
        return app_lifecycle_report(program, &err, APP_EXIT_USAGE);
    if (!app_lifecycle_log("bucket", "", options.level, options.format, &err))
        return app_lifecycle_report(program, &err, APP_EXIT_FAILED);
    budget_init(&budget, "process (--memory-limit)", options.memory_limit_bytes, NULL);
    struct tools_context c = {.options = &options, .budget = &budget, .out = stdout};
    bool opened = open_bucket(&options, &c.bucket, &err);
    bool ok = opened && run(&c, &sound, &err);
    objstore_free(&c.bucket);
    budget_fini(&budget);
    if (fflush(stdout) != 0 || ferror(stdout))
        ok = ok && err_set(&err, ERR_IO, "the output could not be written");
    if (!ok)
        /* Of a command ERR_INVALID is an argument without a meaning. */
        return app_lifecycle_report(
            program, &err,
            opened && err.code == ERR_INVALID ? APP_EXIT_USAGE : APP_EXIT_FAILED);
    return sound ? APP_EXIT_OK : APP_EXIT_FAILED;
}

static int
refuse(const char *why, const char *word)
{
    fprintf(stderr, "%s: %s%s\n\n%s", program, why, word, usage);
    return APP_EXIT_USAGE;
}

int
main(int argc, char **argv)
{
    app_lifecycle_begin_command();
    if (argc < 2)
        return refuse("a command is missing", "");
    const char *word = argv[1];
    for (int i = 0; i < TOOLS_COMMAND_COUNT; i++)
        if (strcmp(word, tools_command_name((enum tools_command)i)) == 0)
            return run_command((enum tools_command)i, argc - 1, argv + 1);
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        fputs(usage, stdout);
        return APP_EXIT_OK;
    }
    if (strcmp(word, "--version") == 0) {
        printf("%s, version %s (revision %s)\n", program, app_version(),
               app_revision());
        return APP_EXIT_OK;
    }
    return refuse("unknown command ", word);
}
