/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "sidecar/reloader_files.h"
#include "tests/support/expect.h"

/* Far above what any step takes: a wait that lasts this long has not noticed. */
#define LONG_NS (20 * CLOCK_NS_PER_S)
#define SHORT_NS (CLOCK_NS_PER_S / 20)

struct digest {
    uint8_t at[DIGEST_SHA256_SIZE];
};

struct world {
    char root[40];
    struct metrics_registry *registry;
    struct sidecar_reloader_metrics metrics;
    struct sidecar_reloader_watch *watch;
};

static void
folder(const struct world *w, const char *name)
{
    struct err err;
    CLEANUP(xfree) char *path = xasprintf("%s/%s", w->root, name);
    expect_ok(file_mkdirs(path, &err), err);
}

static void
file(const struct world *w, const char *name, const char *content)
{
    CLEANUP(xfree) char *path = xasprintf("%s/%s", w->root, name);
    FILE *to = fopen(path, "w");
    assert_non_null(to);
    assert_true(fputs(content, to) >= 0);
    assert_int_equal(fclose(to), 0);
}

static void
link_to(const struct world *w, const char *target, const char *name)
{
    CLEANUP(xfree) char *path = xasprintf("%s/%s", w->root, name);
    CLEANUP(xfree) char *tmp = xasprintf("%s_tmp", path);
    assert_int_equal(symlink(target, tmp), 0);
    assert_int_equal(rename(tmp, path), 0);
}

static void
gone(const struct world *w, const char *name)
{
    struct err err;
    CLEANUP(xfree) char *path = xasprintf("%s/%s", w->root, name);
    expect_ok(file_remove_tree(path, &err), err);
}

static int
setup(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    /* Thousands of folders are no work for memory. */
    snprintf(w->root, sizeof w->root, "%s/blockhouse-files-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(w->root));
    w->registry = metrics_registry_new();
    sidecar_reloader_metrics_init(&w->metrics, w->registry, "http");
    w->watch = sidecar_reloader_watch_new(&w->metrics, "/elsewhere/out.yml");
    folder(w, "rules");
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct err err;
    struct world *w = *state;
    sidecar_reloader_watch_free(&w->watch);
    metrics_registry_free(&w->registry);
    assert_true(file_remove_tree(w->root, &err));
    free(w);
    return 0;
}

static bool
look(struct world *w, struct digest *found, struct err *err)
{
    CLEANUP(digest_stream_free)
    struct digest_stream *digest = digest_stream_new(DIGEST_SHA256);
    CLEANUP(xfree) char *rules = xasprintf("%s/rules", w->root);
    sidecar_reloader_watch_begin(w->watch);
    bool ok = sidecar_reloader_files_walk(w->watch, rules, digest, err);
    sidecar_reloader_watch_end(w->watch, ok);
    if (ok)
        digest_stream_finish(&digest, found->at);
    return ok;
}

static struct digest
now(struct world *w)
{
    struct digest found;
    struct err err;
    expect_ok(look(w, &found, &err), err);
    return found;
}

static bool
is_same(struct digest a, struct digest b)
{
    return memcmp(a.at, b.at, sizeof a.at) == 0;
}

static bool
is_noticed(struct world *w, int64_t limit_ns)
{
    return sidecar_reloader_watch_wait(w->watch, NULL, clock_deadline(limit_ns));
}

static void
sees_names_and_contents(void **state)
{
    struct world *w = *state;
    struct digest empty = now(w);
    file(w, "rules/a.yml", "1");
    struct digest one = now(w);
    assert_false(is_same(empty, one));
    assert_true(is_same(one, now(w)));
    file(w, "rules/a.yml", "2");
    assert_false(is_same(one, now(w)));
    gone(w, "rules/a.yml");
    file(w, "rules/b.yml", "1");
    assert_false(is_same(one, now(w)));
    gone(w, "rules/b.yml");
    assert_true(is_same(empty, now(w)));
}

static void
looks_into_folders_and_links(void **state)
{
    struct world *w = *state;
    folder(w, "rules/team/deep");
    folder(w, "elsewhere");
    file(w, "rules/team/deep/a.yml", "1");
    file(w, "elsewhere/b.yml", "1");
    link_to(w, "../elsewhere", "rules/linked");
    struct digest first = now(w);
    file(w, "rules/team/deep/a.yml", "2");
    struct digest second = now(w);
    file(w, "elsewhere/b.yml", "2");
    struct digest third = now(w);
    assert_false(is_same(first, second));
    assert_false(is_same(second, third));
    assert_int_equal(metrics_get(w->metrics.watches), 4);
}

static void
survives_loops_fifos_and_dangling_links(void **state)
{
    struct world *w = *state;
    CLEANUP(xfree) char *fifo = xasprintf("%s/rules/fifo", w->root);
    folder(w, "rules/x");
    struct digest before = now(w);
    link_to(w, "..", "rules/x/up");
    link_to(w, ".", "rules/x/self");
    link_to(w, "nowhere", "rules/dangling");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_true(is_same(before, now(w)));
}

static void
tells_a_missing_folder(void **state)
{
    struct world *w = *state;
    struct digest unused;
    struct err err;
    gone(w, "rules");
    expect_fails(look(w, &unused, &err), err, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/rules"));
    folder(w, "rules");
    assert_true(is_noticed(w, LONG_NS));
}

static void
refuses_a_folder_without_end(void **state)
{
    enum { TOO_MANY = 2001 };
    struct world *w = *state;
    struct digest unused;
    struct err err;
    for (int i = 0; i < TOO_MANY; i++) {
        CLEANUP(xfree) char *path = xasprintf("%s/rules/%d", w->root, i);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    expect_fails(look(w, &unused, &err), err, ERR_INVALID);
    assert_non_null(strstr(err.text, "2000 directories"));
}

/* As the kubelet does it: a link is replaced, the files behind it never change. */
static void
notices_a_swapped_config_map(void **state)
{
    struct world *w = *state;
    folder(w, "rules/..1");
    file(w, "rules/..1/a.yml", "1");
    link_to(w, "..1", "rules/..data");
    link_to(w, "..data/a.yml", "rules/a.yml");
    struct digest first = now(w);
    assert_false(is_noticed(w, SHORT_NS));
    folder(w, "rules/..2");
    file(w, "rules/..2/a.yml", "1");
    assert_true(is_noticed(w, LONG_NS));
    link_to(w, "..2", "rules/..data");
    assert_true(is_noticed(w, LONG_NS));
    assert_true(is_same(first, now(w)));
    file(w, "rules/..2/a.yml", "2");
    assert_false(is_same(first, now(w)));
}

static void
notices_what_happens_in_new_folders(void **state)
{
    struct world *w = *state;
    now(w);
    folder(w, "rules/team");
    assert_true(is_noticed(w, LONG_NS));
    now(w);
    assert_false(is_noticed(w, SHORT_NS));
    file(w, "rules/team/a.yml", "1");
    assert_true(is_noticed(w, LONG_NS));
    assert_int_equal(metrics_get(w->metrics.watches), 2);
    gone(w, "rules/team");
    assert_true(is_noticed(w, LONG_NS));
    now(w);
    assert_int_equal(metrics_get(w->metrics.watches), 1);
    assert_int_equal(metrics_get(w->metrics.watch_errors), 0);
}

static void
lets_go_of_what_a_pass_does_not_name(void **state)
{
    struct world *w = *state;
    folder(w, "rules/team");
    now(w);
    CLEANUP(xfree) char *rules = xasprintf("%s/rules", w->root);
    sidecar_reloader_watch_begin(w->watch);
    sidecar_reloader_watch_add(w->watch, rules);
    sidecar_reloader_watch_end(w->watch, false);
    assert_int_equal(metrics_get(w->metrics.watches), 2);
    sidecar_reloader_watch_begin(w->watch);
    sidecar_reloader_watch_add(w->watch, rules);
    sidecar_reloader_watch_end(w->watch, true);
    assert_int_equal(metrics_get(w->metrics.watches), 1);
    file(w, "rules/team/a.yml", "1");
    assert_false(is_noticed(w, SHORT_NS));
}

static void
notices_a_file_behind_a_link(void **state)
{
    struct world *w = *state;
    folder(w, "named");
    folder(w, "real");
    file(w, "real/p.yml", "1");
    link_to(w, "../real/p.yml", "named/p.yml");
    CLEANUP(xfree) char *path = xasprintf("%s/named/p.yml", w->root);
    sidecar_reloader_watch_begin(w->watch);
    sidecar_reloader_files_watch(w->watch, path);
    sidecar_reloader_watch_end(w->watch, true);
    file(w, "real/p.yml", "2");
    assert_true(is_noticed(w, LONG_NS));
    link_to(w, "../real/q.yml", "named/p.yml");
    assert_true(is_noticed(w, LONG_NS));
    CLEANUP(xfree) char *outside = xasprintf("%s/rules/p.yml", w->root);
    file(w, "rules/p.yml", "3");
    assert_int_equal(rename(outside, path), 0);
    assert_true(is_noticed(w, LONG_NS));
}

static void *
raise_it(void *arg)
{
    cancel_raise(arg);
    return NULL;
}

static void
is_ended_by_a_cancel(void **state)
{
    struct world *w = *state;
    struct cancel cancel = {0};
    pthread_t thread;
    now(w);
    assert_int_equal(pthread_create(&thread, NULL, raise_it, &cancel), 0);
    int64_t deadline_ns = clock_deadline(LONG_NS);
    assert_false(sidecar_reloader_watch_wait(w->watch, &cancel, deadline_ns));
    assert_true(clock_left_ns(deadline_ns) > 0);
    pthread_join(thread, NULL);
    cancel_fini(&cancel);
}

/* Neither when the output could be written nor when it could not. */
static void
does_not_wake_for_what_it_writes(void **state)
{
    struct world *w = *state;
    struct err err;
    CLEANUP(xfree) char *path = xasprintf("%s/rules/out.yml", w->root);
    folder(w, "rules/out.yml/occupied");
    now(w);
    for (int i = 0; i < 3; i++)
        expect_fails(file_replace(path, BYTES("global:\n"), &err), err, ERR_IO);
    assert_false(is_noticed(w, SHORT_NS));
    gone(w, "rules/out.yml");
    assert_true(is_noticed(w, LONG_NS));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(sees_names_and_contents),
        CASE(looks_into_folders_and_links),
        CASE(survives_loops_fifos_and_dangling_links),
        CASE(tells_a_missing_folder),
        CASE(refuses_a_folder_without_end),
        CASE(notices_a_swapped_config_map),
        CASE(notices_what_happens_in_new_folders),
        CASE(lets_go_of_what_a_pass_does_not_name),
        CASE(notices_a_file_behind_a_link),
        CASE(is_ended_by_a_cancel),
        CASE(does_not_wake_for_what_it_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
