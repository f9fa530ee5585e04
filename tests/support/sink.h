/* SPDX-License-Identifier: Apache-2.0 */
/* A file written front to back. Failures latch and show when it is closed. */
#ifndef TESTS_SUPPORT_SINK_H
#define TESTS_SUPPORT_SINK_H

#include <stdio.h>

#include "common/base/bytes.h"
#include "common/base/err.h"

/* The zero value is closed. */
struct sink {
    FILE *file;
    uint64_t at; /* bytes written */
};

/* Create or truncate path, for writing and for reading back. */
NODISCARD bool sink_open(struct sink *s, const char *path, struct err *err);

void sink_put(struct sink *s, struct bytes data);
void sink_put_be32(struct sink *s, uint32_t v);

/* Zeros up to the next multiple of unit, which is at most 16. */
void sink_align(struct sink *s, uint64_t unit);

/* Close the file, if it is open, and report what went wrong since it was opened. */
NODISCARD bool sink_close(struct sink *s, struct err *err);

/* Close without asking. CLEANUP handler. */
void sink_abandon(struct sink *s);

#endif
