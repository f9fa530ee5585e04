/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a block, and where each is written down:
 *
 *   discovered   a directory with a ULID name in the data directory
 *   pinned       thanos/upload/<ULID>/                 (block_pin.c)
 *   uploading    objects in the bucket, no meta.json   (block_upload.c)
 *   committed    meta.json in the bucket
 *   recorded     its id in thanos.shipper.json         (shipper_state.c)
 *   unpinned     the pin is gone
 *
 * Nothing else is remembered, so after a crash the next pass finds each block in one of
 * these states and goes on from there. A pin without a block is one that Prometheus has
 * deleted in the meantime: it is shipped all the same, and not recorded, because the
 * state file speaks of local blocks only. */
#include "sidecar/shipper.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/file.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "sidecar/backoff.h"
#include "sidecar/block_pin.h"
#include "sidecar/block_scan.h"
#include "sidecar/block_upload.h"
#include "sidecar/shipper_metrics.h"
#include "sidecar/shipper_state.h"

#define RESCAN_NS (30 * CLOCK_NS_PER_S)

struct sidecar_shipper {
    struct sidecar_shipper_options options;
    struct sidecar_shipper_metrics metrics;
    char *state_path;
    char *pins; /* the folder of pins */
    struct sidecar_shipper_state state;
    bool state_is_dirty; /* the file does not say what the state says */
    struct sidecar_block_list local;
    struct sidecar_backoff backoff;
    bool waits_for_labels;
};

struct sidecar_shipper *
sidecar_shipper_new(const struct sidecar_shipper_options *options)
{
    struct sidecar_shipper *s = xcalloc(1, sizeof *s);
    s->options = *options;
    s->metrics = sidecar_shipper_metrics_new(options->metrics);
    s->state_path = xasprintf("%s/%s", options->tsdb_path, options->state_name);
    s->pins = sidecar_block_pin_folder(options->tsdb_path);
    struct err err;
    if (!sidecar_shipper_state_load(&s->state, s->state_path, &err)) {
        LOG_AT(err.code == ERR_NOT_FOUND ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
               "no state of a former run, will ask the bucket", LOG_ERR(&err));
        s->state_is_dirty = true;
    }
    return s;
}

void
sidecar_shipper_free(struct sidecar_shipper **out)
{
    struct sidecar_shipper *s = TAKE(*out);
    if (s == NULL)
        return;
    sidecar_backoff_fini(&s->backoff);
    sidecar_block_list_fini(&s->local);
    sidecar_shipper_state_fini(&s->state);
    free(s->pins);
    free(s->state_path);
    free(s);
}

static bool
flush_state(struct sidecar_shipper *s, struct err *err)
{
    if (s->state_is_dirty && !sidecar_shipper_state_save(&s->state, s->state_path, err))
        return false;
    s->state_is_dirty = false;
    return true;
}

static void
block_failed(struct sidecar_shipper *s, const struct tsdb_ulid *id, const char *msg,
             const struct err *err)
{
    int64_t pause_ns = sidecar_backoff_failed(&s->backoff, id, clock_mono_ns());
    if (err->code == ERR_CORRUPT)
        metrics_add(s->metrics.corrupted, 1);
    LOG_ERROR(msg, LOG_STR("block", tsdb_ulid_print(id).text), LOG_ERR(err),
              LOG_STR("code", err_code_name(err->code)),
              LOG_INT("retry_ms", pause_ns / CLOCK_NS_PER_MS));
}

static void
report_bad(void *arg, const struct tsdb_ulid *id, const struct err *err)
{
    struct sidecar_shipper *s = arg;
    struct err corrupt = *err;
    corrupt.code = ERR_CORRUPT;
    if (sidecar_backoff_is_due(&s->backoff, id, clock_mono_ns()))
        block_failed(s, id, "block cannot be read", &corrupt);
}

static bool
is_passed_over(const struct sidecar_shipper *s, const struct sidecar_block *b)
{
    return b->num_samples > 0 && b->level > 1 && !s->options.upload_compacted &&
           !sidecar_shipper_state_has(&s->state, &b->id);
}

static bool
is_wanted(const struct sidecar_shipper *s, const struct sidecar_block *b)
{
    return b->num_samples > 0 && !is_passed_over(s, b) &&
           !sidecar_shipper_state_has(&s->state, &b->id);
}

/* Say when Prometheus has compacted blocks: what it merged before this process saw it
 * is in no bucket. Nothing is wrong when it waits for the state file
 * (--storage.tsdb.delay-compact-file.path). */
static void
count_passed_over(struct sidecar_shipper *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->local.count; i++)
        count += is_passed_over(s, &s->local.at[i]);
    if ((double)count > metrics_get(s->metrics.passed_over))
        LOG_WARN("compacted blocks are not shipped: keep Prometheus from compacting "
                 "(equal min and max block duration, or delay-compact-file), or give "
                 "--shipper.upload-compacted",
                 LOG_INT("count", count));
    metrics_set(s->metrics.passed_over, (double)count);
}

static bool
pin(struct sidecar_shipper *s, const struct tsdb_ulid *id)
{
    struct err err;
    bool made;
    if (!sidecar_backoff_is_due(&s->backoff, id, clock_mono_ns()))
        return true;
    if (!sidecar_block_pin(s->options.tsdb_path, s->pins, id, &made, &err)) {
        block_failed(s, id, "block cannot be pinned", &err);
        return false;
    }
    if (made)
        LOG_INFO("pinned block", LOG_STR("block", tsdb_ulid_print(id).text));
    return true;
}

static bool
pin_wanted(struct sidecar_shipper *s)
{
    bool ok = true;
    for (size_t i = 0; i < s->local.count; i++)
        if (is_wanted(s, &s->local.at[i]))
            ok = pin(s, &s->local.at[i].id) && ok;
    return ok;
}

/* Set the gauges from the pins that there are. */
static void
count_pins(struct sidecar_shipper *s, const struct sidecar_block_list *pins)
{
    int64_t oldest_ms = pins->count > 0 ? pins->at[0].maxt_ms : 0;
    metrics_set(s->metrics.pinned, (double)pins->count);
    metrics_set(s->metrics.oldest, (double)oldest_ms / 1000);
}

static bool
list_pins(struct sidecar_shipper *s, struct sidecar_block_list *pins, struct err *err)
{
    if (!sidecar_block_scan(pins, s->pins, report_bad, s, err))
        return false;
    count_pins(s, pins);
    return true;
}

static bool
complain(const struct err *err)
{
    LOG_ERROR("data directory cannot be used", LOG_ERR(err));
    return false;
}

/* Read the data directory, and make room for pins in it. */
static bool
scan_local(struct sidecar_shipper *s, struct err *err)
{
    sidecar_block_list_fini(&s->local);
    if (!sidecar_block_scan(&s->local, s->options.tsdb_path, report_bad, s, err))
        return false;
    if (sidecar_shipper_state_retain(&s->state, &s->local))
        s->state_is_dirty = true;
    return sidecar_block_pin_prepare(s->pins, err);
}

/* Pins come before the state: retention does not wait for a state that cannot be saved.
 */
static bool
update_local(struct sidecar_shipper *s)
{
    struct err err;
    if (!scan_local(s, &err))
        return complain(&err);
    bool ok = pin_wanted(s);
    count_passed_over(s);
    return (flush_state(s, &err) || complain(&err)) && ok;
}

/* Find and pin what is new, and list all pins: those can be shipped even when the data
 * directory is in trouble. */
static bool
discover(struct sidecar_shipper *s, struct sidecar_block_list *pins)
{
    struct err err;
    bool ok = update_local(s);
    if (!list_pins(s, pins, &err) && err.code != ERR_NOT_FOUND) {
        LOG_ERROR("pins cannot be listed", LOG_ERR(&err));
        return false;
    }
    return ok;
}

static bool
upload(struct sidecar_shipper *s, const struct tsdb_ulid *id, struct tsdb_labels labels,
       struct err *err)
{
    struct sidecar_block_upload how = {
        .bucket = s->options.bucket,
        .labels = labels,
        .hash_sha256 = s->options.hash_sha256,
        .cancel = s->options.cancel,
    };
    struct tsdb_ulid_text name = tsdb_ulid_print(id);
    CLEANUP(xfree) char *directory = xasprintf("%s/%s", s->pins, name.text);
    int64_t start_ns = clock_mono_ns();
    LOG_INFO("upload new block", LOG_STR("block", name.text));
    if (!sidecar_block_upload(&how, directory, id, err))
        return false;
    metrics_add(s->metrics.uploads, 1);
    LOG_INFO("uploaded block", LOG_STR("block", name.text),
             LOG_INT("dur_ms", (clock_mono_ns() - start_ns) / CLOCK_NS_PER_MS));
    return true;
}

/* The block is in the bucket: write that down, and only then let go of it. */
static bool
settle(struct sidecar_shipper *s, const struct tsdb_ulid *id, struct err *err)
{
    if (sidecar_block_find(&s->local, id) != NULL &&
        !sidecar_shipper_state_has(&s->state, id)) {
        sidecar_shipper_state_add(&s->state, id);
        s->state_is_dirty = true;
    }
    return flush_state(s, err) && sidecar_block_unpin(s->pins, id, err);
}

static bool
ship(struct sidecar_shipper *s, const struct tsdb_ulid *id, struct tsdb_labels labels)
{
    struct err err;
    bool shipped = sidecar_shipper_state_has(&s->state, id);
    if (!shipped && !upload(s, id, labels, &err)) {
        if (err.code == ERR_CANCELLED)
            return true;
        metrics_add(s->metrics.failed_uploads, 1);
        block_failed(s, id, "block cannot be shipped", &err);
        return false;
    }
    if (!settle(s, id, &err)) {
        block_failed(s, id, "shipped block cannot be recorded", &err);
        return false;
    }
    sidecar_backoff_forget(&s->backoff, id);
    return true;
}

static bool
know_labels(struct sidecar_shipper *s, struct tsdb_labels labels)
{
    bool waits = labels.len == 0;
    if (waits && !s->waits_for_labels)
        LOG_WARN("blocks wait: external labels are not known");
    s->waits_for_labels = waits;
    return !waits;
}

static bool
ship_all(struct sidecar_shipper *s, const struct sidecar_block_list *pins)
{
    CLEANUP(sidecar_ext_labels_fini)
    struct sidecar_ext_labels labels = s->options.labels(s->options.labels_arg);
    bool ok = true;
    if (!know_labels(s, labels.set))
        return true;
    for (size_t i = 0; i < pins->count && !cancel_is_raised(s->options.cancel); i++) {
        const struct tsdb_ulid *id = &pins->at[i].id;
        if (!sidecar_backoff_is_due(&s->backoff, id, clock_mono_ns()))
            continue;
        CLEANUP(sidecar_block_list_fini) struct sidecar_block_list now = {0};
        ok = ship(s, id, labels.set) && ok;
        /* Shipping took its time: pin what has come in the meantime. */
        ok = discover(s, &now) && ok;
    }
    return ok;
}

/* Two sidecars in one data directory would take each other's half-made pins away. The
 * lock ends with *fd. A file system that knows no locks holds none back. */
static bool
lock_directory(const char *path, int *fd, struct err *err)
{
    if (!file_open_read(path, fd, err))
        return false;
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return err_set(err, ERR_CONFLICT, "another sidecar works in %s", path);
    return true;
}

static bool
work(struct sidecar_shipper *s)
{
    CLEANUP(sidecar_block_list_fini) struct sidecar_block_list pins = {0};
    CLEANUP(file_close) int lock = -1;
    struct err err;
    if (!lock_directory(s->options.tsdb_path, &lock, &err))
        return complain(&err);
    bool ok = discover(s, &pins);
    return ship_all(s, &pins) && ok;
}

bool
sidecar_shipper_pass(struct sidecar_shipper *s)
{
    metrics_add(s->metrics.passes, 1);
    bool ok = work(s);
    if (!ok)
        metrics_add(s->metrics.failed_passes, 1);
    bool all_shipped = ok && metrics_get(s->metrics.pinned) <= 0;
    metrics_set(s->metrics.compacted_done, s->options.upload_compacted && all_shipped);
    sidecar_backoff_prune(&s->backoff, clock_mono_ns());
    return ok;
}

int64_t
sidecar_shipper_next_ns(const struct sidecar_shipper *s)
{
    return NUM_MIN(clock_deadline(RESCAN_NS),
                   sidecar_backoff_next_ns(&s->backoff, clock_mono_ns()));
}
