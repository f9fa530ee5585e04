/* SPDX-License-Identifier: Apache-2.0 */
#include "store/limits.h"

#include <inttypes.h>

bool
store_limits_add_series(struct store_limits *l, uint64_t n, struct err *err)
{
    l->series += n;
    if (l->max_series == 0 || l->series <= l->max_series)
        return true;
    l->refused = "series";
    return err_set(err, ERR_BUDGET,
                   "the query selects more than %" PRIu64 " series (--store.limits."
                   "request-series): narrow its matchers or raise the limit",
                   l->max_series);
}

bool
store_limits_add_chunks(struct store_limits *l, uint64_t n, struct err *err)
{
    uint64_t most = l->max_samples / STORE_LIMITS_SAMPLES_PER_CHUNK +
                    (l->max_samples % STORE_LIMITS_SAMPLES_PER_CHUNK != 0);
    l->chunks += n;
    if (l->max_samples == 0 || l->chunks <= most)
        return true;
    l->refused = "chunks";
    return err_set(err, ERR_BUDGET,
                   "the query selects more than %" PRIu64 " chunks of %d samples "
                   "(--store.limits.request-samples=%" PRIu64 "): narrow its matchers "
                   "or its time range, or raise the limit",
                   most, STORE_LIMITS_SAMPLES_PER_CHUNK, l->max_samples);
}

bool
store_limits_add_bytes(struct store_limits *l, uint64_t n, struct err *err)
{
    l->bytes += n;
    if (l->max_bytes == 0 || l->bytes <= l->max_bytes)
        return true;
    l->refused = "bytes";
    return err_set(err, ERR_BUDGET,
                   "the query needs more than %" PRIu64 " bytes of index and chunks "
                   "(--store.grpc.downloaded-bytes-limit): narrow its matchers or its "
                   "time range, or raise the limit",
                   l->max_bytes);
}
