/* SPDX-License-Identifier: Apache-2.0 */
/* The error type: a code that says who can do what, and a text that reads outside-in.
 *
 * It lives on the stack of whoever starts an operation and is passed down as the last
 * parameter. No allocation, so it works when memory is what failed; nothing to free. */
#ifndef COMMON_BASE_ERR_H
#define COMMON_BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/compiler.h"

#ifdef __cplusplus
extern "C" {
#endif

enum err_code {
    ERR_NONE = 0,
    ERR_INVALID,     /* fix the request or the configuration */
    ERR_NOT_FOUND,   /* it is not there */
    ERR_CONFLICT,    /* something else is there already */
    ERR_BUDGET,      /* ask for less, or raise the limit */
    ERR_DENIED,      /* credentials or permissions */
    ERR_UNSUPPORTED, /* understood, and not done here */
    ERR_UNAVAILABLE, /* try again */
    ERR_THROTTLED,   /* try again, more slowly */
    ERR_TIMEOUT,     /* try again */
    ERR_CANCELLED,   /* the caller left or the process stops */
    ERR_CORRUPT,     /* look at the data */
    ERR_IO,          /* look at the disk or the network */
    ERR_NOMEM,       /* the machine has no memory left */
    ERR_INTERNAL     /* our bug */
};

struct err {
    enum err_code code;
    int sys;                /* errno of the failed call, 0 if none */
    int64_t retry_after_ns; /* what the other side asked for; 0: nothing */
    char text[512];
};

/* Fill err at the source of a failure: err_set(err, code, fmt, ...). Yields false, so
 * that it can be returned; the compiler sees that. */
#define err_set(...) err_false(err_fill(__VA_ARGS__))
int err_fill(struct err *err, enum err_code code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Fill err from an errno value: err_sys(err, errnum, fmt, ...). The code follows from
 * it, its text is appended. Yields false. */
#define err_sys(...) err_false(err_fill_sys(__VA_ARGS__))
int err_fill_sys(struct err *err, int errnum, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Put what only the caller knows in front of the text, with ": ":
 * err_wrap(err, fmt, ...). Yields false. */
#define err_wrap(...) err_false(err_prepend(__VA_ARGS__))
int err_prepend(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

static inline bool
err_false(int unused)
{
    (void)unused;
    return false;
}

/* A copy of err on the heap, for what latches a failure and seldom has one; where there
 * is no memory for it, an error that says so. Released by err_forget. */
NODISCARD const struct err *err_keep(const struct err *err);

/* Release what err_keep returned, and clear it. Accepts NULL. */
void err_forget(const struct err **kept);

/* Whether the same call may succeed later without anybody changing anything. */
NODISCARD bool err_is_transient(enum err_code code);

/* Short stable name of a code, for log fields and metric labels: "not_found". */
const char *err_code_name(enum err_code code);

#ifdef __cplusplus
}
#endif

#endif
