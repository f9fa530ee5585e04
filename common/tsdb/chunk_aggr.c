/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/chunk_aggr.h"

#include "common/codec/varint.h"

static const char *const names[TSDB_AGGREGATES] = {"count", "sum", "min", "max",
                                                   "counter"};

const char *
tsdb_aggregate_name(enum tsdb_aggregate aggregate)
{
    return names[aggregate];
}

static bool
is_sample_encoding(uint8_t encoding)
{
    return encoding >= TSDB_CHUNK_XOR && encoding <= TSDB_CHUNK_FLOAT_HISTOGRAM_ST;
}

/* The next aggregate; a length of 0 is all that there is of an absent one. */
static bool
take(struct tsdb_chunk *chunk, struct cursor *c, enum tsdb_aggregate which,
     struct err *err)
{
    uint64_t len = varint_u64(c);
    *chunk = (struct tsdb_chunk){.encoding = TSDB_CHUNK_NONE};
    if (!c->bad && len == 0)
        return true;
    uint8_t encoding = cursor_u8(c);
    struct bytes data = cursor_take(c, len);
    if (c->bad)
        return err_set(err, ERR_CORRUPT, "aggregate %s is cut", names[which]);
    if (!is_sample_encoding(encoding))
        return err_set(err, ERR_CORRUPT, "aggregate %s of encoding %d", names[which],
                       encoding);
    *chunk = tsdb_chunk_loose(encoding, data);
    return true;
}

bool
tsdb_aggr_parse(struct tsdb_aggr *a, struct bytes data, struct err *err)
{
    struct tsdb_aggr parsed = {0};
    struct cursor c = cursor_of(data);
    for (int i = 0; i < TSDB_AGGREGATES; i++) {
        /* Thanos leaves out the length of a last one that is absent. */
        if (i == TSDB_AGGREGATE_COUNTER && c.rest.len == 0)
            break;
        if (!take(&parsed.chunks[i], &c, (enum tsdb_aggregate)i, err))
            return false;
    }
    if (c.rest.len > 0)
        return err_set(err, ERR_CORRUPT, "%zu bytes behind the last aggregate",
                       c.rest.len);
    *a = parsed;
    return true;
}

bool
tsdb_aggr_counter_next(struct tsdb_aggr_counter *c, struct tsdb_sample *sample)
{
    double v;
    memcpy(&v, &sample->value_bits, sizeof v);
    bool is_nan = v != v;
    if (is_nan || (c->has_last && sample->t_ms < c->last_ms))
        return false;
    if (c->has_last && sample->t_ms == c->last_ms) {
        c->last = v;
        return false;
    }
    bool is_reset = !c->has_last || v < c->last;
    if (!c->is_broken)
        c->total += is_reset ? v : v - c->last;
    c->is_broken = false;
    c->has_last = true;
    c->last = v;
    c->last_ms = sample->t_ms;
    memcpy(&sample->value_bits, &c->total, sizeof c->total);
    return true;
}

void
tsdb_aggr_counter_break(struct tsdb_aggr_counter *c)
{
    c->is_broken = c->has_last;
}
