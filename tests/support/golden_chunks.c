/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/golden_chunks.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "tests/support/guard.h"

enum { SEGMENT_LIMIT = 1 << 20 };

static const char *const sample_folders[] = {"xor", "xor2", "xor2-st", "hist-st",
                                             "chunks/random"};

/* The segment of a block, as far as it was not read yet. */
struct segment {
    struct buf file;
    struct bytes rest;
};

static void
segment_open(struct segment *s, const char *folder)
{
    CLEANUP(xfree)
    char *pattern = xasprintf("%s/golden/%s/01*/chunks/000001", TESTS_DIR, folder);
    CLEANUP(globfree) glob_t found = {0};
    struct err err;
    *s = (struct segment){0};
    if (glob(pattern, 0, NULL, &found) != 0)
        return; /* chunks that belong to no block */
    CHECK(found.gl_pathc == 1);
    CHECK(file_read_all(found.gl_pathv[0], SEGMENT_LIMIT, &s->file, &err));
    s->rest = buf_bytes(&s->file);
    bytes_skip(&s->rest, TSDB_SEGMENT_HEADER_SIZE);
}

static void
segment_close(struct segment *s)
{
    buf_fini(&s->file);
}

/* The data of the next record. */
static void
next_record(struct segment *s, struct buf *data)
{
    struct tsdb_chunk chunk;
    struct err err;
    uint64_t size;
    CHECK(tsdb_chunk_size(s->rest, &size) && size <= s->rest.len);
    CHECK(tsdb_chunk_parse(&chunk, bytes_of(s->rest.at, (size_t)size), &err));
    buf_put(data, chunk.data);
    bytes_skip(&s->rest, (size_t)size);
}

static void
put_hex(struct buf *data, const char *hex)
{
    for (; hex[0] != 0; hex += 2) {
        const char digits[] = {hex[0], hex[1], 0};
        CHECK(hex[1] != 0);
        buf_put_u8(data, (uint8_t)strtoul(digits, NULL, 16));
    }
}

static void
visit(const struct json *expected, struct segment *segment, golden_chunk_fn *fn,
      void *arg)
{
    CLEANUP(buf_fini) struct buf data = {0};
    const char *hex;
    if (json_text(json_get(expected, "Hex"), &hex))
        put_hex(&data, hex);
    else
        next_record(segment, &data);
    CLEANUP(guard_fini) struct guard g = guard_new(buf_bytes(&data));
    const struct tsdb_chunk chunk = tsdb_chunk_loose(
        (enum tsdb_chunk_encoding)golden_i64(expected, "Enc"), g.bytes);
    fn(arg, &chunk, expected);
}

void
golden_each_chunk(const char *folder, golden_chunk_fn *fn, void *arg)
{
    CLEANUP(xfree)
    char *command =
        xasprintf("gzip -dc %s/golden/%s/expected.jsonl.gz", TESTS_DIR, folder);
    CLEANUP(segment_close) struct segment segment;
    FILE *lines = popen(command, "r");
    char *line = NULL;
    size_t cap = 0, count = 0;
    ssize_t len;
    CHECK(lines != NULL);
    segment_open(&segment, folder);
    for (; (len = getline(&line, &cap, lines)) > 0; count++) {
        struct err err;
        struct json *series = NULL;
        CHECK(json_parse(bytes_of(line, (size_t)len), SIZE_MAX, &series, &err));
        const struct json *chunks = json_get(series, "C");
        for (size_t i = 0; i < json_array_len(chunks); i++)
            visit(json_array_at(chunks, i), &segment, fn, arg);
        json_free(&series);
    }
    free(line);
    CHECK(pclose(lines) == 0 && count > 0);
}

void
golden_each_sample_chunk(golden_chunk_fn *fn, void *arg)
{
    for (size_t i = 0; i < ARRAY_LEN(sample_folders); i++)
        golden_each_chunk(sample_folders[i], fn, arg);
}

uint64_t
golden_bits(const struct json *text)
{
    const char *digits = "";
    CHECK(json_text(text, &digits) && strlen(digits) == 16);
    return strtoull(digits, NULL, 16);
}

int64_t
golden_i64(const struct json *object, const char *member)
{
    int64_t v = 0;
    CHECK(json_i64(json_get(object, member), &v));
    return v;
}

/* Counts of integer histograms are written as floats, too. */
static void
check_count(const struct tsdb_histogram *h, uint64_t count, const struct json *expected)
{
    uint64_t bits = count;
    double v = (double)count;
    if (!h->is_float)
        memcpy(&bits, &v, sizeof bits);
    CHECK(bits == golden_bits(expected));
}

static void
check_buckets(const struct tsdb_histogram *h, const struct tsdb_buckets *b,
              const struct json *spans, const struct json *values)
{
    uint32_t count = 0;
    CHECK(b->span_count == json_array_len(spans));
    for (uint32_t i = 0; i < b->span_count; i++) {
        const struct json *span = json_array_at(spans, i);
        CHECK(b->spans[i].offset == golden_i64(span, "Offset"));
        CHECK(b->spans[i].length == golden_i64(span, "Length"));
        count += b->spans[i].length;
    }
    CHECK(b->count == count && count == json_array_len(values));
    for (uint32_t i = 0; i < count; i++) {
        const struct json *value = json_array_at(values, i);
        int64_t delta;
        if (h->is_float)
            CHECK(b->values[i] == golden_bits(value));
        else
            CHECK(json_i64(value, &delta) && (int64_t)b->values[i] == delta);
    }
}

void
golden_check_histogram(const struct tsdb_histogram *h, const struct json *expected)
{
    const struct json *bounds = json_get(expected, "custom");
    CHECK(h->sum_bits == golden_bits(json_get(expected, "sum")));
    CHECK(h->schema == golden_i64(expected, "schema"));
    CHECK((int64_t)h->reset == golden_i64(expected, "hint"));
    CHECK(h->zero_threshold_bits == golden_bits(json_get(expected, "zero_threshold")));
    check_count(h, h->count, json_get(expected, "count"));
    check_count(h, h->zero_count, json_get(expected, "zero_count"));
    check_buckets(h, &h->positive, json_get(expected, "pos_spans"),
                  json_get(expected, h->is_float ? "pos" : "pos_delta"));
    check_buckets(h, &h->negative, json_get(expected, "neg_spans"),
                  json_get(expected, h->is_float ? "neg" : "neg_delta"));
    CHECK(h->custom_count == json_array_len(bounds));
    for (uint32_t i = 0; i < h->custom_count; i++)
        CHECK(h->custom_bits[i] == golden_bits(json_array_at(bounds, i)));
}
