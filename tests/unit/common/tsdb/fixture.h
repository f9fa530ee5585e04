/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of common/tsdb share; include it behind cmocka.h. */
#ifndef TESTS_UNIT_COMMON_TSDB_FIXTURE_H
#define TESTS_UNIT_COMMON_TSDB_FIXTURE_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "tests/support/guard.h"
#include "tests/support/seal.h"

static inline void
assert_bytes(struct bytes got, struct bytes expected)
{
    if (!bytes_eq(got, expected))
        fail_msg("got \"%.*s\" (%zu bytes), expected \"%.*s\" (%zu bytes)",
                 BYTES_FMT(got), got.len, BYTES_FMT(expected), expected.len);
}

static inline void
assert_done(bool ok, const struct err *err)
{
    if (!ok)
        fail_msg("%s: %s", err_code_name(err->code), err->text);
}

static inline void
assert_failed(bool ok, const struct err *err, enum err_code code)
{
    assert_false(ok);
    if (err->code != code)
        fail_msg("%s instead of %s: %s", err_code_name(err->code), err_code_name(code),
                 err->text);
}

/* An arena with a budget of its own. */
struct room {
    struct budget budget;
    struct arena arena;
};

static inline void
room_init(struct room *r, size_t limit)
{
    budget_init(&r->budget, "test", limit, NULL);
    arena_init(&r->arena, &r->budget);
}

static inline void
room_fini(struct room *r)
{
    arena_fini(&r->arena);
    budget_fini(&r->budget);
}

/* Append the bytes of a hexadecimal text. */
static inline void
put_hex(struct buf *b, const char *hex)
{
    for (; hex[0] != 0 && hex[1] != 0; hex += 2) {
        unsigned byte = 0;
        for (int i = 0; i < 2; i++)
            byte = byte << 4 | (unsigned)(hex[i] <= '9' ? hex[i] - '0'
                                                        : (hex[i] | 0x20) - 'a' + 10);
        buf_put_u8(b, (uint8_t)byte);
    }
}

#endif
