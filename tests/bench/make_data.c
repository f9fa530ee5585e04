/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a directory bucket for benchmarks: OUT/<ULID>/..., the same for the same
 * arguments. By default 10 000 series over 8 hours at 15 s in four blocks, 19.2 million
 * samples: a fifth constant, two fifths integer counters, a fifth integer gauges, a
 * fifth gauges that use the whole mantissa. Another replica (0 is the first) has the
 * same series and values a little later, in blocks of its own. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "tests/support/block_writer.h"

enum {
    LABEL_COUNT = 7,
    TARGETS_PER_JOB = 8,
    DEFAULT_BEGIN_S = 1785542400, /* 2026-08-01 */
    LATE_MS = 16,
    REPLICA_LATE_MS = 137, /* than the one before */
    MOST_REPLICAS = 26,
    MS_PER_S = 1000,
    MS_PER_HOUR = 3600 * 1000
};

struct options {
    const char *out;
    uint64_t series;
    uint64_t hours;
    uint64_t step_s;
    uint64_t block_hours;
    uint64_t seed;
    uint64_t index_version;
    uint64_t segment_limit;
    uint64_t begin_s; /* Unix time */
    uint64_t replica;
};

enum kind { CONSTANT, COUNTER, GAUGE, RATIO };

/* A metric is <component>_<name>; both lists are in byte order. span is the largest
 * change of an integer from one sample to the next. */
static const char *const components[] = {"api",   "auth",   "cache",   "db",    "edge",
                                         "index", "ledger", "mailbox", "queue", "web"};
static const struct measure {
    const char *name;
    enum kind kind;
    uint64_t span;
} measures[] = {
    {"build_info", CONSTANT, 0},
    {"errors_total", COUNTER, 20},
    {"load_ratio", RATIO, 0},
    {"memory_bytes", GAUGE, UINT64_C(1) << 35},
    {"queue_length", GAUGE, UINT64_C(1) << 20},
    {"received_bytes_total", COUNTER, UINT64_C(1) << 35},
    {"requests_total", COUNTER, UINT64_C(1) << 20},
    {"response_seconds", RATIO, 0},
    {"sent_bytes_total", COUNTER, UINT64_C(1) << 35},
    {"start_time_seconds", CONSTANT, 0},
};

enum { METRIC_COUNT = ARRAY_LEN(components) * ARRAY_LEN(measures) };

/* What is scraped: one instance of a job, which exposes all metrics. */
struct target {
    char instance[24];
    char job[32];
    char namespace[16];
    char node[16];
    char pod[64];
    uint64_t offset_ms; /* of its scrapes in the interval */
};

/* What continues from block to block. */
struct series_state {
    uint64_t random;
    int64_t integer;
};

struct data {
    struct options options;
    struct target *targets;
    uint64_t target_count;
    struct series_state *states;
    struct tsdb_sample *samples; /* of one series in one block */
    size_t sample_count;
};

/* splitmix64 */
static uint64_t
next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void
fill_target(struct target *t, uint64_t i, uint64_t step_ms, uint64_t *random)
{
    uint64_t job = i / TARGETS_PER_JOB;
    uint32_t set = (uint32_t)next_random(random), pod = (uint32_t)next_random(random);
    snprintf(t->instance, sizeof t->instance, "10.%u.%u.%u:8080",
             (unsigned)(i >> 16 & 0xff), (unsigned)(i >> 8 & 0xff),
             (unsigned)(i & 0xff));
    snprintf(t->job, sizeof t->job, "service-%" PRIu64, job);
    snprintf(t->namespace, sizeof t->namespace, "team-%" PRIu64, job % 10);
    snprintf(t->node, sizeof t->node, "node-%" PRIu64, i % 40);
    snprintf(t->pod, sizeof t->pod, "service-%" PRIu64 "-%08x-%05x", job, set,
             pod & 0xfffff);
    t->offset_ms = next_random(random) % (step_ms - LATE_MS);
}

static int
target_cmp(const void *left, const void *right)
{
    const struct target *a = left, *b = right;
    int by_job = strcmp(a->job, b->job);
    return by_job ? by_job : strcmp(a->instance, b->instance);
}

static struct tsdb_labels
target_labels(const struct target *t, const char *metric,
              struct tsdb_label at[LABEL_COUNT])
{
    const char *const pairs[LABEL_COUNT][2] = {
        {"__name__", metric}, {"container", t->job},       {"instance", t->instance},
        {"job", t->job},      {"namespace", t->namespace}, {"node", t->node},
        {"pod", t->pod}};
    for (size_t i = 0; i < LABEL_COUNT; i++)
        at[i] =
            (struct tsdb_label){bytes_of_str(pairs[i][0]), bytes_of_str(pairs[i][1])};
    return (struct tsdb_labels){at, LABEL_COUNT};
}

static double
next_value(struct series_state *s, const struct measure *measure)
{
    switch (measure->kind) {
    case CONSTANT:
        break;
    case COUNTER:
        s->integer += (int64_t)(next_random(&s->random) % (measure->span + 1));
        break;
    case GAUGE:
        s->integer = (int64_t)(next_random(&s->random) % (measure->span + 1));
        break;
    case RATIO:
        return (double)(next_random(&s->random) >> 11) / (double)(UINT64_C(1) << 53);
    }
    return (double)s->integer;
}

/* One scrape in ten is some milliseconds late. */
static int64_t
late_ms(struct series_state *s)
{
    uint64_t random = next_random(&s->random);
    return random % 10 == 0 ? (int64_t)(random >> 32) % LATE_MS : 0;
}

static void
fill_samples(struct data *d, struct series_state *state, const struct measure *measure,
             int64_t first_ms)
{
    int64_t step_ms = (int64_t)(d->options.step_s * MS_PER_S);
    for (size_t i = 0; i < d->sample_count; i++) {
        double value = next_value(state, measure);
        d->samples[i].t_ms = first_ms + (int64_t)i * step_ms + late_ms(state);
        memcpy(&d->samples[i].value_bits, &value, sizeof value);
    }
}

static bool
add_series(struct data *d, struct block_writer *w, uint64_t series, int64_t begin_ms,
           struct err *err)
{
    uint64_t metric = series / d->target_count;
    const struct target *target = &d->targets[series % d->target_count];
    const struct measure *measure = &measures[metric % ARRAY_LEN(measures)];
    char name[64];
    snprintf(name, sizeof name, "%s_%s", components[metric / ARRAY_LEN(measures)],
             measure->name);
    uint64_t offset_ms = target->offset_ms + d->options.replica * REPLICA_LATE_MS;
    fill_samples(d, &d->states[series], measure, begin_ms + (int64_t)offset_ms);
    struct tsdb_label labels[LABEL_COUNT];
    return block_writer_add_samples(w, target_labels(target, name, labels), d->samples,
                                    d->sample_count, err);
}

static struct tsdb_ulid
block_id(int64_t time_ms, uint64_t random)
{
    uint8_t time[8];
    be64_store(time, (uint64_t)time_ms);
    struct tsdb_ulid id = {0};
    memcpy(id.raw, time + 2, 6);
    be64_store(id.raw + 8, next_random(&random));
    return id;
}

static bool
write_block(struct data *d, uint64_t number, struct err *err)
{
    int64_t block_ms = (int64_t)d->options.block_hours * MS_PER_HOUR;
    int64_t begin_ms =
        (int64_t)d->options.begin_s * MS_PER_S + (int64_t)number * block_ms;
    struct tsdb_ulid id = block_id(begin_ms + block_ms, d->options.seed + number +
                                                            (d->options.replica << 32));
    const char replica = (char)('a' + d->options.replica);
    const struct tsdb_label external[] = {{BYTES("cluster"), BYTES("bench")},
                                          {BYTES("replica"), bytes_of(&replica, 1)}};
    const struct block_writer_options options = {
        .external = {external, ARRAY_LEN(external)},
        .index_version = (int)d->options.index_version,
        .segment_limit = d->options.segment_limit};

    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    if (!block_writer_new(&w, d->options.out, &id, &options, err))
        return false;
    for (uint64_t i = 0; i < d->options.series; i++) {
        if (!add_series(d, w, i, begin_ms, err))
            return false;
    }
    return block_writer_finish(w, err);
}

static void
data_init(struct data *d)
{
    const struct options *o = &d->options;
    uint64_t random = o->seed;
    d->target_count = (o->series + METRIC_COUNT - 1) / METRIC_COUNT;
    d->targets = xcalloc(d->target_count, sizeof *d->targets);
    for (uint64_t i = 0; i < d->target_count; i++)
        fill_target(&d->targets[i], i, o->step_s * MS_PER_S, &random);
    qsort(d->targets, d->target_count, sizeof *d->targets, target_cmp);

    d->states = xcalloc(o->series, sizeof *d->states);
    for (uint64_t i = 0; i < o->series; i++) {
        d->states[i].random = next_random(&random);
        d->states[i].integer = (int64_t)(next_random(&random) % UINT16_MAX);
    }
    d->sample_count = o->block_hours * 3600 / o->step_s;
    d->samples = xcalloc(d->sample_count, sizeof *d->samples);
}

static void
data_fini(struct data *d)
{
    free(d->targets);
    free(d->states);
    free(d->samples);
}

static bool
parse_options(struct options *o, int argc, char **argv)
{
    static const struct option names[] = {
        {"series", required_argument, NULL, 's'},
        {"hours", required_argument, NULL, 'h'},
        {"step", required_argument, NULL, 't'},
        {"block-hours", required_argument, NULL, 'b'},
        {"seed", required_argument, NULL, 'r'},
        {"index-version", required_argument, NULL, 'v'},
        {"segment-limit", required_argument, NULL, 'l'},
        {"begin", required_argument, NULL, 'e'},
        {"replica", required_argument, NULL, 'a'},
        {0}};
    uint64_t *const fields[] = {
        ['s'] = &o->series,        ['h'] = &o->hours,   ['t'] = &o->step_s,
        ['b'] = &o->block_hours,   ['r'] = &o->seed,    ['v'] = &o->index_version,
        ['l'] = &o->segment_limit, ['e'] = &o->begin_s, ['a'] = &o->replica};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == '?')
            return false;
        *fields[c] = strtoull(optarg, NULL, 10);
    }
    if (optind + 1 != argc)
        return false;
    o->out = argv[optind];
    return o->series > 0 && o->step_s > 0 && o->block_hours > 0 &&
           o->index_version <= 2 && o->replica < MOST_REPLICAS;
}

int
main(int argc, char **argv)
{
    CLEANUP(data_fini)
    struct data d = {.options = {.series = 10000,
                                 .hours = 8,
                                 .step_s = 15,
                                 .block_hours = 2,
                                 .seed = 1,
                                 .begin_s = DEFAULT_BEGIN_S}};
    if (!parse_options(&d.options, argc, argv)) {
        fprintf(stderr,
                "usage: bench_make_data [--series N] [--hours N] [--step S]"
                " [--block-hours N] [--seed N] [--index-version 1|2]"
                " [--segment-limit BYTES] [--begin UNIX_SECONDS] [--replica N] OUT\n");
        return 2;
    }
    data_init(&d);
    struct err err = {0};
    bool ok = file_mkdirs(d.options.out, &err);
    for (uint64_t i = 0; ok && i < d.options.hours / d.options.block_hours; i++)
        ok = write_block(&d, i, &err);
    if (!ok)
        fprintf(stderr, "bench_make_data: %s\n", err.text);
    return ok ? 0 : 1;
}
