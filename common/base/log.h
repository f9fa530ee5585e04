/* SPDX-License-Identifier: Apache-2.0 */
/* Structured events: one event, one line, one write to stderr.
 *
 * Fields in order: ts, caller, level, component, name if there is one, msg, then those
 * of the event, in logfmt or JSON. msg is a constant, so that grep finds it; values are
 * fields. Secrets never become fields. Thread-safe; takes no lock. */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON, LOG_FORMAT_JOURNALD };

struct log_field {
    const char *key; /* NULL ends the list */
    enum log_kind { LOG_KIND_INT, LOG_KIND_TEXT, LOG_KIND_BYTES } kind;
    int64_t number;
    const char *text;
    struct bytes bytes;
};

/* Fields of an event. The vocabulary: block, object, op, bytes, dur_ms, attempt,
 * series, samples, req, code, err, path, url, addr, labels, count, version, status,
 * request, answer, provider, rate, matchers, and the figures of a read. */
#define LOG_INT(key_, value_) \
    ((struct log_field){      \
        .key = (key_), .kind = LOG_KIND_INT, .number = (int64_t)(value_)})
#define LOG_STR(key_, value_) \
    ((struct log_field){.key = (key_), .kind = LOG_KIND_TEXT, .text = (value_)})
#define LOG_BYTES(key_, value_) \
    ((struct log_field){.key = (key_), .kind = LOG_KIND_BYTES, .bytes = (value_)})
#define LOG_ERR(err_) LOG_STR("err", (err_)->text)

/* Once, before other threads start. component appears in every line ("sidecar"). Lines
 * of LOG_FORMAT_JOURNALD go to the journal (log_journal.h). */
void log_setup(const char *component, enum log_level level, enum log_format format);

/* A field "name" in every line; "" for none. Borrowed. Once, before other threads
 * start.
 */
void log_set_name(const char *name);

NODISCARD bool log_is_on(enum log_level level);

struct log_site {
    enum log_level level;
    int line;
    const char *file;
};

/* Use the macros below. */
void log_event(struct log_site site, const char *msg, const struct log_field *fields);

#define LOG_AT(level_, msg_, ...) \
    LOG_FIELDS_AT(level_, msg_,   \
                  ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}}))

/* With an array of fields, which an empty one ends. */
#define LOG_FIELDS_AT(level_, msg_, fields_)               \
    do {                                                   \
        if (log_is_on(level_))                             \
            log_event((struct log_site){.level = (level_), \
                                        .line = __LINE__,  \
                                        .file = __FILE__}, \
                      (msg_), (fields_));                  \
    } while (0)

#define LOG_ERROR(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define LOG_WARN(...) LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__)
#define LOG_INFO(...) LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define LOG_DEBUG(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
