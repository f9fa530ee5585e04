/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fuzz_script.h"

#include "common/base/compiler.h"
#include "common/base/num.h"
#include "common/tsdb/xor_value.h"

/* How the next number follows: chosen by the upper bits of a byte, while the lower ones
 * say how far. */
enum { FAR_BITS = 5, FAR_MASK = (1 << FAR_BITS) - 1, FAR_HALF = 1 << (FAR_BITS - 1) };

uint8_t
fuzz_script_byte(struct fuzz_script *s)
{
    if (s->rest.len == 0)
        return 0;
    uint8_t byte = s->rest.at[0];
    bytes_skip(&s->rest, 1);
    return byte;
}

uint32_t
fuzz_script_below(struct fuzz_script *s, uint32_t limit)
{
    return fuzz_script_byte(s) % limit;
}

static uint64_t
number_of(struct fuzz_script *s, size_t bytes)
{
    uint64_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n = n << 8 | fuzz_script_byte(s);
    return n;
}

uint64_t
fuzz_script_number(struct fuzz_script *s)
{
    uint8_t how = fuzz_script_byte(s);
    uint64_t n = number_of(s, how % 9);
    return how & 0x80 ? ~n : n;
}

struct bytes
fuzz_script_text(struct fuzz_script *s, uint32_t limit)
{
    size_t len = fuzz_script_below(s, limit);
    len = NUM_MIN(len, s->rest.len);
    struct bytes text = bytes_of(s->rest.at, len);
    bytes_skip(&s->rest, len);
    return text;
}

int64_t
fuzz_script_time(struct fuzz_script *s, struct fuzz_clock *clock)
{
    uint8_t how = fuzz_script_byte(s);
    uint64_t far = (uint64_t)(how & FAR_MASK);
    switch (how >> FAR_BITS) {
    case 0:
    case 1:
        break;
    case 2:
        clock->step += far - FAR_HALF;
        break;
    case 3:
        clock->step += (far - FAR_HALF) << 10;
        break;
    case 4:
        clock->step += (far - FAR_HALF) << 16;
        break;
    case 5:
        clock->step = far * 1000;
        break;
    case 6:
        clock->step = number_of(s, 3);
        break;
    default:
        clock->step = fuzz_script_number(s);
    }
    clock->ms += clock->step;
    return (int64_t)clock->ms;
}

uint64_t
fuzz_script_float(struct fuzz_script *s, uint64_t before)
{
    static const uint64_t special[] = {
        0,
        UINT64_C(0x8000000000000000), /* -0 */
        UINT64_C(0x3ff0000000000000), /* 1 */
        UINT64_C(0x7ff0000000000000), /* +Inf */
        UINT64_C(0xfff0000000000000), /* -Inf */
        UINT64_C(0x7ff8000000000001), /* NaN */
        UINT64_C(0x0000000000000001), /* the smallest */
        TSDB_STALE_BITS,
    };
    uint8_t how = fuzz_script_byte(s);
    uint64_t far = (uint64_t)(how & FAR_MASK);
    switch (how >> FAR_BITS) {
    case 0:
    case 1:
        return before;
    case 2:
        return before ^ (uint64_t)1 << (2 * far);
    case 3:
        return before ^ (uint64_t)fuzz_script_byte(s) << far;
    case 4:
        return before ^ (uint64_t)fuzz_script_byte(s) << (FAR_MASK + far);
    case 5:
        return special[far % ARRAY_LEN(special)];
    case 6:
        return before + far - FAR_HALF;
    default:
        return number_of(s, 8);
    }
}

uint64_t
fuzz_script_count(struct fuzz_script *s, uint64_t before)
{
    uint8_t how = fuzz_script_byte(s);
    uint64_t far = (uint64_t)(how & FAR_MASK);
    switch (how >> FAR_BITS) {
    case 0:
    case 1:
        return before;
    case 2:
    case 3:
        return before + far;
    case 4:
        return before - far;
    case 5:
        return before + (far << 12);
    case 6:
        return before + number_of(s, 3);
    default:
        return fuzz_script_number(s);
    }
}
