/* SPDX-License-Identifier: Apache-2.0 */
/* A step takes 8 bytes and three cycles, but a processor can begin one in each cycle:
 * so three streams run side by side where products of checksums, which join them, cost
 * little. A chunk of 570 bytes then takes half the time, 64 KiB a quarter. */
#include "common/codec/crc32c.h"
#include "common/codec/crc32c_priv.h"

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/compiler.h"
#include "common/base/num.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

/* Takes and returns the state of the shift register: the inverted checksum. */
typedef uint32_t update_fn(uint32_t state, struct bytes data);

/* tables[k][b]: what byte b does to the state once k more zero bytes have followed. */
static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void
fill_tables(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t state = b;
        for (int bit = 0; bit < 8; bit++)
            state = state >> 1 ^ (state & 1 ? CRC32C_POLYNOMIAL : 0);
        tables[0][b] = state;
    }
    for (size_t k = 1; k < ARRAY_LEN(tables); k++)
        for (size_t b = 0; b < 256; b++)
            tables[k][b] = tables[k - 1][b] >> 8 ^ tables[0][tables[k - 1][b] & 0xff];
}

static uint64_t
le64_load(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

static uint32_t
update_by_table(uint32_t state, struct bytes data)
{
    pthread_once(&tables_once, fill_tables);
    for (; data.len >= 8; bytes_skip(&data, 8)) {
        uint64_t word = le64_load(data.at) ^ state;
        state = 0;
        for (size_t k = 0; k < 8; k++)
            state ^= tables[7 - k][word >> (8 * k) & 0xff];
    }
    for (; data.len > 0; bytes_skip(&data, 1))
        state = state >> 8 ^ tables[0][(state ^ data.at[0]) & 0xff];
    return state;
}

#if defined(__x86_64__)

#define HARDWARE TARGET("sse4.2")

static bool
has_hardware(void)
{
    return __builtin_cpu_supports("sse4.2") != 0;
}

HARDWARE static uint32_t
step8(uint32_t state, uint64_t word)
{
    return (uint32_t)_mm_crc32_u64(state, word);
}

HARDWARE static uint32_t
step1(uint32_t state, uint8_t byte)
{
    return _mm_crc32_u8(state, byte);
}

#elif defined(__aarch64__)

#define HARDWARE

static bool
has_hardware(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}

/* Not the intrinsics of arm_acle.h: clang hides them unless the whole file is compiled
 * for a processor that has them. */
static uint32_t
step8(uint32_t state, uint64_t word)
{
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(state) : "r"(word));
    return state;
}

static uint32_t
step1(uint32_t state, uint8_t byte)
{
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(state) : "r"(byte));
    return state;
}

#endif

#ifdef HARDWARE

HARDWARE static uint32_t
update_by_hardware(uint32_t state, struct bytes data)
{
    for (; data.len >= 8; bytes_skip(&data, 8))
        state = step8(state, le64_load(data.at));
    for (; data.len > 0; bytes_skip(&data, 1))
        state = step1(state, data.at[0]);
    return state;
}

#ifdef __x86_64__

/* Words of a lane: fewer are not worth the joining, more would need longer tables. */
enum { LANES = 3, LANE_MIN = 4, LANE_MAX = 64 };

/* The factors of one lane of so many words, and of two. */
static uint32_t lane_factors[LANE_MAX + 1][2];

static void
fill_lane_factors(void)
{
    for (size_t words = 0; words <= LANE_MAX; words++) {
        lane_factors[words][0] = crc32c_combine_factor(8 * words);
        lane_factors[words][1] = crc32c_combine_factor(16 * words);
    }
}

TARGET("sse4.2,pclmul")
static uint32_t
join(const uint64_t lanes[LANES], size_t words)
{
    __m128i factors =
        _mm_loadl_epi64((const __m128i *)(const void *)lane_factors[words]);
    factors = _mm_unpacklo_epi32(factors, _mm_setzero_si128());
    __m128i first = _mm_cvtsi64_si128((long long)lanes[0]);
    __m128i second = _mm_cvtsi64_si128((long long)lanes[1]);
    __m128i sum = _mm_xor_si128(_mm_clmulepi64_si128(first, factors, 0x10),
                                _mm_clmulepi64_si128(second, factors, 0x00));
    return (uint32_t)(_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(sum)) ^ lanes[2]);
}

TARGET("sse4.2,pclmul")
static uint32_t
update_by_lanes(uint32_t state, struct bytes data)
{
    while (data.len >= 8 * LANES * LANE_MIN) {
        size_t words = NUM_MIN(data.len / (8 * LANES), (size_t)LANE_MAX);
        const uint8_t *a = data.at, *b = a + 8 * words, *c = b + 8 * words;
        uint64_t lanes[LANES] = {state};
        for (size_t i = 0; i < words; i++) {
            lanes[0] = _mm_crc32_u64(lanes[0], le64_load(a + 8 * i));
            lanes[1] = _mm_crc32_u64(lanes[1], le64_load(b + 8 * i));
            lanes[2] = _mm_crc32_u64(lanes[2], le64_load(c + 8 * i));
        }
        state = join(lanes, words);
        bytes_skip(&data, 8 * LANES * words);
    }
    return update_by_hardware(state, data);
}

static update_fn *
choose(void)
{
    static pthread_once_t lanes_once = PTHREAD_ONCE_INIT;
    if (!crc32c_combine_is_fast())
        return has_hardware() ? update_by_hardware : update_by_table;
    pthread_once(&lanes_once, fill_lane_factors);
    return update_by_lanes;
}

#else

static update_fn *
choose(void)
{
    return has_hardware() ? update_by_hardware : update_by_table;
}

#endif

static update_fn choose_and_update;

/* Set at the first use; until then every thread may choose, all of them the same. */
static update_fn *_Atomic update = choose_and_update;

static uint32_t
choose_and_update(uint32_t state, struct bytes data)
{
    update_fn *chosen = choose();
    atomic_store_explicit(&update, chosen, memory_order_release);
    return chosen(state, data);
}

#else

static update_fn *_Atomic update = update_by_table;

#endif

uint32_t
crc32c_extend(uint32_t crc, struct bytes data)
{
    return ~atomic_load_explicit(&update, memory_order_acquire)(~crc, data);
}

uint32_t
crc32c(struct bytes data)
{
    return crc32c_extend(0, data);
}

uint32_t
crc32c_extend_by_table(uint32_t crc, struct bytes data)
{
    return ~update_by_table(~crc, data);
}
