/* SPDX-License-Identifier: Apache-2.0 */
/* Posts one remote-read request and measures the answer.
 *
 * Each run uses a new connection. A line per run goes to stdout: seconds to the last
 * byte, seconds to the first byte of the body, bytes of the body. With --verify there
 * is one run, the body is checked (each frame's checksum; the snappy block) and the
 * line ends with the numbers of series and samples. */
#include <curl/curl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/cursor.h"
#include "common/base/file.h"
#include "common/codec/compress.h"
#include "common/codec/crc32c.h"
#include "common/codec/varint.h"
#include "common/tsdb/matcher.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LENGTH = 2, WIRE_FIXED32 = 5 };
enum { RECEIVE_BUFFER = 512 * 1024, STATUS_OK = 200 };

struct options {
    const char *url;
    char **matchers; /* name=value, and likewise with != =~ !~ */
    int matcher_count;
    int64_t from_ms;
    int64_t to_ms;
    unsigned long runs;
    const char *save;
    int sampled;
    int verify;
};

struct answer {
    struct buf *keep; /* NULL: count only */
    uint64_t bytes;
    int64_t first_byte_ns; /* 0: none yet */
};

struct totals {
    uint64_t series;
    uint64_t samples;
};

static void
put_key(struct buf *out, unsigned field, unsigned wire_type)
{
    varint_put_u64(out, field << 3 | wire_type);
}

static void
put_number(struct buf *out, unsigned field, int64_t v)
{
    put_key(out, field, WIRE_VARINT);
    varint_put_u64(out, (uint64_t)v);
}

static void
put_bytes(struct buf *out, unsigned field, struct bytes b)
{
    put_key(out, field, WIRE_LENGTH);
    varint_put_u64(out, b.len);
    buf_put(out, b);
}

static bool
put_matcher(struct buf *query, const char *text)
{
    static const struct {
        const char *sign;
        enum tsdb_matcher_type type;
    } signs[] = {{"=~", TSDB_MATCH_RE},
                 {"!~", TSDB_MATCH_NRE},
                 {"!=", TSDB_MATCH_NEQ},
                 {"=", TSDB_MATCH_EQ}};
    size_t name_len = strcspn(text, "=!");
    CLEANUP(buf_fini) struct buf matcher;
    buf_init(&matcher, NULL);
    for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
        size_t sign_len = strlen(signs[i].sign);
        if (strncmp(text + name_len, signs[i].sign, sign_len) != 0)
            continue;
        put_number(&matcher, 1, signs[i].type);
        put_bytes(&matcher, 2, bytes_of(text, name_len));
        put_bytes(&matcher, 3, bytes_of_str(text + name_len + sign_len));
        put_bytes(query, 3, buf_bytes(&matcher));
        return true;
    }
    return false;
}

/* The compressed ReadRequest. */
static bool
make_request(const struct options *o, struct buf *out)
{
    CLEANUP(buf_fini) struct buf query;
    CLEANUP(buf_fini) struct buf request;
    buf_init(&query, NULL);
    buf_init(&request, NULL);
    put_number(&query, 1, o->from_ms);
    put_number(&query, 2, o->to_ms);
    for (int i = 0; i < o->matcher_count; i++) {
        if (!put_matcher(&query, o->matchers[i]))
            return false;
    }
    put_bytes(&request, 1, buf_bytes(&query));
    put_number(&request, 2, o->sampled ? 0 : 1);
    struct err err = {0};
    return compress_snappy_encode(buf_bytes(&request), out, &err);
}

static size_t
receive(char *data, size_t size, size_t count, void *arg)
{
    struct answer *a = arg;
    if (a->first_byte_ns == 0)
        a->first_byte_ns = clock_mono_ns();
    a->bytes += size * count;
    if (a->keep)
        buf_put(a->keep, bytes_of(data, size * count));
    return size * count;
}

static bool
perform(CURL *curl, const struct options *o, struct bytes request, struct answer *a)
{
    char problem[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    headers = curl_slist_append(headers, "Content-Type: application/x-protobuf");
    headers = curl_slist_append(headers, "Content-Encoding: snappy");
    headers = curl_slist_append(headers, "X-Prometheus-Remote-Read-Version: 0.1.0");
    curl_easy_setopt(curl, CURLOPT_URL, o->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "Prometheus/3.16.0");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.at);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)request.len);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, problem);
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    if (code != CURLE_OK || status != STATUS_OK)
        fprintf(stderr, "%s: status %ld %s\n", o->url, status, problem);
    return code == CURLE_OK && status == STATUS_OK;
}

static bool
run(const struct options *o, struct bytes request, struct buf *keep)
{
    struct answer a = {.keep = keep};
    CURL *curl = curl_easy_init();
    int64_t start_ns = clock_mono_ns();
    bool ok = curl && perform(curl, o, request, &a);
    int64_t end_ns = clock_mono_ns();
    curl_easy_cleanup(curl);
    int64_t first_ns = a.first_byte_ns ? a.first_byte_ns : end_ns;
    if (ok)
        printf("%.6f %.6f %" PRIu64, (double)(end_ns - start_ns) / CLOCK_NS_PER_S,
               (double)(first_ns - start_ns) / CLOCK_NS_PER_S, a.bytes);
    return ok;
}

/* Step to the next length-delimited field of that number; false at the end. */
static bool
next_message(struct cursor *c, unsigned field, struct bytes *message)
{
    while (!c->bad && c->rest.len > 0) {
        uint64_t key = varint_u64(c);
        struct bytes value = {0};
        switch (key & 7) {
        case WIRE_VARINT:
            varint_u64(c);
            break;
        case WIRE_FIXED64:
            cursor_take(c, 8);
            break;
        case WIRE_LENGTH:
            value = cursor_take(c, varint_u64(c));
            break;
        case WIRE_FIXED32:
            cursor_take(c, 4);
            break;
        default:
            c->bad = true;
        }
        *message = value;
        if (key == (field << 3 | WIRE_LENGTH) && !c->bad)
            return true;
    }
    return false;
}

static bool
count_chunked_series(struct bytes series, struct totals *t)
{
    struct cursor chunks = cursor_of(series);
    struct bytes chunk, data;
    while (next_message(&chunks, 2, &chunk)) {
        struct cursor fields = cursor_of(chunk);
        if (!next_message(&fields, 4, &data) || data.len < 2)
            return false;
        t->samples += be16_load(data.at);
    }
    t->series++;
    return !chunks.bad;
}

static bool
count_frames(struct bytes body, struct totals *t)
{
    struct cursor frames = cursor_of(body);
    while (frames.rest.len > 0) {
        uint64_t len = varint_u64(&frames);
        uint32_t crc = cursor_be32(&frames);
        struct bytes message = cursor_take(&frames, len);
        if (frames.bad || crc32c(message) != crc)
            return false;
        struct cursor all = cursor_of(message);
        for (struct bytes series; next_message(&all, 1, &series);) {
            if (!count_chunked_series(series, t))
                return false;
        }
        if (all.bad)
            return false;
    }
    return !frames.bad;
}

static bool
count_samples(struct bytes response, struct totals *t)
{
    struct cursor results = cursor_of(response);
    struct bytes result, series, sample;
    while (next_message(&results, 1, &result)) {
        struct cursor all = cursor_of(result);
        while (next_message(&all, 1, &series)) {
            struct cursor samples = cursor_of(series);
            while (next_message(&samples, 2, &sample))
                t->samples++;
            t->series++;
        }
    }
    return !results.bad;
}

static bool
count(const struct options *o, struct bytes body, struct totals *t)
{
    if (!o->sampled)
        return count_frames(body, t);
    CLEANUP(buf_fini) struct buf plain;
    buf_init(&plain, NULL);
    struct err err = {0};
    return compress_snappy_decode(body, UINT32_MAX, &plain, &err) &&
           count_samples(buf_bytes(&plain), t);
}

static bool
run_and_verify(const struct options *o, struct bytes request)
{
    CLEANUP(buf_fini) struct buf body;
    buf_init(&body, NULL);
    struct totals totals = {0};
    struct err err = {0};
    if (!run(o, request, &body))
        return false;
    if (!count(o, buf_bytes(&body), &totals)) {
        fprintf(stderr, "%s: damaged answer\n", o->url);
        return false;
    }
    printf(" %" PRIu64 " %" PRIu64 "\n", totals.series, totals.samples);
    if (!o->save || file_replace(o->save, buf_bytes(&body), &err))
        return true;
    fprintf(stderr, "%s\n", err.text);
    return false;
}

static bool
parse_options(struct options *o, int argc, char **argv)
{
    const struct option names[] = {{"from", required_argument, NULL, 'f'},
                                   {"to", required_argument, NULL, 't'},
                                   {"runs", required_argument, NULL, 'n'},
                                   {"save", required_argument, NULL, 's'},
                                   {"sampled", no_argument, &o->sampled, 1},
                                   {"verify", no_argument, &o->verify, 1},
                                   {0}};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == '?')
            return false;
        if (c == 'f')
            o->from_ms = strtoll(optarg, NULL, 10);
        if (c == 't')
            o->to_ms = strtoll(optarg, NULL, 10);
        if (c == 'n')
            o->runs = strtoul(optarg, NULL, 10);
        if (c == 's')
            o->save = optarg;
    }
    if (optind >= argc)
        return false;
    o->url = argv[optind];
    o->matchers = argv + optind + 1;
    o->matcher_count = argc - optind - 1;
    return true;
}

int
main(int argc, char **argv)
{
    struct options o = {.to_ms = INT64_MAX, .runs = 1};
    CLEANUP(buf_fini) struct buf request;
    buf_init(&request, NULL);
    if (!parse_options(&o, argc, argv) || !make_request(&o, &request)) {
        fprintf(stderr, "usage: bench_read_client [--from MS] [--to MS] [--sampled]"
                        " [--runs N | --verify [--save FILE]] URL [MATCHER ...]\n");
        return 2;
    }
    if (o.verify)
        return run_and_verify(&o, buf_bytes(&request)) ? 0 : 1;
    for (unsigned long i = 0; i < o.runs; i++) {
        if (!run(&o, buf_bytes(&request), NULL))
            return 1;
        printf("\n");
    }
    return 0;
}
