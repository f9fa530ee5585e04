/* SPDX-License-Identifier: Apache-2.0 */
/* The portable way to compute crc32c_extend, for the tests to compare with. */
#ifndef COMMON_CODEC_CRC32C_PRIV_H
#define COMMON_CODEC_CRC32C_PRIV_H

#include "common/base/bytes.h"

/* crc32c_extend by table look-up, whatever the processor has. */
uint32_t crc32c_extend_by_table(uint32_t crc, struct bytes data);

#endif
