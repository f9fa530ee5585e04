/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "sidecar/block_note.h"
#include "sidecar/block_pin.h"
#include "sidecar/ship_work.h"
#include "sidecar/shipper.h"
#include "sidecar/shipper_state.h"
#include "tests/support/faulty_bucket.h"
#include "tests/unit/sidecar/disk.h"
#include "tests/unit/sidecar/fixture.h"

/* One process of the sidecar: as many as a test likes, one after the other. */
struct run {
    struct fixture *f;
    struct metrics_registry *metrics;
    struct sidecar_shipper_metrics counts;
    struct sidecar_block_table *table;
    struct sidecar_shipper *shipper;
    struct sidecar_ship_work *work;
    struct tsdb_labels labels;
    bool upload_compacted;
    uint64_t spool_limit_bytes;
};

static struct sidecar_ext_labels
labels_of(void *arg)
{
    const struct run *r = arg;
    return sidecar_ext_labels_copy(r->labels);
}

static void
begin(struct run *r)
{
    r->metrics = metrics_registry_new();
    r->table = sidecar_block_table_new();
    sidecar_shipper_metrics_init(&r->counts, r->metrics, r->table);
    r->shipper = sidecar_shipper_new(&(struct sidecar_shipper_options){
        .tsdb_path = r->f->tsdb,
        .pins = r->f->pins,
        .state_name = "thanos.shipper.json",
        .upload_compacted = r->upload_compacted,
        .spool_limit_bytes = r->spool_limit_bytes,
        .table = r->table,
        .metrics = &r->counts,
        .labels = labels_of,
        .labels_arg = r,
    });
    r->work = sidecar_ship_work_new(&(struct sidecar_ship_work_options){
        .tsdb_path = r->f->tsdb,
        .pins = r->f->pins,
        .bucket = r->f->bucket,
        .table = r->table,
        .metrics = &r->counts,
        .block_concurrency = 1,
    });
}

static void
end(struct run *r)
{
    sidecar_shipper_free(&r->shipper);
    sidecar_ship_work_free(&r->work);
    metrics_registry_free(&r->metrics);
    sidecar_block_table_free(&r->table);
}

static int
setup(void **state)
{
    struct run *r = xcalloc(1, sizeof *r);
    void *fixture;
    fixture_setup(&fixture);
    r->f = fixture;
    r->labels = fixture_labels;
    begin(r);
    *state = r;
    return 0;
}

static int
teardown(void **state)
{
    struct run *r = *state;
    void *fixture = r->f;
    clock_unfreeze();
    disk = (struct disk){0};
    end(r);
    free(r);
    return fixture_teardown(&fixture);
}

/* Passes, and what they make the workers do, until nothing is left to be done. Returns
 * whether all of it succeeded. */
static bool
settle(struct run *r)
{
    bool ok = true, worked;
    do {
        ok = sidecar_shipper_pass(r->shipper) && ok;
        worked = false;
        while (sidecar_ship_work_one(r->work, 0))
            worked = true;
    } while (worked);
    return ok;
}

static void
pass_ends(struct run *r, bool ok)
{
    assert_int_equal(settle(r), ok);
}

static void
assert_metric(struct run *r, const char *name, const char *value)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(xfree) char *line = xasprintf("\n%s %s\n", name, value);
    metrics_print(r->metrics, &text);
    if (strstr(buf_text(&text), line) == NULL)
        fail_msg("%s is not %s in\n%s", name, value, buf_text(&text));
}

static bool
is_recorded(const struct run *r, const struct tsdb_ulid *id)
{
    struct err err;
    CLEANUP(xfree) char *path = xasprintf("%s/thanos.shipper.json", r->f->tsdb);
    CLEANUP(sidecar_shipper_state_fini) struct sidecar_shipper_state s = {0};
    if (!sidecar_shipper_state_load(&s, path, &err))
        fail_msg("%s", err.text);
    return sidecar_shipper_state_has(&s, id);
}

static void
assert_done(const struct run *r, const struct tsdb_ulid *id)
{
    fixture_assert_shipped(r->f, r->f->tsdb, id);
    assert_true(is_recorded(r, id));
    assert_false(fixture_has(r->f->pins, id, ""));
}

static void
pin(const struct run *r, const struct tsdb_ulid *id)
{
    struct err err;
    struct sidecar_pin_cost cost;
    assert_true(sidecar_block_pin(r->f->tsdb, r->f->pins, id, NULL, &cost, &err));
}

static void
ships_all_blocks_once(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid ids[3];
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
        ids[i] = fixture_block(r->f->tsdb, i, 1);
    pass_ends(r, true);
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
        assert_done(r, &ids[i]);
    assert_metric(r, "thanos_shipper_uploads_total", "3");
    assert_metric(r, "blockhouse_sidecar_pinned_blocks", "0");
    unsigned calls = faulty_bucket_calls(r->f->bucket, FAULTY_ANY);
    pass_ends(r, true);
    assert_int_equal(faulty_bucket_calls(r->f->bucket, FAULTY_ANY), calls);
    assert_metric(r, "thanos_shipper_dir_sync_failures_total", "0");
}

static void
creates_the_state_file_at_once(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_id(0);
    pass_ends(r, true);
    assert_false(is_recorded(r, &id));
}

static void
skips_compacted_blocks_unless_asked(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 2);
    pass_ends(r, true);
    assert_false(fixture_has(r->f->bucket_dir, &id, "meta.json"));
    assert_false(is_recorded(r, &id));
    assert_metric(r, "thanos_shipper_upload_compacted_done", "0");
    assert_metric(r, "blockhouse_sidecar_compacted_blocks_passed_over", "1");
    end(r);
    r->upload_compacted = true;
    begin(r);
    pass_ends(r, true);
    assert_done(r, &id);
    assert_metric(r, "blockhouse_sidecar_compacted_blocks_passed_over", "0");
    assert_metric(r, "thanos_shipper_upload_compacted_done", "1");
}

static void
skips_empty_blocks(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    CLEANUP(xfree) char *meta = fixture_path(r->f->tsdb, &id, "meta.json");
    CLEANUP(xfree)
    char *text = xasprintf("{\"version\":1,\"ulid\":\"%s\",\"minTime\":0,\"maxTime\":1,"
                           "\"compaction\":{\"level\":1}}",
                           tsdb_ulid_print(&id).text);
    fixture_write(meta, text);
    pass_ends(r, true);
    assert_int_equal(faulty_bucket_calls(r->f->bucket, FAULTY_HEAD | FAULTY_PUT), 0);
    assert_false(fixture_has(r->f->pins, &id, ""));
}

static void
pins_and_waits_without_labels(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    r->labels = (struct tsdb_labels){0};
    pass_ends(r, true);
    assert_true(fixture_has(r->f->pins, &id, "index"));
    assert_int_equal(faulty_bucket_calls(r->f->bucket, FAULTY_HEAD | FAULTY_PUT), 0);
    assert_metric(r, "blockhouse_sidecar_pinned_blocks", "1");
    /* Blocks of the fixture last two hours; this one is the second. */
    CLEANUP(buf_fini) struct buf text = {0};
    metrics_print(r->metrics, &text);
    assert_non_null(
        strstr(buf_text(&text),
               "blockhouse_sidecar_oldest_unshipped_block_timestamp_seconds 14"));
    r->labels = fixture_labels;
    pass_ends(r, true);
    assert_done(r, &id);
    assert_metric(r, "blockhouse_sidecar_oldest_unshipped_block_timestamp_seconds",
                  "0");
}

static void
ships_a_block_that_prometheus_has_deleted(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    CLEANUP(xfree) char *elsewhere = xasprintf("%s/elsewhere", r->f->root);
    struct err err;
    assert_true(file_mkdirs(elsewhere, &err));
    fixture_block(elsewhere, 1, 1);
    r->labels = (struct tsdb_labels){0};
    pass_ends(r, true);
    fixture_remove(r->f->tsdb, &id);
    r->labels = fixture_labels;
    pass_ends(r, true);
    fixture_assert_shipped(r->f, elsewhere, &id);
    assert_false(is_recorded(r, &id));
    assert_false(fixture_has(r->f->pins, &id, ""));
}

static void
adopts_pins_of_a_former_run(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid kept = fixture_block(r->f->tsdb, 1, 1);
    struct tsdb_ulid deleted = fixture_block(r->f->tsdb, 2, 1);
    pin(r, &kept);
    pin(r, &deleted);
    fixture_remove(r->f->tsdb, &deleted);
    end(r);
    begin(r);
    pass_ends(r, true);
    assert_done(r, &kept);
    assert_true(fixture_has(r->f->bucket_dir, &deleted, "meta.json"));
    assert_false(fixture_has(r->f->pins, &deleted, ""));
}

/* Killed after the block was recorded, before its pin was removed. */
static void
removes_the_pin_of_a_recorded_block(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    pass_ends(r, true);
    pin(r, &id);
    end(r);
    begin(r);
    unsigned calls = faulty_bucket_calls(r->f->bucket, FAULTY_ANY);
    pass_ends(r, true);
    assert_done(r, &id);
    assert_int_equal(faulty_bucket_calls(r->f->bucket, FAULTY_ANY), calls);
}

/* Killed after the commit, before the block was recorded; or the file was lost. */
static void
recovers_a_lost_state_from_the_bucket(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    CLEANUP(xfree) char *path = xasprintf("%s/thanos.shipper.json", r->f->tsdb);
    static const char *const broken[] = {"", "{\"version\":7}", "\xff"};
    pass_ends(r, true);
    unsigned puts = faulty_bucket_calls(r->f->bucket, FAULTY_PUT);
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        end(r);
        fixture_write(path, broken[i]);
        begin(r);
        pass_ends(r, true);
        assert_done(r, &id);
    }
    assert_int_equal(faulty_bucket_calls(r->f->bucket, FAULTY_PUT), puts);
}

static void
forgets_blocks_that_are_gone(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid gone = fixture_block(r->f->tsdb, 1, 1);
    struct tsdb_ulid stays = fixture_block(r->f->tsdb, 2, 1);
    pass_ends(r, true);
    fixture_remove(r->f->tsdb, &gone);
    pass_ends(r, true);
    assert_false(is_recorded(r, &gone));
    assert_true(is_recorded(r, &stays));
}

static void
goes_on_after_a_failed_block(void **state)
{
    struct run *r = *state;
    clock_freeze(CLOCK_NS_PER_S, CLOCK_NS_PER_S);
    struct tsdb_ulid bad = fixture_block(r->f->tsdb, 1, 1);
    struct tsdb_ulid good = fixture_block(r->f->tsdb, 2, 1);
    faulty_bucket_add(
        r->f->bucket,
        (struct faulty_rule){.ops = FAULTY_PUT, .part = tsdb_ulid_print(&bad).text});
    pass_ends(r, false);
    assert_done(r, &good);
    assert_false(is_recorded(r, &bad));
    assert_true(fixture_has(r->f->pins, &bad, "index"));
    assert_metric(r, "thanos_shipper_upload_failures_total", "1");
    assert_metric(r, "thanos_shipper_dir_sync_failures_total", "1");
    assert_metric(r, "blockhouse_sidecar_pinned_blocks", "1");
    faulty_bucket_heal(r->f->bucket);
    pass_ends(r, true); /* not due yet */
    assert_false(is_recorded(r, &bad));
    clock_freeze(6 * CLOCK_NS_PER_S, 6 * CLOCK_NS_PER_S);
    pass_ends(r, true);
    assert_done(r, &bad);
}

static void
comes_back_for_a_block_that_cannot_be_pinned(void **state)
{
    struct run *r = *state;
    clock_freeze(CLOCK_NS_PER_S, CLOCK_NS_PER_S);
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    CLEANUP(xfree) char *index = fixture_path(r->f->tsdb, &id, "index");
    CLEANUP(xfree) char *aside = fixture_path(r->f->tsdb, &id, "aside");
    assert_int_equal(rename(index, aside), 0);
    pass_ends(r, false);
    int64_t next_ns = sidecar_shipper_next_ns(r->shipper);
    assert_true(next_ns <= 6 * CLOCK_NS_PER_S);
    assert_int_equal(rename(aside, index), 0);
    clock_freeze(next_ns, next_ns);
    pass_ends(r, true);
    assert_done(r, &id);
}

static const struct tsdb_label renamed[] = {{BYTES("cluster"), BYTES("us1")}};

static struct sidecar_ext_labels
noted_labels(const struct run *r, const struct tsdb_ulid *id)
{
    struct err err;
    struct sidecar_ext_labels labels = {0};
    if (!sidecar_block_note_read(r->f->pins, id, &labels, NULL, &err))
        fail_msg("%s", err.text);
    return labels;
}

/* At run time, and across a restart. */
static void
ships_a_block_with_the_labels_of_its_discovery(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid first = fixture_block(r->f->tsdb, 1, 1);
    faulty_bucket_add(r->f->bucket, (struct faulty_rule){.ops = FAULTY_PUT});
    pass_ends(r, false);
    r->labels = (struct tsdb_labels){renamed, 1};
    sidecar_shipper_pass(r->shipper);
    CLEANUP(sidecar_ext_labels_fini)
    struct sidecar_ext_labels kept = noted_labels(r, &first);
    assert_int_equal(tsdb_labels_cmp(kept.set, fixture_labels), 0);
    struct tsdb_ulid second = fixture_block(r->f->tsdb, 2, 1);
    sidecar_shipper_pass(r->shipper);
    CLEANUP(sidecar_ext_labels_fini)
    struct sidecar_ext_labels new = noted_labels(r, &second);
    assert_int_equal(tsdb_labels_cmp(new.set, r->labels), 0);
    faulty_bucket_heal(r->f->bucket);
    end(r);
    begin(r);
    pass_ends(r, true);
    assert_done(r, &first); /* with fixture_labels */
    assert_true(is_recorded(r, &second));
}

/* The block may be there, although it was not seen. */
static void
keeps_labels_when_pins_cannot_be_listed(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    CLEANUP(xfree) char *elsewhere = xasprintf("%s/elsewhere", r->f->root);
    struct err err;
    assert_true(file_mkdirs(elsewhere, &err));
    fixture_block(elsewhere, 1, 1);
    sidecar_shipper_pass(r->shipper);
    fixture_remove(r->f->tsdb, &id);
    end(r);
    r->labels = (struct tsdb_labels){renamed, 1};
    begin(r);
    disk.unlisted = r->f->pins;
    disk.listings = 1; /* the search for what is half made */
    assert_false(sidecar_shipper_pass(r->shipper));
    assert_null(disk.unlisted);
    CLEANUP(sidecar_ext_labels_fini)
    struct sidecar_ext_labels kept = noted_labels(r, &id);
    assert_int_equal(tsdb_labels_cmp(kept.set, fixture_labels), 0);
    pass_ends(r, true);
    fixture_assert_shipped(r->f, elsewhere, &id);
}

/* Killed between the commit and the record, and started with other labels. */
static void
knows_its_own_commit_after_a_change_of_labels(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    faulty_bucket_add(r->f->bucket, (struct faulty_rule){.ops = FAULTY_PUT,
                                                         .part = "meta.json",
                                                         .how = FAULTY_LOSE});
    pass_ends(r, false);
    faulty_bucket_heal(r->f->bucket);
    end(r);
    r->labels = (struct tsdb_labels){renamed, 1};
    begin(r);
    pass_ends(r, true);
    assert_done(r, &id);
}

static void
takes_labels_anew_when_their_note_is_broken(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    CLEANUP(xfree)
    char *note = xasprintf("%s/%s.json", r->f->pins, tsdb_ulid_print(&id).text);
    fixture_write(note, "{");
    pass_ends(r, true);
    assert_done(r, &id);
    assert_false(file_exists(note));
}

static void
finds_all_shipped_blocks_with_one_listing(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid ids[5];
    CLEANUP(xfree) char *path = xasprintf("%s/thanos.shipper.json", r->f->tsdb);
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
        ids[i] = fixture_block(r->f->tsdb, i, 1);
    pass_ends(r, true);
    end(r);
    assert_int_equal(unlink(path), 0);
    unsigned calls = faulty_bucket_calls(r->f->bucket, FAULTY_ANY);
    begin(r);
    pass_ends(r, true);
    assert_int_equal(faulty_bucket_calls(r->f->bucket, FAULTY_ANY), calls + 1);
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
        assert_done(r, &ids[i]);
}

static void
asks_about_each_block_when_the_bucket_cannot_be_listed(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    faulty_bucket_add(r->f->bucket,
                      (struct faulty_rule){.ops = FAULTY_LIST, .times = 1});
    pass_ends(r, true);
    assert_done(r, &id);
}

/* A meta.json alone is no block. */
static void
does_not_record_what_the_bucket_holds_in_part(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    CLEANUP(xfree) char *path = xasprintf("%s/thanos.shipper.json", r->f->tsdb);
    CLEANUP(xfree) char *index = fixture_path(r->f->bucket_dir, &id, "index");
    pass_ends(r, true);
    end(r);
    assert_int_equal(unlink(path), 0);
    fixture_write(index, "cut");
    begin(r);
    sidecar_shipper_pass(r->shipper);
    assert_true(sidecar_ship_work_one(r->work, 0)); /* the listing */
    sidecar_shipper_pass(r->shipper);
    assert_false(is_recorded(r, &id));
    pass_ends(r, true);
    assert_done(r, &id);
}

/* It may be whole, so it is not taken for none. */
static void
leaves_a_state_alone_that_cannot_be_read(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    CLEANUP(xfree) char *path = xasprintf("%s/thanos.shipper.json", r->f->tsdb);
    CLEANUP(xfree) char *aside = xasprintf("%s/aside", r->f->root);
    pass_ends(r, true);
    end(r);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(symlink(path, path), 0); /* a loop: ELOOP for root, too */
    begin(r);
    pass_ends(r, false);
    struct tsdb_ulid late = fixture_block(r->f->tsdb, 2, 1);
    pass_ends(r, false);
    assert_true(fixture_has(r->f->bucket_dir, &late, "meta.json"));
    assert_true(fixture_has(r->f->pins, &late, "index"));
    assert_int_equal(rename(aside, path), 0);
    pass_ends(r, true); /* without a restart */
    assert_done(r, &id);
    assert_done(r, &late);
}

/* What it was shipped with may be forgotten; that it was is not. */
static void
keeps_a_record_of_what_cannot_be_read(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    CLEANUP(xfree) char *meta = fixture_path(r->f->tsdb, &id, "meta.json");
    CLEANUP(xfree) char *aside = xasprintf("%s/aside", r->f->root);
    pass_ends(r, true);
    r->labels = (struct tsdb_labels){renamed, 1};
    assert_int_equal(rename(meta, aside), 0);
    assert_int_equal(symlink(meta, meta), 0); /* a loop: ELOOP for root, too */
    settle(r);
    assert_true(is_recorded(r, &id));
    assert_int_equal(rename(aside, meta), 0);
    pass_ends(r, true);
    assert_done(r, &id);
}

static void
ships_from_its_place_what_cannot_be_pinned(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    disk.link_errnum = EPERM;
    disk.sync_errnum = ENOSPC; /* of a copy */
    r->labels = (struct tsdb_labels){0};
    pass_ends(r, true);
    pass_ends(r, true);
    assert_false(fixture_has(r->f->pins, &id, ""));
    assert_metric(r, "blockhouse_sidecar_unpinned_blocks", "1");
    r->labels = fixture_labels;
    pass_ends(r, true);
    disk = (struct disk){0};
    assert_done(r, &id);
    assert_metric(r, "blockhouse_sidecar_pinned_blocks", "0");
    assert_metric(r, "blockhouse_sidecar_unpinned_blocks", "0");
    pass_ends(r, true);
    assert_metric(r, "thanos_shipper_uploads_total", "1");
}

/* Neither a pin nor a note. */
static void
ships_with_the_labels_in_hand_on_a_full_disk(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    disk.full = "/thanos/";
    disk.link_errnum = ENOSPC;
    faulty_bucket_add(r->f->bucket, (struct faulty_rule){.ops = FAULTY_PUT});
    clock_freeze(CLOCK_NS_PER_S, CLOCK_NS_PER_S);
    sidecar_shipper_pass(r->shipper);
    assert_metric(r, "blockhouse_sidecar_unnoted_blocks", "1");
    assert_metric(r, "blockhouse_sidecar_unpinned_blocks", "1");
    pass_ends(r, false);
    /* Those of its discovery, whatever becomes of them. */
    r->labels = (struct tsdb_labels){renamed, 1};
    faulty_bucket_heal(r->f->bucket);
    clock_freeze(60 * CLOCK_NS_PER_S, 60 * CLOCK_NS_PER_S);
    pass_ends(r, true);
    assert_done(r, &id);
    assert_metric(r, "blockhouse_sidecar_unnoted_blocks", "0");
    assert_metric(r, "thanos_shipper_corrupted_blocks_total", "0");
}

static void
ships_when_no_folder_of_pins_can_be_made(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    CLEANUP(xfree) char *thanos = xasprintf("%s/thanos", r->f->tsdb);
    struct err err;
    assert_true(file_remove_tree(thanos, &err));
    disk.full = "/thanos"; /* and no state file */
    pass_ends(r, false);
    fixture_assert_shipped(r->f, r->f->tsdb, &id);
    disk.full = NULL;
    pass_ends(r, true);
    assert_done(r, &id);
}

static void
notes_labels_in_hand_as_soon_as_there_is_room(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    disk.full = ".json";
    faulty_bucket_add(r->f->bucket, (struct faulty_rule){.ops = FAULTY_PUT});
    clock_freeze(CLOCK_NS_PER_S, CLOCK_NS_PER_S);
    pass_ends(r, false);
    assert_true(fixture_has(r->f->pins, &id, "index"));
    r->labels = (struct tsdb_labels){renamed, 1};
    disk.full = NULL;
    clock_freeze(60 * CLOCK_NS_PER_S, 60 * CLOCK_NS_PER_S);
    sidecar_shipper_pass(r->shipper);
    CLEANUP(sidecar_ext_labels_fini)
    struct sidecar_ext_labels kept = noted_labels(r, &id);
    assert_int_equal(tsdb_labels_cmp(kept.set, fixture_labels), 0);
    assert_metric(r, "blockhouse_sidecar_unnoted_blocks", "0");
    faulty_bucket_heal(r->f->bucket);
    pass_ends(r, true);
    assert_done(r, &id);
}

/* Killed behind the commit, whose labels nobody knows any more. */
static void
leaves_the_labels_of_a_commit_when_its_own_were_not_noted(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    disk.full = "/data/"; /* the state file as well */
    disk.link_errnum = ENOSPC;
    settle(r);
    fixture_assert_shipped(r->f, r->f->tsdb, &id);
    end(r);
    r->labels = (struct tsdb_labels){renamed, 1};
    begin(r);
    settle(r);
    assert_metric(r, "thanos_shipper_upload_failures_total", "0");
    disk = (struct disk){0};
    end(r);
    begin(r);
    pass_ends(r, true);
    assert_done(r, &id);
}

/* A pin costs nothing while Prometheus has the block; what it then holds counts. */
static void
pins_no_more_than_the_limit(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid first = fixture_block(r->f->tsdb, 1, 1);
    end(r);
    r->spool_limit_bytes = 1;
    begin(r);
    r->labels = (struct tsdb_labels){0};
    pass_ends(r, true);
    struct tsdb_ulid second = fixture_block(r->f->tsdb, 2, 1);
    pass_ends(r, true);
    assert_true(fixture_has(r->f->pins, &second, "index"));
    CLEANUP(xfree) char *deleted = fixture_path(r->f->tsdb, &first, "");
    struct err err;
    assert_true(file_remove_tree(deleted, &err));
    struct tsdb_ulid third = fixture_block(r->f->tsdb, 3, 1);
    pass_ends(r, true);
    assert_false(fixture_has(r->f->pins, &third, ""));
    assert_metric(r, "blockhouse_sidecar_unpinned_blocks", "1");
    assert_true(fixture_has(r->f->pins, &first, "index"));
    r->labels = fixture_labels;
    pass_ends(r, true);
    assert_true(fixture_has(r->f->bucket_dir, &first, "meta.json"));
    assert_done(r, &second);
    assert_done(r, &third);
}

/* What a Thanos sidecar was about to ship, of a block that is gone: its labels stay,
 * under ours. */
static void
ships_what_thanos_has_staged(void **state)
{
    struct run *r = *state;
    struct err err;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    static const struct tsdb_label theirs[] = {{BYTES("cluster"), BYTES("old")},
                                               {BYTES("zone"), BYTES("z")}};
    const struct tsdb_meta_thanos thanos = {.external = {theirs, 2},
                                            .source = "sidecar"};
    CLEANUP(xfree) char *block = fixture_path(r->f->tsdb, &id, "");
    CLEANUP(xfree) char *staged = fixture_path(r->f->pins, &id, "meta.json");
    CLEANUP(xfree) char *shipped = fixture_path(r->f->bucket_dir, &id, "meta.json");
    CLEANUP(tsdb_meta_fini) struct tsdb_meta local = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    pin(r, &id);
    assert_true(sidecar_block_meta_read(&local, block, &id, &err));
    assert_true(tsdb_meta_print_with_thanos(&local, &thanos, &text, &err));
    fixture_write(staged, buf_text(&text));
    fixture_remove(r->f->tsdb, &id);
    pass_ends(r, true);
    assert_false(fixture_has(r->f->pins, &id, ""));
    CLEANUP(tsdb_meta_fini) struct tsdb_meta there = {0};
    CLEANUP(buf_fini) struct buf got = fixture_read(shipped);
    assert_true(tsdb_meta_parse(&there, buf_bytes(&got), &err));
    assert_int_equal(there.external.len, 3);
    assert_true(bytes_eq(there.external.at[0].value, BYTES("eu1")));
    assert_true(bytes_eq(there.external.at[2].value, BYTES("z")));
}

static void
pins_as_soon_as_there_is_room(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    disk.link_errnum = EPERM;
    disk.sync_errnum = ENOSPC;
    r->labels = (struct tsdb_labels){0};
    pass_ends(r, true);
    assert_false(fixture_has(r->f->pins, &id, ""));
    disk.sync_errnum = 0;
    pass_ends(r, true);
    assert_true(fixture_has(r->f->pins, &id, "index"));
    assert_metric(r, "blockhouse_sidecar_unpinned_blocks", "0");
    fixture_remove(r->f->tsdb, &id);
    r->labels = fixture_labels;
    pass_ends(r, true);
    assert_true(fixture_has(r->f->bucket_dir, &id, "meta.json"));
}

static void
names_broken_blocks_and_ships_the_others(void **state)
{
    struct run *r = *state;
    struct tsdb_ulid no_meta = fixture_block(r->f->tsdb, 1, 1);
    struct tsdb_ulid bad_index = fixture_block(r->f->tsdb, 2, 1);
    struct tsdb_ulid no_index = fixture_block(r->f->tsdb, 3, 1);
    struct tsdb_ulid good = fixture_block(r->f->tsdb, 4, 1);
    CLEANUP(xfree) char *meta = fixture_path(r->f->tsdb, &no_meta, "meta.json");
    CLEANUP(xfree) char *index = fixture_path(r->f->tsdb, &bad_index, "index");
    CLEANUP(xfree) char *missing = fixture_path(r->f->tsdb, &no_index, "index");
    assert_int_equal(unlink(meta), 0);
    assert_int_equal(unlink(missing), 0);
    fixture_flip(index, -20);
    pass_ends(r, false);
    assert_done(r, &good);
    assert_metric(r, "thanos_shipper_corrupted_blocks_total", "3");
    assert_metric(r, "thanos_shipper_uploads_total", "1");
    assert_false(fixture_has(r->f->bucket_dir, &bad_index, "meta.json"));
}

static void
does_not_hurry_for_a_bad_block_that_is_gone(void **state)
{
    struct run *r = *state;
    clock_freeze(CLOCK_NS_PER_S, CLOCK_NS_PER_S);
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    CLEANUP(xfree) char *meta = fixture_path(r->f->tsdb, &id, "meta.json");
    fixture_write(meta, "{}");
    pass_ends(r, true);
    assert_metric(r, "thanos_shipper_corrupted_blocks_total", "1");
    fixture_remove(r->f->tsdb, &id);
    int64_t later_ns = 20 * CLOCK_NS_PER_S;
    clock_freeze(later_ns, later_ns);
    pass_ends(r, true);
    assert_true(sidecar_shipper_next_ns(r->shipper) > later_ns);
}

static void
pins_although_the_state_cannot_be_saved(void **state)
{
    struct run *r = *state;
    struct err err;
    CLEANUP(xfree) char *path = xasprintf("%s/thanos.shipper.json", r->f->tsdb);
    assert_true(file_mkdirs(path, &err));
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    pass_ends(r, false);
    assert_true(fixture_has(r->f->pins, &id, "index"));
    assert_true(file_remove_tree(path, &err));
    end(r);
    begin(r);
    pass_ends(r, true);
    assert_done(r, &id);
}

static void
leaves_a_data_directory_to_another_sidecar(void **state)
{
    struct run *r = *state;
    struct err err;
    CLEANUP(file_close) int fd = -1;
    struct tsdb_ulid id = fixture_block(r->f->tsdb, 1, 1);
    assert_true(file_open_read(r->f->tsdb, &fd, &err));
    assert_int_equal(flock(fd, LOCK_EX), 0);
    pass_ends(r, false);
    assert_false(fixture_has(r->f->pins, &id, ""));
    file_close(&fd);
    pass_ends(r, true);
    assert_done(r, &id);
}

static void
counts_a_missing_data_directory(void **state)
{
    struct run *r = *state;
    struct err err;
    assert_true(file_remove_tree(r->f->tsdb, &err));
    pass_ends(r, false);
    assert_metric(r, "thanos_shipper_dir_sync_failures_total", "1");
    assert_false(file_exists(r->f->tsdb));
    CLEANUP(sidecar_block_rows_fini) struct sidecar_block_rows rows = {0};
    sidecar_block_table_copy(r->table, &rows);
    assert_non_null(rows.trouble);
    assert_non_null(strstr(rows.trouble, r->f->tsdb));
    assert_true(file_mkdirs(r->f->tsdb, &err));
    pass_ends(r, true);
    CLEANUP(sidecar_block_rows_fini) struct sidecar_block_rows later = {0};
    sidecar_block_table_copy(r->table, &later);
    assert_null(later.trouble);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(ships_all_blocks_once),
        CASE(creates_the_state_file_at_once),
        CASE(skips_compacted_blocks_unless_asked),
        CASE(skips_empty_blocks),
        CASE(pins_and_waits_without_labels),
        CASE(ships_a_block_that_prometheus_has_deleted),
        CASE(adopts_pins_of_a_former_run),
        CASE(removes_the_pin_of_a_recorded_block),
        CASE(recovers_a_lost_state_from_the_bucket),
        CASE(forgets_blocks_that_are_gone),
        CASE(goes_on_after_a_failed_block),
        CASE(comes_back_for_a_block_that_cannot_be_pinned),
        CASE(ships_a_block_with_the_labels_of_its_discovery),
        CASE(keeps_labels_when_pins_cannot_be_listed),
        CASE(keeps_a_record_of_what_cannot_be_read),
        CASE(knows_its_own_commit_after_a_change_of_labels),
        CASE(takes_labels_anew_when_their_note_is_broken),
        CASE(finds_all_shipped_blocks_with_one_listing),
        CASE(asks_about_each_block_when_the_bucket_cannot_be_listed),
        CASE(does_not_record_what_the_bucket_holds_in_part),
        CASE(leaves_a_state_alone_that_cannot_be_read),
        CASE(ships_from_its_place_what_cannot_be_pinned),
        CASE(ships_with_the_labels_in_hand_on_a_full_disk),
        CASE(ships_when_no_folder_of_pins_can_be_made),
        CASE(notes_labels_in_hand_as_soon_as_there_is_room),
        CASE(leaves_the_labels_of_a_commit_when_its_own_were_not_noted),
        CASE(pins_no_more_than_the_limit),
        CASE(ships_what_thanos_has_staged),
        CASE(pins_as_soon_as_there_is_room),
        CASE(names_broken_blocks_and_ships_the_others),
        CASE(does_not_hurry_for_a_bad_block_that_is_gone),
        CASE(pins_although_the_state_cannot_be_saved),
        CASE(leaves_a_data_directory_to_another_sidecar),
        CASE(counts_a_missing_data_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
