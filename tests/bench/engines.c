/* SPDX-License-Identifier: Apache-2.0 */
/* Two engines for many parallel range reads: threads that each ask with our HTTP
 * client, and one thread whose libcurl multi drives all transfers.
 *
 * usage: bench_engines [PARALLEL [URL SIZE]]
 *
 * Without a URL a child serves an object from memory. Each run is a process of its own,
 * so that its processor time and its peak of resident memory are the engine's. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/net/http_client.h"

enum { RUNS = 5, PARALLEL = 16, OBJECT_BYTES = 64 << 20, MAX_RANGE = 1 << 20 };

/* Bytes that one run reads. */
#define RUN_BYTES (UINT64_C(1) << 30)

static struct {
    char url[2048];
    uint64_t size;
    uint64_t range;
    unsigned parallel;
    atomic_uint_fast64_t next; /* number of the next range */
} job;

/* The next range in turn, as a Range header has it, or false at the end. */
static bool
next_range(char text[64])
{
    uint64_t number = atomic_fetch_add(&job.next, 1);
    uint64_t begin = number * job.range % (job.size - job.range + 1);
    snprintf(text, 64, "%" PRIu64 "-%" PRIu64, begin, begin + job.range - 1);
    return number < RUN_BYTES / job.range;
}

struct target {
    size_t got;
    uint8_t at[MAX_RANGE];
};

static bool
put(struct target *t, const void *at, size_t len)
{
    if (len > job.range - t->got)
        return false;
    memcpy(t->at + t->got, at, len);
    t->got += len;
    return true;
}

static bool
on_piece(void *arg, struct bytes piece, struct err *err)
{
    return put(arg, piece.at, piece.len) || err_set(err, ERR_CORRUPT, "too much");
}

static void *
ask(void *arg)
{
    struct target *t = xcalloc(1, sizeof *t);
    struct net_http_response *response = xcalloc(1, sizeof *response);
    char range[64], header[80];
    while (next_range(range)) {
        struct err err;
        snprintf(header, sizeof header, "Range: bytes=%s", range);
        const struct net_http_request q = {.method = "GET",
                                           .url = job.url,
                                           .headers =
                                               (const char *const[]){header, NULL},
                                           .sink = on_piece,
                                           .sink_arg = t,
                                           .deadline_ns = CLOCK_NEVER};
        t->got = 0;
        if (!net_http_perform(arg, &q, response, &err)) {
            fprintf(stderr, "%s\n", err.text);
            exit(1);
        }
        CHECK(response->status == 206 && t->got == job.range);
    }
    free(response);
    free(t);
    return NULL;
}

static void
run_threads(void)
{
    const struct net_http_client_options options = {.user_agent = "bench",
                                                    .max_idle = job.parallel};
    pthread_t *threads = xcalloc(job.parallel, sizeof *threads);
    struct net_http_client *client = NULL;
    struct err err;
    CHECK(net_http_client_new(&client, &options, &err));
    for (unsigned i = 0; i < job.parallel; i++)
        CHECK(pthread_create(&threads[i], NULL, ask, client) == 0);
    for (unsigned i = 0; i < job.parallel; i++)
        pthread_join(threads[i], NULL);
    net_http_client_free(&client);
    free(threads);
}

static size_t
on_write(char *at, size_t size, size_t count, void *arg)
{
    return put(arg, at, size * count) ? size * count : 0;
}

/* Whether there was another range to begin with. */
static bool
begin(CURLM *multi, CURL *easy, struct target *t)
{
    char range[64];
    if (!next_range(range))
        return false;
    t->got = 0;
    curl_easy_setopt(easy, CURLOPT_RANGE, range);
    CHECK(curl_multi_add_handle(multi, easy) == CURLM_OK);
    return true;
}

static CURL *
new_easy(struct target *t)
{
    CURL *easy = curl_easy_init();
    CHECK(easy != NULL);
    curl_easy_setopt(easy, CURLOPT_URL, job.url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 65536L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    return easy;
}

/* Returns how many transfers have ended and found no other range. */
static unsigned
begin_next(CURLM *multi)
{
    CURLMsg *message;
    unsigned ended = 0;
    int left;
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        CURL *easy = message->easy_handle;
        struct target *t = NULL;
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
        CHECK(message->data.result == CURLE_OK && status == 206 && t->got == job.range);
        curl_multi_remove_handle(multi, easy);
        if (!begin(multi, easy, t)) {
            curl_easy_cleanup(easy);
            free(t);
            ended++;
        }
    }
    return ended;
}

static void
run_multi(void)
{
    int running;
    CURLM *multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)job.parallel);
    for (unsigned i = 0; i < job.parallel; i++) {
        struct target *t = xcalloc(1, sizeof *t);
        CHECK(begin(multi, new_easy(t), t));
    }
    for (unsigned left = job.parallel; left > 0;) {
        CHECK(curl_multi_perform(multi, &running) == CURLM_OK);
        left -= begin_next(multi);
        CHECK(left == 0 || curl_multi_poll(multi, NULL, 0, 1000, NULL) == CURLM_OK);
    }
    curl_multi_cleanup(multi);
}

struct cost {
    double seconds;
    double cpu_seconds;
    double peak_mib;
};

static double
seconds_of(struct timeval t)
{
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

static struct cost
measure(void (*engine)(void))
{
    int status = 0;
    struct rusage used;
    int64_t begin_ns = clock_mono_ns();
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        engine();
        _exit(0);
    }
    CHECK(wait4(pid, &status, 0, &used) == pid);
    if (status != 0)
        exit(1);
    return (struct cost){(double)(clock_mono_ns() - begin_ns) / CLOCK_NS_PER_S,
                         seconds_of(used.ru_utime) + seconds_of(used.ru_stime),
                         (double)used.ru_maxrss / 1024};
}

static struct cost
best_of(struct cost a, struct cost b)
{
    return a.seconds == 0 || b.seconds < a.seconds ? b : a;
}

static void
print_cost(const char *name, struct cost c)
{
    printf("%5" PRIu64 " KiB  %-8s %8.0f %8.2f %10.1f\n", job.range >> 10, name,
           (double)RUN_BYTES / 1e6 / c.seconds, c.cpu_seconds, c.peak_mib);
}

/* In turns, so that both meet the same machine. */
static void
compare(uint64_t range)
{
    struct cost threads = {0}, multi = {0};
    job.range = range;
    for (int i = 0; i < RUNS; i++) {
        threads = best_of(threads, measure(run_threads));
        multi = best_of(multi, measure(run_multi));
    }
    print_cost("threads", threads);
    print_cost("multi", multi);
    printf("           threads / multi: %.2f of the speed, %.2f of the CPU time\n",
           multi.seconds / threads.seconds, threads.cpu_seconds / multi.cpu_seconds);
}

static bool
send_all(int fd, const void *at, size_t len)
{
    struct bytes rest = bytes_of(at, len);
    while (rest.len > 0) {
        ssize_t sent = send(fd, rest.at, rest.len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes_skip(&rest, (size_t)sent);
    }
    return true;
}

/* Answers ranges until the client leaves. */
static void *
serve(void *arg)
{
    static const uint8_t object[OBJECT_BYTES];
    int fd = (int)(intptr_t)arg;
    char head[4096], answer[256];
    ssize_t len;
    uint64_t begin_at, end_at;
    /* A request comes in one piece: it is short, and the next waits for the answer. */
    while ((len = recv(fd, head, sizeof head - 1, 0)) > 0) {
        head[len] = 0;
        const char *range = strstr(head, "Range: bytes=");
        CHECK(range != NULL && sscanf(range, "Range: bytes=%" SCNu64 "-%" SCNu64,
                                      &begin_at, &end_at) == 2);
        CHECK(begin_at <= end_at && end_at < OBJECT_BYTES);
        size_t size = (size_t)(end_at - begin_at + 1);
        int answer_len = snprintf(answer, sizeof answer,
                                  "HTTP/1.1 206 Partial Content\r\nContent-Length: "
                                  "%zu\r\n\r\n",
                                  size);
        if (!send_all(fd, answer, (size_t)answer_len) ||
            !send_all(fd, object + begin_at, size))
            break;
    }
    close(fd);
    return NULL;
}

/* Start the server; it ends with this process. */
static void
start_server(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(listen(fd, 128) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    snprintf(job.url, sizeof job.url, "http://127.0.0.1:%u/", ntohs(at.sin_port));
    job.size = OBJECT_BYTES;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0) {
        close(fd);
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        pthread_t thread;
        int connection = accept(fd, NULL, NULL);
        CHECK(connection >= 0);
        CHECK(pthread_create(&thread, NULL, serve, (void *)(intptr_t)connection) == 0);
        pthread_detach(thread);
    }
}

int
main(int argc, char **argv)
{
    job.parallel = argc > 1 ? (unsigned)atoi(argv[1]) : PARALLEL;
    if (argc > 3) {
        snprintf(job.url, sizeof job.url, "%s", argv[2]);
        job.size = strtoull(argv[3], NULL, 10);
    } else {
        start_server();
    }
    if (job.parallel == 0 || job.size < MAX_RANGE) {
        fprintf(stderr, "usage: bench_engines [PARALLEL [URL SIZE]]\n");
        return 2;
    }
    printf("%u at once\n    range  engine       MB/s    CPU s   peak MiB\n",
           job.parallel);
    fflush(stdout);
    compare(64 << 10);
    compare(MAX_RANGE);
    return 0;
}
