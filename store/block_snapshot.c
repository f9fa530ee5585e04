/* SPDX-License-Identifier: Apache-2.0 */
#include "store/block_snapshot.h"

#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/codec/compress.h"
#include "common/codec/crc32c.h"
#include "common/codec/varint.h"
#include "common/tsdb/block_path.h"

static const uint32_t MAGIC = 0x42485302; /* "BHS", version 2 */

enum { HEAD = 8, CRC_AT = 4 };
enum { FLAG_MARK = 1, FLAG_REWRITE = 2, FLAG_UPLOADED = 4, FLAG_OWN_SOURCE = 8 };

/* Of a block, and of what it names, nothing is shorter than this. */
enum { MIN_BLOCK = TSDB_ULID_SIZE + 18, MIN_SEGMENT = 2, MIN_LABEL = 2 };

/* A million blocks have some 100 MB. */
enum { MAX_BYTES = 1 << 30 };

static void
put_text(struct buf *b, struct bytes text)
{
    varint_put_u64(b, text.len);
    buf_put(b, text);
}

static void
put_stamp(struct buf *b, struct store_stamp stamp)
{
    varint_put_u64(b, stamp.size);
    varint_put_i64(b, stamp.mtime_ms);
}

static void
put_labels(struct buf *b, struct tsdb_labels labels)
{
    varint_put_u64(b, labels.len);
    for (size_t i = 0; i < labels.len; i++) {
        put_text(b, labels.at[i].name);
        put_text(b, labels.at[i].value);
    }
}

static bool
is_own_source(const struct store_block *b)
{
    return b->meta.source_count == 1 && tsdb_ulid_cmp(&b->meta.sources[0], &b->id) == 0;
}

static void
put_meta(struct buf *b, const struct store_block *block, uint64_t labels)
{
    const struct store_block_meta *m = &block->meta;
    varint_put_i64(b, m->mint_ms);
    varint_put_i64(b, m->maxt_ms);
    varint_put_i64(b, m->resolution_ms);
    if (m->upload_time_ms != INT64_MIN)
        varint_put_i64(b, m->upload_time_ms);
    varint_put_u64(b, m->source);
    varint_put_u64(b, m->level);
    varint_put_u64(b, m->series_count);
    varint_put_u64(b, m->sample_count);
    varint_put_u64(b, m->chunk_count);
    varint_put_u64(b, labels);
    if (is_own_source(block))
        return;
    varint_put_u64(b, m->source_count);
    if (m->source_count > 0)
        buf_put(b, bytes_of(m->sources, m->source_count * sizeof *m->sources));
}

static unsigned
flags_of(const struct store_entry *e)
{
    const struct store_block_meta *m = &e->block->meta;
    return (e->mark.exists ? FLAG_MARK : 0U) | (m->is_rewrite ? FLAG_REWRITE : 0U) |
           (m->upload_time_ms != INT64_MIN ? FLAG_UPLOADED : 0U) |
           (is_own_source(e->block) ? FLAG_OWN_SOURCE : 0U);
}

static void
put_entry(struct buf *b, const struct store_entry *e, uint64_t labels)
{
    const struct store_block *block = e->block;
    buf_put(b, bytes_of(e->id.raw, sizeof e->id.raw));
    varint_put_u64(b, flags_of(e));
    put_stamp(b, e->meta);
    put_stamp(b, e->index);
    put_stamp(b, e->chunks);
    if (e->mark.exists) {
        put_stamp(b, e->mark);
        varint_put_i64(b, e->marked_ms);
    }
    put_meta(b, block, labels);
    varint_put_u64(b, block->segment_count);
    for (size_t i = 0; i < block->segment_count; i++) {
        put_text(b, store_block_segment_name(block, i));
        varint_put_u64(b, block->segments[i].size);
    }
}

static int
by_labels(const void *a, const void *b)
{
    const struct store_entry *const *x = a, *const *y = b;
    return tsdb_labels_cmp((*x)->block->meta.external, (*y)->block->meta.external);
}

/* Write each set of labels once; number[i] becomes that of entry i. */
static void
put_label_sets(struct buf *b, const struct store_catalog *c, uint64_t *number)
{
    CLEANUP(buf_fini) struct buf sets = {0};
    CLEANUP(xfree)
    const struct store_entry **sorted = xcalloc(c->count + 1, sizeof *sorted);
    size_t known = 0;
    uint64_t count = 0;
    for (size_t i = 0; i < c->count; i++)
        if (c->entries[i].block != NULL)
            sorted[known++] = &c->entries[i];
    qsort(sorted, known, sizeof *sorted, by_labels);
    for (size_t i = 0; i < known; i++) {
        if (i == 0 || by_labels(&sorted[i - 1], &sorted[i]) != 0) {
            put_labels(&sets, sorted[i]->block->meta.external);
            count++;
        }
        number[sorted[i] - c->entries] = count - 1;
    }
    varint_put_u64(b, count);
    buf_put(b, buf_bytes(&sets));
}

static void
put_content(struct buf *b, struct bytes bucket, const struct store_catalog *c)
{
    CLEANUP(xfree) uint64_t *labels = xcalloc(c->count + 1, sizeof *labels);
    size_t known = 0;
    for (size_t i = 0; i < c->count; i++)
        known += c->entries[i].block != NULL;
    put_text(b, bucket);
    buf_put_u8(b, c->is_complete);
    put_label_sets(b, c, labels);
    varint_put_u64(b, known);
    for (size_t i = 0; i < c->count; i++)
        if (c->entries[i].block != NULL)
            put_entry(b, &c->entries[i], labels[i]);
}

bool
store_block_snapshot_save(const char *path, struct bytes bucket,
                          const struct store_catalog *c, struct err *err)
{
    CLEANUP(buf_fini) struct buf content = {0};
    CLEANUP(buf_fini) struct buf file = {0};
    put_content(&content, bucket, c);
    buf_put_be32(&file, MAGIC);
    buf_put_be32(&file, 0);
    if (!compress_zstd_encode(buf_bytes(&content), &file, err))
        return err_wrap(err, "save %s", path);
    be32_store(file.at + CRC_AT, crc32c(bytes_of(file.at + HEAD, file.len - HEAD)));
    return file_replace_private(path, buf_bytes(&file), err);
}

/* What is being read. Texts point into the content. */
struct reader {
    struct cursor in;
    size_t set_count;
    struct tsdb_labels *sets;
};

static bool
bad_content(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "contradicts itself behind a right checksum");
}

static struct bytes
get_text(struct cursor *c)
{
    return cursor_take(c, varint_u64(c));
}

/* A number of things that take at least so many bytes each. */
static size_t
get_count(struct cursor *c, size_t least)
{
    uint64_t count = varint_u64(c);
    if (count <= c->rest.len / least)
        return (size_t)count;
    c->bad = true;
    return 0;
}

static struct store_stamp
get_stamp(struct cursor *c)
{
    uint64_t size = varint_u64(c);
    return (struct store_stamp){true, size, varint_i64(c)};
}

static struct tsdb_ulid
get_ulid(struct cursor *c)
{
    struct tsdb_ulid id = {{0}};
    struct bytes raw = cursor_take(c, sizeof id.raw);
    if (raw.len > 0)
        memcpy(id.raw, raw.at, sizeof id.raw);
    return id;
}

static struct tsdb_labels
get_labels(struct cursor *c)
{
    size_t count = get_count(c, MIN_LABEL);
    struct tsdb_label *labels = xcalloc(count + 1, sizeof *labels);
    for (size_t i = 0; i < count; i++) {
        labels[i].name = get_text(c);
        labels[i].value = get_text(c);
    }
    return (struct tsdb_labels){labels, count};
}

static void
get_label_sets(struct reader *r)
{
    size_t count = get_count(&r->in, 1);
    r->sets = xcalloc(count + 1, sizeof *r->sets);
    while (r->set_count < count && !r->in.bad)
        r->sets[r->set_count++] = get_labels(&r->in);
}

static void
reader_fini(struct reader *r)
{
    for (size_t i = 0; i < r->set_count; i++)
        free((void *)(uintptr_t)r->sets[i].at);
    free(r->sets);
}

static struct store_block_meta
get_meta(struct reader *r, unsigned flags, const struct tsdb_ulid *id)
{
    struct cursor *c = &r->in;
    struct store_block_meta m = {.upload_time_ms = INT64_MIN,
                                 .is_rewrite = (flags & FLAG_REWRITE) != 0,
                                 .source_count = 1,
                                 .sources = id};
    m.mint_ms = varint_i64(c);
    m.maxt_ms = varint_i64(c);
    m.resolution_ms = varint_i64(c);
    if (flags & FLAG_UPLOADED)
        m.upload_time_ms = varint_i64(c);
    m.source = (uint8_t)varint_u64(c);
    m.level = (uint32_t)varint_u64(c);
    m.series_count = varint_u64(c);
    m.sample_count = varint_u64(c);
    m.chunk_count = varint_u64(c);
    uint64_t set = varint_u64(c);
    c->bad |= set >= r->set_count;
    m.external = c->bad ? (struct tsdb_labels){0} : r->sets[set];
    if (flags & FLAG_OWN_SOURCE)
        return m;
    m.source_count = get_count(c, TSDB_ULID_SIZE);
    m.sources = (const struct tsdb_ulid *)cursor_take(c, m.source_count *
                                                             (uint64_t)TSDB_ULID_SIZE)
                    .at;
    return m;
}

static void
get_segments(struct cursor *c, struct store_block *b)
{
    size_t count = get_count(c, MIN_SEGMENT);
    store_block_reserve_segments(b, count);
    for (size_t i = 0; i < count && !c->bad; i++) {
        struct bytes name = get_text(c);
        c->bad |= !tsdb_block_path_is_segment(name);
        store_block_add_segment(b, name, varint_u64(c));
    }
}

static void
get_entry(struct reader *r, struct store_entry *e)
{
    struct cursor *c = &r->in;
    e->id = get_ulid(c);
    e->name = tsdb_ulid_print(&e->id);
    unsigned flags = (unsigned)varint_u64(c);
    e->meta = get_stamp(c);
    e->index = get_stamp(c);
    e->chunks = get_stamp(c);
    e->marked_ms = INT64_MAX;
    if (flags & FLAG_MARK) {
        e->mark = get_stamp(c);
        e->marked_ms = varint_i64(c);
    }
    struct store_block_meta meta = get_meta(r, flags, &e->id);
    if (c->bad)
        return;
    e->block = store_block_restore(&e->id, e->index.size, &meta);
    get_segments(c, e->block);
    e->chunks.exists = e->block->segment_count > 0;
}

static bool
get_entries(struct reader *r, struct store_catalog *c, struct err *err)
{
    size_t count = get_count(&r->in, MIN_BLOCK);
    c->entries = xcalloc(count + 1, sizeof *c->entries);
    while (c->count < count && !r->in.bad) {
        struct store_entry *e = &c->entries[c->count++];
        e->catalog = c;
        get_entry(r, e);
        if (c->count > 1 && tsdb_ulid_cmp(&e[-1].id, &e->id) >= 0)
            r->in.bad = true;
    }
    return (!r->in.bad && r->in.rest.len == 0) || bad_content(err);
}

static bool
parse_content(struct bytes content, struct bytes bucket, struct store_catalog *c,
              struct err *err)
{
    CLEANUP(reader_fini) struct reader r = {.in = cursor_of(content)};
    struct bytes name = get_text(&r.in);
    if (!r.in.bad && !bytes_eq(name, bucket))
        return err_set(err, ERR_CORRUPT, "it is of bucket %.*s", BYTES_FMT(name));
    c->is_complete = cursor_u8(&r.in) != 0;
    get_label_sets(&r);
    if (r.in.bad)
        return bad_content(err);
    if (get_entries(&r, c, err))
        return true;
    store_catalog_fini(c);
    return false;
}

bool
store_block_snapshot_parse(struct bytes file, struct bytes bucket,
                           struct store_catalog *c, struct err *err)
{
    CLEANUP(buf_fini) struct buf content = {0};
    if (file.len < HEAD || be32_load(file.at) != MAGIC)
        return err_set(err, ERR_CORRUPT, "not a snapshot of this version");
    uint32_t crc = be32_load(file.at + CRC_AT);
    bytes_skip(&file, HEAD);
    if (crc32c(file) != crc)
        return err_set(err, ERR_CORRUPT, "checksum mismatch");
    if (!compress_zstd_decode(file, MAX_BYTES, &content, err))
        return err_set(err, ERR_CORRUPT, "does not decompress");
    return parse_content(buf_bytes(&content), bucket, c, err);
}

bool
store_block_snapshot_load(const char *path, struct bytes bucket,
                          struct store_catalog *c, struct err *err)
{
    CLEANUP(buf_fini) struct buf file = {0};
    if (!file_read_all(path, MAX_BYTES, &file, err))
        return false;
    return store_block_snapshot_parse(buf_bytes(&file), bucket, c, err) ||
           err_wrap(err, "%s", path);
}
