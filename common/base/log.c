/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log_journal.h"
#include "common/base/utf8.h"

/* A line that would be longer is cut behind a whole character of a value, and fields
 * after that are left out; the frame stays below the 4 KiB stack rule. CLOSING_BYTES
 * are kept free for a quote, a brace and the newline. */
enum { LINE_BYTES = 3072, CLOSING_BYTES = 3 };

/* Of an event that goes to the journal; no event has as many. */
enum { FIELDS_MAX = 48 };

static const char *component = "blockhouse";
static const char *name = "";
static _Atomic int threshold = LOG_LEVEL_INFO;
static enum log_format format = LOG_FORMAT_LOGFMT;

struct line {
    char text[LINE_BYTES];
    size_t len;
    bool full;
};

void
log_setup(const char *component_, enum log_level level, enum log_format format_)
{
    component = component_;
    format = format_;
    atomic_store(&threshold, (int)level);
}

void
log_set_name(const char *name_)
{
    name = name_;
}

bool
log_is_on(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

/* All of it or, once the line is full, nothing. */
static void
put_raw(struct line *line, const void *text, size_t len)
{
    if (line->full || len + CLOSING_BYTES > sizeof line->text - line->len) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void
put_closing(struct line *line, char c)
{
    line->text[line->len++] = c;
}

static void
put_control(struct line *line, uint8_t c)
{
    char escape[sizeof "\\u0000"];
    snprintf(escape, sizeof escape, "\\u%04x", c);
    put_raw(line, escape, strlen(escape));
}

/* What is not UTF-8 becomes U+FFFD: readers of JSON refuse the whole line otherwise. */
static void
put_escaped(struct line *line, struct bytes value)
{
    while (value.len > 0 && !line->full) {
        uint8_t c = value.at[0];
        size_t len = utf8_len(value);
        if (len == 0)
            put_raw(line, UTF8_REPLACEMENT, strlen(UTF8_REPLACEMENT));
        else if (c == '"' || c == '\\')
            put_raw(line, (char[]){'\\', (char)c}, 2);
        else if (c == '\n')
            put_raw(line, "\\n", 2);
        else if (c < 0x20 || c == 0x7f)
            put_control(line, c);
        else
            put_raw(line, value.at, len);
        bytes_skip(&value, len > 0 ? len : 1);
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

/* The key and what stands before the value. False, and nothing put, without room. */
static bool
put_key(struct line *line, const char *key, bool quote)
{
    bool json = format == LOG_FORMAT_JSON;
    size_t start = line->len;
    const char *separator = json ? "," : " ";
    if (start == 0)
        separator = json ? "{" : "";
    put_raw(line, separator, strlen(separator));
    put_raw(line, "\"", json);
    put_raw(line, key, strlen(key));
    put_raw(line, json ? "\":" : "=", json ? 2 : 1);
    put_raw(line, "\"", quote);
    if (line->full)
        line->len = start;
    return !line->full;
}

static void
put_text(struct line *line, const char *key, struct bytes value)
{
    bool quote = format == LOG_FORMAT_JSON || needs_quotes(value);
    if (!put_key(line, key, quote))
        return;
    put_escaped(line, value);
    if (quote)
        put_closing(line, '"');
}

static void
put_int(struct line *line, const char *key, int64_t value)
{
    char digits[24];
    size_t start = line->len;
    int len = snprintf(digits, sizeof digits, "%lld", (long long)value);
    if (!put_key(line, key, false))
        return;
    put_raw(line, digits, (size_t)len);
    if (line->full)
        line->len = start;
}

enum { CALLER_BYTES = 96 };

static void
print_caller(struct log_site site, char caller[CALLER_BYTES])
{
    const char *slash = strrchr(site.file, '/');
    snprintf(caller, CALLER_BYTES, "%s:%d", slash ? slash + 1 : site.file, site.line);
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

/* To the journal, which has a time and a level of its own. */
static void
send_event(struct log_site site, const char *msg, const struct log_field *fields)
{
    char caller[CALLER_BYTES];
    struct log_field all[FIELDS_MAX + 1] = {0};
    size_t count = 0;
    print_caller(site, caller);
    all[count++] = LOG_STR("caller", caller);
    all[count++] = LOG_STR("component", component);
    if (*name != 0)
        all[count++] = LOG_STR("name", name);
    for (; fields->key != NULL && count < FIELDS_MAX; fields++)
        all[count++] = *fields;
    log_journal_send(site.level, msg, all);
}

void
log_event(struct log_site site, const char *msg, const struct log_field *fields)
{
    static const char *const level_names[] = {"error", "warn", "info", "debug"};
    if (format == LOG_FORMAT_JOURNALD) {
        send_event(site, msg, fields);
        return;
    }
    struct line line = {.len = 0};
    char ts[CLOCK_RFC3339_SIZE];
    char caller[CALLER_BYTES];
    clock_rfc3339(clock_wall_ns(), ts);
    print_caller(site, caller);
    put_text(&line, "ts", bytes_of_str(ts));
    put_text(&line, "caller", bytes_of_str(caller));
    put_text(&line, "level", bytes_of_str(level_names[site.level]));
    put_text(&line, "component", bytes_of_str(component));
    if (*name != 0)
        put_text(&line, "name", bytes_of_str(name));
    put_text(&line, "msg", bytes_of_str(msg));
    for (; fields->key != NULL; fields++)
        put_field(&line, fields);
    if (format == LOG_FORMAT_JSON)
        put_closing(&line, '}');
    put_closing(&line, '\n');
    /* A log line that cannot be written has nowhere to be reported. */
    ssize_t ignored = write(STDERR_FILENO, line.text, line.len);
    (void)ignored;
}
