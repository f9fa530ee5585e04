/* SPDX-License-Identifier: Apache-2.0 */
/* Posts one remote-read request, or a Series call of the StoreAPI over HTTP/2 without
 * TLS, and measures the answer.
 *
 * A run asks on new connections, --at-once of them. A line per run goes to stdout:
 * seconds to the last byte of all, seconds until each has its first byte of a body,
 * bytes of all bodies. With --verify there is one run of one request, the body is
 * checked and the line ends with the numbers of series and samples; a stream that is
 * not saved is checked as it comes, however long. What a refusal says goes to stderr.
 */
#include <curl/curl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "tests/support/read_count.h"
#include "tests/support/read_request.h"

enum { RECEIVE_BUFFER = 512 * 1024, STATUS_OK = 200 };

struct options {
    const char *url;
    struct read_question question;
    unsigned long runs;
    unsigned long at_once;
    const char *save;
    int verify;
};

/* One request and what came of it. */
struct exchange {
    const struct options *options;
    struct bytes request;
    struct buf *keep;           /* NULL: count only */
    struct read_totals *totals; /* not NULL: check, and keep no frame that is whole */
    CURL *curl;
    struct buf refusal;
    uint64_t bytes;
    int64_t first_byte_ns; /* 0: none yet */
    int64_t end_ns;
    bool said_no; /* the status of the call, behind its body, is not OK */
    bool ok;
    pthread_t thread;
};

static long
status_of(CURL *curl)
{
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static bool
count_arrived(struct exchange *x)
{
    struct bytes rest = buf_bytes(x->keep);
    if (!read_count_arrived(&rest, x->totals))
        return false;
    if (rest.len > 0)
        memmove(x->keep->at, rest.at, rest.len);
    x->keep->len = rest.len;
    return true;
}

static size_t
receive(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *x = arg;
    size_t len = size * count;
    if (status_of(x->curl) != STATUS_OK) {
        buf_put(&x->refusal, bytes_of(data, len));
        return len;
    }
    if (x->first_byte_ns == 0)
        x->first_byte_ns = clock_mono_ns();
    x->bytes += len;
    if (x->keep)
        buf_put(x->keep, bytes_of(data, len));
    return x->totals && !count_arrived(x) ? 0 : len;
}

/* Trailers come this way as well. */
static size_t
receive_header(char *data, size_t size, size_t count, void *arg)
{
    static const char name[] = "grpc-status:", ok[] = "grpc-status: 0\r\n";
    struct exchange *x = arg;
    size_t len = size * count;
    if (len >= strlen(name) && memcmp(data, name, strlen(name)) == 0 &&
        (len != strlen(ok) || memcmp(data, ok, len) != 0))
        x->said_no = true;
    return len;
}

static struct curl_slist *
request_headers(enum read_protocol protocol)
{
    static const char *const read[] = {"Content-Type: application/x-protobuf",
                                       "Content-Encoding: snappy",
                                       "X-Prometheus-Remote-Read-Version: 0.1.0"};
    static const char *const call[] = {"Content-Type: application/grpc",
                                       "TE: trailers"};
    bool is_call = protocol == READ_STORE_API;
    size_t count = is_call ? ARRAY_LEN(call) : ARRAY_LEN(read);
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < count; i++)
        list = curl_slist_append(list, is_call ? call[i] : read[i]);
    return list;
}

static bool
perform(struct exchange *x)
{
    CURL *curl = x->curl;
    char problem[CURL_ERROR_SIZE] = "";
    enum read_protocol protocol = x->options->question.protocol;
    struct curl_slist *headers = request_headers(protocol);
    curl_easy_setopt(curl, CURLOPT_URL, x->options->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (protocol == READ_STORE_API)
        curl_easy_setopt(curl, CURLOPT_HTTP_VERSION,
                         (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "Prometheus/3.16.0");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, x->request.at);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)x->request.len);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, receive_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, problem);
    CURLcode code = curl_easy_perform(curl);
    long status = status_of(curl);
    curl_slist_free_all(headers);
    bool ok = code == CURLE_OK && status == STATUS_OK && !x->said_no;
    if (!ok)
        fprintf(stderr, "%s: status %ld%s %s%s\n", x->options->url, status,
                x->said_no ? ", the call failed" : "", problem, buf_text(&x->refusal));
    return ok;
}

static void *
exchange_main(void *arg)
{
    struct exchange *x = arg;
    x->curl = curl_easy_init();
    buf_init(&x->refusal, NULL);
    x->ok = x->curl && perform(x);
    x->end_ns = clock_mono_ns();
    if (x->first_byte_ns == 0)
        x->first_byte_ns = x->end_ns;
    curl_easy_cleanup(x->curl);
    buf_fini(&x->refusal);
    return NULL;
}

/* Prints the line of the run, without its end. keep, totals: for a single request only.
 */
static bool
run(const struct options *o, struct bytes request, struct buf *keep,
    struct read_totals *totals)
{
    struct exchange *all = xcalloc(o->at_once, sizeof *all);
    int64_t start_ns = clock_mono_ns(), first_ns = start_ns, end_ns = start_ns;
    uint64_t bytes = 0;
    bool ok = true;
    for (size_t i = 0; i < o->at_once; i++) {
        all[i] = (struct exchange){
            .options = o, .request = request, .keep = keep, .totals = totals};
        if (pthread_create(&all[i].thread, NULL, exchange_main, &all[i]) != 0)
            abort();
    }
    for (size_t i = 0; i < o->at_once; i++) {
        pthread_join(all[i].thread, NULL);
        ok = ok && all[i].ok;
        bytes += all[i].bytes;
        if (all[i].first_byte_ns > first_ns)
            first_ns = all[i].first_byte_ns;
        if (all[i].end_ns > end_ns)
            end_ns = all[i].end_ns;
    }
    free(all);
    if (ok)
        printf("%.6f %.6f %" PRIu64, (double)(end_ns - start_ns) / CLOCK_NS_PER_S,
               (double)(first_ns - start_ns) / CLOCK_NS_PER_S, bytes);
    return ok;
}

static bool
run_and_verify(const struct options *o, struct bytes request)
{
    CLEANUP(buf_fini) struct buf body;
    buf_init(&body, NULL);
    struct read_totals totals = {0};
    struct err err = {0};
    bool as_it_comes = o->question.protocol == READ_STREAMED && !o->save;
    if (!run(o, request, &body, as_it_comes ? &totals : NULL))
        return false;
    bool is_right = as_it_comes
                        ? body.len == 0
                        : read_count(o->question.protocol, buf_bytes(&body), &totals);
    if (!is_right) {
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
    int sampled = 0, store_api = 0;
    const struct option names[] = {{"from", required_argument, NULL, 'f'},
                                   {"to", required_argument, NULL, 't'},
                                   {"runs", required_argument, NULL, 'n'},
                                   {"at-once", required_argument, NULL, 'a'},
                                   {"save", required_argument, NULL, 's'},
                                   {"sampled", no_argument, &sampled, 1},
                                   {"store-api", no_argument, &store_api, 1},
                                   {"verify", no_argument, &o->verify, 1},
                                   {0}};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == '?')
            return false;
        if (c == 'f')
            o->question.from_ms = strtoll(optarg, NULL, 10);
        if (c == 't')
            o->question.to_ms = strtoll(optarg, NULL, 10);
        if (c == 'n')
            o->runs = strtoul(optarg, NULL, 10);
        if (c == 'a')
            o->at_once = strtoul(optarg, NULL, 10);
        if (c == 's')
            o->save = optarg;
    }
    if (optind >= argc || (sampled && store_api) || (o->verify && o->at_once != 1))
        return false;
    o->question.protocol = store_api ? READ_STORE_API
                           : sampled ? READ_SAMPLED
                                     : READ_STREAMED;
    o->url = argv[optind];
    o->question.copies = 1;
    o->question.matchers = (const char *const *)argv + optind + 1;
    o->question.matcher_count = (size_t)(argc - optind - 1);
    return true;
}

int
main(int argc, char **argv)
{
    struct options o = {.question.to_ms = INT64_MAX, .runs = 1, .at_once = 1};
    CLEANUP(buf_fini) struct buf request;
    buf_init(&request, NULL);
    struct err err = {0};
    if (!parse_options(&o, argc, argv) ||
        !read_request_make(&o.question, &request, &err)) {
        fprintf(stderr,
                "%s\nusage: bench_read_client [--from MS] [--to MS]"
                " [--sampled | --store-api] [--runs N] [--at-once N]"
                " [--verify [--save FILE]] URL [MATCHER ...]\n",
                err.text);
        return 2;
    }
    curl_global_init(CURL_GLOBAL_ALL);
    if (o.verify)
        return run_and_verify(&o, buf_bytes(&request)) ? 0 : 1;
    for (unsigned long i = 0; i < o.runs; i++) {
        if (!run(&o, buf_bytes(&request), NULL, NULL))
            return 1;
        printf("\n");
    }
    return 0;
}
