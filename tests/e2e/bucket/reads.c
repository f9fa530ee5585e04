/* SPDX-License-Identifier: Apache-2.0 */
/* Ranged and whole reads of small objects. */
#include <string.h>

#include "tests/e2e/bucket/contract.h"

enum { SIZE = 10, INTO = 16 };

static const struct {
    uint64_t offset;
    uint64_t len;
    size_t got; /* 0: refused */
} RANGES[] = {
    {0, 1, 1},       {9, 1, 1},           {3, 4, 4},          {8, INTO, 2},
    {0, SIZE, SIZE}, {0, SIZE + 1, SIZE}, {SIZE, 1, 0},       {1000, 5, 0},
    {0, 0, 0},       {3, 0, 0},           {UINT64_MAX, 2, 0}, {UINT64_MAX - 1, 1, 0},
};

static bool
read_range(struct contract *c, struct bytes key, uint64_t version, size_t i)
{
    uint8_t into[INTO];
    size_t got = 0;
    const struct objstore_range range = {RANGES[i].offset, (size_t)RANGES[i].len};
    bool ok = objstore_read_range(c->bucket, &c->call, key, range, into, &got, &c->err);
    if (RANGES[i].got == 0)
        EXPECT_ERR(c, ok, ERR_INVALID, "read", key);
    EXPECT(c, ok == (RANGES[i].got > 0));
    EXPECT(c, got == RANGES[i].got);
    EXPECT(c, contract_is(version, RANGES[i].offset, bytes_of(into, got)));
    return true;
}

static bool
reads_ranges(struct contract *c)
{
    if (!contract_put(c, "range", 7, SIZE))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(RANGES); i++)
        if (!read_range(c, BYTES("range"), 7, i))
            return err_wrap(&c->err, "range %zu", i);
    return contract_remove(c, "range");
}

static bool
count_bytes(void *arg, struct bytes piece, struct err *err)
{
    (void)err;
    *(uint64_t *)arg += piece.len;
    return true;
}

static bool
reads_one_byte(struct contract *c)
{
    uint64_t got = 0;
    if (!contract_put(c, "one", 8, 1) || !contract_holds(c, "one", 8, 1) ||
        !objstore_get_range(c->bucket, &c->call, BYTES("one"), 0, UINT64_MAX,
                            count_bytes, &got, &c->err))
        return false;
    EXPECT(c, got == 1);
    EXPECT_ERR(c,
               objstore_get_range(c->bucket, &c->call, BYTES("one"), 1, 1, count_bytes,
                                  &got, &c->err),
               ERR_INVALID, "read", BYTES("one"));
    return contract_remove(c, "one");
}

static bool
keeps_an_empty_object(struct contract *c)
{
    struct objstore_attrs stored = {.size = 1};
    uint64_t got = 0;
    CLEANUP(buf_fini) struct buf back = {0};
    if (!contract_put(c, "empty", 1, 0) || !contract_holds(c, "empty", 1, 0) ||
        !contract_put_file(c, "empty-file", 1, 0, &stored) ||
        !contract_holds(c, "empty-file", 1, 0) ||
        !objstore_get(c->bucket, &c->call, BYTES("empty"), 9, &back, &c->err) ||
        !objstore_get(c->bucket, &c->call, BYTES("empty"), 0, &back, &c->err))
        return false;
    EXPECT(c, stored.size == 0 && back.len == 0);
    EXPECT_ERR(c,
               objstore_get_range(c->bucket, &c->call, BYTES("empty"), 0, 1,
                                  count_bytes, &got, &c->err),
               ERR_INVALID, "read", BYTES("empty"));
    return contract_lists(c, "", 2) && contract_remove(c, "empty") &&
           contract_remove(c, "empty-file");
}

/* Appends; what came before stays, also when it is refused. */
static bool
gets_up_to_a_limit(struct contract *c)
{
    CLEANUP(buf_fini) struct buf back = {0};
    buf_put_str(&back, "before");
    if (!contract_put(c, "limit", 3, SIZE) ||
        !objstore_get(c->bucket, &c->call, BYTES("limit"), SIZE, &back, &c->err))
        return false;
    EXPECT(c, back.len == strlen("before") + SIZE);
    EXPECT(c, contract_is(3, 0, bytes_of(back.at + strlen("before"), SIZE)));
    EXPECT_ERR(
        c, objstore_get(c->bucket, &c->call, BYTES("limit"), SIZE - 1, &back, &c->err),
        ERR_INVALID, "read", BYTES("limit"));
    EXPECT_ERR(c, objstore_get(c->bucket, &c->call, BYTES("limit"), 0, &back, &c->err),
               ERR_INVALID, "read", BYTES("limit"));
    EXPECT(c, back.len == strlen("before") + SIZE);
    return contract_remove(c, "limit");
}

static bool
refuse_piece(void *arg, struct bytes piece, struct err *err)
{
    (*(unsigned *)arg)++;
    (void)piece;
    return err_set(err, ERR_BUDGET, "enough");
}

/* With the error of the sink, which is asked once. */
static bool
stops_when_the_sink_refuses(struct contract *c)
{
    unsigned asked = 0;
    if (!contract_put(c, "refused", 3, SIZE))
        return false;
    EXPECT_ERR(c,
               objstore_get_range(c->bucket, &c->call, BYTES("refused"), 0, SIZE,
                                  refuse_piece, &asked, &c->err),
               ERR_BUDGET, "enough", BYTES("refused"));
    EXPECT(c, asked == 1);
    return contract_remove(c, "refused");
}

const struct contract_case CONTRACT_READS[] = {
    {"reads ranges", reads_ranges},
    {"reads one byte", reads_one_byte},
    {"keeps an empty object", keeps_an_empty_object},
    {"gets up to a limit", gets_up_to_a_limit},
    {"stops when the sink refuses", stops_when_the_sink_refuses},
};
const size_t CONTRACT_READS_COUNT = ARRAY_LEN(CONTRACT_READS);
