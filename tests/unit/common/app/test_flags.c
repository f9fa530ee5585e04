/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/app/flags.h"
#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/file.h"

enum { ARGS_MAX = 8 };

struct options {
    const char *name;
    bool loud;
    bool fast;
    int64_t count;
    int64_t delay_ns;
    uint64_t size;
};

static const struct app_flag flags[] = {
    {.name = "name",
     .kind = APP_FLAG_TEXT,
     .at = offsetof(struct options, name),
     .initial = "nobody",
     .argument = "<text>",
     .help = "Who."},
    {.name = "loud",
     .kind = APP_FLAG_BOOL,
     .at = offsetof(struct options, loud),
     .initial = "false",
     .argument = "",
     .help = "How."},
    {.name = "fast.mode",
     .kind = APP_FLAG_BOOL,
     .at = offsetof(struct options, fast),
     .initial = "true",
     .argument = "",
     .help = "How fast.",
     .origin = APP_FLAG_OURS},
    {.name = "count",
     .kind = APP_FLAG_INT,
     .at = offsetof(struct options, count),
     .initial = "3",
     .argument = "<n>",
     .help = "How many.",
     .min = 1,
     .max = 10},
    {.name = "delay",
     .kind = APP_FLAG_DURATION,
     .at = offsetof(struct options, delay_ns),
     .initial = "2m",
     .argument = "<duration>",
     .help = "How long.",
     .min = 500 * CLOCK_NS_PER_MS,
     .max = 3600 * CLOCK_NS_PER_S},
    {.name = "size-limit",
     .kind = APP_FLAG_SIZE,
     .at = offsetof(struct options, size),
     .initial = "1KiB",
     .argument = "<bytes>",
     .help = "How large: a sentence that is certainly longer than a line of eighty "
             "columns can ever be.",
     .origin = APP_FLAG_OURS},
};

static const struct app_flags table = {.program = "blockhouse-test",
                                       .purpose = "Tests flags.",
                                       .flags = flags,
                                       .count = ARRAY_LEN(flags)};

static enum app_flags_result
parse(const char *const args[ARGS_MAX], struct options *o, struct err *err)
{
    char *argv[ARGS_MAX + 2] = {(char *)"program"};
    int argc = 1;
    for (size_t i = 0; i < ARGS_MAX && args[i] != NULL; i++)
        argv[argc++] = (char *)args[i];
    *err = (struct err){0};
    return app_flags_parse(&table, argc, argv, o, err);
}

static void
fills_in_defaults_and_values(void **state)
{
    static const struct {
        const char *args[ARGS_MAX];
        struct options want;
    } cases[] = {
        {{NULL}, {"nobody", false, true, 3, 120 * CLOCK_NS_PER_S, 1024}},
        {{"--name=me", "--loud", "--no-fast.mode", "--count=10", "--delay=500ms",
          "--size-limit=2MB"},
         {"me", true, false, 10, 500 * CLOCK_NS_PER_MS, 2 << 20}},
        {{"--name", "me", "--count", "1", "--delay", "1h"},
         {"me", false, true, 1, 3600 * CLOCK_NS_PER_S, 1024}},
        {{"--name=", "--loud=true", "--fast.mode=false"},
         {"", true, false, 3, 120 * CLOCK_NS_PER_S, 1024}},
        {{"--name=a=b --loud", "--no-loud"},
         {"a=b --loud", false, true, 3, 120 * CLOCK_NS_PER_S, 1024}},
        {{"--name", "-2w"}, {"-2w", false, true, 3, 120 * CLOCK_NS_PER_S, 1024}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct options *want = &cases[i].want;
        struct options got;
        struct err err;
        if (parse(cases[i].args, &got, &err) != APP_FLAGS_OK)
            fail_msg("case %zu: %s", i, err.text);
        assert_string_equal(got.name, want->name);
        assert_int_equal(got.loud, want->loud);
        assert_int_equal(got.fast, want->fast);
        assert_int_equal(got.count, want->count);
        assert_int_equal(got.delay_ns, want->delay_ns);
        assert_int_equal(got.size, want->size);
    }
}

static void
explains_what_is_wrong(void **state)
{
    static const struct {
        const char *args[ARGS_MAX];
        const char *text;
    } cases[] = {
        {{"--nam=x"}, "unknown flag --nam, did you mean --name?"},
        {{"--fastmode"}, "unknown flag --fastmode, did you mean --fast.mode?"},
        {{"--something-else"}, "unknown flag --something-else, see --help"},
        {{"--no-name"}, "unknown flag --no-name, did you mean --name?"},
        {{"--no-loud=true"}, "unknown flag --no-loud, did you mean --loud?"},
        {{"--=x"}, "unexpected argument \"--=x\""},
        {{"--"}, "unexpected argument \"--\""},
        {{"-x"}, "unexpected argument \"-x\""},
        {{"stray"}, "unexpected argument \"stray\""},
        {{""}, "unexpected argument \"\""},
        {{"--loud", "true"}, "unexpected argument \"true\""},
        {{"--name"}, "--name needs a value: <text>"},
        {{"--name", "--loud"}, "--name needs a value: <text>"},
        {{"--loud=yes"}, "--loud: \"yes\" is neither true nor false"},
        {{"--loud", "--no-loud"}, "--loud is given twice"},
        {{"--name=a", "--name=b"}, "--name is given twice"},
        {{"--count=x"}, "--count: \"x\" is not a whole number"},
        {{"--count="}, "--count: \"\" is not a whole number"},
        {{"--count=5 "}, "--count: \"5 \" is not a whole number"},
        {{"--count=99999999999999999999"},
         "--count: \"99999999999999999999\" is not a whole number"},
        {{"--count=0"}, "--count: \"0\" is below the limit of 1"},
        {{"--count=11"}, "--count: \"11\" is above the limit of 10"},
        {{"--delay=499ms"}, "--delay: \"499ms\" is below the limit of 500ms"},
        {{"--delay=61m"}, "--delay: \"61m\" is above the limit of 1h"},
        {{"--delay=5"}, "--delay: "},
        {{"--size-limit=-1KB"}, "--size-limit: "},
        {{"@/nonexistent/file"}, "arguments of @/nonexistent/file: "},
        {{"--"
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "a"},
         "unknown flag --aaaa"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct options o;
        struct err err;
        assert_int_equal(parse(cases[i].args, &o, &err), APP_FLAGS_USAGE);
        assert_int_equal(err.code == ERR_INVALID || err.code == ERR_NOT_FOUND, true);
        if (strncmp(err.text, cases[i].text, strlen(cases[i].text)) != 0)
            fail_msg("expected \"%s\", got \"%s\"", cases[i].text, err.text);
    }
}

/* A file with this content; the caller unlinks it. */
static void
write_file(char path[static 32], struct bytes content)
{
    struct err err;
    strcpy(path, "/tmp/test-flags-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(file_write_all(fd, path, content, &err));
    close(fd);
}

static void
reads_arguments_from_a_file(void **state)
{
    char path[32];
    char at_path[40];
    struct options o;
    struct err err;
    (void)state;
    write_file(path, BYTES("# a comment\n--name\nme and you\n\n--count=4\r\n--loud"));
    snprintf(at_path, sizeof at_path, "@%s", path);
    const char *const args[ARGS_MAX] = {"--delay=1s", at_path, "--no-fast.mode"};
    assert_int_equal(parse(args, &o, &err), APP_FLAGS_OK);
    assert_string_equal(o.name, "me and you");
    assert_int_equal(o.count, 4);
    assert_true(o.loud);
    assert_false(o.fast);
    assert_int_equal(o.delay_ns, CLOCK_NS_PER_S);
    unlink(path);
}

struct listed {
    struct app_flag_list ids;
    const char *output;
    bool seldom;
    struct app_flag_inert inert;
};

static const struct app_flag listed_flags[] = {
    {.name = "id",
     .kind = APP_FLAG_LIST,
     .at = offsetof(struct listed, ids),
     .initial = "",
     .argument = "<id>",
     .help = "Which.",
     .takes_arguments = true},
    {.name = "output",
     .kind = APP_FLAG_TEXT,
     .at = offsetof(struct listed, output),
     .initial = "table",
     .argument = "<format>",
     .help = "How.",
     .letter = 'o'},
    {.name = "seldom",
     .kind = APP_FLAG_BOOL,
     .at = offsetof(struct listed, seldom),
     .initial = "false",
     .argument = "",
     .help = "Rare.",
     .origin = APP_FLAG_HIDDEN},
    {.name = "grace",
     .kind = APP_FLAG_DURATION,
     .initial = "2m",
     .argument = "<duration>",
     .help = "Nothing.",
     .max = INT64_MAX,
     .origin = APP_FLAG_INERT},
    {.name = "curves",
     .kind = APP_FLAG_LIST,
     .initial = "",
     .argument = "<curve>",
     .help = "Nothing either.",
     .origin = APP_FLAG_INERT},
    {.name = "lock",
     .kind = APP_FLAG_TEXT,
     .initial = "",
     .argument = "<path>",
     .help = "A lock.",
     .refused = "there is no lock; leave it out",
     .origin = APP_FLAG_INERT},
};
static const struct app_flags listed_table = {.program = "blockhouse-test",
                                              .purpose = "Tests lists.",
                                              .flags = listed_flags,
                                              .count = ARRAY_LEN(listed_flags),
                                              .inert_at =
                                                  offsetof(struct listed, inert)};

static void
takes_lists_letters_and_bare_arguments(void **state)
{
    static char *argv[] = {(char *)"program", (char *)"a", (char *)"--id=b",
                           (char *)"--id",    (char *)"c", (char *)"-o",
                           (char *)"json",    (char *)"d", NULL};
    static char *wrong[] = {(char *)"program", (char *)"-x", NULL};
    static char *twice[] = {(char *)"program", (char *)"-o=a", (char *)"--output=b",
                            NULL};
    struct listed o;
    struct err err;
    (void)state;
    assert_int_equal(app_flags_parse(&listed_table, 8, argv, &o, &err), APP_FLAGS_OK);
    assert_int_equal(o.ids.count, 4);
    for (size_t i = 0; i < o.ids.count; i++)
        assert_int_equal(o.ids.at[i][0], "abcd"[i]);
    assert_string_equal(o.output, "json");
    assert_int_equal(app_flags_parse(&listed_table, 2, wrong, &o, &err),
                     APP_FLAGS_USAGE);
    assert_string_equal(err.text, "unexpected argument \"-x\"");
    assert_int_equal(app_flags_parse(&listed_table, 3, twice, &o, &err),
                     APP_FLAGS_USAGE);
    assert_string_equal(err.text, "--output is given twice");
}

static void
a_list_has_an_end(void **state)
{
    static char *argv[APP_FLAG_LIST_MAX + 2];
    struct listed o;
    struct err err;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(argv); i++)
        argv[i] = (char *)"x";
    assert_int_equal(
        app_flags_parse(&listed_table, ARRAY_LEN(argv) - 1, argv, &o, &err),
        APP_FLAGS_OK);
    assert_int_equal(app_flags_parse(&listed_table, ARRAY_LEN(argv), argv, &o, &err),
                     APP_FLAGS_USAGE);
    assert_string_equal(err.text, "--id: more than 256 values");
}

static void
help_shows_lists_and_letters(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    (void)state;
    assert_non_null(to);
    app_flags_print_help(&listed_table, to);
    fclose(to);
    assert_non_null(strstr(text, "usage: blockhouse-test [<flags>] [<id>...]\n"));
    assert_non_null(strstr(text, "  --id=<id>...\n"));
    assert_non_null(strstr(text, "  -o, --output=<format>\n"));
    free(text);
}

static enum app_flags_result
parse_listed(const char *const args[ARGS_MAX], struct listed *o, struct err *err)
{
    char *argv[ARGS_MAX + 2] = {(char *)"program"};
    int argc = 1;
    for (size_t i = 0; i < ARGS_MAX && args[i] != NULL; i++)
        argv[argc++] = (char *)args[i];
    return app_flags_parse(&listed_table, argc, argv, o, err);
}

static void
collects_the_names_of_inert_flags(void **state)
{
    static const char *const none[ARGS_MAX] = {"--seldom"};
    static const char *const some[ARGS_MAX] = {"--curves=a", "--grace=1s", "--curves=b",
                                               "--lock="};
    struct listed o;
    struct err err;
    (void)state;
    assert_int_equal(parse_listed(none, &o, &err), APP_FLAGS_OK);
    assert_true(o.seldom);
    assert_int_equal(o.inert.names.count, 0);
    assert_int_equal(parse_listed(some, &o, &err), APP_FLAGS_OK);
    assert_int_equal(o.inert.names.count, 3);
    assert_string_equal(o.inert.names.at[0], "curves");
    assert_string_equal(o.inert.names.at[1], "grace");
    assert_string_equal(o.inert.names.at[2], "lock");
}

static void
check_value(const struct app_flags *t, const void *options, const char *name,
            const char *wanted)
{
    CLEANUP(buf_fini) struct buf text = {0};
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->flags[i].name, name) == 0)
            app_flags_value(t, &t->flags[i], options, &text);
    assert_string_equal(buf_text(&text), wanted);
}

static void
tells_values(void **state)
{
    static const char *const none[ARGS_MAX] = {NULL};
    static const char *const some[ARGS_MAX] = {"--curves=a", "--grace=1s", "--curves=b",
                                               "--id=c", "--id=d"};
    struct listed o;
    struct err err;
    (void)state;
    assert_int_equal(parse_listed(none, &o, &err), APP_FLAGS_OK);
    check_value(&listed_table, &o, "grace", "2m");
    check_value(&listed_table, &o, "curves", "");
    check_value(&listed_table, &o, "output", "table");
    check_value(&listed_table, &o, "seldom", "false");
    assert_int_equal(parse_listed(some, &o, &err), APP_FLAGS_OK);
    check_value(&listed_table, &o, "grace", "1s");
    check_value(&listed_table, &o, "curves", "a,b");
    check_value(&listed_table, &o, "id", "c,d");
}

struct telling {
    const char *text;
    int64_t ns;
    int64_t count;
    uint64_t bytes;
};

static void
tells_no_secrets(void **state)
{
    static const struct {
        const char *argument;
        const char *text;
        const char *wanted;
    } cases[] = {
        {"<yaml>", "", ""},
        {"<yaml>", "type: S3\n", "<secret>"},
        {"<path>", "/etc/bucket.yml", "/etc/bucket.yml"},
        {"<url>", "http://localhost:9090", "http://localhost:9090"},
        {"<url>", "http://me:pw@host:1/a@b", "http://<secret>@host:1/a@b"},
        {"<url>", "https://me:p@w@host", "https://<secret>@host"},
        {"<url>", "http://host/a?token=t#x", "http://host/a?<secret>"},
        {"<url>", "http://me:pw@host?a=b", "http://<secret>@host?<secret>"},
        {"<url>", "http://host#token", "http://host#<secret>"},
        {"<url>", "me:pw@host/a", "<secret>@host/a"},
        {"<url>", "http://me:p/w@host/a", "http://<secret>@host/a"},
        {"<url>", "http://me:p?w#x@host/a?b", "http://<secret>@host/a?<secret>"},
        {"<path>", "https://me:pw@host/a", "https://<secret>@host/a"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct app_flag flag = {.name = "f",
                                      .kind = APP_FLAG_TEXT,
                                      .at = offsetof(struct telling, text),
                                      .initial = "",
                                      .argument = cases[i].argument,
                                      .help = ""};
        const struct app_flags one = {.flags = &flag, .count = 1};
        const struct telling t = {.text = cases[i].text};
        check_value(&one, &t, "f", cases[i].wanted);
    }
}

static void
tells_quantities(void **state)
{
    static const struct app_flag some[] = {
        {.name = "ns", .kind = APP_FLAG_DURATION, .at = offsetof(struct telling, ns)},
        {.name = "count", .kind = APP_FLAG_INT, .at = offsetof(struct telling, count)},
        {.name = "bytes", .kind = APP_FLAG_SIZE, .at = offsetof(struct telling, bytes)},
    };
    static const struct app_flags t = {.flags = some, .count = ARRAY_LEN(some)};
    struct telling o = {.ns = 90 * CLOCK_NS_PER_S, .count = -1, .bytes = UINT64_MAX};
    (void)state;
    check_value(&t, &o, "ns", "90s");
    check_value(&t, &o, "count", "-1");
    check_value(&t, &o, "bytes", "18446744073709551615");
    o.ns = 0;
    check_value(&t, &o, "ns", "0s");
}

static void
refuses_wrong_and_harmful_values_of_inert_flags(void **state)
{
    static const char *const wrong[ARGS_MAX] = {"--grace=5"};
    static const char *const harmful[ARGS_MAX] = {"--lock=/l"};
    static const char *const twice[ARGS_MAX] = {"--grace=5s", "--grace=5s"};
    struct listed o;
    struct err err;
    (void)state;
    assert_int_equal(parse_listed(wrong, &o, &err), APP_FLAGS_USAGE);
    assert_non_null(strstr(err.text, "--grace: "));
    assert_int_equal(parse_listed(harmful, &o, &err), APP_FLAGS_USAGE);
    assert_string_equal(err.text, "--lock: there is no lock; leave it out");
    assert_int_equal(parse_listed(twice, &o, &err), APP_FLAGS_USAGE);
    assert_string_equal(err.text, "--grace is given twice");
}

static void
lists_flags_by_their_origin(void **state)
{
    char *help = NULL, *man = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&help, &len);
    (void)state;
    assert_non_null(to);
    app_flags_print_help(&listed_table, to);
    fclose(to);
    to = open_memstream(&man, &len);
    assert_non_null(to);
    app_flags_print_man(&listed_table, to);
    fclose(to);
    assert_null(strstr(help, "seldom"));
    assert_non_null(strstr(man, "`--[no-]seldom`\n:   Rare.\n"));
    const char *inert = strstr(help, "no effect yet:\n  --grace=<duration>\n");
    assert_non_null(inert);
    assert_non_null(strstr(inert, "--curves=<curve>..."));
    inert = strstr(man, "### Thanos flags without effect\n");
    assert_non_null(inert);
    assert_non_null(strstr(inert, "`--grace=<duration>`\n:   Nothing. Default `2m`."));
    free(help);
    free(man);
}

static void
answers_help_and_version_before_judging(void **state)
{
    static const char *const asked[] = {"--help", "-h", "--help-man", "--version"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        const char *const args[ARGS_MAX] = {"--nonsense", asked[i]};
        struct options o;
        struct err err;
        assert_int_equal(parse(args, &o, &err), APP_FLAGS_EXIT_OK);
    }
}

static void
assert_prints(void (*print)(const struct app_flags *, FILE *), const char *want)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    assert_non_null(to);
    print(&table, to);
    fclose(to);
    const char *own = strstr(text, "--name");
    assert_non_null(own);
    assert_string_equal(own, want);
    free(text);
}

static void
help_lists_both_groups_with_defaults_and_limits(void **state)
{
    (void)state;
    assert_prints(
        app_flags_print_help,
        "--name=<text>\n"
        "        Who. Default nobody.\n"
        "  --[no-]loud\n"
        "        How.\n"
        "  --count=<n>\n"
        "        How many. Default 3. At least 1. At most 10.\n"
        "  --delay=<duration>\n"
        "        How long. Default 2m. At least 500ms. At most 1h.\n"
        "\n"
        "Our own flags:\n"
        "  --[no-]fast.mode\n"
        "        How fast. Default true.\n"
        "  --size-limit=<bytes>\n"
        "        How large: a sentence that is certainly longer than a line of eighty\n"
        "        columns can ever be. Default 1KiB.\n");
}

static void
man_page_has_the_same(void **state)
{
    (void)state;
    assert_prints(app_flags_print_man,
                  "--name=<text>`\n"
                  ":   Who. Default `nobody`.\n"
                  "\n`--[no-]loud`\n"
                  ":   How.\n"
                  "\n`--count=<n>`\n"
                  ":   How many. Default `3`. At least `1`. At most `10`.\n"
                  "\n`--delay=<duration>`\n"
                  ":   How long. Default `2m`. At least `500ms`. At most `1h`.\n"
                  "\n### Our own flags\n"
                  "\n`--[no-]fast.mode`\n"
                  ":   How fast. Default `true`.\n"
                  "\n`--size-limit=<bytes>`\n"
                  ":   How large: a sentence that is certainly longer than a line of "
                  "eighty columns can ever be. Default `1KiB`.\n");
}

static void
content_comes_from_one_of_the_pair(void **state)
{
    char path[32];
    char *content = NULL;
    struct err err;
    (void)state;
    write_file(path, BYTES("type: S3\n"));
    assert_true(app_flags_content("x", "", path, &content, &err));
    assert_string_equal(content, "type: S3\n");
    free(content);
    assert_true(app_flags_content("x", "inline", "", &content, &err));
    assert_string_equal(content, "inline");
    free(content);
    assert_true(app_flags_content("x", NULL, NULL, &content, &err));
    assert_string_equal(content, "");
    free(content);
    unlink(path);
}

static void
content_that_is_yaml_becomes_a_tree(void **state)
{
    char path[32];
    struct err err;
    struct yaml *tree = NULL;
    (void)state;
    write_file(path, BYTES("type: $(FLAGS_TEST_TYPE)\n"));
    assert_int_equal(setenv("FLAGS_TEST_TYPE", "S3", 1), 0);
    assert_true(app_flags_yaml("x", "", path, &tree, &err));
    assert_string_equal(yaml_get(tree, "type")->text, "S3");
    yaml_tree_free(&tree);
    assert_true(app_flags_yaml("x", "", "", &tree, &err));
    assert_int_equal(tree->kind, YAML_NULL);
    yaml_tree_free(&tree);
    assert_int_equal(unsetenv("FLAGS_TEST_TYPE"), 0);
    assert_false(app_flags_yaml("x", "", path, &tree, &err));
    assert_non_null(strstr(err.text, "--x-file: "));
    assert_non_null(strstr(err.text, "FLAGS_TEST_TYPE is not set"));
    assert_false(app_flags_yaml("x", "a: b: c", "", &tree, &err));
    assert_memory_equal(err.text, "--x: line 1: ", 13);
    assert_false(app_flags_yaml("x", "a: b", path, &tree, &err));
    assert_null(tree);
    unlink(path);
}

static void
content_errors_name_the_flag(void **state)
{
    char path[32];
    char *content = NULL;
    struct err err;
    (void)state;
    assert_false(app_flags_content("x", "a", "b", &content, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_string_equal(err.text, "--x and --x-file exclude each other");
    assert_false(app_flags_content("x", "", "/nonexistent", &content, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_memory_equal(err.text, "--x-file: ", 10);
    write_file(path, BYTES("a\0b"));
    assert_false(app_flags_content("x", "", path, &content, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_null(content);
    unlink(path);
    err_fill(&err, ERR_INVALID, "line 3: no");
    assert_false(app_flags_content_fail("x", "/etc/x.yml", &err));
    assert_string_equal(err.text, "--x-file: /etc/x.yml: line 3: no");
    err_fill(&err, ERR_INVALID, "line 3: no");
    assert_false(app_flags_content_fail("x", "", &err));
    assert_string_equal(err.text, "--x: line 3: no");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_in_defaults_and_values),
        cmocka_unit_test(explains_what_is_wrong),
        cmocka_unit_test(reads_arguments_from_a_file),
        cmocka_unit_test(takes_lists_letters_and_bare_arguments),
        cmocka_unit_test(a_list_has_an_end),
        cmocka_unit_test(help_shows_lists_and_letters),
        cmocka_unit_test(collects_the_names_of_inert_flags),
        cmocka_unit_test(tells_values),
        cmocka_unit_test(tells_no_secrets),
        cmocka_unit_test(tells_quantities),
        cmocka_unit_test(refuses_wrong_and_harmful_values_of_inert_flags),
        cmocka_unit_test(lists_flags_by_their_origin),
        cmocka_unit_test(answers_help_and_version_before_judging),
        cmocka_unit_test(help_lists_both_groups_with_defaults_and_limits),
        cmocka_unit_test(man_page_has_the_same),
        cmocka_unit_test(content_comes_from_one_of_the_pair),
        cmocka_unit_test(content_that_is_yaml_becomes_a_tree),
        cmocka_unit_test(content_errors_name_the_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
