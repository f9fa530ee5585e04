/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/meta.h"
#include "sidecar/block_note.h"
#include "sidecar/flush.h"
#include "tests/unit/sidecar/fake_prometheus.h"
#include "tests/unit/sidecar/fixture.h"

#define NAME "20261125T103911Z-0123456789abcdef"

enum { FIRST, SECOND, HEAD, HEADS };

struct world {
    struct fixture *f;
    struct fake_prometheus prometheus;
    struct sidecar_prom_client *client;
    char *snapshot;
    unsigned heads; /* blocks that only the snapshot has */
};

/* As Prometheus: links to the blocks that there are, and the head as another one. */
static void
make_snapshot(void *arg)
{
    struct world *w = arg;
    struct err err;
    assert_true(file_mkdirs(w->snapshot, &err));
    fixture_block(w->snapshot, FIRST, 1);
    fixture_block(w->snapshot, SECOND, 1);
    for (unsigned i = 0; i < w->heads; i++)
        fixture_block(w->snapshot, HEAD + i, 1);
}

static int
setup(void **state)
{
    struct err err;
    void *fixture;
    struct world *w = xcalloc(1, sizeof *w);
    fixture_setup(&fixture);
    w->f = fixture;
    w->heads = 1;
    w->snapshot = xasprintf("%s/snapshots/" NAME, w->f->tsdb);
    fake_prometheus_start(&w->prometheus);
    w->prometheus.snapshot = make_snapshot;
    w->prometheus.snapshot_arg = w;
    fake_prometheus_say_snapshot(&w->prometheus, 200, FAKE_SNAPSHOT(NAME));
    assert_true(sidecar_prom_client_new(&w->client, w->prometheus.url,
                                        (struct bytes){0}, &err));
    fixture_block(w->f->tsdb, FIRST, 1);
    fixture_block(w->f->tsdb, SECOND, 1);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    void *fixture = w->f;
    sidecar_prom_client_free(&w->client);
    fake_prometheus_stop(&w->prometheus);
    free(w->snapshot);
    free(w);
    return fixture_teardown(&fixture);
}

static struct sidecar_flush
how_to(struct world *w)
{
    return (struct sidecar_flush){
        .tsdb_path = w->f->tsdb,
        .pins = w->f->pins,
        .client = w->client,
        .labels = fixture_labels,
        .deadline_ns = clock_deadline(20 * CLOCK_NS_PER_S),
    };
}

static bool
flush(struct world *w, struct tsdb_ulid *id, bool *pinned, struct err *err)
{
    struct sidecar_flush how = how_to(w);
    return sidecar_flush_pin_head(&how, id, pinned, err);
}

static bool
is_there(const struct world *w, const char *rel_path)
{
    CLEANUP(xfree) char *path = xasprintf("%s/%s", w->f->tsdb, rel_path);
    return file_exists(path);
}

static void
write_file(const struct world *w, const char *rel_path, const char *text)
{
    CLEANUP(xfree) char *path = xasprintf("%s/%s", w->f->tsdb, rel_path);
    fixture_write(path, text);
}

static void
pins_only_the_head_and_removes_the_snapshot(void **state)
{
    struct world *w = *state;
    struct err err;
    struct tsdb_ulid id, head = fixture_id(HEAD), first = fixture_id(FIRST);
    bool pinned;
    CLEANUP(xfree) char *other = xasprintf("%s/snapshots/other", w->f->tsdb);
    assert_true(file_mkdirs(other, &err));
    if (!flush(w, &id, &pinned, &err))
        fail_msg("%s", err.text);
    assert_true(pinned);
    assert_int_equal(tsdb_ulid_cmp(&id, &head), 0);
    assert_true(fixture_has(w->f->pins, &head, "meta.json"));
    assert_true(fixture_has(w->f->pins, &head, "index"));
    assert_false(fixture_has(w->f->pins, &first, ""));
    assert_false(is_there(w, "snapshots/" NAME));
    assert_true(is_there(w, "snapshots/other"));
    assert_false(is_there(w, "thanos/flush.json"));
    assert_true(is_there(w, "thanos/flushed.json"));
    assert_true(fixture_has(w->f->tsdb, &first, "index"));
    CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels labels = {0};
    assert_true(sidecar_block_note_read(w->f->pins, &head, &labels, NULL, &err));
    assert_int_equal(tsdb_labels_cmp(labels.set, fixture_labels), 0);
}

static void
marks_the_pin(void **state)
{
    struct world *w = *state;
    struct err err;
    struct tsdb_ulid id;
    bool pinned;
    assert_true(flush(w, &id, &pinned, &err));
    CLEANUP(xfree) char *path = fixture_path(w->f->pins, &id, "no-compact-mark.json");
    CLEANUP(buf_fini) struct buf mark = fixture_read(path);
    CLEANUP(xfree)
    char *begin = xasprintf("{\"id\":\"%s\",\"version\":1,\"details\":\"",
                            tsdb_ulid_print(&id).text);
    assert_int_equal(strncmp(buf_text(&mark), begin, strlen(begin)), 0);
    assert_non_null(strstr(buf_text(&mark), ",\"no_compact_time\":1"));
    assert_non_null(strstr(buf_text(&mark), ",\"reason\":\"manual\"}"));
}

static void
pins_nothing_of_an_empty_head(void **state)
{
    struct world *w = *state;
    struct err err;
    struct tsdb_ulid id;
    bool pinned = true;
    w->heads = 0;
    assert_true(flush(w, &id, &pinned, &err));
    assert_false(pinned);
    assert_false(is_there(w, "snapshots/" NAME));
    assert_false(is_there(w, "thanos/flush.json"));
}

static void
does_not_guess_which_is_the_head(void **state)
{
    struct world *w = *state;
    struct err err;
    struct tsdb_ulid id, head = fixture_id(HEAD);
    bool pinned;
    w->heads = 2;
    assert_false(flush(w, &id, &pinned, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(fixture_has(w->f->pins, &head, ""));
    assert_false(is_there(w, "snapshots/" NAME));
}

static void
asks_for_nothing_without_labels(void **state)
{
    struct world *w = *state;
    struct err err;
    struct tsdb_ulid id;
    bool pinned;
    struct sidecar_flush how = how_to(w);
    how.labels = (struct tsdb_labels){0};
    assert_false(sidecar_flush_pin_head(&how, &id, &pinned, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_non_null(strstr(err.text, "external labels"));
    assert_false(is_there(w, "snapshots"));
}

static void
leaves_nothing_when_it_is_refused(void **state)
{
    struct world *w = *state;
    struct err err;
    struct tsdb_ulid id;
    bool pinned;
    w->prometheus.snapshot = NULL;
    fake_prometheus_say_snapshot(&w->prometheus, 503, FAKE_NO_ADMIN_API);
    assert_false(flush(w, &id, &pinned, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_false(is_there(w, "thanos/flush.json"));
}

/* It cannot know what Prometheus has done: the next start looks. */
static void
leaves_its_announcement_when_the_answer_is_lost(void **state)
{
    struct world *w = *state;
    struct err err;
    struct tsdb_ulid id;
    bool pinned;
    fake_prometheus_say_snapshot(&w->prometheus, 500, "");
    assert_false(flush(w, &id, &pinned, &err));
    assert_true(is_there(w, "thanos/flush.json"));
    assert_true(sidecar_flush_clean_up(w->f->tsdb, &err));
    assert_false(is_there(w, "thanos/flush.json"));
    assert_true(is_there(w, "snapshots/" NAME));
}

static void
follows_no_link(void **state)
{
    struct world *w = *state;
    struct err err;
    struct tsdb_ulid id;
    bool pinned;
    CLEANUP(xfree) char *elsewhere = xasprintf("%s/elsewhere", w->f->root);
    CLEANUP(xfree) char *inside = xasprintf("%s/" NAME, elsewhere);
    CLEANUP(xfree) char *snapshots = xasprintf("%s/snapshots", w->f->tsdb);
    assert_true(file_mkdirs(elsewhere, &err));
    assert_int_equal(symlink(elsewhere, snapshots), 0);
    assert_true(flush(w, &id, &pinned, &err));
    assert_true(file_exists(inside));
    assert_true(is_there(w, "thanos/flush.json"));
    assert_false(sidecar_flush_clean_up(w->f->tsdb, &err));
    assert_true(file_exists(inside));
}

static void
removes_what_a_killed_run_has_left(void **state)
{
    struct world *w = *state;
    struct err err;
    make_snapshot(w);
    write_file(w, "thanos/flush.json",
               "{\"version\":1,\"asked\":\"20261125T103911Z\",\"snapshot\":\"" NAME
               "\"}");
    assert_true(sidecar_flush_clean_up(w->f->tsdb, &err));
    assert_false(is_there(w, "snapshots/" NAME));
    assert_false(is_there(w, "thanos/flush.json"));
    assert_true(sidecar_flush_clean_up(w->f->tsdb, &err));
}

/* Nothing that it was not told the name of is removed, whatever the file says. */
static void
removes_nothing_that_a_broken_announcement_names(void **state)
{
    struct world *w = *state;
    static const char *const broken[] = {
        "",
        "{",
        "[]",
        "{\"version\":1,\"snapshot\":\"" NAME "\"}",
        "{\"version\":1,\"asked\":\"2\",\"snapshot\":\"..\"}",
        "{\"version\":1,\"asked\":\"2\",\"snapshot\":\"\"}",
        "{\"version\":1,\"asked\":\"2\",\"snapshot\":\"../snapshots/" NAME "\"}",
        "{\"version\":1,\"asked\":\"2\"}",
    };
    make_snapshot(w);
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct err err;
        write_file(w, "thanos/flush.json", broken[i]);
        if (!sidecar_flush_clean_up(w->f->tsdb, &err))
            fail_msg("%s: %s", broken[i], err.text);
        assert_true(is_there(w, "snapshots/" NAME));
        assert_false(is_there(w, "thanos/flush.json"));
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(pins_only_the_head_and_removes_the_snapshot),
        CASE(marks_the_pin),
        CASE(pins_nothing_of_an_empty_head),
        CASE(does_not_guess_which_is_the_head),
        CASE(asks_for_nothing_without_labels),
        CASE(leaves_nothing_when_it_is_refused),
        CASE(leaves_its_announcement_when_the_answer_is_lost),
        CASE(follows_no_link),
        CASE(removes_what_a_killed_run_has_left),
        CASE(removes_nothing_that_a_broken_announcement_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
