/* SPDX-License-Identifier: Apache-2.0 */
/* Command-line flags: one table makes the parser, --help and the man page.
 *
 * Grammar of kingpin, as Thanos has it: --name=value, --name value, -n value, --bool
 * and --no-bool, @file with one argument per line (blank lines and those that begin
 * with # are skipped). A flag may be given once, a list as often as it has room; other
 * arguments are values of the list that takes them, if there is one. */
#ifndef COMMON_APP_FLAGS_H
#define COMMON_APP_FLAGS_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/codec/yaml.h"

enum app_flag_kind {
    APP_FLAG_TEXT,     /* const char * */
    APP_FLAG_BOOL,     /* bool */
    APP_FLAG_INT,      /* int64_t, within [min, max] */
    APP_FLAG_DURATION, /* int64_t nanoseconds, within [min, max] */
    APP_FLAG_SIZE,     /* uint64_t bytes */
    APP_FLAG_LIST      /* struct app_flag_list */
};

/* Whose flag it is, and where it is listed. */
enum app_flag_origin {
    APP_FLAG_THANOS,
    APP_FLAG_OURS,   /* not in Thanos: listed apart */
    APP_FLAG_HIDDEN, /* of Thanos, in the man page only, as its --help hides it */
    APP_FLAG_INERT   /* of Thanos, without function here: it has no field, its value is
                        checked and put into the table's list */
};

enum { APP_FLAG_LIST_MAX = 256 };

/* The values of a flag that may be given more than once, in their order. */
struct app_flag_list {
    const char *at[APP_FLAG_LIST_MAX];
    size_t count;
};

/* Flags without function that were given. */
struct app_flag_inert {
    struct app_flag_list names; /* each once */
    struct app_flag_list given; /* name and value in turn, as often as they were */
};

struct app_flag {
    const char *name; /* without dashes */
    enum app_flag_kind kind;
    size_t at;            /* offsetof the field in the options struct */
    const char *initial;  /* default, as the user would write it; not NULL; "" for a
                             list, which then is empty */
    const char *argument; /* "<path>", for --help; "" for a bool */
    const char *help;     /* one sentence */
    int64_t min;          /* INT and DURATION */
    int64_t max;
    enum app_flag_origin origin;
    const char *refused;  /* INERT text: why any value but the empty one is an error, as
                             to do nothing would do harm; NULL: it is none */
    char letter;          /* "-o" for --output; 0: none */
    bool takes_arguments; /* LIST: arguments without a flag are its values */
};

struct app_flags {
    const char *program; /* "blockhouse-store" */
    const char *purpose; /* one line for --help */
    const char *note;    /* another one, on what it does not do; NULL: none */
    const struct app_flag *flags;
    size_t count;
    size_t inert_at; /* offsetof the struct app_flag_inert that gets the inert flags
                        that were given; of no meaning without such */
};

enum app_flags_result {
    APP_FLAGS_OK,
    APP_FLAGS_EXIT_OK, /* --help or --version was answered on stdout */
    APP_FLAGS_USAGE    /* wrong flag or value: err says what; exit status 2 */
};

/* Fill *options (the struct that the offsets mean) with defaults, then with argv[1..].
 * Text values borrow from argv, the table, or memory that lives until the process ends
 * (@file). Prints --help, --help-man and --version. */
enum app_flags_result app_flags_parse(const struct app_flags *table, int argc,
                                      char **argv, void *options, struct err *err);

/* One warning that names the inert flags that were given; none when none were. After
 * log_setup. */
void app_flags_warn_inert(const struct app_flag_inert *inert);

/* Append the value of a flag of the table for people to see, after app_flags_parse.
 * Configuration that was given as a value, and what of a URL may be a password or
 * token, become "<secret>". */
void app_flags_value(const struct app_flags *table, const struct app_flag *f,
                     const void *options, struct buf *out);

/* Print --help. */
void app_flags_print_help(const struct app_flags *table, FILE *to);

/* Print the OPTIONS section of the man page in Markdown. */
void app_flags_print_man(const struct app_flags *table, FILE *to);

/* The content of a "path or content" pair of flags: inline text, or the file's. Neither
 * yields empty content. Release *content with free.
 * Errors ERR_INVALID both given, ERR_NOT_FOUND, ERR_DENIED; the text names the flag. */
NODISCARD bool app_flags_content(const char *name, const char *inline_text,
                                 const char *path, char **content, struct err *err);

/* The tree of such content that is YAML, with $(NAME) replaced by the environment;
 * YAML_NULL for none. Release *tree with yaml_tree_free.
 * Errors those of app_flags_content, and ERR_INVALID. */
NODISCARD bool app_flags_yaml(const char *name, const char *inline_text,
                              const char *path, struct yaml **tree, struct err *err);

/* Say of an error in such content which flag and file it came from; returns false. */
bool app_flags_content_fail(const char *name, const char *path, struct err *err);

/* Position of value in names, for a flag that takes one of a few words.
 * Errors ERR_INVALID, listing them. */
NODISCARD bool app_flags_choose(const char *name, const char *value,
                                const char *const *names, size_t count, size_t *chosen,
                                struct err *err);

/* The values of --log.level and --log.format. */
NODISCARD bool app_flags_log(const char *level_text, const char *format_text,
                             enum log_level *level, enum log_format *format,
                             struct err *err);

#endif
