/* SPDX-License-Identifier: Apache-2.0 */
/* Answers compressed on their way out, where the client asks for it and the body is not
 * tiny. When there is no memory for that they go out as they are. */
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/codec/compress_stream.h"
#include "common/net/http_accept.h"
#include "common/net/http_server_priv.h"

enum {
    /* Below, what is saved fits a packet and costs more than it. */
    BODY_MIN = 1400,
    PIECE_BYTES = 32 * 1024
};

struct coding {
    const char *name;
    enum compress_stream_coding coding;
};

/* In order of preference, where a client has none. */
static const struct coding codings[] = {{"zstd", COMPRESS_STREAM_ZSTD},
                                        {"gzip", COMPRESS_STREAM_GZIP}};

/* Weight that an Accept-Encoding gives to a name, -1 if it does not mention it. */
static int
weight_of(const char *accepted, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = accepted; *at != 0; at += strcspn(at, ",")) {
        at += strspn(at, ", \t");
        if (strncasecmp(at, name, len) != 0 ||
            (at[len] != 0 && strchr(", \t;", at[len]) == NULL))
            continue;
        at += len + strspn(at + len, " \t");
        if (*at != ';')
            return NET_HTTP_WEIGHT_MAX;
        at += 1 + strspn(at + 1, " \t");
        return strncasecmp(at, "q=", 2) == 0
                   ? net_http_accept_weight(bytes_of(at + 2, strcspn(at + 2, ",;")))
                   : 0;
    }
    return -1;
}

/* NULL: as it is. */
static const struct coding *
choose(const char *accepted)
{
    const struct coding *best = NULL;
    int best_weight = 0;
    if (accepted == NULL)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
        int weight = weight_of(accepted, codings[i].name);
        if (weight < 0)
            weight = weight_of(accepted, "*");
        if (weight > best_weight) {
            best_weight = weight;
            best = &codings[i];
        }
    }
    return best_weight < weight_of(accepted, "identity") ? NULL : best;
}

/* What the client of x wants, where the route compresses. */
static const struct coding *
wanted_by(struct net_http_exchange *x)
{
    if (x->route == NULL || !x->route->compress)
        return NULL;
    net_http_exchange_add_header(x, MHD_HTTP_HEADER_VARY, "Accept-Encoding");
    return x->is_http_1_0
               ? NULL
               : choose(net_http_exchange_header(x, MHD_HTTP_HEADER_ACCEPT_ENCODING));
}

/* Begin to compress by *c, or by what the client takes besides and needs less memory
 * here: zstd takes a megabyte. Sets *c to what it is. */
static bool
begin(struct net_http_exchange *x, const struct coding **c, struct compress_stream **s)
{
    const char *accepted = net_http_exchange_header(x, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    struct budget *budget = x->server->budget;
    struct err unused;
    if (compress_stream_new(s, (*c)->coding, budget, &unused))
        return true;
    const struct coding *last = &codings[ARRAY_LEN(codings) - 1];
    if (*c == last || weight_of(accepted, last->name) <= 0)
        return false;
    *c = last;
    return compress_stream_new(s, last->coding, budget, &unused);
}

bool
net_http_encode_body(struct net_http_exchange *x, struct bytes body, struct buf *out)
{
    CLEANUP(compress_stream_free) struct compress_stream *s = NULL;
    struct err unused;
    const struct coding *c = wanted_by(x);
    buf_init(out, x->server->budget);
    if (c == NULL || body.len < BODY_MIN || !begin(x, &c, &s) ||
        !compress_stream_put(s, body, out, &unused) ||
        !compress_stream_end(s, out, &unused))
        return false;
    net_http_exchange_add_header(x, MHD_HTTP_HEADER_CONTENT_ENCODING, c->name);
    return true;
}

/* A stream around the one that the handler gave. */
struct encoded {
    struct net_http_stream plain;
    struct bytes first; /* its first piece, taken to see whether it is tiny */
    bool has_first;
    bool ended;
    struct compress_stream *compressor; /* NULL: pieces pass */
    struct buf out;
};

static bool
next_plain(struct encoded *e, struct bytes *piece, struct err *err)
{
    if (!e->has_first)
        return e->plain.next(e->plain.arg, piece, err);
    e->has_first = false;
    *piece = e->first;
    return true;
}

static bool
next_encoded(void *arg, struct bytes *piece, struct err *err)
{
    struct encoded *e = arg;
    if (e->compressor == NULL)
        return next_plain(e, piece, err);
    buf_clear(&e->out);
    while (!e->ended && e->out.len < PIECE_BYTES) {
        struct bytes part;
        if (!next_plain(e, &part, err))
            return false;
        e->ended = part.len == 0;
        if (e->ended ? !compress_stream_end(e->compressor, &e->out, err)
                     : !compress_stream_put(e->compressor, part, &e->out, err))
            return false;
    }
    *piece = buf_bytes(&e->out);
    return true;
}

static void
end_encoded(void *arg)
{
    struct encoded *e = arg;
    e->plain.done(e->plain.arg);
    compress_stream_free(&e->compressor);
    buf_fini(&e->out);
    free(e);
}

bool
net_http_encode_stream(struct net_http_exchange *x, uint64_t *length,
                       struct net_http_stream *stream, struct err *err)
{
    const struct coding *c = wanted_by(x);
    struct encoded *e = c != NULL ? calloc(1, sizeof *e) : NULL;
    if (e == NULL)
        return true;
    e->plain = *stream;
    buf_init(&e->out, x->server->budget);
    *stream = (struct net_http_stream){next_encoded, end_encoded, e};
    if (!next_plain(e, &e->first, err))
        return false;
    e->has_first = true;
    if (e->first.len < BODY_MIN || !begin(x, &c, &e->compressor))
        return true;
    *length = NET_HTTP_LENGTH_UNKNOWN;
    net_http_exchange_add_header(x, MHD_HTTP_HEADER_CONTENT_ENCODING, c->name);
    return true;
}
