/* SPDX-License-Identifier: Apache-2.0 */
/* One file of a block into its pin: a second name for it; where the file system refuses
 * that, a clone, which shares its blocks; else a copy.
 *
 * Refused are links to the files of another owner (EPERM, fs.protected_hardlinks),
 * into another file system or mount (EXDEV), beyond the most names of a file (EMLINK),
 * and wherever there are none at all (EOPNOTSUPP, EPERM). */
#ifndef SIDECAR_PIN_FILE_H
#define SIDECAR_PIN_FILE_H

#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"

/* X(id, name for people), the cheapest first */
#define SIDECAR_PIN_KINDS(X)                      \
    X(KEPT, "kept") /* there was nothing to do */ \
    X(LINKED, "linked")                           \
    X(CLONED, "cloned")                           \
    X(COPIED, "copied")

enum sidecar_pin_kind {
#define X(id, name) SIDECAR_PIN_##id,
    SIDECAR_PIN_KINDS(X)
#undef X
};

/* What a pin was made of. The zero value: nothing was made. */
struct sidecar_pin_cost {
    enum sidecar_pin_kind kind; /* the dearest of its files */
    int refusal;                /* errno of a link; 0: none was refused */
    uint64_t bytes;             /* cloned or copied */
};

struct sidecar_pin_work {
    const struct cancel *cancel;  /* of a copy; NULL: never */
    uint64_t spare_bytes;         /* that a copy must leave free on its file system */
    struct sidecar_pin_cost cost; /* added to */
};

/* Make the file to, which does not exist, have the content of from. A clone or a copy
 * is durable afterwards, a link as durable as from; the folder is not synced. When it
 * fails, half a file may be left.
 * Errors ERR_NOT_FOUND: no from; ERR_IO: among others, no room (err->sys is ENOSPC or
 * EDQUOT); ERR_DENIED; ERR_CANCELLED. */
NODISCARD bool sidecar_pin_file(struct sidecar_pin_work *work, const char *from,
                                const char *to, struct err *err);

const char *sidecar_pin_kind_name(enum sidecar_pin_kind kind);

#endif
