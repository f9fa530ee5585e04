/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/tsdb/meta.h"
#include "sidecar/block_upload.h"
#include "tests/support/faulty_bucket.h"
#include "tests/unit/sidecar/fixture.h"

static bool is_broken; /* what the last upload said */

static void
ignore_sent(void *arg, uint64_t bytes)
{
    (void)arg;
    (void)bytes;
}

static struct sidecar_block_upload
how_to(struct fixture *f)
{
    static struct sidecar_bandwidth no_limit;
    return (struct sidecar_block_upload){
        .sender = {.bucket = f->bucket,
                   .bandwidth = &no_limit,
                   .slowest_bytes_per_s = 1024,
                   .concurrency = 3,
                   .sent = ignore_sent},
        .labels = fixture_labels,
    };
}

static bool
upload_as(struct fixture *f, const struct tsdb_ulid *id,
          const struct sidecar_block_upload *how, struct err *err)
{
    CLEANUP(xfree) char *directory = fixture_path(f->tsdb, id, "");
    return sidecar_block_upload(how, directory, id, &is_broken, err);
}

static bool
upload(struct fixture *f, const struct tsdb_ulid *id, struct err *err)
{
    struct sidecar_block_upload how = how_to(f);
    return upload_as(f, id, &how, err);
}

static void
must_upload(struct fixture *f, const struct tsdb_ulid *id)
{
    struct err err;
    if (!upload(f, id, &err))
        fail_msg("%s", err.text);
}

static void
ships_every_byte(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    must_upload(f, &id);
    fixture_assert_shipped(f, f->tsdb, &id);
    assert_false(fixture_has(f->bucket_dir, &id, "tombstones"));
}

/* Each row breaks one call of the shipment. No row may leave a meta.json, except where
 * meta.json itself has been stored; and after healing the block must arrive whole. */
static void
leaves_no_meta_when_a_call_fails(void **state)
{
    struct fixture *f = *state;
    static const struct faulty_rule rules[] = {
        {.ops = FAULTY_PUT, .part = "chunks/000001", .how = FAULTY_REFUSE},
        {.ops = FAULTY_PUT, .part = "chunks/000002", .how = FAULTY_REFUSE},
        {.ops = FAULTY_PUT, .part = "chunks/000002", .how = FAULTY_LOSE},
        {.ops = FAULTY_PUT, .part = "chunks/000002", .how = FAULTY_TRUNCATE},
        {.ops = FAULTY_PUT, .part = "index", .how = FAULTY_REFUSE},
        {.ops = FAULTY_PUT, .part = "index", .how = FAULTY_LOSE},
        {.ops = FAULTY_PUT, .part = "index", .how = FAULTY_TRUNCATE},
        {.ops = FAULTY_LIST, .how = FAULTY_REFUSE},
        {.ops = FAULTY_LIST, .how = FAULTY_CUT},
        {.ops = FAULTY_PUT, .part = "meta.json", .how = FAULTY_REFUSE},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rules); i++) {
        struct err err;
        struct tsdb_ulid id = fixture_block(f->tsdb, i, 1);
        faulty_bucket_add(f->bucket, rules[i]);
        assert_false(upload(f, &id, &err));
        assert_non_null(strstr(err.text, tsdb_ulid_print(&id).text));
        assert_false(fixture_has(f->bucket_dir, &id, "meta.json"));
        faulty_bucket_heal(f->bucket);
        must_upload(f, &id);
        fixture_assert_shipped(f, f->tsdb, &id);
    }
}

static void
leaves_no_meta_when_index_fails(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_PUT,
                                                      .part = "index",
                                                      .code = ERR_THROTTLED});
    assert_false(upload(f, &id, &err));
    assert_int_equal(err.code, ERR_THROTTLED);
    assert_true(fixture_has(f->bucket_dir, &id, "chunks/000001"));
    assert_false(fixture_has(f->bucket_dir, &id, "index"));
    assert_false(fixture_has(f->bucket_dir, &id, "meta.json"));
}

static void
write_mark(const char *folder, const struct tsdb_ulid *id, const char *text)
{
    CLEANUP(xfree) char *path = fixture_path(folder, id, "no-compact-mark.json");
    fixture_write(path, text);
}

static void
assert_mark(const struct fixture *f, const struct tsdb_ulid *id, const char *text)
{
    CLEANUP(xfree) char *path = fixture_path(f->bucket_dir, id, "no-compact-mark.json");
    CLEANUP(buf_fini) struct buf mark = fixture_read(path);
    assert_string_equal(buf_text(&mark), text);
}

/* A block that is seen without its mark could be compacted. */
static void
leaves_no_meta_when_the_mark_fails(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    write_mark(f->tsdb, &id, "mine");
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_PUT,
                                                      .part = "no-compact-mark.json",
                                                      .how = FAULTY_REFUSE});
    assert_false(upload(f, &id, &err));
    assert_true(fixture_has(f->bucket_dir, &id, "index"));
    assert_false(fixture_has(f->bucket_dir, &id, "meta.json"));
    faulty_bucket_heal(f->bucket);
    must_upload(f, &id);
    fixture_assert_shipped(f, f->tsdb, &id);
    assert_mark(f, &id, "mine");
}

static void
leaves_the_mark_of_a_committed_block_alone(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    write_mark(f->tsdb, &id, "mine");
    must_upload(f, &id);
    write_mark(f->bucket_dir, &id, "theirs");
    must_upload(f, &id);
    assert_mark(f, &id, "theirs");
}

/* Once more without them: they are forgotten when the block is recorded. */
static void
names_what_it_replaces_as_its_sources(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 3, 1);
    struct tsdb_ulid replaced[] = {fixture_id(2), fixture_id(1)};
    struct sidecar_block_upload how = how_to(f);
    how.replaced = (struct sidecar_block_ids){.count = 2, .at = replaced};
    assert_true(upload_as(f, &id, &how, &err));
    CLEANUP(xfree) char *path = fixture_path(f->bucket_dir, &id, "meta.json");
    CLEANUP(buf_fini) struct buf text = fixture_read(path);
    CLEANUP(tsdb_meta_fini) struct tsdb_meta meta = {0};
    assert_true(tsdb_meta_parse(&meta, buf_bytes(&text), &err));
    assert_int_equal(meta.source_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        struct tsdb_ulid wanted = fixture_id(i + 1);
        assert_int_equal(tsdb_ulid_cmp(&meta.sources[i], &wanted), 0);
    }
    assert_int_equal(meta.level, 1);
    must_upload(f, &id);
}

static void
takes_a_lost_answer_about_meta_for_success_later(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_PUT,
                                                      .part = "meta.json",
                                                      .how = FAULTY_LOSE});
    assert_false(upload(f, &id, &err));
    faulty_bucket_heal(f->bucket);
    must_upload(f, &id);
    fixture_assert_shipped(f, f->tsdb, &id);
}

static void
names_an_object_that_arrived_cut(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_PUT,
                                                      .part = "index",
                                                      .how = FAULTY_TRUNCATE});
    assert_false(upload(f, &id, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "/index\""));
    assert_non_null(strstr(err.text, "it arrived with"));
    assert_false(is_broken);
}

static void
sends_nothing_twice(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    must_upload(f, &id);
    unsigned puts = faulty_bucket_calls(f->bucket, FAULTY_PUT);
    must_upload(f, &id);
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_PUT), puts);
}

static void
sends_again_what_has_another_size(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    must_upload(f, &id);
    CLEANUP(xfree) char *index = fixture_path(f->bucket_dir, &id, "index");
    CLEANUP(xfree) char *meta = fixture_path(f->bucket_dir, &id, "meta.json");
    fixture_write(index, "cut by an earlier run");
    assert_int_equal(unlink(meta), 0);
    must_upload(f, &id);
    fixture_assert_shipped(f, f->tsdb, &id);
}

static void
restores_an_object_behind_a_meta(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    must_upload(f, &id);
    CLEANUP(xfree) char *index = fixture_path(f->bucket_dir, &id, "index");
    assert_int_equal(unlink(index), 0);
    must_upload(f, &id);
    fixture_assert_shipped(f, f->tsdb, &id);
}

static void
waits_when_the_meta_that_is_there_cannot_be_read(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    must_upload(f, &id);
    faulty_bucket_add(f->bucket,
                      (struct faulty_rule){.ops = FAULTY_GET, .part = "meta.json"});
    assert_false(upload(f, &id, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
}

/* Three requests and those of the puts: no object is asked about by itself. */
static void
looks_twice_and_commits_once(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    must_upload(f, &id);
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_LIST), 2);
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_HEAD | FAULTY_GET), 0);
}

/* Thanos: other formatting, another upload time, keys that we do not write. */
static void
takes_a_meta_of_another_writer_for_success(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *meta = fixture_path(f->bucket_dir, &id, "meta.json");
    must_upload(f, &id);
    CLEANUP(buf_fini) struct buf text = fixture_read(meta);
    CLEANUP(buf_fini) struct buf theirs = {0};
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] != '\n' && text.at[i] != '\t')
            buf_put_u8(&theirs, text.at[i]);
    char *year = strstr((char *)(uintptr_t)buf_text(&theirs), "\"upload_time\"");
    assert_non_null(year);
    year = strstr(year, ": \"2");
    assert_non_null(year);
    year[strlen(": \"2")] = '9';
    fixture_write(meta, buf_text(&theirs));
    unsigned puts = faulty_bucket_calls(f->bucket, FAULTY_PUT);
    must_upload(f, &id);
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_PUT), puts);
}

static bool
refuse(void *arg, const struct tsdb_meta *meta, struct err *err)
{
    (void)meta;
    *(bool *)arg = true;
    return err_set(err, ERR_CONFLICT, "not this one");
}

static void
sends_nothing_that_is_refused_after_the_check(void **state)
{
    struct fixture *f = *state;
    struct err err;
    bool asked = false;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    struct sidecar_block_upload how = how_to(f);
    how.checked = refuse;
    how.checked_arg = &asked;
    assert_false(upload_as(f, &id, &how, &err));
    assert_true(asked);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_ANY), 0);
}

static void
checks_every_chunk_when_asked(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *segment = fixture_path(f->tsdb, &id, "chunks/000001");
    struct sidecar_block_upload how = how_to(f);
    fixture_flip(segment, -1); /* of a checksum */
    how.verify = TSDB_VERIFY_FULL;
    assert_false(upload_as(f, &id, &how, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "chunks/000001"));
    how.verify = TSDB_VERIFY_FRAME;
    assert_true(upload_as(f, &id, &how, &err));
}

static const struct objstore_bucket_ops *honest_ops;
static const char *prey;

/* What a compactor does that takes the upload for an abandoned one. */
static bool
put_after_a_removal(struct objstore_bucket *b, const struct objstore_call *call,
                    const struct objstore_put *put, struct objstore_attrs *stored,
                    struct err *err)
{
    if (put->fd < 0)
        assert_int_equal(unlink(prey), 0);
    return honest_ops->put(b, call, put, stored, err);
}

static void
restores_an_object_that_vanished_before_the_commit(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *index = fixture_path(f->bucket_dir, &id, "index");
    struct objstore_bucket_ops ops = *f->bucket->ops;
    honest_ops = f->bucket->ops;
    prey = index;
    ops.put = put_after_a_removal;
    f->bucket->ops = &ops;
    must_upload(f, &id);
    f->bucket->ops = honest_ops;
    fixture_assert_shipped(f, f->tsdb, &id);
}

static const char *rival; /* the meta.json that somebody else writes */
static const char *rival_text;

static bool
put_after_a_rival(struct objstore_bucket *b, const struct objstore_call *call,
                  const struct objstore_put *put, struct objstore_attrs *stored,
                  struct err *err)
{
    if (put->fd < 0) {
        assert_true(put->create);
        fixture_write(rival, rival_text);
    }
    return honest_ops->put(b, call, put, stored, err);
}

/* Two writers: the meta.json of the other came between our look and our commit. */
static void
compares_with_a_writer_that_was_faster(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *meta = fixture_path(f->bucket_dir, &id, "meta.json");
    must_upload(f, &id);
    CLEANUP(buf_fini) struct buf same = fixture_read(meta);
    struct objstore_bucket_ops ops = *f->bucket->ops;
    honest_ops = f->bucket->ops;
    ops.put = put_after_a_rival;
    rival = meta;
    rival_text = buf_text(&same);
    assert_int_equal(unlink(meta), 0);
    f->bucket->ops = &ops;
    must_upload(f, &id);
    assert_int_equal(unlink(meta), 0);
    rival_text = "{\"version\":1}";
    assert_false(upload(f, &id, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    CLEANUP(buf_fini) struct buf kept = fixture_read(meta);
    assert_string_equal(buf_text(&kept), rival_text);
    f->bucket->ops = honest_ops;
}

static unsigned
no_create(const struct objstore_bucket *b)
{
    return honest_ops->abilities(b) & ~(unsigned)OBJSTORE_CAN_CREATE;
}

static void
replaces_where_nothing_can_be_created(void **state)
{
    struct fixture *f = *state;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    struct objstore_bucket_ops ops = *f->bucket->ops;
    honest_ops = f->bucket->ops;
    ops.abilities = no_create;
    f->bucket->ops = &ops;
    must_upload(f, &id);
    f->bucket->ops = honest_ops;
    fixture_assert_shipped(f, f->tsdb, &id);
}

static void
refuses_another_block_under_the_id(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *meta = fixture_path(f->bucket_dir, &id, "meta.json");
    static const struct tsdb_label other[] = {{BYTES("cluster"), BYTES("us1")}};
    struct sidecar_block_upload how = how_to(f);
    how.labels = (struct tsdb_labels){other, 1};
    must_upload(f, &id);
    assert_false(upload_as(f, &id, &how, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "external labels"));
    fixture_assert_shipped(f, f->tsdb, &id);
    fixture_write(meta, "{}");
    assert_false(upload(f, &id, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
}

/* The labels of its discovery could not be noted; all else is compared as ever. */
static void
leaves_the_labels_of_a_block_that_is_there(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    static const struct tsdb_label other[] = {{BYTES("cluster"), BYTES("us1")}};
    struct sidecar_block_upload how = how_to(f);
    must_upload(f, &id);
    how.labels = (struct tsdb_labels){other, 1};
    how.labels_are_held = true;
    if (!upload_as(f, &id, &how, &err))
        fail_msg("%s", err.text);
    fixture_assert_shipped(f, f->tsdb, &id);
    CLEANUP(xfree) char *meta = fixture_path(f->bucket_dir, &id, "meta.json");
    CLEANUP(buf_fini) struct buf text = fixture_read(meta);
    char *samples = strstr((char *)(uintptr_t)buf_text(&text), "\"numSamples\": ");
    assert_non_null(samples);
    samples[strlen("\"numSamples\": ")] ^= 1;
    fixture_write(meta, buf_text(&text));
    assert_false(upload_as(f, &id, &how, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "statistics"));
}

static void
refuses_empty_labels(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    struct sidecar_block_upload how = how_to(f);
    how.labels.len = 0;
    assert_false(upload_as(f, &id, &how, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_ANY), 0);
}

static void
refuses_a_broken_block(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    CLEANUP(xfree) char *index = fixture_path(f->tsdb, &id, "index");
    fixture_flip(index, -20);
    assert_false(upload(f, &id, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_true(is_broken);
    assert_int_equal(faulty_bucket_calls(f->bucket, FAULTY_ANY), 0);
}

static void
writes_hashes_when_asked(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    struct sidecar_block_upload how = how_to(f);
    how.hash_sha256 = true;
    assert_true(upload_as(f, &id, &how, &err));
    CLEANUP(xfree) char *index_path = fixture_path(f->tsdb, &id, "index");
    CLEANUP(xfree) char *meta_path = fixture_path(f->bucket_dir, &id, "meta.json");
    CLEANUP(buf_fini) struct buf index = fixture_read(index_path);
    CLEANUP(buf_fini) struct buf meta = fixture_read(meta_path);
    uint8_t digest[DIGEST_SHA256_SIZE];
    char hex[2 * DIGEST_SHA256_SIZE + 1];
    digest_sha256(buf_bytes(&index), digest);
    digest_hex(bytes_of(digest, sizeof digest), hex);
    assert_non_null(strstr(buf_text(&meta), hex));
    assert_non_null(strstr(buf_text(&meta), "\"hashFunc\""));
}

static void
stops_when_cancelled(void **state)
{
    struct fixture *f = *state;
    struct err err;
    CLEANUP(cancel_fini) struct cancel cancel = {0};
    struct tsdb_ulid id = fixture_block(f->tsdb, 1, 1);
    struct sidecar_block_upload how = how_to(f);
    how.sender.cancel = &cancel;
    cancel_raise(&cancel);
    assert_false(upload_as(f, &id, &how, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_false(fixture_has(f->bucket_dir, &id, "meta.json"));
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(ships_every_byte),
        CASE(leaves_no_meta_when_a_call_fails),
        CASE(leaves_no_meta_when_index_fails),
        CASE(leaves_no_meta_when_the_mark_fails),
        CASE(leaves_the_mark_of_a_committed_block_alone),
        CASE(names_what_it_replaces_as_its_sources),
        CASE(takes_a_lost_answer_about_meta_for_success_later),
        CASE(names_an_object_that_arrived_cut),
        CASE(sends_nothing_twice),
        CASE(sends_again_what_has_another_size),
        CASE(restores_an_object_behind_a_meta),
        CASE(waits_when_the_meta_that_is_there_cannot_be_read),
        CASE(looks_twice_and_commits_once),
        CASE(takes_a_meta_of_another_writer_for_success),
        CASE(sends_nothing_that_is_refused_after_the_check),
        CASE(checks_every_chunk_when_asked),
        CASE(restores_an_object_that_vanished_before_the_commit),
        CASE(compares_with_a_writer_that_was_faster),
        CASE(replaces_where_nothing_can_be_created),
        CASE(refuses_another_block_under_the_id),
        CASE(leaves_the_labels_of_a_block_that_is_there),
        CASE(refuses_empty_labels),
        CASE(refuses_a_broken_block),
        CASE(writes_hashes_when_asked),
        CASE(stops_when_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
