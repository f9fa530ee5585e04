/* SPDX-License-Identifier: Apache-2.0 */
/* Whose sample is next is known without looking at the other side for as long as that
 * may not be asked: its penalty says until when. So in the usual case one replica is
 * read for its times, chunk by chunk, and of the other only the first chunk.
 *
 * Samples that were taken are written late: only then it is known whether they are a
 * whole chunk, which goes on as it is. At most one side has any that wait. */
#include "store/replica_merge.h"

#include <math.h>

#include "common/base/check.h"
#include "common/base/num.h"
#include "store/chunk_reader.h"
#include "store/float_samples.h"

/* The penalty before there are two samples to tell the interval from. */
enum { FIRST_PENALTY_MS = 5000 };

struct side {
    struct store_replica left; /* chunks that were not looked at */
    int64_t floor_ms;          /* what is before it is skipped */
    bool has_ended;            /* no sample is left */
    double lift;               /* of its values */
    /* The chunk that is looked at. */
    const struct tsdb_timed_chunk *chunk; /* NULL: none */
    struct store_float_samples samples;   /* of histograms only the times */
    size_t begin;                         /* the first sample in the range */
    size_t end;                           /* the first behind it */
    size_t at;                            /* the sample that is next, if it has one */
    size_t taken_from;                    /* those until at are taken and not written */
    struct store_chunk_reader reader;     /* writes histograms */
    size_t reader_at;                     /* sample that it stands at */
    bool is_reading;
};

struct merge {
    const struct store_replica_rule *rule;
    struct arena arena;
    struct store_chunk_writer writer;
    bool has_written;
    bool is_over; /* nothing is taken any more */
    struct side sides[2];
    /* The sample that was taken last. */
    const struct side *last_side; /* NULL: none was */
    int64_t last_ms;
    bool last_is_float;
    double last_value;
};

bool
store_replica_is_counter(struct bytes func)
{
    return bytes_eq(func, BYTES("rate")) || bytes_eq(func, BYTES("irate")) ||
           bytes_eq(func, BYTES("increase")) || bytes_eq(func, BYTES("resets"));
}

static int64_t
add_saturated(int64_t a, int64_t b)
{
    int64_t sum;
    return num_add(a, b, &sum) ? sum : b < 0 ? INT64_MIN : INT64_MAX;
}

/* The time before which the other side is not asked, when t_ms is taken. */
static int64_t
floor_behind(const struct merge *m, int64_t t_ms)
{
    uint64_t delta = (uint64_t)t_ms - (uint64_t)m->last_ms;
    int64_t penalty = FIRST_PENALTY_MS;
    if (m->last_side != NULL)
        penalty = delta > INT64_MAX / 2 ? INT64_MAX : (int64_t)(2 * delta);
    return add_saturated(add_saturated(t_ms, 1), penalty);
}

static bool
has_floats(const struct side *s)
{
    return store_float_samples_has(s->chunk->chunk.encoding);
}

static double
value_of(const struct side *s, size_t i)
{
    double v;
    memcpy(&v, &s->samples.at[i].value_bits, sizeof v);
    return v;
}

/* Sample i with its value lifted. A NaN has nothing to lift but its bits. */
static struct tsdb_sample
lifted(const struct side *s, size_t i)
{
    struct tsdb_sample sample = s->samples.at[i];
    double v = value_of(s, i);
    if (s->lift > 0 && !isnan(v)) {
        v += s->lift;
        memcpy(&sample.value_bits, &v, sizeof v);
    }
    return sample;
}

static void
stop_reading(struct side *s)
{
    if (s->is_reading)
        store_chunk_reader_close(&s->reader);
    s->is_reading = false;
}

/* Move the reader of the chunk to sample i. */
static bool
read_to(struct merge *m, struct side *s, size_t i, struct err *err)
{
    if (!s->is_reading) {
        s->is_reading = true;
        s->reader_at = 0;
        if (!store_chunk_reader_open(&s->reader, s->chunk, m->arena.budget, err))
            return false;
    }
    for (; s->reader_at < i; s->reader_at++)
        if (!store_chunk_reader_next(&s->reader, err))
            return false;
    return true;
}

static bool
write_sample(struct merge *m, struct side *s, size_t i, struct err *err)
{
    if (has_floats(s))
        return store_chunk_writer_float(&m->writer, lifted(s, i), err);
    return read_to(m, s, i, err) &&
           store_chunk_reader_write(&s->reader, &m->writer, err);
}

/* Whether what waits may be written as the chunk that it is in: it is all that the
 * chunk has in the range. What is outside does no harm where the answer begins or ends,
 * and is not seen by anybody. */
static bool
is_whole(const struct merge *m, const struct side *s)
{
    return s->taken_from == s->begin && s->at == s->end &&
           (s->begin == 0 || !m->has_written) &&
           (s->end == s->samples.count || m->is_over) &&
           !(s->lift > 0 && has_floats(s));
}

/* Write what is taken and waits for it. */
static bool
flush(struct merge *m, struct side *s, struct err *err)
{
    size_t from = s->taken_from;
    if (s->chunk == NULL || from == s->at)
        return true;
    bool passes = is_whole(m, s);
    s->taken_from = s->at;
    m->has_written = true;
    if (passes)
        return store_chunk_writer_chunk(&m->writer, s->chunk, err);
    for (size_t i = from; i < s->at; i++)
        if (!write_sample(m, s, i, err))
            return false;
    return true;
}

/* Skip chunks by their times, undecoded. */
static void
skip_chunks(struct side *s)
{
    while (s->left.count > 0 && s->left.chunks->maxt_ms < s->floor_ms) {
        s->left.chunks++;
        s->left.count--;
    }
}

static bool
open_chunk(struct merge *m, struct side *s, struct err *err)
{
    s->chunk = s->left.chunks++;
    s->left.count--;
    s->at = s->taken_from = 0;
    bool ok =
        has_floats(s)
            ? store_float_samples_read(&s->samples, s->chunk, &m->arena, err)
            : store_float_samples_read_times(&s->samples, s->chunk, &m->arena, err);
    s->begin = 0;
    s->end = s->samples.count;
    while (s->end > 0 && s->samples.at[s->end - 1].t_ms > m->rule->maxt_ms)
        s->end--;
    while (s->begin < s->end && s->samples.at[s->begin].t_ms < m->rule->mint_ms)
        s->begin++;
    return ok;
}

/* The floor alone does not tell behind a sample at the end of all time. */
static bool
is_skipped(const struct merge *m, const struct side *s, int64_t t_ms)
{
    return t_ms < s->floor_ms || (m->last_side != NULL && t_ms <= m->last_ms);
}

/* Find the first sample that is not skipped, or the end. */
static bool
find(struct merge *m, struct side *s, struct err *err)
{
    while (!s->has_ended) {
        size_t at = s->at;
        while (s->chunk != NULL && at < s->end &&
               is_skipped(m, s, s->samples.at[at].t_ms))
            at++;
        /* What waits at the end of the range waits to see whether it is the last. */
        s->has_ended = s->chunk != NULL && at == s->end && s->end < s->samples.count;
        if (s->has_ended)
            return true;
        if ((s->chunk == NULL || at == s->end || at > s->at) && !flush(m, s, err))
            return false;
        if (s->chunk != NULL && at < s->end) {
            if (at > s->at)
                s->at = s->taken_from = at;
            return true;
        }
        stop_reading(s);
        s->chunk = NULL;
        skip_chunks(s);
        s->has_ended = s->left.count == 0 || s->left.chunks->mint_ms > m->rule->maxt_ms;
        if (!s->has_ended && !open_chunk(m, s, err))
            return false;
    }
    return true;
}

/* A time that no sample of s is before. */
static int64_t
bound_of(const struct side *s)
{
    if (s->has_ended)
        return INT64_MAX;
    return NUM_MAX(s->floor_ms, s->samples.at[s->at].t_ms);
}

/* The side that is taken next, both having been found; NULL at the end. */
static struct side *
choose(struct merge *m)
{
    struct side *a = &m->sides[0], *b = &m->sides[1];
    if (a->has_ended)
        return b->has_ended ? NULL : b;
    if (b->has_ended)
        return a;
    return a->samples.at[a->at].t_ms <= b->samples.at[b->at].t_ms ? a : b;
}

/* Lift s, whose sample is the first behind one of the other side. */
static void
lift(const struct merge *m, struct side *s)
{
    double v = value_of(s, s->at) + s->lift;
    if (m->last_side != NULL && m->last_is_float && has_floats(s) && m->last_value > v)
        s->lift += m->last_value - v;
}

/* Take samples of the chunk until the other side has to be asked. */
static void
take_some(struct merge *m, struct side *s, struct side *other)
{
    const struct tsdb_sample *samples = s->samples.at;
    bool is_first = s == &m->sides[0];
    size_t from = s->at;
    int64_t bound_ms = bound_of(other);
    for (; s->at < s->end; s->at++) {
        int64_t t_ms = samples[s->at].t_ms;
        if (!other->has_ended && s->at > from &&
            (is_first ? t_ms > bound_ms : t_ms >= bound_ms))
            break;
        other->floor_ms = NUM_MAX(other->floor_ms, floor_behind(m, t_ms));
        bound_ms = NUM_MAX(bound_ms, other->floor_ms);
        m->last_ms = t_ms;
        m->last_side = s;
    }
    m->last_is_float = has_floats(s);
    m->last_value = value_of(s, s->at - 1) + s->lift;
    s->floor_ms = NUM_MAX(s->floor_ms, add_saturated(m->last_ms, 1));
}

/* Whether the sample of s is taken whatever the other one has. */
static bool
goes_on(const struct merge *m, const struct side *s, const struct side *other)
{
    int64_t bound_ms = bound_of(other), t_ms;
    if (s->has_ended)
        return false;
    t_ms = s->samples.at[s->at].t_ms;
    return other->has_ended || t_ms < bound_ms ||
           (t_ms == bound_ms && s == &m->sides[0]);
}

/* Take samples of one side as long as the other does not have to be asked. */
static bool
take(struct merge *m, struct side *s, struct err *err)
{
    struct side *other = &m->sides[s == &m->sides[0]];
    if (m->last_side != s && !flush(m, other, err))
        return false;
    if (m->last_side != s && m->rule->is_counter)
        lift(m, s);
    do {
        take_some(m, s, other);
        if (!find(m, s, err))
            return false;
    } while (goes_on(m, s, other));
    return true;
}

static bool
merge_sides(struct merge *m, struct err *err)
{
    for (;;) {
        if (!find(m, &m->sides[0], err) || !find(m, &m->sides[1], err))
            return false;
        struct side *s = choose(m);
        if (s == NULL)
            break;
        if (!take(m, s, err))
            return false;
    }
    m->is_over = true;
    return flush(m, &m->sides[0], err) && flush(m, &m->sides[1], err);
}

static bool
merge_two(struct store_replica a, struct store_replica b,
          const struct store_replica_rule *rule, struct arena *arena,
          struct store_replica *out, struct err *err)
{
    struct merge m = {
        .rule = rule,
        .sides = {{.left = a, .floor_ms = rule->mint_ms},
                  {.left = b, .floor_ms = rule->mint_ms}},
    };
    arena_init(&m.arena, arena->budget);
    store_chunk_writer_init(&m.writer, arena);
    bool ok = merge_sides(&m, err) &&
              store_chunk_writer_finish(&m.writer, &out->chunks, &out->count, err);
    for (size_t i = 0; i < ARRAY_LEN(m.sides); i++)
        stop_reading(&m.sides[i]);
    store_chunk_writer_fini(&m.writer);
    arena_fini(&m.arena);
    return ok;
}

bool
store_replica_merge(const struct store_replica *replicas, size_t count,
                    const struct store_replica_rule *rule, struct arena *arena,
                    struct store_replica *out, struct err *err)
{
    CHECK(count > 0);
    struct store_replica all = replicas[0];
    for (size_t i = 1; i < count; i++)
        if (!merge_two(all, replicas[i], rule, arena, &all, err))
            return false;
    *out = all;
    return true;
}
