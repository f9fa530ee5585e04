/* SPDX-License-Identifier: Apache-2.0 */
#include "common/codec/compress_stream.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "common/base/num.h"

enum {
    STEP_BYTES = 16 * 1024, /* room that is made in out at a time */
    /* Of gzip: names and label sets repeat themselves; more levels cost more time than
     * they save bytes. */
    GZIP_LEVEL = 4,
    GZIP_FORMAT = 16, /* added to the window bits: not zlib's own format */
    ZSTD_LEVEL = 3,
    ZSTD_LOG = 17 /* of window and tables: keeps a context below its charge */
};

struct compress_stream {
    enum compress_stream_coding coding;
    struct budget *budget;
    z_stream gzip;
    bool gzip_begun;
    ZSTD_CCtx *zstd;
};

/* In front of each piece of memory that zlib gets. */
union piece {
    size_t size;
    max_align_t align;
};

static void *
take_piece(void *budget, unsigned count, unsigned size)
{
    struct err unused;
    size_t total;
    if (!num_mul((size_t)count, (size_t)size, &total) ||
        !num_add(total, sizeof(union piece), &total) ||
        !budget_take(budget, total, &unused))
        return NULL;
    union piece *piece = malloc(total);
    if (piece == NULL) {
        budget_give(budget, total);
        return NULL;
    }
    piece->size = total;
    return piece + 1;
}

static void
give_piece(void *budget, void *at)
{
    union piece *piece = (union piece *)at - 1;
    budget_give(budget, piece->size);
    free(piece);
}

static bool
begin_gzip(struct compress_stream *s, struct err *err)
{
    s->gzip.zalloc = take_piece;
    s->gzip.zfree = give_piece;
    s->gzip.opaque = s->budget;
    s->gzip_begun =
        deflateInit2(&s->gzip, GZIP_LEVEL, Z_DEFLATED, MAX_WBITS + GZIP_FORMAT,
                     MAX_MEM_LEVEL - 1, Z_DEFAULT_STRATEGY) == Z_OK;
    return s->gzip_begun ||
           err_set(err, ERR_UNAVAILABLE, "no memory to compress an answer with gzip");
}

static bool
begin_zstd(struct compress_stream *s, struct err *err)
{
    if (!budget_take(s->budget, COMPRESS_STREAM_ZSTD_BYTES, err))
        return false;
    s->zstd = ZSTD_createCCtx();
    if (s->zstd == NULL) {
        budget_give(s->budget, COMPRESS_STREAM_ZSTD_BYTES);
        return err_set(err, ERR_NOMEM, "no memory to compress an answer with zstd");
    }
    const ZSTD_cParameter logs[] = {ZSTD_c_windowLog, ZSTD_c_hashLog, ZSTD_c_chainLog};
    ZSTD_CCtx_setParameter(s->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    for (size_t i = 0; i < ARRAY_LEN(logs); i++)
        ZSTD_CCtx_setParameter(s->zstd, logs[i], ZSTD_LOG);
    return true;
}

bool
compress_stream_new(struct compress_stream **out, enum compress_stream_coding coding,
                    struct budget *budget, struct err *err)
{
    CLEANUP(compress_stream_free) struct compress_stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_set(err, ERR_NOMEM, "no memory to compress an answer");
    s->coding = coding;
    s->budget = budget;
    if (coding == COMPRESS_STREAM_GZIP ? !begin_gzip(s, err) : !begin_zstd(s, err))
        return false;
    *out = TAKE(s);
    return true;
}

/* One call of the library, into room bytes at to; *in becomes what it has not taken. */
static bool
step_gzip(struct compress_stream *s, struct bytes *in, bool end, uint8_t *to,
          size_t *room)
{
    size_t part = NUM_MIN(in->len, (size_t)UINT32_MAX / 2);
    s->gzip.next_in = (z_const Bytef *)(uintptr_t)in->at;
    s->gzip.avail_in = (uInt)part;
    s->gzip.next_out = to;
    s->gzip.avail_out = (uInt)*room;
    int result = deflate(&s->gzip, end && part == in->len ? Z_FINISH : Z_NO_FLUSH);
    bytes_skip(in, part - s->gzip.avail_in);
    *room = s->gzip.avail_out;
    return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
}

static bool
step_zstd(struct compress_stream *s, struct bytes *in, bool end, uint8_t *to,
          size_t *room)
{
    ZSTD_inBuffer from = {in->at, in->len, 0};
    ZSTD_outBuffer into = {to, *room, 0};
    size_t result =
        ZSTD_compressStream2(s->zstd, &into, &from, end ? ZSTD_e_end : ZSTD_e_continue);
    bytes_skip(in, from.pos);
    *room -= into.pos;
    return !ZSTD_isError(result);
}

/* Until all is taken and the library leaves some of its room unused, which both do only
 * when they hold nothing back. */
static bool
run(struct compress_stream *s, struct bytes in, bool end, struct buf *out,
    struct err *err)
{
    size_t room;
    do {
        uint8_t *to = buf_reserve(out, STEP_BYTES);
        room = STEP_BYTES;
        if (to == NULL)
            return buf_ok(out, err);
        if (s->coding == COMPRESS_STREAM_GZIP ? !step_gzip(s, &in, end, to, &room)
                                              : !step_zstd(s, &in, end, to, &room))
            return err_set(err, ERR_INTERNAL, "an answer could not be compressed");
        out->len += STEP_BYTES - room;
    } while (in.len > 0 || room == 0);
    return true;
}

bool
compress_stream_put(struct compress_stream *s, struct bytes in, struct buf *out,
                    struct err *err)
{
    return in.len == 0 || run(s, in, false, out, err);
}

bool
compress_stream_end(struct compress_stream *s, struct buf *out, struct err *err)
{
    return run(s, (struct bytes){0}, true, out, err);
}

void
compress_stream_free(struct compress_stream **out)
{
    struct compress_stream *s = TAKE(*out);
    if (s == NULL)
        return;
    if (s->gzip_begun)
        deflateEnd(&s->gzip);
    if (s->zstd != NULL) {
        ZSTD_freeCCtx(s->zstd);
        budget_give(s->budget, COMPRESS_STREAM_ZSTD_BYTES);
    }
    free(s);
}
