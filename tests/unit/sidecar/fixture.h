/* SPDX-License-Identifier: Apache-2.0 */
/* A data directory, and a bucket that can be made to fail, for tests of the sidecar. */
#ifndef TESTS_UNIT_SIDECAR_FIXTURE_H
#define TESTS_UNIT_SIDECAR_FIXTURE_H

#include "common/objstore/bucket.h"
#include "common/tsdb/labels.h"
#include "common/tsdb/ulid.h"

struct fixture {
    char *root;
    char *tsdb;                     /* data directory */
    char *pins;                     /* its folder of pins, which exists */
    char *bucket_dir;               /* where the bucket keeps its objects */
    struct objstore_bucket *bucket; /* faulty_bucket around it */
};

/* As cmocka wants them; *state is a struct fixture *. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* {cluster="eu1", replica="a"} */
extern const struct tsdb_labels fixture_labels;

/* The id of the n-th block, 0 to 31; its time range is that of the n-th two hours. */
struct tsdb_ulid fixture_id(unsigned n);

/* Write the n-th block into folder, with several segments. */
struct tsdb_ulid fixture_block(const char *folder, unsigned n, int64_t level);

/* "folder/<ULID>/rel_path"; rel_path may be "". Release with free. */
char *fixture_path(const char *folder, const struct tsdb_ulid *id,
                   const char *rel_path);

/* Whether folder has the file of a block. */
bool fixture_has(const char *folder, const struct tsdb_ulid *id, const char *rel_path);

/* Whole content of a file; release with buf_fini. */
struct buf fixture_read(const char *path);

/* Replace a file. */
void fixture_write(const char *path, const char *text);

/* Invert the byte at an offset, counted from the end when negative. */
void fixture_flip(const char *path, long at);

/* Remove a block from a folder. */
void fixture_remove(const char *folder, const struct tsdb_ulid *id);

/* Fail the test unless the bucket holds each segment and the index of the block in
 * folder byte for byte, and a meta.json that lists them with these labels. */
void fixture_assert_shipped(const struct fixture *f, const char *folder,
                            const struct tsdb_ulid *id);

#endif
