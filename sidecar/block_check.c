/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/block_check.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/block_path.h"
#include "common/tsdb/chunk.h"
#include "common/tsdb/index.h"

enum { PIECE_BYTES = 64 * 1024 };

struct index_file {
    int fd;
    const char *path;
    uint64_t size;
};

static bool
accept_symbol(void *arg, uint32_t ordinal, uint32_t position, struct bytes symbol,
              struct err *err)
{
    (void)arg, (void)ordinal, (void)position, (void)symbol, (void)err;
    return true;
}

static bool
accept_row(void *arg, const struct tsdb_index_posting_row *row, struct err *err)
{
    (void)arg, (void)row, (void)err;
    return true;
}

/* Feed t with the table section at offset, as long as its length field says. */
static bool
feed_table(const struct index_file *index, struct tsdb_index_table *t, uint64_t offset,
           struct err *err)
{
    enum { LENGTH_SIZE = 4, CRC_SIZE = 4 };
    uint8_t length[LENGTH_SIZE];
    if (!file_pread(index->fd, index->path, length, sizeof length, offset, err))
        return false;
    uint64_t left = (uint64_t)LENGTH_SIZE + be32_load(length) + CRC_SIZE;
    if (left > index->size - offset)
        return err_set(err, ERR_CORRUPT, "section at %llu is longer than the file",
                       (unsigned long long)offset);
    CLEANUP(xfree) uint8_t *piece = xcalloc(1, PIECE_BYTES);
    while (left > 0) {
        size_t len = (size_t)NUM_MIN(left, (uint64_t)PIECE_BYTES);
        if (!file_pread(index->fd, index->path, piece, len, offset, err) ||
            !tsdb_index_table_feed(t, bytes_of(piece, len), err))
            return false;
        offset += len;
        left -= len;
    }
    return tsdb_index_table_end(t, err);
}

static bool
check_symbols(const struct index_file *index, uint64_t offset, struct err *err)
{
    CLEANUP(tsdb_index_table_fini) struct tsdb_index_table table = {0};
    tsdb_index_symbols_begin(&table, accept_symbol, NULL, NULL);
    return feed_table(index, &table, offset, err);
}

static bool
check_postings(const struct index_file *index, uint64_t offset, struct err *err)
{
    CLEANUP(tsdb_index_table_fini) struct tsdb_index_table table = {0};
    tsdb_index_postings_begin(&table, accept_row, NULL, NULL);
    return feed_table(index, &table, offset, err);
}

static bool
check_sections(const struct index_file *index, struct err *err)
{
    uint8_t header[TSDB_INDEX_HEADER_SIZE];
    uint8_t tail[TSDB_INDEX_TOC_SIZE];
    int version;
    struct tsdb_index_toc toc;
    if (index->size < sizeof header + sizeof tail)
        return err_set(err, ERR_CORRUPT, "%llu bytes are no index",
                       (unsigned long long)index->size);
    return file_pread(index->fd, index->path, header, sizeof header, 0, err) &&
           tsdb_index_header_parse(bytes_of(header, sizeof header), &version, err) &&
           file_pread(index->fd, index->path, tail, sizeof tail,
                      index->size - sizeof tail, err) &&
           tsdb_index_toc_parse(&toc, bytes_of(tail, sizeof tail), index->size, err) &&
           check_symbols(index, toc.symbols, err) &&
           check_postings(index, toc.postings_table, err);
}

/* Add the chunks from the header to the end of a segment to *chunks. */
static bool
count_chunks(int fd, const char *path, uint64_t size, uint64_t *chunks, struct err *err)
{
    uint64_t record;
    for (uint64_t at = TSDB_SEGMENT_HEADER_SIZE; at < size; at += record) {
        uint8_t head[TSDB_CHUNK_MAX_HEAD];
        size_t len = (size_t)NUM_MIN(size - at, (uint64_t)sizeof head);
        if (!file_pread(fd, path, head, len, at, err))
            return false;
        if (!tsdb_chunk_size(bytes_of(head, len), &record) || record > size - at)
            return err_set(err, ERR_CORRUPT, "the chunk at %llu is cut",
                           (unsigned long long)at);
        ++*chunks;
    }
    return true;
}

static bool
check_segment(int fd, const char *path, uint64_t size, uint64_t *chunks,
              struct err *err)
{
    uint8_t header[TSDB_SEGMENT_HEADER_SIZE];
    if (size < sizeof header)
        return err_set(err, ERR_CORRUPT, "%llu bytes are no segment",
                       (unsigned long long)size);
    return file_pread(fd, path, header, sizeof header, 0, err) &&
           tsdb_chunk_segment_header_parse(bytes_of(header, sizeof header), err) &&
           count_chunks(fd, path, size, chunks, err);
}

/* Adds the chunks of a segment to *chunks. */
static bool
check_file(const char *directory, const struct sidecar_block_file *file,
           uint64_t *chunks, struct err *err)
{
    CLEANUP(xfree) char *path = xasprintf("%s/%s", directory, file->rel_path);
    CLEANUP(file_close) int fd = -1;
    if (!file_open_read(path, &fd, err))
        return false;
    struct index_file index = {.fd = fd, .path = path, .size = file->size};
    bool ok = strcmp(file->rel_path, TSDB_BLOCK_PATH_INDEX) == 0
                  ? check_sections(&index, err)
                  : check_segment(fd, path, file->size, chunks, err);
    return ok || err_wrap(err, "%s", path);
}

bool
sidecar_block_check(const char *directory, const struct sidecar_block_files *files,
                    int64_t num_chunks, struct err *err)
{
    uint64_t chunks = 0;
    for (size_t i = 0; i < files->count; i++)
        if (!check_file(directory, &files->at[i], &chunks, err))
            return false;
    if (num_chunks > 0 && chunks < (uint64_t)num_chunks)
        return err_set(err, ERR_CORRUPT,
                       "%s: the segments hold %" PRIu64
                       " chunks, meta.json says %" PRId64,
                       directory, chunks, num_chunks);
    return true;
}
