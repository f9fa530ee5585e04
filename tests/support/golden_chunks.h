/* SPDX-License-Identifier: Apache-2.0 */
/* The chunks of tests/golden, each beside what its writer reads out of it. Whatever is
 * missing there ends the program. */
#ifndef TESTS_SUPPORT_GOLDEN_CHUNKS_H
#define TESTS_SUPPORT_GOLDEN_CHUNKS_H

#include "common/codec/json.h"
#include "common/tsdb/chunk_iter.h"

/* A chunk whose data is flush against an unreadable page, and its member of "C". */
typedef void golden_chunk_fn(void *arg, const struct tsdb_chunk *chunk,
                             const struct json *expected);

/* Call fn with each chunk of a folder, in order. The data is that of "Hex"; without,
 * the records of the block's segment follow each other as the lines do. */
void golden_each_chunk(const char *folder, golden_chunk_fn *fn, void *arg);

/* As above, for all folders: those that hold samples, not aggregates. */
void golden_each_sample_chunk(golden_chunk_fn *fn, void *arg);

/* The 64 bits that a text of 16 hexadecimal digits stands for. */
uint64_t golden_bits(const struct json *text);

int64_t golden_i64(const struct json *object, const char *member);

/* Fails unless h is what an "H" says. */
void golden_check_histogram(const struct tsdb_histogram *h,
                            const struct json *expected);

#endif
