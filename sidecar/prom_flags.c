/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus compacts its blocks of two hours into longer ones, which are not shipped.
 * Two settings keep it from compacting a block before it is shipped: blocks that are
 * never compacted, as their least and their greatest length are the same; or a file in
 * which it looks up what is shipped, which must then be our state file. */
#include "sidecar/prom_flags.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/xmalloc.h"
#include "common/codec/json.h"
#include "common/codec/quantity.h"

enum { ANSWER_MAX_BYTES = 1 << 20 };

#define USUAL_BLOCK_NS (INT64_C(2) * 3600 * CLOCK_NS_PER_S)

static bool
read_duration(const struct json *data, const char *key, int64_t *out_ns,
              struct err *err)
{
    const char *text;
    return !json_text(json_get(data, key), &text) ||
           quantity_duration(text, out_ns, err) || err_wrap(err, "%s", key);
}

static char *
copy_text(const struct json *data, const char *key)
{
    const char *text;
    return xstrdup(json_text(json_get(data, key), &text) ? text : "");
}

bool
sidecar_prom_flags_parse(struct sidecar_prom_flags *out, struct bytes answer,
                         struct err *err)
{
    CLEANUP(json_free) struct json *root = NULL;
    struct sidecar_prom_flags f = {.told = true};
    if (!json_parse(answer, ANSWER_MAX_BYTES, &root, err))
        return false;
    const struct json *data = json_get(root, "data");
    if (!json_is_object(data))
        return err_set(err, ERR_INVALID, "the answer has no object data");
    if (!read_duration(data, "storage.tsdb.min-block-duration", &f.min_block_ns, err) ||
        !read_duration(data, "storage.tsdb.max-block-duration", &f.max_block_ns, err))
        return false;
    f.tsdb_path = copy_text(data, "storage.tsdb.path");
    f.delay_compact_file = copy_text(data, "storage.tsdb.delay-compact-file.path");
    const char *admin_api;
    f.lacks_admin_api = json_text(json_get(data, "web.enable-admin-api"), &admin_api) &&
                        strcmp(admin_api, "false") == 0;
    *out = f;
    return true;
}

void
sidecar_prom_flags_fini(struct sidecar_prom_flags *f)
{
    free(f->tsdb_path);
    free(f->delay_compact_file);
    *f = (struct sidecar_prom_flags){0};
}

/* Drop the last name of a cleaned path; a leading ".." stays and gets another one. */
static void
go_up(struct buf *path, bool absolute)
{
    const char *text = buf_text(path);
    const char *slash = strrchr(text, '/');
    const char *name = slash != NULL ? slash + 1 : text;
    if (*name == 0 || strcmp(name, "..") == 0) {
        if (!absolute)
            buf_put_str(path, path->len > 0 ? "/.." : "..");
        return;
    }
    path->len = (size_t)(name - text);
    if (path->len > (absolute ? 1 : 0))
        path->len--;
}

/* The shortest spelling of a path by the rules of text: no empty names, no ".", no ".."
 * but at the start of a relative one. */
static char *
clean(const char *path)
{
    CLEANUP(buf_fini) struct buf out = {0};
    bool absolute = *path == '/';
    const char *at = path + strspn(path, "/");
    if (absolute)
        buf_put_u8(&out, '/');
    for (size_t len; *at != 0; at += len, at += strspn(at, "/")) {
        len = strcspn(at, "/");
        struct bytes part = bytes_of(at, len);
        if (bytes_eq(part, BYTES("..")))
            go_up(&out, absolute);
        if (bytes_eq(part, BYTES("..")) || bytes_eq(part, BYTES(".")))
            continue;
        if (out.len > (absolute ? 1 : 0))
            buf_put_u8(&out, '/');
        buf_put(&out, part);
    }
    return xstrdup(buf_text(&out));
}

/* Whether Prometheus means our state file. Its name for it may differ from ours, when
 * one of the two is relative, or in another container; so the file is the right one,
 * too, if it lies in what Prometheus calls its data directory. */
static bool
is_our_file(const struct sidecar_prom_flags *f,
            const struct sidecar_prom_flags_wanted *wanted)
{
    CLEANUP(xfree) char *theirs = clean(f->delay_compact_file);
    CLEANUP(xfree) char *resolved = realpath(wanted->tsdb_path, NULL);
    const char *const directories[] = {wanted->tsdb_path, resolved,
                                       *f->tsdb_path != 0 ? f->tsdb_path : NULL};
    for (size_t i = 0; i < ARRAY_LEN(directories); i++) {
        if (directories[i] == NULL)
            continue;
        CLEANUP(xfree)
        char *path = xasprintf("%s/%s", directories[i], wanted->state_name);
        CLEANUP(xfree) char *ours = clean(path);
        if (strcmp(theirs, ours) == 0)
            return true;
    }
    return false;
}

/* "2h" or "36h", or minutes or milliseconds where need be. */
static void
print_duration(int64_t ns, char *text, size_t size)
{
    const int64_t minute_ns = 60 * CLOCK_NS_PER_S;
    if (ns % (60 * minute_ns) == 0)
        snprintf(text, size, "%" PRId64 "h", ns / (60 * minute_ns));
    else if (ns % minute_ns == 0)
        snprintf(text, size, "%" PRId64 "m", ns / minute_ns);
    else
        snprintf(text, size, "%" PRId64 "ms", ns / CLOCK_NS_PER_MS);
}

static void
judge_delay_file(const struct sidecar_prom_flags *f,
                 const struct sidecar_prom_flags_wanted *wanted,
                 struct sidecar_prom_flags_verdict *out)
{
    out->kind = SIDECAR_PROM_FLAGS_OTHER_DELAY_FILE;
    out->level = LOG_LEVEL_ERROR;
    snprintf(
        out->text, sizeof out->text,
        "prometheus looks up in %.150s (--storage.tsdb.delay-compact-file.path) "
        "which blocks it may compact, and the sidecar lists them in %.150s/%.80s "
        "(--tsdb.path, --shipper.meta-file-name); the data directory of prometheus "
        "is %.150s: name the same file, else prometheus compacts blocks that are not "
        "shipped yet, and their samples are lost to the bucket, or, where that file "
        "is somebody else's, it compacts none",
        f->delay_compact_file, wanted->tsdb_path, wanted->state_name,
        *f->tsdb_path != 0 ? f->tsdb_path : "not known");
}

static void
judge_unequal(const struct sidecar_prom_flags *f,
              const struct sidecar_prom_flags_wanted *wanted,
              struct sidecar_prom_flags_verdict *out)
{
    char min[32], max[32];
    print_duration(f->min_block_ns, min, sizeof min);
    print_duration(f->max_block_ns, max, sizeof max);
    out->kind = SIDECAR_PROM_FLAGS_UNEQUAL_BLOCKS;
    out->level = wanted->ignore_unequal_blocks ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR;
    snprintf(
        out->text, sizeof out->text,
        "prometheus compacts its blocks, from %s up to %s, without waiting for the "
        "sidecar; one that it compacts while the sidecar does not run is %s: set "
        "--storage.tsdb.min-block-duration and max-block-duration to 2h, or "
        "--storage.tsdb.delay-compact-file.path to the sidecar's state file",
        min, max,
        wanted->upload_compacted
            ? "shipped as part of a longer one, which overlaps those that were "
              "shipped before"
            : "never shipped, and its samples are lost to the bucket");
}

static void
judge_admin_api(struct sidecar_prom_flags_verdict *out)
{
    out->kind = SIDECAR_PROM_FLAGS_NO_ADMIN_API;
    out->level = LOG_LEVEL_WARN;
    snprintf(out->text, sizeof out->text,
             "the admin API of prometheus is off, so that --shipper.flush-on-shutdown "
             "will do nothing: start prometheus with --web.enable-admin-api");
}

static void
judge_length(const struct sidecar_prom_flags *f, struct sidecar_prom_flags_verdict *out)
{
    char min[32];
    out->kind = SIDECAR_PROM_FLAGS_SUITABLE;
    out->level = LOG_LEVEL_INFO;
    snprintf(out->text, sizeof out->text, "prometheus leaves blocks to be shipped");
    if (f->min_block_ns == 0 || f->min_block_ns == USUAL_BLOCK_NS)
        return;
    print_duration(f->min_block_ns, min, sizeof min);
    out->kind = SIDECAR_PROM_FLAGS_UNUSUAL_BLOCKS;
    out->level = LOG_LEVEL_WARN;
    snprintf(out->text, sizeof out->text,
             "prometheus makes blocks of %s, while compactors expect 2h: set "
             "--storage.tsdb.min-block-duration=2h",
             min);
}

void
sidecar_prom_flags_judge(const struct sidecar_prom_flags *f,
                         const struct sidecar_prom_flags_wanted *wanted,
                         struct sidecar_prom_flags_verdict *out)
{
    *out = (struct sidecar_prom_flags_verdict){.level = LOG_LEVEL_INFO};
    if (!f->told)
        snprintf(out->text, sizeof out->text,
                 "prometheus is too old to tell its flags: they are not checked");
    else if (*f->delay_compact_file != 0 && !is_our_file(f, wanted))
        judge_delay_file(f, wanted, out);
    else if (*f->delay_compact_file == 0 && f->min_block_ns > 0 &&
             f->max_block_ns > 0 && f->min_block_ns != f->max_block_ns)
        judge_unequal(f, wanted, out);
    else if (wanted->admin_api && f->lacks_admin_api)
        judge_admin_api(out);
    else
        judge_length(f, out);
}
