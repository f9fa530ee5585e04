/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "sidecar/block_note.h"
#include "tests/unit/sidecar/fixture.h"

static bool
has(const struct fixture *f, const char *name)
{
    CLEANUP(xfree) char *path = xasprintf("%s/%s", f->pins, name);
    return file_exists(path);
}

static void
put(const struct fixture *f, const char *name, const char *text)
{
    CLEANUP(xfree) char *path = xasprintf("%s/%s", f->pins, name);
    fixture_write(path, text);
}

static void
reads_what_it_wrote(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_id(1);
    static const struct tsdb_label odd[] = {
        {BYTES("cluster"), BYTES("a \"b\" \\ \n \xc3\xa4")},
        {BYTES("empty"), BYTES("")},
    };
    CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels read = {0};
    assert_true(sidecar_block_note_write(f->pins, &id, (struct tsdb_labels){odd, 2},
                                         NULL, &err));
    assert_true(sidecar_block_note_read(f->pins, &id, &read, NULL, &err));
    assert_int_equal(tsdb_labels_cmp(read.set, (struct tsdb_labels){odd, 2}), 0);
}

static void
remembers_what_the_block_replaces(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_id(3), replaced[] = {fixture_id(1), fixture_id(2)};
    const struct sidecar_block_ids wanted = {.count = 2, .at = replaced};
    CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels read = {0};
    CLEANUP(sidecar_block_ids_fini) struct sidecar_block_ids ids = {0};
    assert_true(sidecar_block_note_write(f->pins, &id, fixture_labels, &wanted, &err));
    assert_true(sidecar_block_note_read(f->pins, &id, &read, &ids, &err));
    assert_int_equal(ids.count, 2);
    for (size_t i = 0; i < ids.count; i++)
        assert_int_equal(tsdb_ulid_cmp(&ids.at[i], &replaced[i]), 0);
}

static void
tells_a_missing_note_from_a_broken_one(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_id(1);
    struct sidecar_ext_labels read = {0};
    static const char *const broken[] = {
        "",
        "[]",
        "{\"version\":2,\"labels\":{\"a\":\"b\"}}",
        "{\"labels\":{\"a\":\"b\"}}",
        "{\"version\":1}",
        "{\"version\":1,\"labels\":{}}",
        "{\"version\":1,\"labels\":[\"a\"]}",
        "{\"version\":1,\"labels\":{\"a\":1}}",
        "{\"version\":1,\"labels\":{\"\":\"b\"}}",
        "{\"version\":1,\"labels\":{\"a\":\"b\"},\"replaces\":[7]}",
        "{\"version\":1,\"labels\":{\"a\":\"b\"},\"replaces\":[\"x\"]}",
    };
    assert_false(sidecar_block_note_read(f->pins, &id, &read, NULL, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    CLEANUP(xfree) char *name = xasprintf("%s.json", tsdb_ulid_print(&id).text);
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        put(f, name, broken[i]);
        assert_false(sidecar_block_note_read(f->pins, &id, &read, NULL, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

static void
survives_cuts_and_flipped_bits(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_id(1);
    CLEANUP(xfree) char *name = xasprintf("%s.json", tsdb_ulid_print(&id).text);
    CLEANUP(xfree) char *path = xasprintf("%s/%s", f->pins, name);
    const struct sidecar_block_ids replaced = {.count = 1, .at = &id};
    assert_true(
        sidecar_block_note_write(f->pins, &id, fixture_labels, &replaced, &err));
    CLEANUP(buf_fini) struct buf whole = fixture_read(path);
    for (size_t len = 0; len < whole.len; len++) {
        struct sidecar_ext_labels read = {0};
        assert_true(file_replace(path, bytes_of(whole.at, len), &err));
        assert_false(sidecar_block_note_read(f->pins, &id, &read, NULL, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
    for (size_t bit = 0; bit < 8 * whole.len; bit++) {
        CLEANUP(sidecar_ext_labels_fini) struct sidecar_ext_labels read = {0};
        whole.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(file_replace(path, buf_bytes(&whole), &err));
        CLEANUP(sidecar_block_ids_fini) struct sidecar_block_ids ids = {0};
        if (!sidecar_block_note_read(f->pins, &id, &read, &ids, &err))
            assert_int_equal(err.code, ERR_CORRUPT);
        whole.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void
removes_one_or_none(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_id(1);
    struct sidecar_ext_labels read = {0};
    assert_true(sidecar_block_note_write(f->pins, &id, fixture_labels, NULL, &err));
    assert_true(sidecar_block_note_remove(f->pins, &id, &err));
    assert_true(sidecar_block_note_remove(f->pins, &id, &err));
    assert_false(sidecar_block_note_read(f->pins, &id, &read, NULL, &err));
}

static bool
is_first(void *arg, const struct tsdb_ulid *id)
{
    (void)arg;
    struct tsdb_ulid first = fixture_id(1);
    return tsdb_ulid_cmp(id, &first) == 0;
}

static void
prunes_what_nobody_needs(void **state)
{
    struct fixture *f = *state;
    struct err err;
    static const struct {
        const char *name;
        bool stays;
    } rows[] = {
        {"01ARZ3NDEKTSV4RRFFQ69G5FA1.json", true},
        {"01ARZ3NDEKTSV4RRFFQ69G5FA1.json.tmp", false},
        {"01ARZ3NDEKTSV4RRFFQ69G5FA2.json", false},
        {"01ARZ3NDEKTSV4RRFFQ69G5FA2", true},
        {"01ARZ3NDEKTSV4RRFFQ69G5FA2.jsonl", true},
        {"notes.json", true},
        {"x", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        put(f, rows[i].name, "");
    assert_true(sidecar_block_note_prune(f->pins, is_first, NULL, &err));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(has(f, rows[i].name), rows[i].stays);
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(reads_what_it_wrote),
        CASE(remembers_what_the_block_replaces),
        CASE(tells_a_missing_note_from_a_broken_one),
        CASE(survives_cuts_and_flipped_bits),
        CASE(removes_one_or_none),
        CASE(prunes_what_nobody_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
