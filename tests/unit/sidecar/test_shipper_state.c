/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/file.h"
#include "sidecar/shipper_state.h"

static const struct tsdb_ulid one = {{1}};
static const struct tsdb_ulid two = {{2}};
static const struct tsdb_ulid three = {{3}};

static char directory[] = "/tmp/blockhouse-state-XXXXXX";
static char path[64];

static int
setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/thanos.shipper.json", mkdtemp(directory));
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    struct err err;
    return file_remove_tree(directory, &err) ? 0 : -1;
}

static void
reads_what_it_wrote(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(sidecar_shipper_state_fini) struct sidecar_shipper_state s = {0};
    CLEANUP(sidecar_shipper_state_fini) struct sidecar_shipper_state again = {0};
    assert_true(sidecar_shipper_state_add(&s, &two));
    assert_true(sidecar_shipper_state_add(&s, &one));
    assert_false(sidecar_shipper_state_add(&s, &two));
    assert_true(sidecar_shipper_state_save(&s, path, &err));
    assert_true(sidecar_shipper_state_load(&again, path, &err));
    assert_int_equal(again.count, 2);
    assert_true(sidecar_shipper_state_has(&again, &one));
    assert_true(sidecar_shipper_state_has(&again, &two));
    assert_false(sidecar_shipper_state_has(&again, &three));
}

static void
writes_the_format_that_prometheus_reads(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(sidecar_shipper_state_fini) struct sidecar_shipper_state s = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    sidecar_shipper_state_add(&s, &one);
    assert_true(sidecar_shipper_state_save(&s, path, &err));
    assert_true(file_read_all(path, 1024, &text, &err));
    assert_string_equal(buf_text(&text), "{\n\t\"version\": 1,\n\t\"uploaded\": [\n\t\t"
                                         "\"01000000000000000000000000\"\n\t]\n}");
}

static bool
is_same(void *arg, const struct tsdb_ulid *id)
{
    return tsdb_ulid_cmp(arg, id) == 0;
}

static void
keeps_only_what_is_wanted(void **state)
{
    (void)state;
    struct tsdb_ulid wanted = one;
    CLEANUP(sidecar_shipper_state_fini) struct sidecar_shipper_state s = {0};
    sidecar_shipper_state_add(&s, &one);
    sidecar_shipper_state_add(&s, &two);
    assert_true(sidecar_shipper_state_retain(&s, is_same, &wanted));
    assert_int_equal(s.count, 1);
    assert_true(sidecar_shipper_state_has(&s, &one));
    assert_false(sidecar_shipper_state_retain(&s, is_same, &wanted));
}

static void
write_text(const char *text)
{
    struct err err;
    assert_true(file_replace(path, bytes_of_str(text), &err));
}

static void
reads_null_as_none(void **state)
{
    (void)state;
    struct err err;
    CLEANUP(sidecar_shipper_state_fini) struct sidecar_shipper_state s = {0};
    write_text("{\n\t\"version\": 1,\n\t\"uploaded\": null\n}");
    assert_true(sidecar_shipper_state_load(&s, path, &err));
    assert_int_equal(s.count, 0);
}

static void
refuses_broken_files(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "{",
        "[]",
        "{\"uploaded\":[]}",
        "{\"version\":2,\"uploaded\":[]}",
        "{\"version\":1,\"uploaded\":{}}",
        "{\"version\":1,\"uploaded\":[7]}",
        "{\"version\":1,\"uploaded\":[\"01arz3ndektsv4rrffq69g5fav\"]}",
    };
    struct err err;
    struct sidecar_shipper_state s = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_text(cases[i]);
        assert_false(sidecar_shipper_state_load(&s, path, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_int_equal(s.count, 0);
    }
    unlink(path);
    assert_false(sidecar_shipper_state_load(&s, path, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(writes_the_format_that_prometheus_reads),
        cmocka_unit_test(keeps_only_what_is_wanted),
        cmocka_unit_test(reads_null_as_none),
        cmocka_unit_test(refuses_broken_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
