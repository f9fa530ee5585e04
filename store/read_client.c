/* SPDX-License-Identifier: Apache-2.0 */
#include "store/read_client.h"

enum { VERSION_DIGITS = 9 };

struct version {
    uint32_t major;
    uint32_t minor;
};

/* The first release that knows all encodings up to one. Older ones know the plain ones:
 * those before 2.40, which know XOR only, have no use for histograms in any form. */
static const struct {
    struct version since;
    enum tsdb_chunk_encoding newest;
} releases[] = {
    {{3, 14}, TSDB_CHUNK_FLOAT_HISTOGRAM_ST},
    {{3, 11}, TSDB_CHUNK_XOR2},
    {{0, 0}, TSDB_CHUNK_FLOAT_HISTOGRAM},
};

/* Take a number from the start of b; none has more than nine digits. */
static bool
take_number(struct bytes *b, uint32_t *v)
{
    size_t digits = 0;
    *v = 0;
    for (; digits < b->len && b->at[digits] >= '0' && b->at[digits] <= '9'; digits++) {
        if (digits == VERSION_DIGITS)
            return false;
        *v = *v * 10 + (uint32_t)(b->at[digits] - '0');
    }
    bytes_skip(b, digits);
    return digits > 0;
}

static bool
take(struct bytes *b, struct bytes text)
{
    if (!bytes_starts_with(*b, text))
        return false;
    bytes_skip(b, text.len);
    return true;
}

/* "Prometheus/3.16.0-rc.1": what stands behind the second number does not matter, as
 * long as it does not make it another one. */
static bool
parse(struct bytes text, struct version *v)
{
    return take(&text, BYTES("Prometheus/")) && take_number(&text, &v->major) &&
           take(&text, BYTES(".")) && take_number(&text, &v->minor) &&
           (text.len == 0 || memchr(".-+ ", text.at[0], 4) != NULL);
}

static bool
is_since(const struct version *v, const struct version *since)
{
    return v->major > since->major ||
           (v->major == since->major && v->minor >= since->minor);
}

enum tsdb_chunk_encoding
store_read_client_newest(const char *user_agent, enum store_read_encodings others)
{
    struct version v;
    size_t i = 0;
    if (user_agent == NULL || !parse(bytes_of_str(user_agent), &v))
        return others == STORE_READ_STORED ? TSDB_CHUNK_FLOAT_HISTOGRAM_ST
                                           : TSDB_CHUNK_FLOAT_HISTOGRAM;
    while (!is_since(&v, &releases[i].since))
        i++;
    return releases[i].newest;
}
