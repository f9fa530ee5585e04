/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/block_files.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/tsdb/block_path.h"

enum { PIECE_BYTES = 64 * 1024 };

struct reader {
    const char *directory;
    struct sidecar_block_files files;
};

/* Takes *rel_path. */
static bool
add(struct reader *r, char **rel_path, struct err *err)
{
    CLEANUP(xfree) char *name = TAKE(*rel_path);
    CLEANUP(xfree) char *path = xasprintf("%s/%s", r->directory, name);
    CLEANUP(file_close) int fd = -1;
    uint64_t size;
    if (!file_open_regular(path, &fd, &size, err))
        return false;
    struct sidecar_block_files *files = &r->files;
    files->at = xrealloc(files->at, (files->count + 1) * sizeof *files->at);
    files->at[files->count++] =
        (struct sidecar_block_file){.rel_path = TAKE(name), .size = size};
    return true;
}

static bool
add_segment(void *arg, const char *name, struct err *err)
{
    if (!tsdb_block_path_is_segment(bytes_of_str(name)))
        return true;
    char *rel_path = xasprintf("%s/%s", TSDB_BLOCK_PATH_CHUNKS, name);
    return add(arg, &rel_path, err);
}

/* The index comes after the segments: Prometheus renames a block before it deletes its
 * files, so when the index is still there by this name, no segment was missing. */
static bool
read_all(struct reader *r, struct err *err)
{
    CLEANUP(xfree)
    char *chunks = xasprintf("%s/%s", r->directory, TSDB_BLOCK_PATH_CHUNKS);
    if (!file_list(chunks, add_segment, r, err))
        return false;
    if (r->files.count == 0)
        return err_set(err, ERR_CORRUPT, "%s holds no segment", chunks);
    char *index = xstrdup(TSDB_BLOCK_PATH_INDEX);
    return add(r, &index, err);
}

/* What is missing from a block that is there breaks it, and so does what is no file. A
 * block that is gone has no meta.json under its name any more. */
static void
tell_broken_from_gone(const char *directory, struct err *err)
{
    CLEANUP(xfree) char *meta = xasprintf("%s/%s", directory, TSDB_BLOCK_PATH_META);
    if (err->code == ERR_INVALID || (err->code == ERR_NOT_FOUND && file_exists(meta)))
        err->code = ERR_CORRUPT;
}

bool
sidecar_block_files_read(struct sidecar_block_files *out, const char *directory,
                         struct err *err)
{
    struct reader reader = {.directory = directory};
    if (!read_all(&reader, err)) {
        sidecar_block_files_fini(&reader.files);
        tell_broken_from_gone(directory, err);
        return false;
    }
    *out = reader.files;
    return true;
}

bool
sidecar_block_files_cover(const struct sidecar_block_files *have,
                          const struct sidecar_block_files *wanted)
{
    size_t found = 0;
    /* Both lists are in the same order. */
    for (size_t i = 0; i < have->count && found < wanted->count; i++)
        if (strcmp(have->at[i].rel_path, wanted->at[found].rel_path) == 0 &&
            have->at[i].size >= wanted->at[found].size)
            found++;
    return found == wanted->count;
}

static bool
digest_pieces(int fd, const char *path, uint64_t size, struct digest_stream *stream,
              const struct cancel *cancel, struct err *err)
{
    CLEANUP(xfree) uint8_t *piece = xcalloc(1, PIECE_BYTES);
    for (uint64_t at = 0; at < size;) {
        size_t len = (size_t)NUM_MIN(size - at, (uint64_t)PIECE_BYTES);
        if (cancel_is_raised(cancel))
            return err_set(err, ERR_CANCELLED, "cancelled");
        if (!file_pread(fd, path, piece, len, at, err))
            return false;
        digest_stream_add(stream, bytes_of(piece, len));
        at += len;
    }
    return true;
}

bool
sidecar_block_file_digest(const char *directory, const struct sidecar_block_file *file,
                          enum digest_algorithm algorithm, char *hex,
                          const struct cancel *cancel, struct err *err)
{
    CLEANUP(xfree) char *path = xasprintf("%s/%s", directory, file->rel_path);
    CLEANUP(file_close) int fd = -1;
    CLEANUP(digest_stream_free)
    struct digest_stream *stream = digest_stream_new(algorithm);
    uint8_t digest[DIGEST_MAX_SIZE];
    if (!file_open_read(path, &fd, err) ||
        !digest_pieces(fd, path, file->size, stream, cancel, err))
        return false;
    digest_stream_finish(&stream, digest);
    digest_hex(bytes_of(digest,
                        algorithm == DIGEST_MD5 ? DIGEST_MD5_SIZE : DIGEST_SHA256_SIZE),
               hex);
    return true;
}

uint64_t
sidecar_block_files_size(const struct sidecar_block_files *files)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < files->count; i++)
        sum += files->at[i].size;
    return sum;
}

void
sidecar_block_files_fini(struct sidecar_block_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->at[i].rel_path);
    free(files->at);
    *files = (struct sidecar_block_files){0};
}
