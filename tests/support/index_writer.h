/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the index file of a block, version 1 or 2, from series that come once.
 *
 * Symbols stand in front of the series that use them, so series wait in a spool file
 * until all are known. Memory holds the distinct symbols and, while the index is
 * written, 12 bytes for each label pair of each series. */
#ifndef TESTS_SUPPORT_INDEX_WRITER_H
#define TESTS_SUPPORT_INDEX_WRITER_H

#include "common/base/err.h"
#include "common/tsdb/labels.h"
#include "common/tsdb/series.h"

struct index_writer;

/* The spool is a file index_path.spool while the writer lives. */
NODISCARD bool index_writer_new(struct index_writer **out, const char *index_path,
                                int version, struct err *err);

/* A series: begin, chunk_count times add_chunk, end. */
void index_writer_begin_series(struct index_writer *w, struct tsdb_labels labels,
                               size_t chunk_count);
void index_writer_add_chunk(struct index_writer *w, struct tsdb_chunk_meta chunk);
void index_writer_end_series(struct index_writer *w);

/* Write the file. Then only free is allowed. */
NODISCARD bool index_writer_finish(struct index_writer *w, struct err *err);

/* Release and remove the spool. CLEANUP handler; accepts NULL inside. */
void index_writer_free(struct index_writer **w);

#endif
