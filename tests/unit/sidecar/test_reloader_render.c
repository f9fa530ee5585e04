/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "sidecar/reloader_render.h"
#include "tests/support/expect.h"

/* "mark: $(RELOADER_MARK)\n", as Python compresses it. */
#define GZIP_MARK                                                                      \
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x4d\x2c\xca\xb6\x52\x50\xd1\x08\x72" \
    "\xf5\xf1\x77\x74\x71\x0d\x8a\xf7\x75\x0c\xf2\xd6\xe4\x02\x00\xc9\xde\x49\x79\x17" \
    "\x00\x00\x00"

struct world {
    char root[40];
    char *config;
    char *output;
};

static int
setup(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    snprintf(w->root, sizeof w->root, "/tmp/blockhouse-render-XXXXXX");
    assert_non_null(mkdtemp(w->root));
    w->config = xasprintf("%s/in.yml", w->root);
    w->output = xasprintf("%s/out.yml", w->root);
    assert_int_equal(setenv("RELOADER_MARK", "blue", 1), 0);
    assert_int_equal(setenv("RELOADER_EMPTY", "", 1), 0);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct err err;
    struct world *w = *state;
    assert_true(file_remove_tree(w->root, &err));
    free(w->config);
    free(w->output);
    free(w);
    return 0;
}

static void
put(const char *path, struct bytes content)
{
    struct err err;
    expect_ok(file_replace(path, content, &err), err);
}

static void
expect_output(const struct world *w, const char *text)
{
    struct err err;
    CLEANUP(buf_fini) struct buf now = {0};
    expect_ok(file_read_all(w->output, 1024, &now, &err), err);
    assert_string_equal(buf_text(&now), text);
}

static bool
render(const struct world *w, bool *unset_variable, struct err *err)
{
    CLEANUP(buf_fini) struct buf input = {0};
    return sidecar_reloader_render(w->config, w->output, &input, unset_variable, err);
}

static void
replaces_variables(void **state)
{
    static const struct {
        struct bytes in;
        const char *out;
    } cases[] = {
        {BYTES("a: $(RELOADER_MARK)$(RELOADER_EMPTY)\n"), "a: blue\n"},
        {BYTES("a: $RELOADER_MARK ${x} $(a-b) $1 $"),
         "a: $RELOADER_MARK ${x} $(a-b) $1 $"},
        {BYTES(""), ""},
        {BYTES("x"), "x"},
        {BYTES("\x1f\x8b"), "\x1f\x8b"},
        {BYTES(GZIP_MARK), "mark: blue\n"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        bool unset_variable = true;
        put(w->config, cases[i].in);
        expect_ok(render(w, &unset_variable, &err), err);
        assert_false(unset_variable);
        expect_output(w, cases[i].out);
    }
}

static void
yields_the_input_as_it_is(void **state)
{
    struct world *w = *state;
    struct err err;
    bool unset_variable;
    CLEANUP(buf_fini) struct buf input = {0};
    put(w->config, BYTES("a: $(NOT_SET_AT_ALL)"));
    expect_ok(sidecar_reloader_render(w->config, "", &input, &unset_variable, &err),
              err);
    assert_string_equal(buf_text(&input), "a: $(NOT_SET_AT_ALL)");
    assert_false(file_exists(w->output));
}

static void
keeps_the_output_when_a_variable_is_missing(void **state)
{
    struct world *w = *state;
    struct err err;
    bool unset_variable;
    put(w->output, BYTES("old"));
    put(w->config, BYTES("a: $(NOT_SET_AT_ALL)"));
    expect_fails(render(w, &unset_variable, &err), err, ERR_INVALID);
    assert_true(unset_variable);
    assert_non_null(strstr(err.text, "NOT_SET_AT_ALL"));
    assert_non_null(strstr(err.text, w->config));
    expect_output(w, "old");
}

static void
tells_a_missing_or_broken_file(void **state)
{
    struct world *w = *state;
    struct err err;
    bool unset_variable;
    expect_fails(render(w, &unset_variable, &err), err, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, w->config));
    put(w->config, BYTES("\x1f\x8b\x08"));
    expect_fails(render(w, &unset_variable, &err), err, ERR_INVALID);
    assert_non_null(strstr(err.text, w->config));
    assert_false(unset_variable);
    assert_false(file_exists(w->output));
}

static void
writes_only_what_is_new(void **state)
{
    struct world *w = *state;
    struct err err;
    bool unset_variable;
    struct stat first, second, third;
    put(w->config, BYTES("a: $(RELOADER_MARK)"));
    expect_ok(render(w, &unset_variable, &err), err);
    assert_int_equal(stat(w->output, &first), 0);
    assert_int_equal(first.st_mode & 0777, 0644);
    expect_ok(render(w, &unset_variable, &err), err);
    assert_int_equal(stat(w->output, &second), 0);
    assert_true(first.st_ino == second.st_ino);
    put(w->config, BYTES("b: $(RELOADER_MARK)"));
    expect_ok(render(w, &unset_variable, &err), err);
    assert_int_equal(stat(w->output, &third), 0);
    assert_true(first.st_ino != third.st_ino);
    expect_output(w, "b: blue");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(replaces_variables),
        CASE(yields_the_input_as_it_is),
        CASE(keeps_the_output_when_a_variable_is_missing),
        CASE(tells_a_missing_or_broken_file),
        CASE(writes_only_what_is_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
