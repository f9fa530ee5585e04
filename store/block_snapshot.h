/* SPDX-License-Identifier: Apache-2.0 */
/* What a catalog knows, in one file of the data directory: a start serves from it while
 * the bucket is read, and fetches nothing that is in it.
 *
 * The file: be32 "BHS" and version, be32 CRC-32C of all that follows, one zstd frame.
 * Its content, numbers as varints unless they say otherwise (z: zigzag), texts with
 * their length in front:
 *
 *   text             name of the bucket
 *   byte             1: of each block in the bucket is here what can be known
 *   count            sets of external labels; each: count, then name and value of each
 *   count            blocks, ascending by ULID; each:
 *     16 bytes       ULID
 *     flags          below
 *     3 or 4 stamps  meta.json, index, chunks, mark (if FLAG_MARK): size, z time in ms
 *     z              time of the mark in ms, if FLAG_MARK
 *     z, z, z        mint, maxt, resolution, in ms
 *     z              time of upload in ms, if FLAG_UPLOADED
 *     number         which set of external labels
 *     count          sources, 16 bytes each, unless FLAG_OWN_SOURCE: the block itself
 *     count          segments in their order: text name, size
 *
 * Another layout needs another version: files of other versions are not read. */
#ifndef STORE_BLOCK_SNAPSHOT_H
#define STORE_BLOCK_SNAPSHOT_H

#include "store/block_catalog.h"

#define STORE_BLOCK_SNAPSHOT_NAME "blocks.snapshot"

/* Replace the file by what the catalog knows of blocks whose meta was read. bucket is a
 * name that other buckets do not have.
 * Errors those of the file system. */
NODISCARD bool store_block_snapshot_save(const char *path, struct bytes bucket,
                                         const struct store_catalog *c,
                                         struct err *err);

/* Fill an empty catalog with what a file has, of which nothing is borrowed.
 * Errors ERR_CORRUPT: damaged, of another version or bucket; nothing was filled in. */
NODISCARD bool store_block_snapshot_parse(struct bytes file, struct bytes bucket,
                                          struct store_catalog *c, struct err *err);

/* The same of the file at path.
 * Errors also ERR_NOT_FOUND, and others of the file system. */
NODISCARD bool store_block_snapshot_load(const char *path, struct bytes bucket,
                                         struct store_catalog *c, struct err *err);

#endif
