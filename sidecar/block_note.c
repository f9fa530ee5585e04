/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/block_note.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/codec/json.h"

#define SUFFIX ".json"

enum { NOTE_VERSION = 1, NOTE_MAX_BYTES = 1024 * 1024 };

void
sidecar_block_ids_fini(struct sidecar_block_ids *ids)
{
    free(ids->at);
    *ids = (struct sidecar_block_ids){0};
}

static char *
path_of(const char *folder, const struct tsdb_ulid *id)
{
    return xasprintf("%s/%s" SUFFIX, folder, tsdb_ulid_print(id).text);
}

bool
sidecar_block_note_write(const char *folder, const struct tsdb_ulid *id,
                         struct tsdb_labels labels,
                         const struct sidecar_block_ids *replaced, struct err *err)
{
    CLEANUP(xfree) char *path = path_of(folder, id);
    CLEANUP(json_free) struct json *root = json_new_object();
    CLEANUP(json_free) struct json *set = json_new_object();
    CLEANUP(buf_fini) struct buf text = {0};
    for (size_t i = 0; i < labels.len; i++) {
        CLEANUP(xfree)
        char *name = xasprintf("%.*s", BYTES_FMT(labels.at[i].name));
        CLEANUP(xfree)
        char *value = xasprintf("%.*s", BYTES_FMT(labels.at[i].value));
        json_set_text(set, name, value);
    }
    json_set_i64(root, "version", NOTE_VERSION);
    json_set(root, "labels", &set);
    if (replaced != NULL && replaced->count > 0) {
        struct json *ids = json_new_array();
        for (size_t i = 0; i < replaced->count; i++)
            json_append_text(ids, tsdb_ulid_print(&replaced->at[i]).text);
        json_set(root, "replaces", &ids);
    }
    json_print(root, 0, &text);
    return file_replace(path, buf_bytes(&text), err) ||
           err_wrap(err, "remember the labels of block %s", tsdb_ulid_print(id).text);
}

struct pairs {
    struct tsdb_label *at;
    size_t count;
};

static void
pairs_fini(struct pairs *p)
{
    xfree(&p->at);
}

static bool
add_pair(void *arg, const char *name, const struct json *value, struct err *err)
{
    struct pairs *p = arg;
    const char *text;
    if (!json_text(value, &text))
        return err_set(err, ERR_CORRUPT, "label %s is not a text", name);
    p->at = xrealloc(p->at, (p->count + 1) * sizeof *p->at);
    p->at[p->count++] = (struct tsdb_label){bytes_of_str(name), bytes_of_str(text)};
    return true;
}

static bool
parse_replaced(const struct json *list, struct sidecar_block_ids *out, struct err *err)
{
    CLEANUP(sidecar_block_ids_fini) struct sidecar_block_ids ids = {0};
    ids.count = json_array_len(list);
    ids.at = xcalloc(ids.count + 1, sizeof *ids.at);
    for (size_t i = 0; i < ids.count; i++) {
        const char *text;
        if (!json_text(json_array_at(list, i), &text) ||
            !tsdb_ulid_parse(&ids.at[i], bytes_of_str(text)))
            return err_set(err, ERR_CORRUPT, "\"replaces\"[%zu] is not a block id", i);
    }
    *out = ids;
    ids = (struct sidecar_block_ids){0};
    return true;
}

static bool
parse_labels(const struct json *labels, struct sidecar_ext_labels *out, struct err *err)
{
    CLEANUP(pairs_fini) struct pairs pairs = {0};
    if (!json_is_object(labels))
        return err_set(err, ERR_CORRUPT, "it has no labels");
    if (!json_each(labels, add_pair, &pairs, err))
        return false;
    if (pairs.count == 0 || !tsdb_labels_sort(pairs.at, pairs.count))
        return err_set(err, ERR_CORRUPT, "its labels are not a set");
    *out = sidecar_ext_labels_copy((struct tsdb_labels){pairs.at, pairs.count});
    return true;
}

static bool
parse(struct bytes text, struct sidecar_ext_labels *labels,
      struct sidecar_block_ids *replaced, struct err *err)
{
    CLEANUP(json_free) struct json *root = NULL;
    CLEANUP(sidecar_block_ids_fini) struct sidecar_block_ids ids = {0};
    int64_t version;
    if (!json_parse(text, NOTE_MAX_BYTES, &root, err)) {
        err->code = ERR_CORRUPT;
        return false;
    }
    if (!json_i64(json_get(root, "version"), &version) || version != NOTE_VERSION)
        return err_set(err, ERR_CORRUPT, "its version is not %d", NOTE_VERSION);
    if (!parse_replaced(json_get(root, "replaces"), &ids, err) ||
        !parse_labels(json_get(root, "labels"), labels, err))
        return false;
    if (replaced != NULL) {
        *replaced = ids;
        ids = (struct sidecar_block_ids){0};
    }
    return true;
}

bool
sidecar_block_note_read(const char *folder, const struct tsdb_ulid *id,
                        struct sidecar_ext_labels *labels,
                        struct sidecar_block_ids *replaced, struct err *err)
{
    CLEANUP(xfree) char *path = path_of(folder, id);
    CLEANUP(buf_fini) struct buf text = {0};
    return file_read_all(path, NOTE_MAX_BYTES, &text, err) &&
           (parse(buf_bytes(&text), labels, replaced, err) ||
            err_wrap(err, "%s", path));
}

static bool
remove_file(const char *path, struct err *err)
{
    return unlink(path) == 0 || errno == ENOENT ||
           err_sys(err, errno, "remove %s", path);
}

bool
sidecar_block_note_remove(const char *folder, const struct tsdb_ulid *id,
                          struct err *err)
{
    CLEANUP(xfree) char *path = path_of(folder, id);
    return remove_file(path, err);
}

struct prune {
    const char *folder;
    sidecar_block_note_keep_fn *keep;
    void *arg;
};

static bool
prune_entry(void *arg, const char *name, struct err *err)
{
    const struct prune *p = arg;
    struct tsdb_ulid id;
    size_t len = strlen(name);
    if (len <= TSDB_ULID_LEN || !tsdb_ulid_parse(&id, bytes_of(name, TSDB_ULID_LEN)))
        return true;
    const char *rest = name + TSDB_ULID_LEN;
    bool is_note = strcmp(rest, SUFFIX) == 0;
    bool is_half_written = strcmp(rest, SUFFIX ".tmp") == 0;
    if (!is_half_written && !(is_note && !p->keep(p->arg, &id)))
        return true;
    CLEANUP(xfree) char *path = xasprintf("%s/%s", p->folder, name);
    return remove_file(path, err);
}

bool
sidecar_block_note_prune(const char *folder, sidecar_block_note_keep_fn *keep,
                         void *arg, struct err *err)
{
    struct prune p = {folder, keep, arg};
    return file_list(folder, prune_entry, &p, err);
}
