/* SPDX-License-Identifier: Apache-2.0 */
#include "common/codec/html.h"

#include <inttypes.h>

#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/base/utf8.h"

/* What stands for an ASCII character that does not stand for itself; NULL: it does. */
static const char *
entity_of(uint8_t c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\t':
    case '\n':
        return " ";
    default:
        return c < 0x20 || c == 0x7f ? UTF8_REPLACEMENT : NULL;
    }
}

void
html_put_text(struct buf *out, struct bytes text)
{
    while (text.len > 0) {
        size_t len = utf8_len(text);
        const char *instead = len == 0   ? UTF8_REPLACEMENT
                              : len == 1 ? entity_of(text.at[0])
                                         : NULL;
        if (instead != NULL)
            buf_put_str(out, instead);
        else
            buf_put(out, bytes_of(text.at, len));
        bytes_skip(&text, NUM_MAX(len, (size_t)1));
    }
}

void
html_put_time(struct buf *out, int64_t time_ms)
{
    enum { WITHOUT_FRACTION = sizeof "2026-11-23T10:20:30" - 1 };
    char text[CLOCK_RFC3339_SIZE];
    int64_t time_ns;
    if (time_ms == INT64_MIN || !num_mul(time_ms, CLOCK_NS_PER_MS, &time_ns)) {
        buf_put_str(out, "unknown");
        return;
    }
    clock_rfc3339(time_ns, text);
    buf_printf(out, "%.*sZ", (int)WITHOUT_FRACTION, text);
}

void
html_put_duration(struct buf *out, int64_t ms)
{
    int64_t s = ms / 1000;
    if (s >= 48 * 3600)
        buf_printf(out, "%" PRId64 " d", s / 86400);
    else if (s >= 3600)
        buf_printf(out, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
    else if (s >= 60)
        buf_printf(out, "%" PRId64 " min", s / 60);
    else
        buf_printf(out, "%" PRId64 " s", s);
}

void
html_put_size(struct buf *out, uint64_t bytes)
{
    static const char *const UNITS[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;
    if (bytes < 1024) {
        buf_printf(out, "%" PRIu64 " B", bytes);
        return;
    }
    for (; value >= 1024 && unit + 1 < ARRAY_LEN(UNITS); unit++)
        value /= 1024;
    buf_printf(out, "%.1f %s", value, UNITS[unit]);
}

static bool
is_plain_in_query(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_' || c == '.' || c == '~';
}

void
html_put_query_value(struct buf *out, struct bytes value)
{
    for (size_t i = 0; i < value.len; i++)
        if (is_plain_in_query(value.at[i]))
            buf_put_u8(out, value.at[i]);
        else
            buf_printf(out, "%%%02X", value.at[i]);
}

void
html_put_head(struct buf *out, const char *title, unsigned refresh_s)
{
    buf_put_str(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                     "<meta name=\"viewport\" content=\"width=device-width\">");
    if (refresh_s > 0)
        buf_printf(out, "<meta http-equiv=\"refresh\" content=\"%u\">", refresh_s);
    buf_printf(out,
               "<title>%s</title><style>"
               ":root{color-scheme:light dark}"
               "body{font-family:sans-serif;margin:2em}"
               "table{border-collapse:collapse;margin-bottom:1em}"
               "td,th{border-bottom:1px solid #8886;padding:.3em .8em;text-align:left;"
               "vertical-align:top}"
               "td.n{text-align:right;font-variant-numeric:tabular-nums}"
               "td.id{font-family:monospace}tr.failed{background:#f443}"
               "</style></head><body><h1>%s</h1>\n",
               title, title);
}
