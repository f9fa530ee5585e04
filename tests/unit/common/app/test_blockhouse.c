/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/file.h"

/* A directory with the program and a script in place of one sibling. */
static char folder[] = "/tmp/blockhouse-test-XXXXXX";

static const char *
path_of(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int
start(void **state)
{
    CLEANUP(buf_fini) struct buf program = {0};
    struct err err;
    (void)state;
    return mkdtemp(folder) != NULL &&
                   file_read_all(BLOCKHOUSE_PROGRAM, SIZE_MAX, &program, &err) &&
                   file_replace(path_of("blockhouse"), buf_bytes(&program), &err) &&
                   chmod(path_of("blockhouse"), 0700) == 0 &&
                   file_replace(path_of("blockhouse-store"),
                                BYTES("#!/bin/sh\necho \"$#:$*\"\nexit 7\n"), &err) &&
                   chmod(path_of("blockhouse-store"), 0700) == 0
               ? 0
               : -1;
}

static int
stop(void **state)
{
    struct err err;
    (void)state;
    return file_remove_tree(folder, &err) ? 0 : -1;
}

/* Exit status of the program; what it writes goes into out. */
static int
run(const char *arguments, struct buf *out)
{
    char command[400];
    snprintf(command, sizeof command, "cd / && %s %s 2>&1", path_of("blockhouse"),
             arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    char text[4096];
    size_t len = fread(text, 1, sizeof text, pipe);
    buf_put(out, bytes_of(text, len));
    return WEXITSTATUS(pclose(pipe));
}

static void
becomes_its_sibling(void **state)
{
    CLEANUP(buf_fini) struct buf out = {0};
    (void)state;
    assert_int_equal(run("store --a=1 'b c' ''", &out), 7);
    assert_string_equal(buf_text(&out), "3:--a=1 b c \n");
}

static void
names_a_sibling_that_is_missing(void **state)
{
    CLEANUP(buf_fini) struct buf out = {0};
    (void)state;
    assert_int_equal(run("sidecar", &out), 1);
    assert_non_null(strstr(buf_text(&out), path_of("blockhouse-sidecar")));
}

static void
answers_for_itself(void **state)
{
    static const struct {
        const char *arguments;
        int status;
        const char *text;
    } cases[] = {{"--help", 0, "usage: blockhouse <command>"},
                 {"-h", 0, "usage: blockhouse <command>"},
                 {"--version", 0, "blockhouse, version "},
                 {"--version", 0, "\n  platform:         linux/"},
                 {"", 2, "a command is missing"},
                 {"compact", 2, "unknown command \"compact\""},
                 {"--verbose", 2, "unknown command \"--verbose\""}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_fini) struct buf out = {0};
        assert_int_equal(run(cases[i].arguments, &out), cases[i].status);
        assert_non_null(strstr(buf_text(&out), cases[i].text));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(becomes_its_sibling),
        cmocka_unit_test(names_a_sibling_that_is_missing),
        cmocka_unit_test(answers_for_itself),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
