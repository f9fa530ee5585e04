/* SPDX-License-Identifier: Apache-2.0 */
/* ULID: the name of a block. 48 bits of milliseconds, 80 random bits; canonical form
 * is 26 upper-case characters of Crockford base32. */
#ifndef COMMON_TSDB_ULID_H
#define COMMON_TSDB_ULID_H

#include "common/base/bytes.h"
#include "common/base/compiler.h"

enum { TSDB_ULID_LEN = 26, TSDB_ULID_SIZE = 16 };

struct tsdb_ulid {
    uint8_t raw[TSDB_ULID_SIZE];
};

/* NUL-terminated canonical text. */
struct tsdb_ulid_text {
    char text[TSDB_ULID_LEN + 1];
};

/* Parse a canonical name: exactly 26 characters, upper case, first one 0..7. Returns
 * false for anything else, with *id untouched. */
NODISCARD bool tsdb_ulid_parse(struct tsdb_ulid *id, struct bytes text);

struct tsdb_ulid_text tsdb_ulid_print(const struct tsdb_ulid *id);

/* Creation time in milliseconds since the epoch. */
int64_t tsdb_ulid_time_ms(const struct tsdb_ulid *id);

/* Byte order, which is the order of creation times. */
int tsdb_ulid_cmp(const struct tsdb_ulid *a, const struct tsdb_ulid *b);

#endif
