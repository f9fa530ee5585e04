/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a flush, and what is left when the process dies in each:
 *
 *   1 announce   thanos/flush.json                    that file
 *   2 ask        a snapshot                           also the snapshot, maybe unnamed
 *   3 note down  its name in thanos/flush.json        also the snapshot
 *   4 mark       no-compact-mark.json in its head     the same
 *   5 remember   thanos/flushed.json, labels          the same, and what nobody misses
 *   6 pin        thanos/upload/<ULID>                 also a whole pin, mark included
 *   7 remove     the snapshot, then the announcement
 *
 * Whatever is left, the next start removes the snapshot and ships the pin if there is
 * one. Without it the samples are where they were, in the log of Prometheus. */
#include "sidecar/flush.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/xmalloc.h"
#include "common/codec/json.h"
#include "common/tsdb/block_path.h"
#include "sidecar/block_note.h"
#include "sidecar/block_pin.h"
#include "sidecar/block_scan.h"
#include "sidecar/flushed.h"

enum { ANNOUNCEMENT_VERSION = 1, ANNOUNCEMENT_MAX_BYTES = 4096 };

/* Names of snapshots begin with the time at which they were begun, in this form. */
#define NAME_TIME "%Y%m%dT%H%M%SZ"

/* One flush, or what is left of one. The zero value is none. */
struct flush {
    const char *tsdb_path;
    char *announcement; /* path of thanos/flush.json */
    char *asked;        /* when, as names of snapshots begin */
    char *name;         /* of the snapshot; NULL: not known */
    char *snapshot;     /* its path; the same */
};

static void
flush_fini(struct flush *f)
{
    free(f->announcement);
    free(f->asked);
    free(f->name);
    free(f->snapshot);
}

static struct flush
flush_of(const char *tsdb_path)
{
    return (struct flush){.tsdb_path = tsdb_path,
                          .announcement = xasprintf("%s/thanos/flush.json", tsdb_path)};
}

static void
set_name(struct flush *f, const char *name)
{
    f->name = xstrdup(name);
    f->snapshot = xasprintf("%s/snapshots/%s", f->tsdb_path, name);
}

static bool
announce(const struct flush *f, struct err *err)
{
    CLEANUP(json_free) struct json *root = json_new_object();
    CLEANUP(buf_fini) struct buf text = {0};
    json_set_i64(root, "version", ANNOUNCEMENT_VERSION);
    json_set_text(root, "asked", f->asked);
    if (f->name != NULL)
        json_set_text(root, "snapshot", f->name);
    json_print(root, 0, &text);
    return file_replace(f->announcement, buf_bytes(&text), err);
}

static bool
renounce(const struct flush *f, struct err *err)
{
    return unlink(f->announcement) == 0 || errno == ENOENT ||
           err_sys(err, errno, "remove %s", f->announcement);
}

/* ERR_NOT_FOUND: the path is not there. Links are not followed. */
static bool
is_folder(const char *path, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return err_sys(err, errno, "stat %s", path);
    return S_ISDIR(st.st_mode) ||
           err_set(err, ERR_INVALID, "%s is not a directory", path);
}

/* The name was checked when Prometheus told it, and is again when it comes from the
 * disk. */
static bool
remove_snapshot(const struct flush *f, struct err *err)
{
    CLEANUP(xfree) char *parent = xasprintf("%s/snapshots", f->tsdb_path);
    if (!is_folder(parent, err) || !is_folder(f->snapshot, err))
        return err->code == ERR_NOT_FOUND;
    return file_remove_tree(f->snapshot, err);
}

/* A failure is no reason to lose the block: the next start tries again. */
static void
end(const struct flush *f)
{
    struct err err;
    if ((f->name == NULL || remove_snapshot(f, &err)) && renounce(f, &err))
        return;
    LOG_WARN("snapshot cannot be removed, the next start will try again",
             LOG_STR("path", f->snapshot != NULL ? f->snapshot : f->announcement),
             LOG_ERR(&err));
}

/* Prometheus, if it is another user, makes folders that only it can empty. Its log
 * shows who it is; one that has none yet has no blocks either. */
static bool
can_remove(const char *tsdb_path, struct err *err)
{
    struct stat st;
    CLEANUP(xfree) char *wal = xasprintf("%s/wal", tsdb_path);
    uid_t me = geteuid();
    if (me == 0 || lstat(wal, &st) != 0 || st.st_uid == me)
        return true;
    return err_set(err, ERR_DENIED,
                   "the sidecar runs as user %ju and prometheus as %ju, so that the "
                   "snapshot could not be removed: run both as the same user",
                   (uintmax_t)me, (uintmax_t)st.st_uid);
}

static void
pass_over(void *arg, const struct tsdb_ulid *id, const struct err *err)
{
    (void)arg;
    (void)id;
    (void)err;
}

/* The block that the snapshot has and the data directory has not: it had it neither
 * before, when it had what before lists, nor has it now. There may be none. */
static bool
find_head(const struct flush *f, const struct sidecar_block_list *before,
          struct sidecar_block *head, bool *found, struct err *err)
{
    CLEANUP(sidecar_block_list_fini) struct sidecar_block_list there = {0};
    size_t count = 0;
    if (!sidecar_block_scan(&there, f->snapshot, pass_over, NULL, err))
        return false;
    for (size_t i = 0; i < there.count; i++) {
        const struct sidecar_block *b = &there.at[i];
        CLEANUP(xfree)
        char *local = xasprintf("%s/%s", f->tsdb_path, tsdb_ulid_print(&b->id).text);
        if (b->level != 1 || b->num_samples == 0 || file_exists(local) ||
            sidecar_block_find(before, &b->id) != NULL)
            continue;
        *head = *b;
        count++;
    }
    if (count > 1)
        return err_set(err, ERR_INVALID, "%s has %zu blocks that %s has not",
                       f->snapshot, count, f->tsdb_path);
    *found = count == 1;
    return true;
}

static bool
mark(const struct flush *f, const struct tsdb_ulid *id, struct err *err)
{
    struct tsdb_ulid_text name = tsdb_ulid_print(id);
    CLEANUP(xfree)
    char *path =
        xasprintf("%s/%s/%s", f->snapshot, name.text, TSDB_BLOCK_PATH_NO_COMPACT_MARK);
    CLEANUP(json_free) struct json *root = json_new_object();
    CLEANUP(buf_fini) struct buf text = {0};
    json_set_text(root, "id", name.text);
    json_set_i64(root, "version", 1);
    json_set_text(root, "details",
                  "head of Prometheus, flushed by blockhouse-sidecar when it was "
                  "stopped; the regular block of the same samples may follow");
    json_set_i64(root, "no_compact_time", clock_wall_ns() / CLOCK_NS_PER_S);
    json_set_text(root, "reason", "manual");
    json_print(root, 0, &text);
    return file_replace(path, buf_bytes(&text), err);
}

/* Steps 4 to 6. */
static bool
pin_head(const struct sidecar_flush *how, const struct flush *f,
         const struct sidecar_block *head, struct err *err)
{
    struct sidecar_pin_cost cost;
    return mark(f, &head->id, err) &&
           sidecar_flushed_add(how->tsdb_path, how->pins, head, how->labels, err) &&
           sidecar_block_pin(f->snapshot, how->pins, &head->id, how->cancel, &cost,
                             err);
}

static char *
time_now(void)
{
    char text[sizeof "99991231T235959Z"];
    struct tm utc;
    time_t now = clock_wall_ns() / CLOCK_NS_PER_S;
    gmtime_r(&now, &utc);
    strftime(text, sizeof text, NAME_TIME, &utc);
    return xstrdup(text);
}

/* Steps 1 to 3. */
static bool
take_snapshot(const struct sidecar_flush *how, struct flush *f, struct err *err)
{
    CLEANUP(xfree) char *name = NULL;
    f->asked = time_now();
    if (!announce(f, err))
        return false;
    if (!sidecar_prom_client_snapshot(how->client, how->deadline_ns, how->cancel, &name,
                                      err)) {
        /* A refusal leaves nothing; of all else the next start looks for traces. */
        if (err->code == ERR_UNSUPPORTED || err->code == ERR_DENIED)
            end(f);
        return false;
    }
    set_name(f, name);
    return announce(f, err);
}

bool
sidecar_flush_pin_head(const struct sidecar_flush *how, struct tsdb_ulid *id,
                       bool *pinned, struct err *err)
{
    struct sidecar_block head;
    CLEANUP(flush_fini) struct flush f = flush_of(how->tsdb_path);
    CLEANUP(sidecar_block_list_fini) struct sidecar_block_list before = {0};
    if (how->labels.len == 0)
        return err_set(err, ERR_INVALID, "the external labels are not known");
    if (!can_remove(how->tsdb_path, err) ||
        !sidecar_block_scan(&before, how->tsdb_path, pass_over, NULL, err) ||
        !take_snapshot(how, &f, err))
        return false;
    bool ok = find_head(&f, &before, &head, pinned, err) &&
              (!*pinned || pin_head(how, &f, &head, err));
    end(&f);
    if (ok && *pinned)
        *id = head.id;
    return ok;
}

static bool
read_announcement(struct flush *f, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(json_free) struct json *root = NULL;
    const char *asked, *name;
    if (!file_read_all(f->announcement, ANNOUNCEMENT_MAX_BYTES, &text, err) ||
        !json_parse(buf_bytes(&text), ANNOUNCEMENT_MAX_BYTES, &root, err))
        return false;
    if (!json_text(json_get(root, "asked"), &asked))
        return err_set(err, ERR_INVALID, "%s does not say when", f->announcement);
    f->asked = xstrdup(asked);
    if (!json_text(json_get(root, "snapshot"), &name))
        return true;
    if (!sidecar_prom_client_is_snapshot_name(name))
        return err_set(err, ERR_INVALID, "%s: no name of a snapshot", f->announcement);
    set_name(f, name);
    return true;
}

struct suspicion {
    const char *asked;
    char *first; /* snapshot since then; NULL: none */
};

static bool
suspect(void *arg, const char *name, struct err *unused)
{
    (void)unused;
    struct suspicion *s = arg;
    if (s->first == NULL && strcmp(name, s->asked) >= 0)
        s->first = xstrdup(name);
    return true;
}

/* It may be somebody else's. */
static void
tell_of_unnamed(const struct flush *f)
{
    struct err ignored;
    CLEANUP(xfree) char *parent = xasprintf("%s/snapshots", f->tsdb_path);
    struct suspicion s = {.asked = f->asked};
    if (file_list(parent, suspect, &s, &ignored) && s.first != NULL)
        LOG_WARN("snapshot was asked for by a former run, which never learnt its name: "
                 "remove it, and later ones, unless they are yours",
                 LOG_STR("path", parent), LOG_STR("name", s.first));
    free(s.first);
}

bool
sidecar_flush_clean_up(const char *tsdb_path, struct err *err)
{
    CLEANUP(flush_fini) struct flush f = flush_of(tsdb_path);
    if (!read_announcement(&f, err)) {
        if (err->code == ERR_NOT_FOUND)
            return true;
        LOG_WARN("what a flush has left is not known", LOG_ERR(err));
        return err->code == ERR_INVALID && renounce(&f, err);
    }
    if (f.name == NULL)
        tell_of_unnamed(&f);
    else if (!remove_snapshot(&f, err))
        return err_wrap(err, "remove the snapshot of a former flush");
    else
        LOG_INFO("removed the snapshot of a former flush", LOG_STR("path", f.snapshot));
    return renounce(&f, err);
}
