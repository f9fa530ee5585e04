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
#include "common/base/file.h"
#include "tests/support/read_message.h"

enum { RECEIVE_BUFFER = 512 * 1024, STATUS_OK = 200 };

struct options {
    const char *url;
    struct read_query query;
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

static bool
run_and_verify(const struct options *o, struct bytes request)
{
    CLEANUP(buf_fini) struct buf body;
    buf_init(&body, NULL);
    struct read_totals totals = {0};
    struct err err = {0};
    if (!run(o, request, &body))
        return false;
    if (!(o->sampled ? read_message_count_sampled
                     : read_message_count_frames)(buf_bytes(&body), &totals)) {
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
            o->query.from_ms = strtoll(optarg, NULL, 10);
        if (c == 't')
            o->query.to_ms = strtoll(optarg, NULL, 10);
        if (c == 'n')
            o->runs = strtoul(optarg, NULL, 10);
        if (c == 's')
            o->save = optarg;
    }
    if (optind >= argc)
        return false;
    o->url = argv[optind];
    o->query.matchers = (const char *const *)argv + optind + 1;
    o->query.matcher_count = (size_t)(argc - optind - 1);
    return true;
}

int
main(int argc, char **argv)
{
    struct options o = {.query = {.to_ms = INT64_MAX}, .runs = 1};
    CLEANUP(buf_fini) struct buf request;
    buf_init(&request, NULL);
    if (!parse_options(&o, argc, argv) ||
        !read_message_request(&o.query, 1, o.sampled, &request)) {
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
