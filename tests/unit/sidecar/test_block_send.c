/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/xmalloc.h"
#include "sidecar/block_send.h"
#include "tests/support/faulty_bucket.h"
#include "tests/unit/sidecar/fixture.h"

static struct sidecar_bandwidth no_limit;
static atomic_uint_fast64_t told; /* bytes */

static void
count_sent(void *arg, uint64_t bytes)
{
    (void)arg;
    atomic_fetch_add(&told, bytes);
}

struct world {
    struct fixture *f;
    struct tsdb_ulid id;
    char *directory;
    struct sidecar_block_files files;
    struct sidecar_sender sender;
};

static int
setup(void **state)
{
    struct err err;
    struct world *w = xcalloc(1, sizeof *w);
    void *fixture;
    fixture_setup(&fixture);
    w->f = fixture;
    w->id = fixture_block(w->f->tsdb, 1, 1);
    w->directory = fixture_path(w->f->tsdb, &w->id, "");
    assert_true(sidecar_block_files_read(&w->files, w->directory, &err));
    assert_true(w->files.count > 2);
    w->sender = (struct sidecar_sender){.bucket = w->f->bucket,
                                        .bandwidth = &no_limit,
                                        .slowest_bytes_per_s = 1024,
                                        .concurrency = 1,
                                        .sent = count_sent};
    atomic_store(&told, 0);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    void *fixture = w->f;
    sidecar_block_files_fini(&w->files);
    free(w->directory);
    free(w);
    return fixture_teardown(&fixture);
}

static bool
send_to(struct world *w, const struct sidecar_block_remote *there, struct err *err)
{
    return sidecar_block_send(&w->sender, w->directory, &w->files, there, true, err);
}

static bool
send_all(struct world *w, struct err *err)
{
    struct sidecar_block_remote nothing = {.id = w->id};
    return send_to(w, &nothing, err);
}

static void
sends_all_files_and_tells_their_bytes(void **state)
{
    struct world *w = *state;
    struct err err;
    for (unsigned concurrency = 1; concurrency <= 8; concurrency *= 8) {
        w->sender.concurrency = concurrency;
        atomic_store(&told, 0);
        assert_true(send_all(w, &err));
        assert_int_equal(atomic_load(&told), sidecar_block_files_size(&w->files));
    }
    assert_int_equal(faulty_bucket_calls(w->f->bucket, FAULTY_PUT), 2 * w->files.count);
}

static void
sends_the_index_only_after_all_segments(void **state)
{
    struct world *w = *state;
    struct err err;
    w->sender.concurrency = 4;
    faulty_bucket_add(w->f->bucket,
                      (struct faulty_rule){.ops = FAULTY_PUT, .part = "chunks/"});
    assert_false(send_all(w, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_false(fixture_has(w->f->bucket_dir, &w->id, "index"));
}

static void
stops_between_files_when_cancelled(void **state)
{
    struct world *w = *state;
    struct err err;
    CLEANUP(cancel_fini) struct cancel cancel = {0};
    w->sender.cancel = &cancel;
    cancel_raise(&cancel);
    assert_false(send_all(w, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_int_equal(faulty_bucket_calls(w->f->bucket, FAULTY_PUT), 0);
}

/* Rows: an ETag, and how many puts follow when all sizes are right. */
static void
trusts_a_size_unless_the_digest_differs(void **state)
{
    struct world *w = *state;
    struct err err;
    char md5[2 * DIGEST_MAX_SIZE + 1];
    assert_true(sidecar_block_file_digest(w->directory, &w->files.at[0], DIGEST_MD5,
                                          md5, NULL, &err));
    const struct {
        const char *etag;
        unsigned puts;
    } rows[] = {
        {"", 0},
        {md5, 0},
        {"00000000000000000000000000000000", 1},
        {"00000000000000000000000000000000-3", 0}, /* in parts */
        {"0000000000000000000000000000000Z", 0},   /* no digest */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sidecar_block_remote there = {.id = w->id, .count = w->files.count};
        there.at = xcalloc(there.count, sizeof *there.at);
        for (size_t k = 0; k < there.count; k++) {
            there.at[k].rel_path = xstrdup(w->files.at[k].rel_path);
            there.at[k].attrs.size = w->files.at[k].size;
        }
        snprintf(there.at[0].attrs.etag, sizeof there.at[0].attrs.etag, "%s",
                 rows[i].etag);
        unsigned before = faulty_bucket_calls(w->f->bucket, FAULTY_PUT);
        assert_true(send_to(w, &there, &err));
        assert_int_equal(faulty_bucket_calls(w->f->bucket, FAULTY_PUT) - before,
                         rows[i].puts);
        assert_true(sidecar_block_send(&w->sender, w->directory, &w->files, &there,
                                       false, &err));
        assert_int_equal(faulty_bucket_calls(w->f->bucket, FAULTY_PUT) - before,
                         rows[i].puts);
        sidecar_block_remote_fini(&there);
    }
}

static void
gives_a_transfer_time_for_its_bytes(void **state)
{
    struct world *w = *state;
    clock_freeze(0, 0);
    w->sender.slowest_bytes_per_s = 10;
    struct objstore_call small = sidecar_sender_call(&w->sender, 0);
    struct objstore_call large = sidecar_sender_call(&w->sender, 1000);
    struct objstore_call huge = sidecar_sender_call(&w->sender, UINT64_MAX);
    clock_unfreeze();
    assert_int_equal(large.deadline_ns - small.deadline_ns, 100 * CLOCK_NS_PER_S);
    assert_int_equal(huge.deadline_ns, CLOCK_NEVER);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(sends_all_files_and_tells_their_bytes),
        CASE(sends_the_index_only_after_all_segments),
        CASE(stops_between_files_when_cancelled),
        CASE(trusts_a_size_unless_the_digest_differs),
        CASE(gives_a_transfer_time_for_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
