/* SPDX-License-Identifier: Apache-2.0 */
/* A second decoder of XOR chunks, to compare the real one with: one bit at a time, as
 * the format is written down, and with no thought for speed. */
#ifndef TESTS_SUPPORT_XOR_REFERENCE_H
#define TESTS_SUPPORT_XOR_REFERENCE_H

#include "common/tsdb/chunk_xor.h"

enum { XOR_REFERENCE_MAX = 65535 };

/* Decode all samples; out has room for XOR_REFERENCE_MAX. False if the data is broken.
 */
NODISCARD bool xor_reference_decode(struct bytes data, struct tsdb_sample *out,
                                    size_t *count);

#endif
