/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/flushed.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/xmalloc.h"
#include "common/codec/json.h"

/* One for each restart of a few hours; a hundred bytes each. */
enum { FLUSHED_VERSION = 1, FLUSHED_MAX_BYTES = 1024 * 1024 };

struct entry {
    struct tsdb_ulid id;
    int64_t mint_ms;
    int64_t maxt_ms;
};

struct flushed {
    char *path;
    size_t count;
    struct entry *at;
};

static void
flushed_fini(struct flushed *f)
{
    free(f->path);
    free(f->at);
}

static void
append(struct flushed *f, const struct entry *e)
{
    f->at = xrealloc(f->at, (f->count + 1) * sizeof *f->at);
    f->at[f->count++] = *e;
}

static bool
parse_entry(struct flushed *f, const struct json *j)
{
    struct entry e;
    const char *text;
    if (!json_text(json_get(j, "ulid"), &text) ||
        !tsdb_ulid_parse(&e.id, bytes_of_str(text)) ||
        !json_i64(json_get(j, "minTime"), &e.mint_ms) ||
        !json_i64(json_get(j, "maxTime"), &e.maxt_ms))
        return false;
    append(f, &e);
    return true;
}

static bool
parse(struct flushed *f, struct bytes text, struct err *err)
{
    CLEANUP(json_free) struct json *root = NULL;
    int64_t version;
    if (!json_parse(text, FLUSHED_MAX_BYTES, &root, err))
        return false;
    const struct json *blocks = json_get(root, "blocks");
    if (!json_i64(json_get(root, "version"), &version) || version != FLUSHED_VERSION ||
        !json_is_array(blocks))
        return err_set(err, ERR_INVALID, "not such a list of version %d",
                       FLUSHED_VERSION);
    for (size_t i = 0; i < json_array_len(blocks); i++)
        if (!parse_entry(f, json_array_at(blocks, i)))
            return err_set(err, ERR_INVALID, "\"blocks\"[%zu] is no block", i);
    return true;
}

/* A broken file is none: a flushed block without an heir is in the bucket twice, which
 * readers see through. */
static bool
load(struct flushed *f, const char *tsdb_path, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    f->path = xasprintf("%s/thanos/flushed.json", tsdb_path);
    if (!file_read_all(f->path, FLUSHED_MAX_BYTES, &text, err))
        return err->code == ERR_NOT_FOUND;
    if (parse(f, buf_bytes(&text), err))
        return true;
    f->count = 0;
    LOG_WARN("flushed blocks are forgotten", LOG_STR("path", f->path), LOG_ERR(err));
    return true;
}

static bool
save(const struct flushed *f, struct err *err)
{
    if (f->count == 0)
        return unlink(f->path) == 0 || errno == ENOENT ||
               err_sys(err, errno, "remove %s", f->path);
    CLEANUP(json_free) struct json *root = json_new_object();
    CLEANUP(json_free) struct json *blocks = json_new_array();
    CLEANUP(buf_fini) struct buf text = {0};
    for (size_t i = 0; i < f->count; i++) {
        struct json *block = json_new_object();
        json_set_text(block, "ulid", tsdb_ulid_print(&f->at[i].id).text);
        json_set_i64(block, "minTime", f->at[i].mint_ms);
        json_set_i64(block, "maxTime", f->at[i].maxt_ms);
        json_append(blocks, &block);
    }
    json_set_i64(root, "version", FLUSHED_VERSION);
    json_set(root, "blocks", &blocks);
    json_print(root, 0, &text);
    return file_replace(f->path, buf_bytes(&text), err);
}

static bool
is_heir(const struct sidecar_block *b, const struct entry *e)
{
    return b->is_regular && tsdb_ulid_cmp(&b->id, &e->id) > 0 &&
           b->mint_ms < e->maxt_ms && e->mint_ms < b->maxt_ms;
}

static void
find(const struct flushed *f, const struct sidecar_block *b,
     struct sidecar_block_ids *replaced)
{
    replaced->at = xcalloc(f->count + 1, sizeof *replaced->at);
    for (size_t i = 0; i < f->count; i++)
        if (is_heir(b, &f->at[i]))
            replaced->at[replaced->count++] = f->at[i].id;
}

bool
sidecar_flushed_find(const char *tsdb_path, const struct sidecar_block *block,
                     struct sidecar_block_ids *ids, struct err *err)
{
    CLEANUP(flushed_fini) struct flushed f = {0};
    if (!load(&f, tsdb_path, err))
        return false;
    find(&f, block, ids);
    return true;
}

static bool
write_note(const struct flushed *f, const char *pins, const struct sidecar_block *b,
           struct tsdb_labels labels, struct err *err)
{
    CLEANUP(sidecar_block_ids_fini) struct sidecar_block_ids replaced = {0};
    find(f, b, &replaced);
    return sidecar_block_note_write(pins, &b->id, labels, &replaced, err);
}

/* No later block is the heir of what ends before a regular one. */
static bool
is_over(const struct sidecar_block *b, const struct entry *e)
{
    return is_heir(b, e) || (b->is_regular && e->maxt_ms <= b->mint_ms);
}

bool
sidecar_flushed_inherit(const char *tsdb_path, const char *pins,
                        const struct sidecar_block *block, struct tsdb_labels labels,
                        struct err *err)
{
    CLEANUP(flushed_fini) struct flushed f = {0};
    size_t kept = 0;
    if (!load(&f, tsdb_path, err) || !write_note(&f, pins, block, labels, err))
        return false;
    size_t count = f.count;
    for (size_t i = 0; i < count; i++)
        if (!is_over(block, &f.at[i]))
            f.at[kept++] = f.at[i];
    f.count = kept;
    return kept == count || save(&f, err);
}

bool
sidecar_flushed_add(const char *tsdb_path, const char *pins,
                    const struct sidecar_block *block, struct tsdb_labels labels,
                    struct err *err)
{
    CLEANUP(flushed_fini) struct flushed f = {0};
    const struct entry e = {block->id, block->mint_ms, block->maxt_ms};
    if (!load(&f, tsdb_path, err) || !write_note(&f, pins, block, labels, err))
        return false;
    append(&f, &e);
    return save(&f, err);
}
