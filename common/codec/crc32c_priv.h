/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this module share, and the portable ways to compute, for the tests
 * to compare with. */
#ifndef COMMON_CODEC_CRC32C_PRIV_H
#define COMMON_CODEC_CRC32C_PRIV_H

#include "common/base/bytes.h"

/* The Castagnoli polynomial, bits reversed. */
#define CRC32C_POLYNOMIAL UINT32_C(0x82f63b78)

/* crc32c_extend by table look-up, whatever the processor has. */
uint32_t crc32c_extend_by_table(uint32_t crc, struct bytes data);

#if defined(__x86_64__)
/* Whether the processor has the instructions CRC32 and PCLMULQDQ. */
bool crc32c_combine_is_fast(void);

/* The factor of len bytes for them: PCLMULQDQ of a checksum and it, reduced by CRC32 of
 * those 8 bytes, is the checksum when len zero bytes have followed. */
uint32_t crc32c_combine_factor(uint64_t len);
#endif

/* crc32c_combine without such instructions. */
uint32_t crc32c_combine_by_bits(uint32_t a, uint32_t b, uint64_t b_len);

#endif
