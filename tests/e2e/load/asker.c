/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/e2e/load/asker.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/clock.h"

enum { SLOW_READ = 1024, SLOW_WINDOW = 4096, LEAVE_MS = 50, STATUS_OK = 200 };
#define SLOW_PAUSE_NS CLOCK_NS_PER_S

static long
status_of(CURL *curl)
{
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static size_t
receive(char *data, size_t size, size_t count, void *arg)
{
    struct asker *a = arg;
    size_t len = size * count;
    bool is_refusal = a->received == 0 && status_of(a->curl) != STATUS_OK;
    a->received += len;
    if (a->keeps || is_refusal)
        buf_put(&a->body, bytes_of(data, len));
    if (is_refusal)
        return len;
    if (a->manner == ASKER_LEAVES_AT_FIRST_BYTE)
        return 0;
    if (a->manner == ASKER_READS_SLOWLY && cancel_wait(a->stop, SLOW_PAUSE_NS))
        return 0;
    return len;
}

static int
look_at_stop(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct asker *asker = arg;
    (void)a, (void)b, (void)c, (void)d;
    return cancel_is_raised(asker->stop);
}

static int
narrow(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    int window = SLOW_WINDOW;
    (void)arg, (void)purpose;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
    return CURL_SOCKOPT_OK;
}

void
asker_init(struct asker *a)
{
    static const char *const headers[] = {"Content-Type: application/x-protobuf",
                                          "Content-Encoding: snappy",
                                          "X-Prometheus-Remote-Read-Version: 0.1.0"};
    buf_init(&a->body, NULL);
    a->curl = curl_easy_init();
    CHECK(a->curl != NULL);
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        a->read_headers = curl_slist_append(a->read_headers, headers[i]);
    curl_easy_setopt(a->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(a->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(a->curl, CURLOPT_USERAGENT, "Prometheus/3.16.0");
    curl_easy_setopt(a->curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(a->curl, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(a->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(a->curl, CURLOPT_XFERINFOFUNCTION, look_at_stop);
    curl_easy_setopt(a->curl, CURLOPT_XFERINFODATA, a);
    if (a->manner == ASKER_READS_SLOWLY) {
        curl_easy_setopt(a->curl, CURLOPT_BUFFERSIZE, (long)SLOW_READ);
        curl_easy_setopt(a->curl, CURLOPT_SOCKOPTFUNCTION, narrow);
    }
}

void
asker_fini(struct asker *a)
{
    curl_easy_cleanup(a->curl);
    curl_slist_free_all(a->read_headers);
    buf_fini(&a->body);
}

static enum tally_outcome
outcome_of(const struct asker *a, CURLcode code, long status)
{
    bool before = a->manner == ASKER_LEAVES_BEFORE && code == CURLE_OPERATION_TIMEDOUT;
    bool left = a->manner == ASKER_LEAVES_AT_FIRST_BYTE && code == CURLE_WRITE_ERROR;
    if (before || left)
        return TALLY_LEFT;
    if (status == 0)
        return TALLY_NO_ANSWER;
    if (status != STATUS_OK)
        return TALLY_REFUSED;
    return code == CURLE_OK ? TALLY_WHOLE : TALLY_ABORTED;
}

static void
prepare(struct asker *a, const struct asker_request *r)
{
    buf_clear(&a->body);
    a->received = 0;
    curl_easy_setopt(a->curl, CURLOPT_URL, r->url);
    if (r->post.len > 0) {
        curl_easy_setopt(a->curl, CURLOPT_HTTPHEADER, a->read_headers);
        curl_easy_setopt(a->curl, CURLOPT_POSTFIELDS, r->post.at);
        curl_easy_setopt(a->curl, CURLOPT_POSTFIELDSIZE, (long)r->post.len);
    } else {
        curl_easy_setopt(a->curl, CURLOPT_HTTPHEADER, NULL);
        curl_easy_setopt(a->curl, CURLOPT_HTTPGET, 1L);
    }
    if (a->manner == ASKER_LEAVES_BEFORE)
        curl_easy_setopt(a->curl, CURLOPT_TIMEOUT_MS, 1L + a->turn++ % LEAVE_MS);
}

bool
asker_ask(struct asker *a, const struct asker_request *r, struct asker_answer *answer)
{
    prepare(a, r);
    int64_t begin_ns = clock_mono_ns();
    CURLcode code = curl_easy_perform(a->curl);
    if (cancel_is_raised(a->stop))
        return false;
    *answer = (struct asker_answer){.took_ns = clock_mono_ns() - begin_ns,
                                    .status = status_of(a->curl)};
    answer->outcome = outcome_of(a, code, answer->status);
    if (answer->outcome == TALLY_REFUSED)
        snprintf(answer->text, sizeof answer->text, "%ld: %s", answer->status,
                 buf_text(&a->body));
    else if (answer->outcome == TALLY_ABORTED || answer->outcome == TALLY_NO_ANSWER)
        snprintf(answer->text, sizeof answer->text, "%s", curl_easy_strerror(code));
    tally_add_bytes(a->tally, a->received);
    return true;
}
