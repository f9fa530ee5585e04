/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "sidecar/block_note.h"
#include "sidecar/flushed.h"
#include "tests/unit/sidecar/fixture.h"

/* The n-th block, of the hours from begin to end; a regular one. */
static struct sidecar_block
block(unsigned n, int64_t begin, int64_t end)
{
    return (struct sidecar_block){.id = fixture_id(n),
                                  .mint_ms = begin * 3600 * 1000,
                                  .maxt_ms = end * 3600 * 1000,
                                  .level = 1,
                                  .is_regular = true};
}

static void
flush(struct fixture *f, const struct sidecar_block *b)
{
    struct err err;
    if (!sidecar_flushed_add(f->tsdb, f->pins, b, fixture_labels, &err))
        fail_msg("%s", err.text);
}

static void
find(struct fixture *f, const struct sidecar_block *b)
{
    struct err err;
    if (!sidecar_flushed_inherit(f->tsdb, f->pins, b, fixture_labels, &err))
        fail_msg("%s", err.text);
}

/* The blocks that one replaces are those of numbers, which -1 ends. */
static void
assert_replaces(struct fixture *f, const struct sidecar_block *b, const int *numbers)
{
    struct err err;
    CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels labels = {0};
    CLEANUP(sidecar_block_ids_fini) struct sidecar_block_ids ids = {0};
    if (!sidecar_block_note_read(f->pins, &b->id, &labels, &ids, &err))
        fail_msg("%s", err.text);
    assert_int_equal(tsdb_labels_cmp(labels.set, fixture_labels), 0);
    size_t count = 0;
    for (; numbers[count] >= 0; count++) {
        struct tsdb_ulid id = fixture_id((unsigned)numbers[count]);
        assert_true(count < ids.count);
        assert_int_equal(tsdb_ulid_cmp(&ids.at[count], &id), 0);
    }
    assert_int_equal(ids.count, count);
}

#define ASSERT_REPLACES(f, b, ...) \
    assert_replaces(f, b, (const int[]){__VA_ARGS__ __VA_OPT__(, ) - 1})

static bool
remembers(const struct fixture *f)
{
    CLEANUP(xfree) char *path = xasprintf("%s/thanos/flushed.json", f->tsdb);
    return file_exists(path);
}

static void
is_replaced_by_the_block_that_follows(void **state)
{
    struct fixture *f = *state;
    const struct sidecar_block head = block(1, 10, 13), heir = block(2, 10, 12),
                               next = block(3, 12, 14);
    flush(f, &head);
    ASSERT_REPLACES(f, &head);
    find(f, &heir);
    ASSERT_REPLACES(f, &heir, 1);
    assert_false(remembers(f));
    find(f, &next);
    ASSERT_REPLACES(f, &next);
}

/* Prometheus may be restarted again and again before it cuts a block. */
static void
is_replaced_by_the_next_flush(void **state)
{
    struct fixture *f = *state;
    const struct sidecar_block first = block(1, 10, 11), second = block(2, 10, 12),
                               heir = block(3, 10, 12);
    flush(f, &first);
    flush(f, &second);
    ASSERT_REPLACES(f, &second, 1);
    find(f, &heir);
    ASSERT_REPLACES(f, &heir, 1, 2);
    assert_false(remembers(f));
}

static void
is_not_replaced_by_what_does_not_hold_its_samples(void **state)
{
    struct fixture *f = *state;
    const struct sidecar_block head = block(5, 10, 12);
    struct sidecar_block others[] = {block(6, 10, 12), block(7, 8, 10),
                                     block(4, 10, 12), block(8, 6, 8)};
    others[0].is_regular = false; /* the next is before, the third older */
    flush(f, &head);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        find(f, &others[i]);
        ASSERT_REPLACES(f, &others[i]);
        assert_true(remembers(f));
    }
}

static void
is_forgotten_when_time_goes_on_without_it(void **state)
{
    struct fixture *f = *state;
    const struct sidecar_block head = block(1, 10, 12), later = block(2, 12, 14);
    flush(f, &head);
    find(f, &later);
    ASSERT_REPLACES(f, &later);
    assert_false(remembers(f));
}

/* Cut or changed anywhere, the list is one of fewer blocks, or none. */
static void
takes_a_broken_list_for_none(void **state)
{
    struct fixture *f = *state;
    const struct sidecar_block head = block(1, 10, 12), heir = block(2, 10, 12);
    CLEANUP(xfree) char *path = xasprintf("%s/thanos/flushed.json", f->tsdb);
    flush(f, &head);
    CLEANUP(buf_fini) struct buf whole = fixture_read(path);
    for (size_t len = 0; len < whole.len; len++) {
        CLEANUP(xfree) char *cut = xasprintf("%.*s", (int)len, (const char *)whole.at);
        fixture_write(path, cut);
        find(f, &heir);
        ASSERT_REPLACES(f, &heir);
    }
    static const char *const broken[] = {
        "[]",
        "{\"version\":2,\"blocks\":[]}",
        "{\"version\":1}",
        "{\"version\":1,\"blocks\":[7]}",
        "{\"version\":1,\"blocks\":[{\"ulid\":\"x\",\"minTime\":0,\"maxTime\":0}]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        fixture_write(path, broken[i]);
        find(f, &heir);
        ASSERT_REPLACES(f, &heir);
    }
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(is_replaced_by_the_block_that_follows),
        CASE(is_replaced_by_the_next_flush),
        CASE(is_not_replaced_by_what_does_not_hold_its_samples),
        CASE(is_forgotten_when_time_goes_on_without_it),
        CASE(takes_a_broken_list_for_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
