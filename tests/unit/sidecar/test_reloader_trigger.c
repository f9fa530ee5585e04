/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "sidecar/reloader_trigger.h"
#include "tests/support/expect.h"
#include "tests/unit/sidecar/fake_prometheus.h"

#define BEFORE "2026-11-23T10:20:30Z"
#define AFTER "2026-11-23T10:20:31Z"

struct world {
    char own_name[32]; /* no other run's; longer than the kernel keeps names */
    struct fake_prometheus prometheus;
    struct sidecar_prom_client *client;
    struct sidecar_reloader_trigger trigger;
    unsigned pauses;
    unsigned pauses_left; /* then there is news */
    const char *loaded;   /* what it says from the second pause on; NULL: the same */
};

/* The process that is told to reload is this one. */
static volatile sig_atomic_t hung_up;

static void
take_signal(int number)
{
    (void)number;
    hung_up++;
}

static bool
count_pause(void *arg, int64_t deadline_ns)
{
    struct world *w = arg;
    (void)deadline_ns;
    w->pauses++;
    if (w->pauses == 2 && w->loaded != NULL)
        fake_prometheus_say_loaded(&w->prometheus, w->loaded);
    return w->pauses_left-- > 0;
}

static int
setup(void **state)
{
    static struct world w;
    struct err err;
    w = (struct world){.pauses_left = 1000};
    snprintf(w.own_name, sizeof w.own_name, "reload-%d-under-test", (int)getpid());
    fake_prometheus_start(&w.prometheus);
    expect_ok(
        sidecar_prom_client_new(&w.client, w.prometheus.url, (struct bytes){0}, &err),
        err);
    w.trigger = (struct sidecar_reloader_trigger){.client = w.client,
                                                  .process_name = w.own_name,
                                                  .pause = count_pause,
                                                  .pause_arg = &w};
    assert_int_equal(prctl(PR_SET_NAME, w.own_name), 0);
    signal(SIGHUP, take_signal);
    hung_up = 0;
    *state = &w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    sidecar_prom_client_free(&w->client);
    fake_prometheus_stop(&w->prometheus);
    return 0;
}

static bool
run(struct world *w, enum sidecar_reloader_method method, struct err *err)
{
    w->trigger.method = method;
    return sidecar_reloader_trigger_run(&w->trigger,
                                        clock_deadline(60 * CLOCK_NS_PER_S), NULL, err);
}

static void
posts(void **state)
{
    struct world *w = *state;
    struct err err;
    fake_prometheus_say_reload(&w->prometheus, 200, "");
    expect_ok(run(w, SIDECAR_RELOADER_HTTP, &err), err);
    assert_int_equal(hung_up, 0);
}

static void
tells_why_a_post_is_refused(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum err_code code;
        const char *said;
    } cases[] = {
        {403, "Lifecycle API is not enabled.\n", ERR_UNSUPPORTED,
         "--web.enable-lifecycle"},
        {401, "", ERR_DENIED, "--prometheus.http-client"},
        {500, "failed to reload config: x:\n  second line\n", ERR_INVALID,
         "failed to reload config: x: second line"},
        {503, "", ERR_UNAVAILABLE, "503"},
        {302, "", ERR_INVALID, "--prometheus.url"},
        {204, "", ERR_INVALID, "204"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        fake_prometheus_say_reload(&w->prometheus, cases[i].status, cases[i].body);
        expect_fails(run(w, SIDECAR_RELOADER_HTTP, &err), err, cases[i].code);
        if (strstr(err.text, cases[i].said) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.text, cases[i].said);
        assert_null(strchr(err.text, '\n'));
    }
}

static void
signals_and_waits(void **state)
{
    struct world *w = *state;
    struct err err;
    fake_prometheus_say_loaded(&w->prometheus, FAKE_LOADED("true", BEFORE));
    w->loaded = FAKE_LOADED("true", AFTER);
    expect_ok(run(w, SIDECAR_RELOADER_SIGNAL, &err), err);
    assert_int_equal(hung_up, 1);
    assert_int_equal(w->pauses, 2);
}

static void
heals_a_refusal_by_a_signal(void **state)
{
    struct world *w = *state;
    struct err err;
    fake_prometheus_say_loaded(&w->prometheus, FAKE_LOADED("false", BEFORE));
    w->loaded = FAKE_LOADED("true", AFTER);
    expect_ok(run(w, SIDECAR_RELOADER_SIGNAL, &err), err);
}

static void
tells_a_refusal_after_a_signal(void **state)
{
    static const char *const refusals[] = {FAKE_LOADED("false", BEFORE),
                                           FAKE_LOADED("false", AFTER)};
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct err err;
        fake_prometheus_say_loaded(&w->prometheus, FAKE_LOADED("true", BEFORE));
        w->loaded = refusals[i];
        w->pauses = 0;
        expect_fails(run(w, SIDECAR_RELOADER_SIGNAL, &err), err, ERR_INVALID);
        assert_int_equal(w->pauses, 2);
    }
}

static void
lets_news_end_the_wait(void **state)
{
    struct world *w = *state;
    struct err err;
    fake_prometheus_say_loaded(&w->prometheus, FAKE_LOADED("false", BEFORE));
    w->pauses_left = 3;
    expect_fails(run(w, SIDECAR_RELOADER_SIGNAL, &err), err, ERR_CANCELLED);
    assert_int_equal(w->pauses, 4);
}

/* Another reload in the same second would look like none. */
static void
lets_the_second_of_the_last_reload_pass(void **state)
{
    struct world *w = *state;
    struct err err;
    clock_freeze(clock_mono_ns(), INT64_C(1795429230500000000)); /* BEFORE and a half */
    fake_prometheus_say_loaded(&w->prometheus, FAKE_LOADED("true", BEFORE));
    w->pauses_left = 0;
    expect_fails(run(w, SIDECAR_RELOADER_SIGNAL, &err), err, ERR_CANCELLED);
    clock_unfreeze();
    assert_int_equal(hung_up, 0);
}

static void
tells_a_missing_process(void **state)
{
    struct world *w = *state;
    struct err err;
    fake_prometheus_say_loaded(&w->prometheus, FAKE_LOADED("true", BEFORE));
    w->trigger.process_name = "no-such-process";
    expect_fails(run(w, SIDECAR_RELOADER_SIGNAL, &err), err, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "no-such-process"));
    assert_non_null(strstr(err.text, "--reloader.process-name"));
}

static void
understands_no_other_answer(void **state)
{
    static const char *const answers[] = {
        "", "<html>", "{\"data\":{}}", "{\"data\":{\"reloadConfigSuccess\":true}}",
        "{\"data\":{\"reloadConfigSuccess\":1,\"lastConfigTime\":\"x\"}}"};
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct err err;
        fake_prometheus_say_loaded(&w->prometheus, answers[i]);
        expect_fails(run(w, SIDECAR_RELOADER_SIGNAL, &err), err, ERR_INVALID);
    }
    assert_int_equal(hung_up, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(posts),
        CASE(tells_why_a_post_is_refused),
        CASE(signals_and_waits),
        CASE(heals_a_refusal_by_a_signal),
        CASE(tells_a_refusal_after_a_signal),
        CASE(lets_news_end_the_wait),
        CASE(lets_the_second_of_the_last_reload_pass),
        CASE(tells_a_missing_process),
        CASE(understands_no_other_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
