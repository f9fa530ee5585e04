/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* inner, unless NULL, goes behind with ": ". Arguments may point into err->text, so
 * that is written last. */
static PRINTF_LIKE(3, 0) void set_text(struct err *err, const char *inner,
                                       const char *fmt, va_list args)
{
    char text[sizeof err->text];
    int len = vsnprintf(text, sizeof text, fmt, args);
    if (inner != NULL && len >= 0 && (size_t)len < sizeof text)
        snprintf(text + len, sizeof text - (size_t)len, ": %s", inner);
    memcpy(err->text, text, sizeof text);
}

int
err_fill(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_text(err, NULL, fmt, args);
    va_end(args);
    err->code = code;
    err->sys = 0;
    err->retry_after_ns = 0;
    return 0;
}

static enum err_code
code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return ERR_CONFLICT;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    case ENOMEM:
        return ERR_NOMEM;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case EAGAIN:
    case ECONNREFUSED:
    case ECONNRESET:
        return ERR_UNAVAILABLE;
    default:
        return ERR_IO;
    }
}

int
err_fill_sys(struct err *err, int errnum, const char *fmt, ...)
{
    va_list args;
    char reason[128];
    va_start(args, fmt);
    set_text(err, strerror_r(errnum, reason, sizeof reason), fmt, args);
    va_end(args);
    err->code = code_of_errno(errnum);
    err->sys = errnum;
    err->retry_after_ns = 0;
    return 0;
}

int
err_prepend(struct err *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_text(err, err->text, fmt, args);
    va_end(args);
    return 0;
}

static const struct err no_memory = {.code = ERR_NOMEM,
                                     .text = "no memory to keep an error"};

const struct err *
err_keep(const struct err *err)
{
    struct err *kept = malloc(sizeof *kept);
    if (kept == NULL)
        return &no_memory;
    *kept = *err;
    return kept;
}

void
err_forget(const struct err **kept)
{
    if (*kept != &no_memory)
        free((void *)(uintptr_t)*kept);
    *kept = NULL;
}

bool
err_is_transient(enum err_code code)
{
    return code == ERR_UNAVAILABLE || code == ERR_THROTTLED || code == ERR_TIMEOUT;
}

const char *
err_code_name(enum err_code code)
{
    switch (code) {
    case ERR_NONE:
        return "none";
    case ERR_INVALID:
        return "invalid";
    case ERR_NOT_FOUND:
        return "not_found";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_BUDGET:
        return "budget";
    case ERR_DENIED:
        return "denied";
    case ERR_UNSUPPORTED:
        return "unsupported";
    case ERR_UNAVAILABLE:
        return "unavailable";
    case ERR_THROTTLED:
        return "throttled";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_CANCELLED:
        return "cancelled";
    case ERR_CORRUPT:
        return "corrupt";
    case ERR_IO:
        return "io";
    case ERR_NOMEM:
        return "nomem";
    case ERR_INTERNAL:
        return "internal";
    }
    return "unknown";
}
