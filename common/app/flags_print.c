/* SPDX-License-Identifier: Apache-2.0 */
#include "common/app/flags.h"

#include <string.h>

#include "common/app/flags_priv.h"
#include "common/app/lifecycle.h"
#include "common/app/version.h"
#include "common/base/buf.h"
#include "common/base/clock.h"

enum { INDENT = 8, COLUMNS = 80 };

/* What every program has without a row in its table. */
static const struct app_flag common_flags[] = {
    {.name = "help", .argument = "", .initial = "", .help = "Show this text and exit."},
    {.name = "help-man",
     .argument = "",
     .initial = "",
     .help = "Print the options section of the man page and exit."},
    {.name = "version",
     .argument = "",
     .initial = "",
     .help = "Show the version and exit."},
};

void
app_flags_limit(const struct app_flag *f, int64_t limit,
                char text[APP_FLAGS_LIMIT_SIZE])
{
    static const struct {
        int64_t ns;
        const char *name;
    } units[] = {{3600 * CLOCK_NS_PER_S, "h"},
                 {60 * CLOCK_NS_PER_S, "m"},
                 {CLOCK_NS_PER_S, "s"},
                 {CLOCK_NS_PER_MS, "ms"},
                 {1000, "us"},
                 {1, "ns"}};
    if (f->kind != APP_FLAG_DURATION || limit == 0) {
        snprintf(text, APP_FLAGS_LIMIT_SIZE, "%lld", (long long)limit);
        return;
    }
    size_t i = 0;
    while (limit % units[i].ns != 0)
        i++;
    snprintf(text, APP_FLAGS_LIMIT_SIZE, "%lld%s", (long long)(limit / units[i].ns),
             units[i].name);
}

/* The help sentence, then the default and the limits that are worth saying. quote goes
 * around values. */
static void
describe(const struct app_flag *f, const char *quote, struct buf *out)
{
    char limit[APP_FLAGS_LIMIT_SIZE];
    buf_put_str(out, f->help);
    if (*f->initial && (f->kind != APP_FLAG_BOOL || strcmp(f->initial, "true") == 0))
        buf_printf(out, " Default %s%s%s.", quote, f->initial, quote);
    if (f->kind != APP_FLAG_INT && f->kind != APP_FLAG_DURATION)
        return;
    if (f->min > 0) {
        app_flags_limit(f, f->min, limit);
        buf_printf(out, " At least %s%s%s.", quote, limit, quote);
    }
    if (f->max != INT64_MAX) {
        app_flags_limit(f, f->max, limit);
        buf_printf(out, " At most %s%s%s.", quote, limit, quote);
    }
}

static void
print_name(const struct app_flag *f, FILE *to)
{
    if (f->letter != 0)
        fprintf(to, "-%c, ", f->letter);
    fprintf(to, "--%s%s%s%s%s", f->kind == APP_FLAG_BOOL ? "[no-]" : "", f->name,
            *f->argument ? "=" : "", f->argument,
            f->kind == APP_FLAG_LIST ? "..." : "");
}

/* Print words in lines of COLUMNS, indented; a word too long for a line stands alone.
 */
static void
print_wrapped(const char *text, FILE *to)
{
    size_t column = 0;
    while (*text) {
        size_t len = strcspn(text, " ");
        if (column == 0 || column + 1 + len > COLUMNS) {
            fprintf(to, "%s%*s", column == 0 ? "" : "\n", INDENT, "");
            column = INDENT;
        } else {
            fputc(' ', to);
            column++;
        }
        fprintf(to, "%.*s", (int)len, text);
        column += len;
        text += len + strspn(text + len, " ");
    }
    fputc('\n', to);
}

typedef void print_fn(const struct app_flag *f, FILE *to);

static void
print_help_entry(const struct app_flag *f, FILE *to)
{
    CLEANUP(buf_fini) struct buf text = {0};
    describe(f, "", &text);
    fputs("  ", to);
    print_name(f, to);
    fputc('\n', to);
    print_wrapped(buf_text(&text), to);
}

static void
print_man_entry(const struct app_flag *f, FILE *to)
{
    CLEANUP(buf_fini) struct buf text = {0};
    describe(f, "`", &text);
    fputs("\n`", to);
    print_name(f, to);
    fprintf(to, "`\n:   %s\n", buf_text(&text));
}

static bool
has(const struct app_flags *table, enum app_flag_origin origin)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->flags[i].origin == origin)
            return true;
    return false;
}

/* The flags of one origin, and of another that is listed among them. */
static void
print_group(const struct app_flags *table, enum app_flag_origin origin,
            enum app_flag_origin also, print_fn *print, FILE *to)
{
    for (size_t i = 0; origin == APP_FLAG_THANOS && i < ARRAY_LEN(common_flags); i++)
        print(&common_flags[i], to);
    for (size_t i = 0; i < table->count; i++)
        if (table->flags[i].origin == origin || table->flags[i].origin == also)
            print(&table->flags[i], to);
}

void
app_flags_print_help(const struct app_flags *table, FILE *to)
{
    fprintf(to, "usage: %s [<flags>]", table->program);
    for (size_t i = 0; i < table->count; i++)
        if (table->flags[i].takes_arguments)
            fprintf(to, " [%s...]", table->flags[i].argument);
    fprintf(to, "\n\n%s\n", table->purpose);
    if (table->note != NULL)
        fprintf(to, "%s\n", table->note);
    fputs("\nThanos flags:\n", to);
    print_group(table, APP_FLAG_THANOS, APP_FLAG_THANOS, print_help_entry, to);
    fputs("\nOur own flags:\n", to);
    print_group(table, APP_FLAG_OURS, APP_FLAG_OURS, print_help_entry, to);
    if (has(table, APP_FLAG_INERT))
        fputs("\nThanos flags that are accepted and have no effect yet:\n", to);
    print_group(table, APP_FLAG_INERT, APP_FLAG_INERT, print_help_entry, to);
}

void
app_flags_print_man(const struct app_flags *table, FILE *to)
{
    fputs("## OPTIONS\n\n### Thanos flags\n", to);
    print_group(table, APP_FLAG_THANOS, APP_FLAG_HIDDEN, print_man_entry, to);
    fputs("\n### Our own flags\n", to);
    print_group(table, APP_FLAG_OURS, APP_FLAG_OURS, print_man_entry, to);
    if (has(table, APP_FLAG_INERT))
        fputs("\n### Thanos flags without effect\n\nThey are accepted, but for those "
              "that "
              "say that they are refused; a wrong duration or number is an\nerror; one "
              "warning at the start names those that were given.\n",
              to);
    print_group(table, APP_FLAG_INERT, APP_FLAG_INERT, print_man_entry, to);
}

void
app_flags_print_version(const struct app_flags *table, FILE *to)
{
    app_version_print(table->program, app_version(), app_revision(), to);
}
