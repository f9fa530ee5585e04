/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/shipper_state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/codec/json.h"

/* 29 bytes a block: half a million local blocks. */
enum { STATE_MAX_BYTES = 16 * 1024 * 1024, STATE_VERSION = 1 };

static bool
parse_ids(struct sidecar_shipper_state *s, const struct json *uploaded, struct err *err)
{
    if (uploaded == NULL) /* null is how Thanos writes none */
        return true;
    if (!json_is_array(uploaded))
        return err_set(err, ERR_CORRUPT, "\"uploaded\" is not a list");
    for (size_t i = 0; i < json_array_len(uploaded); i++) {
        const char *text;
        struct tsdb_ulid id;
        if (!json_text(json_array_at(uploaded, i), &text) ||
            !tsdb_ulid_parse(&id, bytes_of_str(text)))
            return err_set(err, ERR_CORRUPT, "\"uploaded\"[%zu] is not a block id", i);
        sidecar_shipper_state_add(s, &id);
    }
    return true;
}

static bool
parse(struct sidecar_shipper_state *s, struct bytes text, struct err *err)
{
    CLEANUP(json_free) struct json *root = NULL;
    int64_t version;
    if (!json_parse(text, STATE_MAX_BYTES, &root, err)) {
        err->code = ERR_CORRUPT;
        return false;
    }
    if (!json_i64(json_get(root, "version"), &version))
        return err_set(err, ERR_CORRUPT, "no version");
    if (version != STATE_VERSION)
        return err_set(err, ERR_CORRUPT, "version %" PRId64 " is not %d", version,
                       STATE_VERSION);
    return parse_ids(s, json_get(root, "uploaded"), err);
}

bool
sidecar_shipper_state_load(struct sidecar_shipper_state *out, const char *path,
                           struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(sidecar_shipper_state_fini) struct sidecar_shipper_state state = {0};
    if (!file_read_all(path, STATE_MAX_BYTES, &text, err))
        return false;
    if (!parse(&state, buf_bytes(&text), err))
        return err_wrap(err, "%s", path);
    *out = state;
    state = (struct sidecar_shipper_state){0};
    return true;
}

/* Position of an id, or where it belongs. */
static size_t
position(const struct sidecar_shipper_state *s, const struct tsdb_ulid *id)
{
    size_t lo = 0, hi = s->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (tsdb_ulid_cmp(&s->ids[mid], id) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool
sidecar_shipper_state_has(const struct sidecar_shipper_state *s,
                          const struct tsdb_ulid *id)
{
    size_t at = position(s, id);
    return at < s->count && tsdb_ulid_cmp(&s->ids[at], id) == 0;
}

bool
sidecar_shipper_state_add(struct sidecar_shipper_state *s, const struct tsdb_ulid *id)
{
    if (sidecar_shipper_state_has(s, id))
        return false;
    size_t at = position(s, id);
    s->ids = xrealloc(s->ids, (s->count + 1) * sizeof *s->ids);
    memmove(&s->ids[at + 1], &s->ids[at], (s->count - at) * sizeof *s->ids);
    s->ids[at] = *id;
    s->count++;
    return true;
}

bool
sidecar_shipper_state_retain(struct sidecar_shipper_state *s,
                             sidecar_shipper_state_keep_fn *keep, void *arg)
{
    size_t kept = 0, count = s->count;
    for (size_t i = 0; i < count; i++)
        if (keep(arg, &s->ids[i]))
            s->ids[kept++] = s->ids[i];
    s->count = kept;
    return kept != count;
}

bool
sidecar_shipper_state_save(const struct sidecar_shipper_state *s, const char *path,
                           struct err *err)
{
    CLEANUP(json_free) struct json *root = json_new_object();
    CLEANUP(json_free) struct json *uploaded = json_new_array();
    CLEANUP(buf_fini) struct buf text = {0};
    for (size_t i = 0; i < s->count; i++)
        json_append_text(uploaded, tsdb_ulid_print(&s->ids[i]).text);
    json_set_i64(root, "version", STATE_VERSION);
    json_set(root, "uploaded", &uploaded);
    json_print(root, -1, &text);
    return file_replace(path, buf_bytes(&text), err) ||
           err_wrap(err, "save the state of the shipper");
}

void
sidecar_shipper_state_fini(struct sidecar_shipper_state *s)
{
    free(s->ids);
    *s = (struct sidecar_shipper_state){0};
}
