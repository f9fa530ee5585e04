/* SPDX-License-Identifier: Apache-2.0 */
/* Puts hostile clients and small ones on a store that serves what bench_make_data
 * wrote, and prints as JSON what became of their requests.
 *
 * First the small ones are alone. They ask for one series each, and an answer counts as
 * right when it is, byte for byte, what an idle store said. Each hostile client keeps
 * to one kind of request and asks again and again. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "tests/e2e/load/hostile.h"
#include "tests/support/read_count.h"

enum { REFERENCES = 16, MAX_CLIENTS = 1000 };
#define HOUR_MS INT64_C(3600000)

struct options {
    struct hostile_data data;
    uint64_t hostile;
    uint64_t small;
    uint64_t seconds;
    uint64_t alone_seconds;
    uint64_t period_ms; /* of a small client */
    const char *kind;   /* NULL: all */
};

/* What a small client asks for, and what it has to get. */
struct reference {
    struct buf request;
    struct buf answer;
    struct read_totals totals;
};

struct load {
    struct options options;
    struct reference references[REFERENCES];
    struct buf read_url;
    sigset_t end_signals; /* blocked in all threads */
    bool ended;           /* by one of them */
};

struct client {
    struct load *load;
    unsigned number;
    pthread_t thread;
    struct asker asker;
};

/* The series are spread over metrics and instances. */
static void
make_reference(struct load *l, unsigned i)
{
    static const char *const metrics[] = {"api_requests_total", "db_memory_bytes",
                                          "queue_load_ratio", "web_errors_total"};
    struct reference *r = &l->references[i];
    char name[64], instance[64];
    snprintf(name, sizeof name, "__name__=%s", metrics[i % ARRAY_LEN(metrics)]);
    snprintf(instance, sizeof instance, "instance=10.0.0.%u:8080", i);
    const char *const matchers[] = {name, instance};
    int64_t from_ms = l->options.data.from_ms + HOUR_MS / 2;
    struct err err;
    CHECK(read_request_make(&(struct read_question){READ_STREAMED, from_ms,
                                                    from_ms + HOUR_MS, matchers, 2, 1},
                            &r->request, &err));
}

static struct asker_request
small_request(const struct load *l, const struct reference *r)
{
    return (struct asker_request){(const char *)l->read_url.at, buf_bytes(&r->request)};
}

/* Ask an idle store. */
static bool
fill_references(struct load *l)
{
    struct tally ignored;
    struct cancel never = {0};
    struct asker asker = {.stop = &never, .tally = &ignored, .keeps = true};
    struct asker_answer answer = {0};
    bool ok = true;
    tally_init(&ignored);
    asker_init(&asker);
    for (unsigned i = 0; i < REFERENCES && ok; i++) {
        struct reference *r = &l->references[i];
        make_reference(l, i);
        struct asker_request request = small_request(l, r);
        ok = asker_ask(&asker, &request, &answer) && answer.outcome == TALLY_WHOLE;
        buf_put(&r->answer, buf_bytes(&asker.body));
        ok = ok && read_count(READ_STREAMED, buf_bytes(&r->answer), &r->totals) &&
             r->totals.series == 1;
    }
    if (!ok)
        fprintf(stderr, "load_clients: a small query of an idle store: %s\n",
                answer.text[0] ? answer.text : "another answer than one series");
    asker_fini(&asker);
    tally_fini(&ignored);
    return ok;
}

static void *
run_small(void *arg)
{
    struct client *c = arg;
    struct load *l = c->load;
    unsigned turn = c->number;
    int64_t period_ns = (int64_t)l->options.period_ms * CLOCK_NS_PER_MS;
    do {
        const struct reference *r = &l->references[turn++ % REFERENCES];
        struct asker_request request = small_request(l, r);
        struct asker_answer a;
        if (!asker_ask(&c->asker, &request, &a))
            break;
        if (a.outcome == TALLY_WHOLE &&
            !bytes_eq(buf_bytes(&c->asker.body), buf_bytes(&r->answer)))
            a.outcome = TALLY_WRONG;
        tally_add(c->asker.tally, a.outcome, a.status, a.text, a.took_ns);
    } while (!cancel_wait(c->asker.stop, period_ns));
    return NULL;
}

static enum hostile_kind
kind_of(const struct options *o, unsigned client)
{
    enum hostile_kind kind = client % HOSTILE_KINDS;
    for (int i = 0; o->kind != NULL && i < HOSTILE_KINDS; i++)
        if (strcmp(o->kind, hostile_name(i)) == 0)
            kind = i;
    return kind;
}

static void *
run_hostile(void *arg)
{
    struct client *c = arg;
    const struct options *o = &c->load->options;
    enum hostile_kind kind = kind_of(o, c->number);
    CLEANUP(buf_fini) struct buf url = {0};
    CLEANUP(buf_fini) struct buf post = {0};
    struct asker_answer a;
    for (unsigned turn = c->number / HOSTILE_KINDS;; turn++) {
        hostile_request(&o->data, kind, turn, &url, &post);
        struct asker_request request = {buf_text(&url), buf_bytes(&post)};
        if (!asker_ask(&c->asker, &request, &a))
            return NULL;
        tally_add(c->asker.tally, a.outcome, a.status, a.text, a.took_ns);
        /* As a client that tries again, and no loop that only burns. */
        if (a.outcome == TALLY_NO_ANSWER || a.outcome == TALLY_REFUSED)
            cancel_wait(c->asker.stop, 20 * CLOCK_NS_PER_MS);
    }
}

static void
start(struct client *c, void *(*run)(void *), const char *name)
{
    struct err err;
    asker_init(&c->asker);
    bool ok = thread_start(&c->thread, name, run, c, &err);
    CHECK(ok);
}

/* The first clients are the small ones. */
static void
run_phase(struct load *l, uint64_t hostile, uint64_t seconds, struct tally *small,
          struct tally kinds[HOSTILE_KINDS])
{
    uint64_t count = l->options.small + hostile;
    struct client *clients = xcalloc(count, sizeof *clients);
    struct cancel stop = {0};
    for (uint64_t i = 0; i < count; i++) {
        struct client *c = &clients[i];
        bool is_small = i < l->options.small;
        c->load = l;
        c->number = (unsigned)(is_small ? i : i - l->options.small);
        enum hostile_kind kind = kind_of(&l->options, c->number);
        c->asker.stop = &stop;
        c->asker.keeps = is_small;
        c->asker.tally = is_small ? small : &kinds[kind];
        c->asker.manner = is_small ? ASKER_READS : hostile_manner(kind);
        start(c, is_small ? run_small : run_hostile, is_small ? "small" : "hostile");
    }
    const struct timespec whole = {.tv_sec = (time_t)seconds};
    if (sigtimedwait(&l->end_signals, NULL, &whole) >= 0)
        l->ended = true;
    cancel_raise(&stop);
    for (uint64_t i = 0; i < count; i++) {
        pthread_join(clients[i].thread, NULL);
        asker_fini(&clients[i].asker);
    }
    cancel_fini(&stop);
    free(clients);
}

static void
print_references(const struct load *l, struct json *into)
{
    uint64_t least = UINT64_MAX, most = 0;
    for (size_t i = 0; i < REFERENCES; i++) {
        least = NUM_MIN(least, l->references[i].totals.samples);
        most = NUM_MAX(most, l->references[i].totals.samples);
    }
    json_set_i64(into, "small_least_samples", (int64_t)least);
    json_set_i64(into, "small_most_samples", (int64_t)most);
}

static bool
run(struct load *l)
{
    struct tally alone, small, kinds[HOSTILE_KINDS];
    tally_init(&alone);
    tally_init(&small);
    for (size_t i = 0; i < HOSTILE_KINDS; i++)
        tally_init(&kinds[i]);
    buf_printf(&l->read_url, "%s/api/v1/read", l->options.data.server);
    buf_text(&l->read_url);
    bool ok = fill_references(l);
    if (ok) {
        run_phase(l, 0, l->options.alone_seconds, &alone, kinds);
        if (!l->ended)
            run_phase(l, l->options.hostile, l->options.seconds, &small, kinds);
        CLEANUP(json_free) struct json *all = json_new_object();
        struct json *hostile = json_new_object();
        print_references(l, all);
        tally_print(&alone, "small_alone", all);
        tally_print(&small, "small", all);
        for (int i = 0; i < HOSTILE_KINDS; i++)
            tally_print(&kinds[i], hostile_name(i), hostile);
        json_set(all, "hostile", &hostile);
        CLEANUP(buf_fini) struct buf text = {0};
        json_print(all, 2, &text);
        puts(buf_text(&text));
    }
    for (size_t i = 0; i < HOSTILE_KINDS; i++)
        tally_fini(&kinds[i]);
    tally_fini(&small);
    tally_fini(&alone);
    return ok;
}

static void
load_fini(struct load *l)
{
    for (size_t i = 0; i < REFERENCES; i++) {
        buf_fini(&l->references[i].request);
        buf_fini(&l->references[i].answer);
    }
    buf_fini(&l->read_url);
}

static bool
parse_options(struct options *o, int argc, char **argv)
{
    static const struct option names[] = {{"from", required_argument, NULL, 'f'},
                                          {"to", required_argument, NULL, 't'},
                                          {"hostile", required_argument, NULL, 'h'},
                                          {"small", required_argument, NULL, 's'},
                                          {"seconds", required_argument, NULL, 'n'},
                                          {"alone", required_argument, NULL, 'a'},
                                          {"period", required_argument, NULL, 'p'},
                                          {"kind", required_argument, NULL, 'k'},
                                          {0}};
    uint64_t from_ms = 0, to_ms = 0;
    uint64_t *const fields[] = {
        ['f'] = &from_ms,     ['t'] = &to_ms,      ['h'] = &o->hostile,
        ['s'] = &o->small,    ['n'] = &o->seconds, ['a'] = &o->alone_seconds,
        ['p'] = &o->period_ms};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == '?')
            return false;
        if (c == 'k')
            o->kind = optarg;
        else
            *fields[c] = strtoull(optarg, NULL, 10);
    }
    if (optind + 1 != argc)
        return false;
    o->data = (struct hostile_data){argv[optind], (int64_t)from_ms, (int64_t)to_ms};
    return to_ms > from_ms && o->hostile + o->small <= MAX_CLIENTS;
}

int
main(int argc, char **argv)
{
    CLEANUP(load_fini)
    struct load l = {.options = {.hostile = 45,
                                 .small = 10,
                                 .seconds = 30,
                                 .alone_seconds = 5,
                                 .period_ms = 100}};
    if (!parse_options(&l.options, argc, argv)) {
        fprintf(stderr,
                "usage: load_clients --from MS --to MS [--hostile N] [--small N]"
                " [--seconds S] [--alone S] [--period MS] [--kind NAME]"
                " http://HOST:PORT\n");
        return 2;
    }
    sigemptyset(&l.end_signals);
    sigaddset(&l.end_signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &l.end_signals, NULL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return run(&l) ? 0 : 1;
}
