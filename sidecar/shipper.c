/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a block, and where each is written down:
 *
 *   discovered   a directory with a ULID name in the data directory
 *   pinned       thanos/upload/<ULID>/                 (block_pin.c)
 *                and its labels, <ULID>.json beside it (block_note.c);
 *                the labels alone where no pin can be made: it is shipped from its
 *                place; without room for those either they are held in memory
 *   uploading    objects in the bucket, no meta.json   (block_upload.c)
 *   committed    meta.json in the bucket
 *   recorded     its id in thanos.shipper.json (shipper_state.c)
 *   unpinned     the pin is gone, then the labels
 *
 * Nothing else is remembered, so after a crash the next pass finds each block in one of
 * these states and goes on from there. A pin without a block is one that Prometheus has
 * deleted in the meantime: it is shipped all the same, and not recorded, because the
 * state file speaks of local blocks only.
 *
 * This thread does what concerns the data directory, workers what concerns the bucket;
 * between them stands the table of blocks. A block that is CHECKING or UPLOADING is a
 * worker's, any other is ours.
 *
 * A state file that is missing or broken is made again: empty at first, because
 * Prometheus must find one, then from one listing of the bucket, during which no block
 * is given to the workers. One that cannot be read may be whole: it is left alone until
 * it can. */
#include "sidecar/shipper.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "sidecar/block_files.h"
#include "sidecar/block_labels.h"
#include "sidecar/block_note.h"
#include "sidecar/block_pin.h"
#include "sidecar/flush.h"
#include "sidecar/flushed.h"
#include "sidecar/shipper_state.h"

#define RESCAN_NS (30 * CLOCK_NS_PER_S)

struct sidecar_shipper {
    struct sidecar_shipper_options options;
    struct sidecar_label_keeper keeper;
    char *state_path;
    int lock_fd; /* of the data directory; -1: not locked */
    bool has_cleaned_up;
    struct sidecar_shipper_state state;
    bool state_is_known;
    bool state_is_dirty; /* the file does not say what the state says */
    bool state_is_lost;  /* the bucket is still to be asked */
    struct sidecar_block_list local;
    bool local_is_known;              /* by this pass */
    bool pins_are_known;              /* the same */
    double failed_uploads;            /* the metric, at the last pass */
    struct sidecar_pin_cost told;     /* of the last pin that is not of links */
    struct sidecar_ext_labels labels; /* during a pass */
    bool waits_for_labels;
    bool is_in_trouble; /* this pass */
    struct err trouble; /* its first one, with the data directory */
};

struct sidecar_shipper *
sidecar_shipper_new(const struct sidecar_shipper_options *options)
{
    struct sidecar_shipper *s = xcalloc(1, sizeof *s);
    s->options = *options;
    s->keeper = (struct sidecar_label_keeper){options->table, options->tsdb_path,
                                              options->pins};
    s->lock_fd = -1;
    s->state_path = xasprintf("%s/%s", options->tsdb_path, options->state_name);
    return s;
}

void
sidecar_shipper_free(struct sidecar_shipper **out)
{
    struct sidecar_shipper *s = TAKE(*out);
    if (s == NULL)
        return;
    sidecar_block_list_fini(&s->local);
    sidecar_shipper_state_fini(&s->state);
    file_close(&s->lock_fd);
    free(s->state_path);
    free(s);
}

static bool
complain(struct sidecar_shipper *s, const struct err *err)
{
    if (!s->is_in_trouble)
        s->trouble = *err;
    s->is_in_trouble = true;
    LOG_ERROR("data directory cannot be used", LOG_ERR(err));
    return false;
}

static bool
block_failed(struct sidecar_shipper *s, const struct tsdb_ulid *id, const char *msg,
             const struct err *err)
{
    int64_t pause_ns =
        sidecar_block_table_fail(s->options.table, id, err, clock_mono_ns());
    if (err->code == ERR_CORRUPT)
        metrics_add(s->options.metrics->corrupted, 1);
    LOG_ERROR(msg, LOG_STR("block", tsdb_ulid_print(id).text), LOG_ERR(err),
              LOG_STR("code", err_code_name(err->code)),
              LOG_INT("retry_ms", pause_ns / CLOCK_NS_PER_MS));
    return false;
}

static bool
is_free(struct sidecar_shipper *s, const struct tsdb_ulid *id)
{
    return sidecar_block_table_is_free(s->options.table, id, clock_mono_ns());
}

static void
report_bad(void *arg, const struct tsdb_ulid *id, const struct err *err)
{
    struct sidecar_shipper *s = arg;
    const struct sidecar_block block = {.id = *id};
    sidecar_block_table_see(s->options.table, &block);
    if (!is_free(s, id) ||
        sidecar_block_table_state(s->options.table, id) != SIDECAR_BLOCK_FOUND)
        return;
    block_failed(s, id, "block cannot be read", err);
}

/* Two sidecars in one data directory would take each other's half-made pins away. The
 * lock lasts until the directory is another one. A file system that knows no locks
 * holds none back. */
static bool
lock_directory(struct sidecar_shipper *s, struct err *err)
{
    struct stat held, now;
    const char *path = s->options.tsdb_path;
    if (s->lock_fd >= 0 && fstat(s->lock_fd, &held) == 0 && stat(path, &now) == 0 &&
        held.st_ino == now.st_ino && held.st_dev == now.st_dev)
        return true;
    file_close(&s->lock_fd);
    CLEANUP(file_close) int fd = -1;
    if (!file_open_read(path, &fd, err))
        return false;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return err_set(err, ERR_CONFLICT, "another sidecar works in %s", path);
    s->lock_fd = fd;
    fd = -1;
    return true;
}

/* What a flush has left that was killed, once; links are all that a failure costs. */
static void
clean_up(struct sidecar_shipper *s)
{
    struct err err;
    if (!s->has_cleaned_up && !sidecar_flush_clean_up(s->options.tsdb_path, &err))
        LOG_WARN("snapshot of a former flush is left", LOG_ERR(&err));
    s->has_cleaned_up = true;
}

/* Read the state file, once. */
static bool
know_state(struct sidecar_shipper *s, struct err *err)
{
    if (s->state_is_known)
        return true;
    if (!sidecar_shipper_state_load(&s->state, s->state_path, err)) {
        bool is_missing = err->code == ERR_NOT_FOUND;
        if (!is_missing && err->code != ERR_CORRUPT)
            return false;
        LOG_AT(is_missing ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "no state of a former run",
               LOG_ERR(err));
        s->state_is_dirty = true;
        s->state_is_lost = true;
    }
    s->state_is_known = true;
    return true;
}

static bool
flush_state(struct sidecar_shipper *s, struct err *err)
{
    if (s->state_is_dirty && !sidecar_shipper_state_save(&s->state, s->state_path, err))
        return false;
    s->state_is_dirty = false;
    return true;
}

/* One that is pinned was wanted when it was found. */
static bool
is_passed_over(const struct sidecar_shipper *s, const struct sidecar_block *b)
{
    enum sidecar_block_state state =
        sidecar_block_table_state(s->options.table, &b->id);
    return b->level > 1 && !s->options.upload_compacted &&
           (state == SIDECAR_BLOCK_FOUND || state == SIDECAR_BLOCK_PASSED_OVER);
}

/* Give a block to the workers. */
static bool
hand_over(struct sidecar_shipper *s, const struct sidecar_block *b)
{
    const struct tsdb_ulid *id = &b->id;
    struct err err;
    bool known;
    /* Asked first: from then on no worker touches a block that is PINNED. */
    bool is_listed = sidecar_block_table_is_listed(s->options.table);
    if (!is_free(s, id) ||
        sidecar_block_table_state(s->options.table, id) == SIDECAR_BLOCK_READY)
        return true;
    if (!sidecar_block_labels_remember(&s->keeper, b, s->labels.set, &known, &err))
        return block_failed(s, id, "labels of a block cannot be remembered", &err);
    sidecar_block_table_set(s->options.table, id,
                            known && is_listed ? SIDECAR_BLOCK_READY
                                               : SIDECAR_BLOCK_PINNED);
    return true;
}

/* What a pin costs that is not made of links: a warning, once for each cause. */
static void
tell_of_pin(struct sidecar_shipper *s, const struct tsdb_ulid *id,
            const struct sidecar_pin_cost *cost, int64_t start_ns)
{
    if (cost->kind <= SIDECAR_PIN_LINKED) {
        if (cost->kind == SIDECAR_PIN_LINKED)
            LOG_INFO("pinned block", LOG_STR("block", tsdb_ulid_print(id).text));
        return;
    }
    bool is_told = s->told.kind == cost->kind && s->told.refusal == cost->refusal;
    LOG_AT(is_told ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
           "pinned block without links, which are refused",
           LOG_STR("block", tsdb_ulid_print(id).text),
           LOG_STR("op", sidecar_pin_kind_name(cost->kind)),
           LOG_INT("bytes", cost->bytes),
           LOG_INT("dur_ms", (clock_mono_ns() - start_ns) / CLOCK_NS_PER_MS),
           LOG_STR("err", strerrordesc_np(cost->refusal)));
    s->told = *cost;
}

/* A block that cannot be pinned, for lack of room, say, is shipped all the same. */
static bool
ship_unpinned(struct sidecar_shipper *s, const struct sidecar_block *b,
              const struct err *err)
{
    bool is_news =
        sidecar_block_table_state(s->options.table, &b->id) == SIDECAR_BLOCK_FOUND;
    LOG_AT(is_news ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
           "block cannot be pinned, is shipped from its place",
           LOG_STR("block", tsdb_ulid_print(&b->id).text), LOG_ERR(err),
           LOG_STR("code", err_code_name(err->code)));
    return hand_over(s, b);
}

/* Past the limit no pin is dropped, and none is made. What cannot be summed up does not
 * keep a block from its pin. */
static bool
has_room(const struct sidecar_shipper_options *o, const struct tsdb_ulid *id,
         struct err *err)
{
    uint64_t held;
    struct err unknown;
    if (o->spool_limit_bytes == 0 || sidecar_block_is_pinned(o->pins, id) ||
        !sidecar_block_pins_bytes(o->pins, &held, &unknown) ||
        held < o->spool_limit_bytes)
        return true;
    return err_set(err, ERR_BUDGET,
                   "pins hold %" PRIu64 " bytes, --shipper.spool-limit is %" PRIu64,
                   held, o->spool_limit_bytes);
}

/* Retention does not wait for labels that cannot be noted. */
static bool
pin(struct sidecar_shipper *s, const struct sidecar_block *b)
{
    const struct tsdb_ulid *id = &b->id;
    const struct sidecar_shipper_options *o = &s->options;
    struct err err, no_note;
    struct sidecar_pin_cost cost;
    bool known;
    int64_t start_ns = clock_mono_ns();
    bool noted =
        sidecar_block_labels_remember(&s->keeper, b, s->labels.set, &known, &no_note);
    if (has_room(o, id, &err) &&
        sidecar_block_pin(o->tsdb_path, o->pins, id, o->cancel, &cost, &err))
        tell_of_pin(s, id, &cost, start_ns);
    else if (err.code == ERR_NOT_FOUND || err.code == ERR_CORRUPT)
        return block_failed(s, id, "block cannot be pinned", &err);
    else if (noted && err.code != ERR_CANCELLED)
        return ship_unpinned(s, b, &err);
    return noted ||
           block_failed(s, id, "labels of a block cannot be remembered", &no_note);
}

static void
measure(struct sidecar_shipper *s, const char *folder, const struct tsdb_ulid *id)
{
    CLEANUP(xfree)
    char *directory = xasprintf("%s/%s", folder, tsdb_ulid_print(id).text);
    CLEANUP(sidecar_block_files_fini) struct sidecar_block_files files = {0};
    struct err ignored;
    if (sidecar_block_files_read(&files, directory, &ignored))
        sidecar_block_table_measure(s->options.table, id,
                                    sidecar_block_files_size(&files));
}

static void
see(struct sidecar_shipper *s, const char *folder, const struct sidecar_block *b)
{
    if (sidecar_block_table_see(s->options.table, b))
        measure(s, folder, &b->id);
}

static bool
visit_local(struct sidecar_shipper *s, const struct sidecar_block *b)
{
    struct sidecar_block_table *table = s->options.table;
    if (b->num_samples == 0)
        return true;
    see(s, s->options.tsdb_path, b);
    if (!is_free(s, &b->id))
        return true;
    if (sidecar_shipper_state_has(&s->state, &b->id))
        sidecar_block_table_set(table, &b->id, SIDECAR_BLOCK_SHIPPED);
    else if (is_passed_over(s, b))
        sidecar_block_table_set(table, &b->id, SIDECAR_BLOCK_PASSED_OVER);
    else
        return pin(s, b);
    return true;
}

/* Say when Prometheus has compacted blocks: what it merged before this process saw it
 * is in no bucket. Nothing is wrong when it waits for the state file
 * (--storage.tsdb.delay-compact-file.path). */
static void
count_passed_over(struct sidecar_shipper *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->local.count; i++)
        count += sidecar_block_table_state(s->options.table, &s->local.at[i].id) ==
                 SIDECAR_BLOCK_PASSED_OVER;
    struct metrics_value *passed_over = s->options.metrics->passed_over;
    if ((double)count > metrics_get(passed_over))
        LOG_WARN("compacted blocks are not shipped: keep Prometheus from compacting "
                 "(equal min and max block duration, or delay-compact-file), or give "
                 "--shipper.upload-compacted",
                 LOG_INT("count", count));
    metrics_set(passed_over, (double)count);
}

/* One that cannot be read at the moment is still there. */
static bool
is_local(void *arg, const struct tsdb_ulid *id)
{
    const struct sidecar_shipper *s = arg;
    CLEANUP(xfree)
    char *path = xasprintf("%s/%s", s->options.tsdb_path, tsdb_ulid_print(id).text);
    return sidecar_block_find(&s->local, id) != NULL || file_exists(path);
}

/* Read the data directory. */
static bool
scan_local(struct sidecar_shipper *s, struct err *err)
{
    CLEANUP(sidecar_block_list_fini) struct sidecar_block_list now = {0};
    if (!sidecar_block_scan(&now, s->options.tsdb_path, report_bad, s, err))
        return false;
    sidecar_block_list_fini(&s->local);
    s->local = now;
    s->local_is_known = true;
    now = (struct sidecar_block_list){0};
    if (sidecar_shipper_state_retain(&s->state, is_local, s))
        s->state_is_dirty = true;
    return true;
}

/* Find and pin what is new. */
static bool
discover(struct sidecar_shipper *s)
{
    struct err err;
    bool ok = true;
    if (!know_state(s, &err))
        ok = complain(s, &err);
    if (!scan_local(s, &err))
        return complain(s, &err);
    if (s->state_is_lost && s->local.count > 0)
        sidecar_block_table_want_listing(s->options.table);
    s->state_is_lost = false;
    ok = (sidecar_block_pin_prepare(s->options.pins, &err) || complain(s, &err)) && ok;
    for (size_t i = 0; i < s->local.count; i++)
        ok = visit_local(s, &s->local.at[i]) && ok;
    count_passed_over(s);
    return ok;
}

/* The bucket has the block: write that down, and only then let go of it. */
static bool
settle(struct sidecar_shipper *s, const struct tsdb_ulid *id, struct err *err)
{
    const char *pins = s->options.pins;
    if (is_local(s, id) && sidecar_shipper_state_add(&s->state, id))
        s->state_is_dirty = true;
    return flush_state(s, err) && sidecar_block_unpin(pins, id, err) &&
           sidecar_block_note_remove(pins, id, err);
}

static bool
visit_pin(struct sidecar_shipper *s, const struct sidecar_block *b)
{
    struct err err;
    see(s, s->options.pins, b);
    if (sidecar_block_table_state(s->options.table, &b->id) != SIDECAR_BLOCK_SHIPPED)
        return hand_over(s, b);
    if (!is_free(s, &b->id) || settle(s, &b->id, &err))
        return true;
    return block_failed(s, &b->id, "shipped block cannot be unpinned", &err);
}

static bool
is_shipped_unpinned(struct sidecar_shipper *s, const struct sidecar_block_list *pins,
                    const struct tsdb_ulid *id)
{
    enum sidecar_block_state state = sidecar_block_table_state(s->options.table, id);
    return state >= SIDECAR_BLOCK_PINNED && state < SIDECAR_BLOCK_COMMITTED &&
           sidecar_block_find(pins, id) == NULL;
}

static void
count_pins(struct sidecar_shipper *s, const struct sidecar_block_list *pins)
{
    const struct sidecar_shipper_metrics *m = s->options.metrics;
    size_t unpinned = 0;
    uint64_t bytes;
    struct err unknown;
    for (size_t i = 0; i < s->local.count; i++)
        unpinned += is_shipped_unpinned(s, pins, &s->local.at[i].id);
    metrics_set(m->pinned, (double)pins->count);
    metrics_set(m->unpinned, (double)unpinned);
    if (sidecar_block_pins_bytes(s->options.pins, &bytes, &unknown))
        metrics_set(m->pinned_bytes, (double)bytes);
}

/* Pins can be shipped even when the data directory is in trouble. */
static bool
visit_pins(struct sidecar_shipper *s)
{
    struct err err;
    bool ok = true;
    CLEANUP(sidecar_block_list_fini) struct sidecar_block_list pins = {0};
    if (!sidecar_block_scan(&pins, s->options.pins, report_bad, s, &err)) {
        s->pins_are_known = err.code == ERR_NOT_FOUND; /* there are none */
        if (!s->pins_are_known)
            LOG_ERROR("pins cannot be listed", LOG_ERR(&err));
        return s->pins_are_known;
    }
    s->pins_are_known = true;
    for (size_t i = 0; i < pins.count; i++)
        ok = visit_pin(s, &pins.at[i]) && ok;
    count_pins(s, &pins);
    return ok;
}

static bool
record(struct sidecar_shipper *s, const struct sidecar_block_row *row)
{
    struct err err;
    if (!sidecar_backoff_is_due(&row->backoff, clock_mono_ns()))
        return true;
    bool is_pinned = sidecar_block_is_pinned(s->options.pins, &row->block.id);
    if (!settle(s, &row->block.id, &err))
        return block_failed(s, &row->block.id, "shipped block cannot be recorded",
                            &err);
    sidecar_block_table_set(s->options.table, &row->block.id, SIDECAR_BLOCK_SHIPPED);
    metrics_add(s->options.metrics->pinned, is_pinned ? -1 : 0);
    return true;
}

/* Write down what the workers have brought to the bucket. */
static bool
record_committed(struct sidecar_shipper *s)
{
    CLEANUP(sidecar_block_rows_fini) struct sidecar_block_rows rows = {0};
    bool ok = true;
    sidecar_block_table_copy(s->options.table, &rows);
    for (size_t i = 0; i < rows.count; i++)
        if (rows.at[i].state == SIDECAR_BLOCK_COMMITTED)
            ok = record(s, &rows.at[i]) && ok;
    return ok;
}

/* What a failed listing has not shown may be there all the same. */
static bool
all_is_seen(const struct sidecar_shipper *s)
{
    return s->local_is_known && s->pins_are_known;
}

static bool
is_noted(void *arg, const struct tsdb_ulid *id)
{
    const struct sidecar_block_rows *rows = arg;
    for (size_t i = 0; i < rows->count; i++)
        if (tsdb_ulid_cmp(&rows->at[i].block.id, id) == 0)
            return !sidecar_block_row_is_settled(&rows->at[i]);
    return false;
}

/* Set what follows from the table. */
static bool
sum_up(struct sidecar_shipper *s)
{
    struct err err;
    CLEANUP(sidecar_block_rows_fini) struct sidecar_block_rows rows = {0};
    sidecar_block_table_copy(s->options.table, &rows);
    size_t open = 0, unnoted = 0;
    for (size_t i = 0; i < rows.count; i++) {
        open += rows.at[i].state != SIDECAR_BLOCK_SHIPPED;
        unnoted += rows.at[i].holds_labels;
    }
    metrics_set(s->options.metrics->unnoted, (double)unnoted);
    metrics_set(s->options.metrics->compacted_done,
                s->options.upload_compacted && s->local_is_known && open == 0);
    return !all_is_seen(s) ||
           sidecar_block_note_prune(s->options.pins, is_noted, &rows, &err) ||
           err.code == ERR_NOT_FOUND || complain(s, &err);
}

/* Pins come before the state: retention does not wait for a state that cannot be saved.
 */
static bool
work(struct sidecar_shipper *s)
{
    struct err err;
    if (!lock_directory(s, &err))
        return complain(s, &err);
    clean_up(s);
    sidecar_block_table_begin(s->options.table);
    s->local_is_known = false;
    s->pins_are_known = false;
    bool found = discover(s);
    bool ok = visit_pins(s) && found;
    if (all_is_seen(s))
        sidecar_block_table_end(s->options.table);
    if (s->state_is_known && s->local_is_known) {
        ok = record_committed(s) && ok;
        ok = (flush_state(s, &err) || complain(s, &err)) && ok;
    }
    return sum_up(s) && ok;
}

static void
know_labels(struct sidecar_shipper *s)
{
    s->labels = s->options.labels(s->options.labels_arg);
    bool waits = s->labels.set.len == 0;
    if (waits && !s->waits_for_labels)
        LOG_WARN("new blocks wait: external labels are not known");
    s->waits_for_labels = waits;
}

bool
sidecar_shipper_pass(struct sidecar_shipper *s)
{
    const struct sidecar_shipper_metrics *m = s->options.metrics;
    double failed_uploads = metrics_get(m->failed_uploads);
    metrics_add(m->passes, 1);
    know_labels(s);
    s->is_in_trouble = false;
    bool ok = work(s) && failed_uploads <= s->failed_uploads;
    if (!ok)
        metrics_add(m->failed_passes, 1);
    s->failed_uploads = failed_uploads;
    sidecar_block_table_trouble(s->options.table,
                                s->is_in_trouble ? s->trouble.text : NULL);
    sidecar_ext_labels_fini(&s->labels);
    return ok;
}

bool
sidecar_shipper_has_directory(const struct sidecar_shipper *s)
{
    return s->lock_fd >= 0 && s->pins_are_known;
}

int64_t
sidecar_shipper_next_ns(const struct sidecar_shipper *s)
{
    return NUM_MIN(clock_deadline(RESCAN_NS),
                   sidecar_block_table_next_ns(s->options.table, clock_mono_ns()));
}
