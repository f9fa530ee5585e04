/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/xmalloc.h"
#include "sidecar/block_overlap.h"
#include "tests/support/faulty_bucket.h"
#include "tests/unit/sidecar/fixture.h"

static const struct objstore_call call = {.deadline_ns = CLOCK_NEVER};

/* What a block of the bucket says of itself. */
struct remote {
    unsigned n;
    int64_t mint_ms;
    int64_t maxt_ms;
    int64_t resolution_ms;
    const char *cluster;
};

static void
store(struct fixture *f, unsigned n, const char *rel_path, const char *text)
{
    struct err err;
    struct tsdb_ulid id = fixture_id(n);
    CLEANUP(xfree) char *key = xasprintf("%s/%s", tsdb_ulid_print(&id).text, rel_path);
    assert_true(
        objstore_put(f->bucket, &call, bytes_of_str(key), bytes_of_str(text), &err));
}

static void
store_meta(struct fixture *f, const struct remote *r)
{
    struct tsdb_ulid id = fixture_id(r->n);
    CLEANUP(xfree)
    char *text = xasprintf(
        "{\"version\":1,\"ulid\":\"%s\",\"minTime\":%lld,\"maxTime\":%lld,"
        "\"compaction\":{\"level\":2},\"thanos\":{\"labels\":{\"cluster\":\"%s\"},"
        "\"downsample\":{\"resolution\":%lld},\"source\":\"compactor\"}}",
        tsdb_ulid_print(&id).text, (long long)r->mint_ms, (long long)r->maxt_ms,
        r->cluster, (long long)r->resolution_ms);
    store(f, r->n, "meta.json", text);
}

/* The block [100, 200) of cluster eu, whose number is 1. */
static bool
check(struct fixture *f, struct sidecar_overlap *o, struct err *err)
{
    static const struct tsdb_label eu[] = {{BYTES("cluster"), BYTES("eu")}};
    const struct tsdb_meta meta = {
        .ulid = fixture_id(1), .mint_ms = 100, .maxt_ms = 200, .level = 2};
    return sidecar_overlap_check(o, f->bucket, NULL, &meta, (struct tsdb_labels){eu, 1},
                                 err);
}

static void
names_a_block_that_overlaps(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct remote remote;
        bool overlaps;
    } rows[] = {
        {{2, 0, 100, 0, "eu"}, false},      {{2, 0, 101, 0, "eu"}, true},
        {{2, 120, 130, 0, "eu"}, true},     {{2, 199, 300, 0, "eu"}, true},
        {{2, 200, 300, 0, "eu"}, false},    {{2, 0, 300, 0, "us"}, false},
        {{2, 0, 300, 300000, "eu"}, false}, {{1, 100, 200, 0, "eu"}, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {0};
        struct sidecar_overlap *o = sidecar_overlap_new();
        store_meta(f, &rows[i].remote);
        assert_int_equal(check(f, o, &err), !rows[i].overlaps);
        struct tsdb_ulid id = fixture_id(rows[i].remote.n);
        if (rows[i].overlaps) {
            assert_int_equal(err.code, ERR_CONFLICT);
            assert_non_null(strstr(err.text, tsdb_ulid_print(&id).text));
        }
        fixture_remove(f->bucket_dir, &id);
        sidecar_overlap_free(&o);
    }
}

static void
passes_over_what_is_no_complete_block(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct sidecar_overlap *o = sidecar_overlap_new();
    store(f, 2, "index", "partial");
    store(f, 3, "meta.json", "broken");
    store_meta(f, &(struct remote){4, 0, 300, 0, "eu"});
    store(f, 4, "deletion-mark.json", "{}");
    if (!check(f, o, &err))
        fail_msg("%s", err.text);
    sidecar_overlap_free(&o);
}

static void
reads_each_meta_once(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct sidecar_overlap *o = sidecar_overlap_new();
    store_meta(f, &(struct remote){2, 0, 100, 0, "eu"});
    store_meta(f, &(struct remote){3, 200, 300, 0, "eu"});
    assert_true(check(f, o, &err));
    unsigned gets = faulty_bucket_calls(f->bucket, FAULTY_GET);
    assert_int_equal(gets, 2);
    assert_true(check(f, o, &err));
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_GET), gets);
    store_meta(f, &(struct remote){4, 150, 160, 0, "eu"}); /* what is new is seen */
    assert_false(check(f, o, &err));
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_GET), gets + 1);
    struct tsdb_ulid id = fixture_id(4);
    fixture_remove(f->bucket_dir, &id); /* what is gone is forgotten */
    assert_true(check(f, o, &err));
    sidecar_overlap_free(&o);
}

static void
fails_when_the_bucket_does(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct sidecar_overlap *o = sidecar_overlap_new();
    store_meta(f, &(struct remote){2, 0, 100, 0, "eu"});
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_LIST, .times = 1});
    assert_false(check(f, o, &err));
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_GET, .times = 1});
    assert_false(check(f, o, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_true(check(f, o, &err));
    sidecar_overlap_free(&o);
}

static bool
check_other(struct fixture *f, struct sidecar_overlap *o, unsigned n, int64_t mint_ms,
            const char *cluster, struct err *err)
{
    const struct tsdb_label label[] = {{BYTES("cluster"), bytes_of_str(cluster)}};
    const struct tsdb_meta meta = {
        .ulid = fixture_id(n), .mint_ms = mint_ms, .maxt_ms = mint_ms + 100};
    return sidecar_overlap_check(o, f->bucket, NULL, &meta,
                                 (struct tsdb_labels){label, 1}, err);
}

/* Neither is in the bucket yet. */
static void
counts_what_is_on_its_way(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct sidecar_overlap *o = sidecar_overlap_new();
    struct tsdb_ulid first = fixture_id(1), second = fixture_id(2);
    assert_true(check(f, o, &err)); /* [100, 200) */
    assert_true(check(f, o, &err)); /* it does not overlap itself */
    assert_true(check_other(f, o, 2, 200, "eu", &err));
    assert_true(check_other(f, o, 3, 150, "us", &err));
    assert_false(check_other(f, o, 4, 150, "eu", &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, tsdb_ulid_print(&first).text));
    sidecar_overlap_end(o, &first);
    assert_false(check_other(f, o, 4, 150, "eu", &err));
    assert_non_null(strstr(err.text, tsdb_ulid_print(&second).text));
    sidecar_overlap_end(o, &second);
    assert_true(check_other(f, o, 4, 150, "eu", &err));
    sidecar_overlap_end(o, &first); /* it is not there: nothing */
    sidecar_overlap_free(&o);
}

/* The listing of one may be older than the commit of the other. */
static void
claims_nothing_when_it_fails(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct sidecar_overlap *o = sidecar_overlap_new();
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_LIST, .times = 1});
    assert_false(check(f, o, &err));
    assert_true(check_other(f, o, 2, 150, "eu", &err));
    assert_false(check(f, o, &err));
    struct tsdb_ulid second = fixture_id(2);
    sidecar_overlap_end(o, &second);
    assert_true(check(f, o, &err));
    sidecar_overlap_free(&o);
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(names_a_block_that_overlaps), CASE(passes_over_what_is_no_complete_block),
        CASE(reads_each_meta_once),        CASE(fails_when_the_bucket_does),
        CASE(counts_what_is_on_its_way),   CASE(claims_nothing_when_it_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
