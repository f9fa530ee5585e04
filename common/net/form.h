/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-encoding: paths, query strings and bodies of
 * application/x-www-form-urlencoded. */
#ifndef COMMON_NET_FORM_H
#define COMMON_NET_FORM_H

#include "common/base/arena.h"

struct net_form_pair {
    struct bytes name;
    struct bytes value; /* a NUL follows */
};

/* Pairs in their order, names possibly several times. The zero value is empty. */
struct net_form {
    struct net_form_pair *at;
    size_t count;
    /* private */
    size_t cap;
};

/* Append the pairs of text; what they hold lives in arena.
 * Errors ERR_INVALID: broken encoding, ";" between pairs (which others take for "&"),
 * more than NET_FORM_MAX_PAIRS; ERR_BUDGET. */
enum { NET_FORM_MAX_PAIRS = 1024 };
NODISCARD bool net_form_parse(struct net_form *f, struct bytes text,
                              struct arena *arena, struct err *err);

/* The first value of a name; false if there is none. */
NODISCARD bool net_form_get(const struct net_form *f, struct bytes name,
                            struct bytes *value);

/* Decode one part of a path, in which "+" stands for itself, into at least part.len
 * bytes at to; *len is what it came to. Returns false for a broken encoding or a NUL.
 */
NODISCARD bool net_form_decode_path(struct bytes part, uint8_t *to, size_t *len);

#endif
