/* SPDX-License-Identifier: Apache-2.0 */
/* All that is read out of a chunk in one number, to compare two ways of reading it. */
#ifndef TESTS_SUPPORT_CHUNK_DIGEST_H
#define TESTS_SUPPORT_CHUNK_DIGEST_H

#include "common/tsdb/chunk_iter.h"

struct chunk_digest {
    uint64_t sum;
    uint64_t samples;
};

/* One sample; the histogram is not read unless kind says so. */
void chunk_digest_add(struct chunk_digest *d, enum tsdb_sample_kind kind,
                      struct tsdb_sample sample, int64_t start_ms,
                      const struct tsdb_histogram *h);

/* Read all samples of a chunk. Without its start timestamps when plain. The error must
 * be ERR_CORRUPT. */
NODISCARD bool chunk_digest_of(struct chunk_digest *d, const struct tsdb_chunk *chunk,
                               bool plain, struct err *err);

/* As above, slowly: one bit at a time, as the format is written down. For all but XOR
 * (xor_reference.h) and aggregated chunks. */
NODISCARD bool chunk_reference_digest(struct chunk_digest *d,
                                      const struct tsdb_chunk *chunk);

/* What holds for any data of a chunk, broken or not: both ways of reading it agree; and
 * what can be read can be encoded again for clients that do not know its encoding. Ends
 * the program otherwise. */
void chunk_digest_check(const struct tsdb_chunk *chunk);

#endif
