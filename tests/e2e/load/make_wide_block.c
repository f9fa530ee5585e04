/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a block that is wide: OUT/<ULID>/...
 *
 * values: COUNT series of one metric, {__name__="wide", id="<8 hex digits>"}; the i-th
 *         id is i times the largest odd step with which all fit 32 bits.
 * series: COUNT series of COUNT / 10 000 metrics, {__name__="metric_<4 digits>",
 *         code="<0 to 4>", pod="pod-<4 digits, below 2 000>"}.
 * long:   as values, but each id has so many x behind its digits that it has LONG
 * bytes. segments: as values, but each series has a segment of its own.
 *
 * Each has two samples, at 0 and 15 s of FIRST_S. The external label is cluster="c". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "tests/support/block_writer.h"

enum {
    FIRST_S = 1785542400,
    STEP_MS = 15000,
    CODES = 5,
    PODS = 2000,
    MOST_LABELS = 3,
    LONG = 1000
};

/* Labels of one series; at borrows the texts. */
struct wide_labels {
    char name[16];
    char code[2];
    char value[LONG + 1];
    struct tsdb_label at[MOST_LABELS];
    size_t count;
};

typedef void labels_fn(struct wide_labels *l, uint64_t i, uint64_t count);

static void
put_label(struct wide_labels *l, const char *name, const char *value)
{
    l->at[l->count++] = (struct tsdb_label){bytes_of_str(name), bytes_of_str(value)};
}

static void
labels_of_values(struct wide_labels *l, uint64_t i, uint64_t count)
{
    uint64_t step = ((UINT64_C(1) << 32) / count - 1) | 1;
    snprintf(l->value, sizeof l->value, "%08" PRIx32, (uint32_t)(i * step));
    put_label(l, "__name__", "wide");
    put_label(l, "id", l->value);
}

static void
labels_of_long(struct wide_labels *l, uint64_t i, uint64_t count)
{
    labels_of_values(l, i, count);
    size_t len = strlen(l->value);
    memset(l->value + len, 'x', LONG - len);
    l->value[LONG] = 0;
    l->at[l->count - 1].value = bytes_of(l->value, LONG);
}

static void
labels_of_series(struct wide_labels *l, uint64_t i, uint64_t count)
{
    (void)count;
    snprintf(l->name, sizeof l->name, "metric_%04u", (unsigned)(i / (CODES * PODS)));
    snprintf(l->code, sizeof l->code, "%u", (unsigned)(i / PODS % CODES));
    snprintf(l->value, sizeof l->value, "pod-%04u", (unsigned)(i % PODS));
    put_label(l, "__name__", l->name);
    put_label(l, "code", l->code);
    put_label(l, "pod", l->value);
}

struct kind {
    const char *name;
    labels_fn *labels_of;
    uint64_t segment_limit;
};

static bool
write_block(const struct kind *kind, uint64_t count, const char *out, struct err *err)
{
    static const struct tsdb_label external[] = {{BYTES("cluster"), BYTES("c")}};
    const struct block_writer_options options = {.external = {external, 1},
                                                 .segment_limit = kind->segment_limit};
    const int64_t first_ms = FIRST_S * INT64_C(1000);
    const struct tsdb_sample samples[] = {{first_ms, 0}, {first_ms + STEP_MS, 0}};
    struct tsdb_ulid id;
    CLEANUP(block_writer_free) struct block_writer *w = NULL;
    if (!tsdb_ulid_parse(&id, BYTES("01KYXGSD8000000000000000W1")) ||
        !file_mkdirs(out, err) || !block_writer_new(&w, out, &id, &options, err))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        struct wide_labels l = {.count = 0};
        kind->labels_of(&l, i, count);
        if (!block_writer_add_samples(w, (struct tsdb_labels){l.at, l.count}, samples,
                                      ARRAY_LEN(samples), err))
            return false;
    }
    return block_writer_finish(w, err);
}

static const struct kind *
find_kind(const char *name)
{
    static const struct kind kinds[] = {{"values", labels_of_values, 0},
                                        {"series", labels_of_series, 0},
                                        {"long", labels_of_long, 0},
                                        {"segments", labels_of_values, 1}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

int
main(int argc, char **argv)
{
    const struct kind *kind = argc == 4 ? find_kind(argv[1]) : NULL;
    uint64_t count = kind != NULL ? strtoull(argv[2], NULL, 10) : 0;
    if (count == 0 || count > UINT32_MAX / 4) {
        fprintf(stderr,
                "usage: make_wide_block values|series|long|segments COUNT OUT\n");
        return 2;
    }
    struct err err = {0};
    if (write_block(kind, count, argv[3], &err))
        return 0;
    fprintf(stderr, "make_wide_block: %s\n", err.text);
    return 1;
}
