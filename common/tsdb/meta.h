/* SPDX-License-Identifier: Apache-2.0 */
/* meta.json of a block: what Prometheus writes, and the "thanos" section of a block in
 * a bucket. Keys that are not known here are kept when a meta is printed again.
 *
 * Format: Prometheus tsdb/block.go BlockMeta; Thanos pkg/block/metadata. */
#ifndef COMMON_TSDB_META_H
#define COMMON_TSDB_META_H

#include "common/base/buf.h"
#include "common/tsdb/labels.h"
#include "common/tsdb/ulid.h"

enum { TSDB_META_MAX_BYTES = 64 * 1024 * 1024 };

struct json;

struct tsdb_meta_file {
    const char *rel_path; /* "chunks/000001"; NUL-terminated */
    int64_t size;         /* bytes; -1 when not given (meta.json itself) */
    const char *sha256;   /* 64 hex digits of the "hash" member; NULL when not given */
};

/* A parsed meta. Opaque parts are owned by it; release with tsdb_meta_fini. */
struct tsdb_meta {
    struct tsdb_ulid ulid;
    int64_t mint_ms; /* inclusive */
    int64_t maxt_ms; /* exclusive */
    int64_t num_samples;
    int64_t num_series;
    int64_t num_chunks;
    int64_t level;
    size_t source_count;
    struct tsdb_ulid *sources;
    size_t parent_count; /* with one that is all zeros: not all samples of its time */

    bool has_thanos;
    struct tsdb_labels external; /* sorted */
    int64_t resolution_ms;       /* 0 for raw */
    const char *source;          /* "compactor"; NULL when not given */
    size_t file_count;           /* thanos.files, in the order of the document */
    struct tsdb_meta_file *files;
    size_t segment_count; /* thanos.segment_files; position is the segment number */
    const char **segments;
    int64_t upload_time_ms; /* INT64_MIN when not set */

    /* private */
    struct json *tree;
    struct tsdb_label *label_storage;
};

/* Parse and validate. The zero value is empty; *m is untouched on failure.
 * Errors ERR_INVALID: not JSON, version not 1, ulid not canonical, mint > maxt, a
 * member of the wrong type; the text names the member. */
NODISCARD bool tsdb_meta_parse(struct tsdb_meta *m, struct bytes text, struct err *err);

/* Release. Accepts the zero value. */
void tsdb_meta_fini(struct tsdb_meta *m);

/* What a shipper adds to a meta of Prometheus. */
struct tsdb_meta_thanos {
    struct tsdb_labels external;        /* laid over labels that are there already */
    const char *source;                 /* "sidecar" */
    size_t file_count;                  /* without meta.json, which is added */
    const struct tsdb_meta_file *files; /* any order; written sorted by path */
    int64_t upload_time_ns;             /* wall clock */
    size_t source_count;                /* of blocks whose samples it has, too: */
    const struct tsdb_ulid *sources;    /* added to compaction.sources */
};

/* Append the JSON text of m with its "thanos" section set; m itself is not changed.
 * segment_files follow from the files below chunks/. Tab-indented as upstream.
 * Errors ERR_INVALID: the resulting external labels are empty. */
NODISCARD bool tsdb_meta_print_with_thanos(const struct tsdb_meta *m,
                                           const struct tsdb_meta_thanos *thanos,
                                           struct buf *out, struct err *err);

#endif
