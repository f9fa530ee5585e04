/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of pages for people: text that comes from files, buckets and requests, made
 * harmless, and quantities as people read them. */
#ifndef COMMON_CODEC_HTML_H
#define COMMON_CODEC_HTML_H

#include <stdint.h>

#include "common/base/buf.h"

/* Append a text as it stands between tags or inside quotes. What is not UTF-8, and
 * control characters, become U+FFFD. */
void html_put_text(struct buf *out, struct bytes text);

/* Append a wall-clock time to the second, "2026-11-23T10:20:30Z"; "unknown" for
 * INT64_MIN and for what no calendar has. */
void html_put_time(struct buf *out, int64_t time_ms);

/* Append a duration in one or two units: "3 s", "17 min", "5 h 3 min", "4 d". */
void html_put_duration(struct buf *out, int64_t ms);

/* Append a number of bytes: "712 B", "3.0 MiB". */
void html_put_size(struct buf *out, uint64_t bytes);

/* Append a value of a query in a link, "%" and hexadecimal digits for what means
 * something there. */
void html_put_query_value(struct buf *out, struct bytes value);

/* Append the begin of a page up to its heading, with our style inside; title is a
 * constant. refresh_s: reload it so often; 0: never. */
void html_put_head(struct buf *out, const char *title, unsigned refresh_s);

/* The header that keeps a browser from running or loading anything for such a page. */
#define HTML_CSP_NAME "Content-Security-Policy"
#define HTML_CSP                                                                   \
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri " \
    "'none'; frame-ancestors 'none'"

#endif
