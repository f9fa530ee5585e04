/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/ulid.h"

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* Value of a Crockford digit, or -1. */
static int
digit_value(uint8_t c)
{
    const char *at = c != 0 ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

bool
tsdb_ulid_parse(struct tsdb_ulid *id, struct bytes text)
{
    struct tsdb_ulid parsed = {0};
    if (text.len != TSDB_ULID_LEN || digit_value(text.at[0]) > 7)
        return false;
    /* 130 bits of digits, the first two of which are zero. */
    unsigned held = 0;
    unsigned bits = 0;
    size_t at = 0;
    for (size_t i = 0; i < TSDB_ULID_LEN; i++) {
        int value = digit_value(text.at[i]);
        if (value < 0)
            return false;
        held = held << 5 | (unsigned)value;
        bits += i == 0 ? 3 : 5;
        if (bits >= 8) {
            bits -= 8;
            parsed.raw[at++] = (uint8_t)(held >> bits);
        }
    }
    *id = parsed;
    return true;
}

struct tsdb_ulid_text
tsdb_ulid_print(const struct tsdb_ulid *id)
{
    struct tsdb_ulid_text out = {0};
    for (size_t i = 0; i < TSDB_ULID_LEN; i++) {
        /* Digit i holds bits 5 i - 2 to 5 i + 2 of the 128. */
        unsigned value = 0;
        for (size_t bit = 5 * i; bit < 5 * i + 5; bit++) {
            unsigned one = bit < 2 ? 0 : id->raw[(bit - 2) / 8] >> (7 - (bit - 2) % 8);
            value = value << 1 | (one & 1);
        }
        out.text[i] = digits[value];
    }
    return out;
}

int64_t
tsdb_ulid_time_ms(const struct tsdb_ulid *id)
{
    return (int64_t)((uint64_t)be16_load(id->raw) << 32 | be32_load(id->raw + 2));
}

int
tsdb_ulid_cmp(const struct tsdb_ulid *a, const struct tsdb_ulid *b)
{
    return memcmp(a->raw, b->raw, sizeof a->raw);
}
