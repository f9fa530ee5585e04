/* SPDX-License-Identifier: Apache-2.0 */
/* The image's entry: "blockhouse sidecar ..." becomes blockhouse-sidecar, which lies in
 * the same directory, and the other commands likewise. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/app/version.h"

static const char usage[] =
    "usage: blockhouse <command> [<flags>]\n\n"
    "Commands:\n"
    "  sidecar    Ship the blocks of a Prometheus to object storage.\n"
    "  store      Serve the blocks in object storage through remote read.\n"
    "  bucket     List, inspect and verify the blocks in object storage.\n\n"
    "\"blockhouse <command> --help\" lists the flags of a command.\n";

static const char *const commands[] = {"sidecar", "store", "bucket"};

static bool
is_command(const char *word)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(word, commands[i]) == 0)
            return true;
    return false;
}

/* Become the command; returns only when that fails. */
static int
run(char **argv)
{
    static char path[PATH_MAX + 32];
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX);
    char *slash = len > 0 ? memrchr(path, '/', (size_t)len) : NULL;
    if (slash == NULL) {
        fprintf(stderr, "blockhouse: read /proc/self/exe: %s\n", strerror(errno));
        return 1;
    }
    snprintf(slash, sizeof path - (size_t)(slash - path), "/blockhouse-%s", argv[0]);
    argv[0] = path;
    execv(path, argv);
    fprintf(stderr, "blockhouse: run %s: %s\n", path, strerror(errno));
    return 1;
}

int
main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "blockhouse: a command is missing\n\n%s", usage);
        return 2;
    }
    if (is_command(argv[1]))
        return run(argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        app_version_print("blockhouse", BLOCKHOUSE_VERSION,
                          *BLOCKHOUSE_REVISION ? BLOCKHOUSE_REVISION : "unknown",
                          stdout);
        return 0;
    }
    fprintf(stderr, "blockhouse: unknown command \"%s\"\n\n%s", argv[1], usage);
    return 2;
}
