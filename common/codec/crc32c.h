/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli): hardware instructions where the processor has them. */
#ifndef COMMON_CODEC_CRC32C_H
#define COMMON_CODEC_CRC32C_H

#include "common/base/bytes.h"

/* Checksum of data; crc32c("123456789") is 0xe3069283. */
uint32_t crc32c(struct bytes data);

/* Continue a checksum: crc32c_extend(crc32c(a), b) is the checksum of a then b. */
uint32_t crc32c_extend(uint32_t crc, struct bytes data);

/* Checksum of one text then another from those of both, b_len the bytes of the second:
 * crc32c_combine(crc32c(a), crc32c(b), b.len) is the checksum of a then b. O(log
 * b_len): nanoseconds where the processor multiplies polynomials. */
uint32_t crc32c_combine(uint32_t a, uint32_t b, uint64_t b_len);

#endif
