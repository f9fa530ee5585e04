/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <crypt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/compiler.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/net/web_password.h"

static struct net_web_password *passwords;
static struct yaml *users;

static void
put_user(struct buf *yaml, const char *name, const char *password, const char *setting)
{
    CLEANUP(xfree) struct crypt_data *scratch = xcalloc(1, sizeof *scratch);
    buf_printf(yaml, "%s: %s\n", name, crypt_r(password, setting, scratch));
}

static int
set_up(void **state)
{
    CLEANUP(buf_fini) struct buf yaml = {0};
    struct err err;
    (void)state;
    put_user(&yaml, "quick", "for:quick", "$2b$04$......................");
    put_user(&yaml, "slow", "for slow", "$2y$06$......................");
    assert_true(yaml_parse(buf_bytes(&yaml), 10000, &users, &err));
    assert_true(net_web_password_new(&passwords, &err));
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    clock_unfreeze();
    net_web_password_free(&passwords);
    yaml_tree_free(&users);
    return 0;
}

static enum net_web_verdict
verdict_on(struct bytes login)
{
    char header[400] = "Basic ";
    digest_base64(login, header + strlen(header));
    return net_web_password_check(passwords, users, header);
}

static bool
check_bytes(struct bytes login)
{
    return verdict_on(login) == NET_WEB_ADMITTED;
}

static bool
check(const char *login)
{
    return check_bytes(bytes_of_str(login));
}

static unsigned
slow_steps(const char *login)
{
    unsigned before = net_web_password_slow_count(passwords);
    (void)check(login);
    return net_web_password_slow_count(passwords) - before;
}

static void
admits_the_right_ones(void **state)
{
    (void)state;
    assert_true(check("quick:for:quick"));
    assert_true(check("slow:for slow"));
    assert_false(check("quick:for slow"));
    assert_false(check("nobody:for slow"));
    assert_false(check("quick:"));
    assert_false(check(":"));
    assert_false(check("slowfor slow"));
    assert_false(check_bytes(BYTES("slow:for slow\0 and more")));
    assert_false(check_bytes(BYTES("slow\0:for slow")));
}

static void
remembers_what_was_right(void **state)
{
    (void)state;
    assert_int_equal(slow_steps("slow:for slow"), 1);
    assert_int_equal(slow_steps("slow:for slow"), 0);
    assert_true(check("slow:for slow"));
    assert_false(check("slow:for slo"));
    assert_false(check("quick:for slow"));
}

static void
forgets_who_does_not_come_for_a_while(void **state)
{
    (void)state;
    clock_freeze(1000 * CLOCK_NS_PER_S, 0);
    assert_int_equal(slow_steps("slow:for slow"), 1);
    clock_freeze(1599 * CLOCK_NS_PER_S, 0);
    assert_int_equal(slow_steps("slow:for slow"), 0);
    clock_freeze(2198 * CLOCK_NS_PER_S, 0);
    assert_int_equal(slow_steps("slow:for slow"), 0);
    clock_freeze(2799 * CLOCK_NS_PER_S, 0);
    assert_int_equal(slow_steps("slow:for slow"), 1);
}

static void
forgets_a_password_whose_hash_has_changed(void **state)
{
    (void)state;
    assert_true(check("slow:for slow"));
    users->children[1].text[20] ^= 1;
    assert_false(check("slow:for slow"));
}

/* Cost 4, then 4 and 5, are as much as cost 6. */
static void
takes_the_same_for_whoever_fails(void **state)
{
    (void)state;
    assert_int_equal(slow_steps("slow:wrong"), 1);
    assert_int_equal(slow_steps("nobody:wrong"), 1);
    assert_int_equal(slow_steps("quick:wrong"), 3);
    assert_int_equal(slow_steps("quick:wrong"), 3);
}

static void
refuses_what_is_no_login(void **state)
{
    static const char *const headers[] = {NULL,          "",
                                          "Basic",       "Basic ",
                                          "Basic =",     "Basic ==",
                                          "Basic a",     "Basic ab",
                                          "Bearer cXVp", "Basic cXVpY2s6===",
                                          "Basic !!!!",  "Basic cXVp Y2s6Zm9y",
                                          "Basic ====",  "Basic a=bc"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        assert_int_equal(net_web_password_check(passwords, users, headers[i]),
                         NET_WEB_REFUSED);
    assert_int_equal(net_web_password_slow_count(passwords), 0);
}

static void
refuses_a_login_beyond_its_room(void **state)
{
    CLEANUP(buf_fini) struct buf header = {0};
    (void)state;
    buf_put_str(&header, "Basic ");
    for (size_t i = 0; i < 1000; i++)
        buf_put_str(&header, "Ojo6");
    assert_int_equal(net_web_password_check(passwords, users, buf_text(&header)),
                     NET_WEB_REFUSED);
}

static void
begins_nothing_once_it_is_stopped(void **state)
{
    (void)state;
    assert_true(check("slow:for slow"));
    net_web_password_stop(passwords);
    unsigned before = net_web_password_slow_count(passwords);
    assert_int_equal(verdict_on(BYTES("slow:guessed")), NET_WEB_BUSY);
    assert_int_equal(verdict_on(BYTES("quick:for:quick")), NET_WEB_BUSY);
    assert_int_equal(verdict_on(BYTES("slow:for slow")), NET_WEB_ADMITTED);
    assert_int_equal(net_web_password_slow_count(passwords), before);
}

static atomic_bool ended;
static atomic_uint busy;

static void *
guess_all_the_time(void *arg)
{
    (void)arg;
    while (!atomic_load(&ended)) {
        enum net_web_verdict verdict = verdict_on(BYTES("slow:guessed"));
        assert_int_not_equal(verdict, NET_WEB_ADMITTED);
        if (verdict == NET_WEB_BUSY)
            atomic_fetch_add(&busy, 1);
    }
    return NULL;
}

/* However many guess, few of them wait, and nobody for them who is known. */
static void
does_not_let_many_wait(void **state)
{
    pthread_t threads[NET_WEB_PASSWORD_WAITING_MAX + 10];
    int64_t deadline_ns = clock_deadline(60 * CLOCK_NS_PER_S);
    (void)state;
    assert_true(check("slow:for slow"));
    atomic_store(&ended, false);
    atomic_store(&busy, 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, guess_all_the_time, NULL),
                         0);
    while (atomic_load(&busy) == 0 && clock_left_ns(deadline_ns) > 0)
        assert_true(check("slow:for slow"));
    atomic_store(&ended, true);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_not_equal(atomic_load(&busy), 0);
    assert_int_equal(verdict_on(BYTES("slow:guessed")), NET_WEB_REFUSED);
    assert_true(check("quick:for:quick"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(admits_the_right_ones),
        TEST(remembers_what_was_right),
        TEST(forgets_who_does_not_come_for_a_while),
        TEST(forgets_a_password_whose_hash_has_changed),
        TEST(takes_the_same_for_whoever_fails),
        TEST(refuses_what_is_no_login),
        TEST(refuses_a_login_beyond_its_room),
        TEST(begins_nothing_once_it_is_stopped),
        TEST(does_not_let_many_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
