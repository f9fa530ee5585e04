/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/metrics/registry.h"
#include "common/net/web.h"

#define HASH_A "$2y$04$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u"
#define HASH_B "$2y$04$bbcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u"
#define USER_A "basic_auth_users:\n  a: " HASH_A "\n"
#define USER_B "basic_auth_users:\n  b: " HASH_B "\n"

static char directory[] = "/tmp/test_web.XXXXXX";
static char *path;
static struct metrics_registry *metrics;
static struct net_web *web;

static int
set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_web.XXXXXX");
    assert_non_null(mkdtemp(directory));
    path = xasprintf("%s/web.yml", directory);
    metrics = metrics_registry_new();
    return 0;
}

static int
tear_down(void **state)
{
    struct err err;
    (void)state;
    net_web_close(&web);
    metrics_registry_free(&metrics);
    free(path);
    return file_remove_tree(directory, &err) ? 0 : -1;
}

static void
replace(const char *text)
{
    struct err err;
    assert_true(file_replace(path, bytes_of_str(text), &err));
}

static void
write_in_place(const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void
open_web(const char *text)
{
    struct err err;
    replace(text);
    assert_true(net_web_open(&web, path, metrics, &err));
}

/* The name of the only user now. */
static char
user_now(void)
{
    struct net_web_state *s = net_web_acquire(web);
    char name = s->config.users != NULL ? s->config.users->keys[0][0] : '-';
    net_web_release(web, &s);
    return name;
}

static bool
metrics_have(const char *line)
{
    CLEANUP(buf_fini) struct buf text = {0};
    metrics_print(metrics, &text);
    return strstr(buf_text(&text), line) != NULL;
}

static void
follows_its_file_at_once(void **state)
{
    (void)state;
    open_web(USER_A);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(user_now(), 'a');
        replace(USER_B);
        assert_int_equal(user_now(), 'b');
        write_in_place(USER_A);
        assert_int_equal(user_now(), 'a');
    }
    assert_true(metrics_have("blockhouse_http_config_reloads_total{result=\"ok\"} 6"));
}

static void
sees_a_change_that_keeps_size_and_time(void **state)
{
    struct stat st;
    (void)state;
    open_web(USER_A);
    assert_int_equal(stat(path, &st), 0);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    write_in_place(USER_B);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_int_equal(user_now(), 'b');
}

static void
keeps_what_holds_when_the_new_does_not(void **state)
{
    static const char *const broken[] = {
        "",                                   /* in the middle of a write */
        "basic_auth_users:\n",                /* the same */
        "basic_auth_users:\n  a: $2y$04$abc", /* the same */
        USER_B "unknown: 1\n",                /* a mistake */
        USER_B "tls_server_config:\n  cert_file: c.pem\n  key_file: k.pem\n",
    };
    (void)state;
    open_web(USER_A);
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        write_in_place(broken[i]);
        assert_int_equal(user_now(), 'a');
        assert_int_equal(user_now(), 'a');
    }
    assert_true(
        metrics_have("blockhouse_http_config_reloads_total{result=\"failed\"} 5"));
    assert_true(metrics_have("blockhouse_http_config_last_reload_successful 0"));
    replace(USER_B);
    assert_int_equal(user_now(), 'b');
    assert_true(metrics_have("blockhouse_http_config_last_reload_successful 1"));
}

/* The file may be half of what it is to be. */
static void
lets_a_file_rest_before_it_is_read(void **state)
{
    struct stat st;
    (void)state;
    open_web(USER_A);
    write_in_place(USER_B);
    assert_int_equal(user_now(), 'b');
    assert_int_equal(stat(path, &st), 0);
    int64_t written_ns = st.st_mtim.tv_sec * CLOCK_NS_PER_S + st.st_mtim.tv_nsec;
    assert_true(clock_wall_ns() - written_ns >= 45 * CLOCK_NS_PER_MS);
}

static void
reads_again_what_it_could_not_open(void **state)
{
    struct rlimit limit;
    (void)state;
    open_web(USER_A);
    replace(USER_B);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    char name = user_now();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(name, 'a');
    int64_t deadline_ns = clock_deadline(20 * CLOCK_NS_PER_S);
    while (user_now() == 'a' && clock_left_ns(deadline_ns) > 0)
        ;
    assert_int_equal(user_now(), 'b');
    assert_true(metrics_have("blockhouse_http_config_last_reload_successful 1"));
}

static void
outlives_its_file(void **state)
{
    (void)state;
    open_web(USER_A);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(user_now(), 'a');
    replace(USER_B);
    assert_int_equal(user_now(), 'b');
}

static void
lets_an_old_state_live_as_long_as_it_is_used(void **state)
{
    (void)state;
    open_web(USER_A);
    struct net_web_state *old = net_web_acquire(web);
    replace(USER_B);
    assert_int_equal(user_now(), 'b');
    assert_string_equal(old->config.users->keys[0], "a");
    net_web_release(web, &old);
}

static void
names_file_and_line_of_what_is_wrong(void **state)
{
    struct err err;
    (void)state;
    assert_false(net_web_open(&web, path, metrics, &err));
    assert_non_null(strstr(err.text, path));
    metrics_registry_free(&metrics);
    metrics = metrics_registry_new();
    replace("\nbasic: 1\n");
    assert_false(net_web_open(&web, path, metrics, &err));
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "line 2: unknown key \"basic\""));
}

static atomic_bool ended;

static void *
ask_all_the_time(void *arg)
{
    (void)arg;
    while (!atomic_load(&ended))
        assert_int_not_equal(user_now(), '-');
    return NULL;
}

static void
is_never_without_users_while_threads_ask(void **state)
{
    pthread_t threads[4];
    (void)state;
    open_web(USER_A);
    atomic_store(&ended, false);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_all_the_time, NULL), 0);
    for (int i = 0; i < 20; i++) {
        write_in_place(i % 2 == 0 ? USER_B : USER_A);
        assert_int_equal(user_now(), i % 2 == 0 ? 'b' : 'a');
        write_in_place("");
    }
    atomic_store(&ended, true);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(follows_its_file_at_once),
        TEST(sees_a_change_that_keeps_size_and_time),
        TEST(keeps_what_holds_when_the_new_does_not),
        TEST(lets_a_file_rest_before_it_is_read),
        TEST(reads_again_what_it_could_not_open),
        TEST(outlives_its_file),
        TEST(lets_an_old_state_live_as_long_as_it_is_used),
        TEST(names_file_and_line_of_what_is_wrong),
        TEST(is_never_without_users_while_threads_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
