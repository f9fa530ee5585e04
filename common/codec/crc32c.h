/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli): hardware instructions where the processor has them. */
#ifndef COMMON_CODEC_CRC32C_H
#define COMMON_CODEC_CRC32C_H

#include "common/base/bytes.h"

/* Checksum of data; crc32c("123456789") is 0xe3069283. */
uint32_t crc32c(struct bytes data);

/* Continue a checksum: crc32c_extend(crc32c(a), b) is the checksum of a then b. */
uint32_t crc32c_extend(uint32_t crc, struct bytes data);

#endif
