/* SPDX-License-Identifier: Apache-2.0 */
#include "common/app/flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/flags_priv.h"
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/codec/quantity.h"

enum { FILE_MAX_BYTES = 1 << 20, NAME_MAX_BYTES = 64 };

/* A name with more differences than this is not what the user meant. */
enum { MAX_TYPOS = 3 };

/* The arguments after the program's name, with @file replaced by its lines. */
struct args {
    const char **at;
    size_t count;
};

/* Values borrow from the text of an @file as they do from argv, so it is never freed.
 */
struct kept {
    struct kept *next;
    char *text;
};

static struct kept *kept;

static void
free_args(struct args *args)
{
    free(args->at);
}

static void
add(struct args *args, const char *arg)
{
    args->at = xrealloc(args->at, (args->count + 1) * sizeof *args->at);
    args->at[args->count++] = arg;
}

static bool
read_text(const char *path, char **text, struct err *err)
{
    CLEANUP(buf_fini) struct buf content = {0};
    if (!file_read_all(path, FILE_MAX_BYTES, &content, err))
        return false;
    if (content.len != 0 && memchr(content.at, '\0', content.len) != NULL)
        return err_set(err, ERR_INVALID, "%s is not a text: it holds a zero byte",
                       path);
    *text = xstrdup(buf_text(&content));
    digest_cleanse(content.at, content.len); /* credentials, perhaps */
    return true;
}

static bool
add_file(struct args *args, const char *path, struct err *err)
{
    char *text = NULL;
    if (!read_text(path, &text, err))
        return false;
    struct kept *k = xcalloc(1, sizeof *k);
    *k = (struct kept){.next = kept, .text = text};
    kept = k;
    char *state = NULL;
    for (char *line = strtok_r(text, "\r\n", &state); line != NULL;
         line = strtok_r(NULL, "\r\n", &state))
        if (*line != '#')
            add(args, line);
    return true;
}

static bool
expand(struct args *args, int argc, char **argv, struct err *err)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '@')
            add(args, argv[i]);
        else if (!add_file(args, argv[i] + 1, err))
            return err_wrap(err, "arguments of %s", argv[i]);
    }
    return true;
}

static bool
within(const struct app_flag *f, const char *value, int64_t number, struct err *err)
{
    char limit[APP_FLAGS_LIMIT_SIZE];
    if (number >= f->min && number <= f->max)
        return true;
    app_flags_limit(f, number < f->min ? f->min : f->max, limit);
    return err_set(err, ERR_INVALID, "\"%s\" is %s the limit of %s", value,
                   number < f->min ? "below" : "above", limit);
}

static bool
parse_bool(const char *value, bool *out, struct err *err)
{
    *out = strcmp(value, "true") == 0;
    return *out || strcmp(value, "false") == 0 ||
           err_set(err, ERR_INVALID, "\"%s\" is neither true nor false", value);
}

static bool
parse_int(const char *value, int64_t *out, struct err *err)
{
    char *end;
    errno = 0;
    *out = strtoll(value, &end, 10);
    return (end != value && *end == '\0' && errno == 0) ||
           err_set(err, ERR_INVALID, "\"%s\" is not a whole number", value);
}

static bool
append(struct app_flag_list *list, const char *value, struct err *err)
{
    if (list->count == APP_FLAG_LIST_MAX)
        return err_set(err, ERR_INVALID, "more than %d values", APP_FLAG_LIST_MAX);
    list->at[list->count++] = value;
    return true;
}

/* Parse value into the field of the flag. */
static bool
assign(const struct app_flag *f, const char *value, void *options, struct err *err)
{
    void *field = (char *)options + f->at;
    switch (f->kind) {
    case APP_FLAG_TEXT:
        *(const char **)field = value;
        return true;
    case APP_FLAG_BOOL:
        return parse_bool(value, field, err);
    case APP_FLAG_INT:
        return parse_int(value, field, err) && within(f, value, *(int64_t *)field, err);
    case APP_FLAG_DURATION:
        return quantity_duration(value, field, err) &&
               within(f, value, *(int64_t *)field, err);
    case APP_FLAG_SIZE:
        return quantity_size(value, field, err);
    case APP_FLAG_LIST:
        return append(field, value, err);
    }
    return err_set(err, ERR_INTERNAL, "flag of no kind");
}

static void *
at_offset(void *options, size_t at)
{
    return (char *)options + at;
}

static void
clear_inert(struct app_flag_inert *inert)
{
    inert->names.count = 0;
    inert->given.count = 0;
}

static void
assign_defaults(const struct app_flags *table, void *options)
{
    struct err err;
    for (size_t i = 0; i < table->count; i++) {
        const struct app_flag *f = &table->flags[i];
        if (f->origin == APP_FLAG_INERT)
            clear_inert(at_offset(options, table->inert_at));
        else if (f->kind == APP_FLAG_LIST)
            ((struct app_flag_list *)at_offset(options, f->at))->count = 0;
        else
            CHECK(assign(f, f->initial, options, &err));
    }
}

/* Position in the table, or table->count. */
static size_t
find(const struct app_flags *table, struct bytes name)
{
    size_t i = 0;
    while (i < table->count && !bytes_eq(bytes_of_str(table->flags[i].name), name))
        i++;
    return i;
}

/* Insertions, deletions and replacements that turn a into b, row by row of the usual
 * table; more than MAX_TYPOS when a name is too long to be one. */
static size_t
distance(struct bytes a, struct bytes b)
{
    size_t row[NAME_MAX_BYTES + 1];
    if (a.len > NAME_MAX_BYTES || b.len > NAME_MAX_BYTES)
        return MAX_TYPOS + 1;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 0; i < a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b.len; j++) {
            size_t replaced = diagonal + (a.at[i] != b.at[j]);
            diagonal = row[j + 1];
            row[j + 1] = NUM_MIN(replaced, NUM_MIN(row[j], diagonal) + 1);
        }
    }
    return row[b.len];
}

static bool
unknown(const struct app_flags *table, struct bytes name, struct err *err)
{
    const char *nearest = NULL;
    size_t least = MAX_TYPOS + 1;
    for (size_t i = 0; i < table->count; i++) {
        size_t typos = distance(name, bytes_of_str(table->flags[i].name));
        if (typos < least) {
            least = typos;
            nearest = table->flags[i].name;
        }
    }
    if (nearest == NULL)
        return err_set(err, ERR_INVALID, "unknown flag --%.*s, see --help",
                       BYTES_FMT(name));
    return err_set(err, ERR_INVALID, "unknown flag --%.*s, did you mean --%s?",
                   BYTES_FMT(name), nearest);
}

struct parser {
    const struct app_flags *table;
    void *options;
    bool *given; /* one for each flag of the table */
    struct args args;
    size_t next; /* argument */
};

static void
free_parser(struct parser *p)
{
    free_args(&p->args);
    free(p->given);
}

/* The argument behind a flag that came without "=", or NULL. */
static const char *
next_value(struct parser *p)
{
    if (p->next == p->args.count || strncmp(p->args.at[p->next], "--", 2) == 0)
        return NULL;
    return p->args.at[p->next++];
}

/* A wrong value is as wrong as it will be when the flag has its function. */
static bool
check_inert(const struct app_flag *f, const char *value, struct err *err)
{
    union {
        const char *text;
        bool is_on;
        int64_t number;
        uint64_t size_bytes;
    } unused;
    if (f->refused != NULL && *value != 0)
        return err_set(err, ERR_INVALID, "%s", f->refused);
    return f->kind == APP_FLAG_LIST || assign(f, value, &unused, err);
}

static bool
keep_inert(struct app_flag_inert *inert, const struct app_flag *f, const char *value,
           bool is_first, struct err *err)
{
    return (!is_first || append(&inert->names, f->name, err)) &&
           append(&inert->given, f->name, err) && append(&inert->given, value, err);
}

/* value is what stood behind "=", or NULL. */
static bool
take_flag(struct parser *p, size_t i, const char *value, struct err *err)
{
    const struct app_flag *f = &p->table->flags[i];
    if (p->given[i] && f->kind != APP_FLAG_LIST)
        return err_set(err, ERR_INVALID, "--%s is given twice", f->name);
    bool is_first = !p->given[i];
    p->given[i] = true;
    if (value == NULL)
        value = f->kind == APP_FLAG_BOOL ? "true" : next_value(p);
    if (value == NULL)
        return err_set(err, ERR_INVALID, "--%s needs a value: %s", f->name,
                       f->argument);
    bool ok = f->origin != APP_FLAG_INERT
                  ? assign(f, value, p->options, err)
                  : check_inert(f, value, err) &&
                        keep_inert(at_offset(p->options, p->table->inert_at), f, value,
                                   is_first, err);
    return ok || err_wrap(err, "--%s", f->name);
}

/* An argument that does not begin with "--": "-o", or a value of the list that takes
 * such. */
static bool
take_short_or_bare(struct parser *p, const char *arg, struct err *err)
{
    for (size_t i = 0; i < p->table->count; i++) {
        const struct app_flag *f = &p->table->flags[i];
        if (arg[0] == '-' && f->letter != 0 && arg[1] == f->letter &&
            (arg[2] == '\0' || arg[2] == '='))
            return take_flag(p, i, arg[2] == '=' ? arg + 3 : NULL, err);
        if (arg[0] != '-' && f->takes_arguments)
            return take_flag(p, i, arg, err);
    }
    return err_set(err, ERR_INVALID, "unexpected argument \"%s\"", arg);
}

static bool
take_argument(struct parser *p, const char *arg, struct err *err)
{
    size_t len = strcspn(arg, "=");
    const char *value = arg[len] == '=' ? arg + len + 1 : NULL;
    struct bytes name = bytes_of(arg, len);
    if (!bytes_starts_with(name, BYTES("--")) || len == 2)
        return take_short_or_bare(p, arg, err);
    bytes_skip(&name, 2);
    size_t i = find(p->table, name);
    if (i < p->table->count)
        return take_flag(p, i, value, err);
    struct bytes positive = name;
    if (value == NULL && bytes_starts_with(name, BYTES("no-"))) {
        bytes_skip(&positive, 3);
        i = find(p->table, positive);
        if (i < p->table->count && p->table->flags[i].kind == APP_FLAG_BOOL)
            return take_flag(p, i, "false", err);
    }
    return unknown(p->table, name, err);
}

/* Answer the first of --help and its kin, if there is one. */
static bool
answer(const struct app_flags *table, const struct args *args)
{
    static const struct {
        const char *arg;
        void (*print)(const struct app_flags *table, FILE *to);
    } answers[] = {{"--help", app_flags_print_help},
                   {"-h", app_flags_print_help},
                   {"--help-long", app_flags_print_help},
                   {"--help-man", app_flags_print_man},
                   {"--version", app_flags_print_version}};
    for (size_t i = 0; i < args->count; i++) {
        for (size_t k = 0; k < ARRAY_LEN(answers); k++) {
            if (strcmp(args->at[i], answers[k].arg) == 0) {
                answers[k].print(table, stdout);
                fflush(stdout);
                return true;
            }
        }
    }
    return false;
}

enum app_flags_result
app_flags_parse(const struct app_flags *table, int argc, char **argv, void *options,
                struct err *err)
{
    CLEANUP(free_parser) struct parser p = {.table = table, .options = options};
    assign_defaults(table, options);
    if (!expand(&p.args, argc, argv, err))
        return APP_FLAGS_USAGE;
    if (answer(table, &p.args))
        return APP_FLAGS_EXIT_OK;
    p.given = xcalloc(table->count, sizeof *p.given);
    while (p.next < p.args.count)
        if (!take_argument(&p, p.args.at[p.next++], err))
            return APP_FLAGS_USAGE;
    return APP_FLAGS_OK;
}

void
app_flags_warn_inert(const struct app_flag_inert *inert)
{
    const struct app_flag_list *given = &inert->names;
    CLEANUP(buf_fini) struct buf names = {0};
    for (size_t i = 0; i < given->count; i++)
        buf_printf(&names, "%s--%s", i > 0 ? " " : "", given->at[i]);
    if (given->count > 0)
        LOG_WARN("flags are without effect in this version",
                 LOG_BYTES("flags", buf_bytes(&names)));
}

bool
app_flags_content(const char *name, const char *inline_text, const char *path,
                  char **content, struct err *err)
{
    bool has_text = inline_text != NULL && *inline_text;
    bool has_path = path != NULL && *path;
    if (has_text && has_path)
        return err_set(err, ERR_INVALID, "--%s and --%s-file exclude each other", name,
                       name);
    if (has_path)
        return read_text(path, content, err) || err_wrap(err, "--%s-file", name);
    *content = xstrdup(has_text ? inline_text : "");
    return true;
}

bool
app_flags_yaml(const char *name, const char *inline_text, const char *path,
               struct yaml **tree, struct err *err)
{
    char *text = NULL;
    struct buf expanded = {0};
    if (!app_flags_content(name, inline_text, path, &text, err))
        return false;
    bool ok = yaml_expand_env(bytes_of_str(text), &expanded, err) &&
              yaml_parse(buf_bytes(&expanded), FILE_MAX_BYTES, tree, err);
    digest_cleanse(text, strlen(text)); /* credentials, perhaps */
    if (expanded.len > 0)
        digest_cleanse(expanded.at, expanded.len);
    free(text);
    buf_fini(&expanded);
    return ok || app_flags_content_fail(name, path, err);
}

bool
app_flags_content_fail(const char *name, const char *path, struct err *err)
{
    return path != NULL && *path ? err_wrap(err, "--%s-file: %s", name, path)
                                 : err_wrap(err, "--%s", name);
}

bool
app_flags_choose(const char *name, const char *value, const char *const *names,
                 size_t count, size_t *chosen, struct err *err)
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
    return err_set(err, ERR_INVALID, "--%s: \"%s\" is none of%s", name, value,
                   buf_text(&known));
}

bool
app_flags_log(const char *level_text, const char *format_text, enum log_level *level,
              enum log_format *format, struct err *err)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    static const char *const formats[] = {"logfmt", "json", "journald"};
    size_t level_at = 0, format_at = 0;
    if (!app_flags_choose("log.level", level_text, levels, ARRAY_LEN(levels), &level_at,
                          err) ||
        !app_flags_choose("log.format", format_text, formats, ARRAY_LEN(formats),
                          &format_at, err))
        return false;
    *level = (enum log_level)level_at;
    *format = (enum log_format)format_at;
    return true;
}
