/* SPDX-License-Identifier: Apache-2.0 */
/* A checksum is a polynomial modulo that of CRC-32C, its highest bit the coefficient of
 * x^0. A byte that follows multiplies it by x^8, n bytes by x^(8n): a product of one
 * factor for each byte of n that is not 0. */
#include <pthread.h>

#include "common/base/compiler.h"
#include "common/codec/crc32c.h"
#include "common/codec/crc32c_priv.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define X_TO_0 (UINT32_C(1) << 31)
#define X_TO_8 (UINT32_C(1) << 23)

/* factors[k][i]: what i times 256^k bytes multiply a checksum by. */
typedef uint32_t factor_table[8][256];

typedef uint32_t multiply_fn(uint32_t a, uint32_t b);

static uint32_t
multiply_by_bits(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (int bit = 31; bit >= 0; bit--) {
        product ^= b & (0 - (a >> bit & 1));
        b = b >> 1 ^ (CRC32C_POLYNOMIAL & (0 - (b & 1)));
    }
    return product;
}

static void
fill_factors(factor_table factors)
{
    uint32_t step = X_TO_8;
    for (size_t k = 0; k < 8; k++) {
        factors[k][0] = X_TO_0;
        for (size_t i = 1; i < 256; i++)
            factors[k][i] = multiply_by_bits(factors[k][i - 1], step);
        step = multiply_by_bits(factors[k][255], step);
    }
}

static uint32_t
combine(uint32_t a, uint32_t b, uint64_t b_len, factor_table factors,
        multiply_fn *multiply)
{
    for (size_t k = 0; b_len != 0; k++, b_len >>= 8)
        if ((b_len & 0xff) != 0)
            a = multiply(a, factors[k][b_len & 0xff]);
    return a ^ b;
}

static factor_table plain;
static pthread_once_t plain_once = PTHREAD_ONCE_INIT;

static void
fill_plain(void)
{
    fill_factors(plain);
}

uint32_t
crc32c_combine_by_bits(uint32_t a, uint32_t b, uint64_t b_len)
{
    pthread_once(&plain_once, fill_plain);
    return combine(a, b, b_len, plain, multiply_by_bits);
}

#if defined(__x86_64__)

/* The instruction that multiplies yields 63 bits, one power too high when they are
 * taken for 64, and the one that reduces them multiplies by x^32. */
enum { POWERS_TOO_HIGH = 33 };

static factor_table divided;
static pthread_once_t divided_once = PTHREAD_ONCE_INIT;

static uint32_t
divide(uint32_t a)
{
    for (int n = 0; n < POWERS_TOO_HIGH; n++)
        a = (a & X_TO_0) != 0 ? (a ^ CRC32C_POLYNOMIAL) << 1 | 1 : a << 1;
    return a;
}

static void
fill_divided(void)
{
    fill_factors(divided);
    for (size_t k = 0; k < ARRAY_LEN(divided); k++)
        for (size_t i = 0; i < ARRAY_LEN(divided[k]); i++)
            divided[k][i] = divide(divided[k][i]);
}

bool
crc32c_combine_is_fast(void)
{
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.2");
}

uint32_t
crc32c_combine_factor(uint64_t len)
{
    return divide(crc32c_combine_by_bits(X_TO_0, 0, len));
}

TARGET("sse4.2,pclmul")
static uint32_t
multiply_by_hardware(uint32_t a, uint32_t b)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128(a), _mm_cvtsi64_si128(b), 0);
    return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

uint32_t
crc32c_combine(uint32_t a, uint32_t b, uint64_t b_len)
{
    if (!crc32c_combine_is_fast())
        return crc32c_combine_by_bits(a, b, b_len);
    pthread_once(&divided_once, fill_divided);
    return combine(a, b, b_len, divided, multiply_by_hardware);
}

#else

uint32_t
crc32c_combine(uint32_t a, uint32_t b, uint64_t b_len)
{
    return crc32c_combine_by_bits(a, b, b_len);
}

#endif
