/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/ulid.h"

enum { BITS_PER_CHAR = 5, LAST_FIRST_CHAR = '7' }; /* 26 * 5 bits are two too many */

static const char alphabet[32] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

bool
tsdb_ulid_parse(struct tsdb_ulid *id, struct bytes text)
{
    uint64_t high = 0, low = 0;
    if (text.len != TSDB_ULID_LEN || text.at[0] > LAST_FIRST_CHAR)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const char *found = memchr(alphabet, text.at[i], sizeof alphabet);
        if (found == NULL)
            return false;
        high = high << BITS_PER_CHAR | low >> (64 - BITS_PER_CHAR);
        low = low << BITS_PER_CHAR | (uint64_t)(found - alphabet);
    }
    be64_store(id->raw, high);
    be64_store(id->raw + sizeof high, low);
    return true;
}

struct tsdb_ulid_text
tsdb_ulid_print(const struct tsdb_ulid *id)
{
    struct tsdb_ulid_text out = {{0}};
    uint64_t high = be64_load(id->raw), low = be64_load(id->raw + sizeof high);
    for (size_t i = TSDB_ULID_LEN; i-- > 0;) {
        out.text[i] = alphabet[low % sizeof alphabet];
        low = low >> BITS_PER_CHAR | high << (64 - BITS_PER_CHAR);
        high >>= BITS_PER_CHAR;
    }
    return out;
}

int64_t
tsdb_ulid_time_ms(const struct tsdb_ulid *id)
{
    return (int64_t)(be64_load(id->raw) >> 16);
}

int
tsdb_ulid_cmp(const struct tsdb_ulid *a, const struct tsdb_ulid *b)
{
    return memcmp(a->raw, b->raw, sizeof a->raw);
}
