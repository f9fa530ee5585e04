/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"

/* A line longer than this is cut; the frame stays below the 4 KiB stack rule. */
enum { LINE_BYTES = 3072 };

static const char *component = "blockhouse";
static _Atomic int threshold = LOG_LEVEL_INFO;
static enum log_format format = LOG_FORMAT_LOGFMT;

struct line {
    char text[LINE_BYTES];
    size_t len;
};

void
log_setup(const char *component_, enum log_level level, enum log_format format_)
{
    component = component_;
    format = format_;
    atomic_store(&threshold, (int)level);
}

bool
log_is_on(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

static void
put_raw(struct line *line, const char *text, size_t len)
{
    size_t room = sizeof line->text - 4 - line->len; /* quote, brace, newline, spare */
    if (len > room)
        len = room;
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void
put_escaped(struct line *line, struct bytes value)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < value.len; i++) {
        char c = (char)value.at[i];
        if (c == '"' || c == '\\') {
            put_raw(line, (char[]){'\\', c}, 2);
        } else if (c == '\n') {
            put_raw(line, "\\n", 2);
        } else if ((unsigned char)c < 0x20 || c == 0x7f) {
            put_raw(line,
                    (char[]){'\\', 'u', '0', '0', hex[(c >> 4) & 15], hex[c & 15]}, 6);
        } else {
            put_raw(line, &c, 1);
        }
    }
}

static bool
needs_quotes(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] <= ' ' || value.at[i] == '"' || value.at[i] == '=' ||
            value.at[i] == '\\' || value.at[i] == 0x7f)
            return true;
    return value.len == 0;
}

static void
put_key(struct line *line, const char *key)
{
    bool json = format == LOG_FORMAT_JSON;
    if (line->len > 0)
        put_raw(line, json ? "," : " ", 1);
    else if (json)
        put_raw(line, "{", 1);
    if (json)
        put_raw(line, "\"", 1);
    put_raw(line, key, strlen(key));
    put_raw(line, json ? "\":" : "=", json ? 2 : 1);
}

static void
put_text(struct line *line, const char *key, struct bytes value)
{
    bool quote = format == LOG_FORMAT_JSON || needs_quotes(value);
    put_key(line, key);
    if (quote)
        put_raw(line, "\"", 1);
    put_escaped(line, value);
    if (quote)
        line->text[line->len++] = '"';
}

static void
put_int(struct line *line, const char *key, int64_t value)
{
    char digits[24];
    put_key(line, key);
    int len = snprintf(digits, sizeof digits, "%lld", (long long)value);
    put_raw(line, digits, (size_t)len);
}

static void
put_caller(struct line *line, struct log_site site)
{
    char caller[96];
    const char *slash = strrchr(site.file, '/');
    snprintf(caller, sizeof caller, "%s:%d", slash ? slash + 1 : site.file, site.line);
    put_text(line, "caller", bytes_of_str(caller));
}

static void
put_field(struct line *line, const struct log_field *field)
{
    switch (field->kind) {
    case LOG_KIND_INT:
        put_int(line, field->key, field->number);
        break;
    case LOG_KIND_TEXT:
        put_text(line, field->key, bytes_of_str(field->text ? field->text : ""));
        break;
    case LOG_KIND_BYTES:
        put_text(line, field->key, field->bytes);
        break;
    }
}

void
log_event(struct log_site site, const char *msg, const struct log_field *fields)
{
    static const char *const level_names[] = {"error", "warn", "info", "debug"};
    struct line line = {.len = 0};
    char ts[CLOCK_RFC3339_SIZE];
    clock_rfc3339(clock_wall_ns(), ts);
    put_text(&line, "ts", bytes_of_str(ts));
    put_caller(&line, site);
    put_text(&line, "level", bytes_of_str(level_names[site.level]));
    put_text(&line, "component", bytes_of_str(component));
    put_text(&line, "msg", bytes_of_str(msg));
    for (; fields->key != NULL; fields++)
        put_field(&line, fields);
    if (format == LOG_FORMAT_JSON)
        line.text[line.len++] = '}';
    line.text[line.len++] = '\n';
    /* A log line that cannot be written has nowhere to be reported. */
    ssize_t ignored = write(STDERR_FILENO, line.text, line.len);
    (void)ignored;
}
