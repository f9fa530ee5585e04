/* SPDX-License-Identifier: Apache-2.0 */
/* Streamed answers: one frame per series, never an empty one, because Prometheus makes
 * each frame a series of its own. */
#include <inttypes.h>

#include "store/api_read_priv.h"
#include "store/plain_chunks.h"

/* Frames are handed to the socket in pieces of about this size: with a frame more they
 * nearly always fit into what the server sends at once. */
enum { PIECE_BYTES = 48 * 1024 };

static bool
put_frame(struct store_read_request *r, const struct store_series *series,
          struct err *err)
{
    uint64_t size = wire_frame_put(r->at, series->labels, series->chunks,
                                   series->chunk_count, &r->out);
    if (size > WIRE_FRAME_MAX)
        return err_set(err, ERR_BUDGET,
                       "a frame of %" PRIu64 " bytes is needed, clients accept %d: "
                       "narrow the time range",
                       size, WIRE_FRAME_MAX);
    uint64_t before = r->totals.chunk_bytes;
    store_read_count_series(r, series);
    store_read_metrics_sent(&r->api->metrics, r->totals.chunk_bytes - before);
    return buf_ok(&r->out, err);
}

static bool
put_series(struct store_read_request *r, struct store_series *series, struct err *err)
{
    CLEANUP(store_plain_chunks_fini) struct store_plain_chunks plain;
    store_plain_chunks_init(&plain, &r->budget);
    return (store_plain_chunks_make(&plain, r->newest_encoding, series, &r->source,
                                    err) &&
            put_frame(r, series, err)) ||
           store_series_name(series->labels, err);
}

bool
store_read_stream_fill(struct store_read_request *r, struct err *err)
{
    buf_clear(&r->out);
    while (r->out.len < PIECE_BYTES) {
        struct store_series series;
        bool end;
        if (r->at == r->wire.query_count) {
            r->ended = true;
            return true;
        }
        if (!r->is_open && !store_read_open(r, err))
            return false;
        if (!store_query_next(&r->query, &series, &end, err))
            return false;
        if (end)
            store_read_close(r);
        else if (series.chunk_count > 0 && !put_series(r, &series, err))
            return false;
    }
    return true;
}
