/* SPDX-License-Identifier: Apache-2.0 */
/* thanos.shipper.json: which local blocks the bucket holds.
 *
 * An API, not only a cache: Prometheus reads it to decide which blocks it may compact,
 * and takes a missing file for "all". So it is replaced by rename, never removed, and
 * never names a block that was not verified in the bucket.
 *
 * Format: {"version":1,"uploaded":["<ULID>",...]}, indented by tabs. */
#ifndef SIDECAR_SHIPPER_STATE_H
#define SIDECAR_SHIPPER_STATE_H

#include "common/base/err.h"
#include "common/tsdb/ulid.h"

/* Owned; the zero value is empty. */
struct sidecar_shipper_state {
    size_t count;
    struct tsdb_ulid *ids; /* ascending */
};

/* Read the file at path. *out must be the zero value.
 * Errors ERR_NOT_FOUND: no file; ERR_CORRUPT: not such a file, or one of another
 * version. An empty state is then right: the bucket will be asked again. After any
 * other error the file may be whole. Members that are not known are passed over. */
NODISCARD bool sidecar_shipper_state_load(struct sidecar_shipper_state *out,
                                          const char *path, struct err *err);

NODISCARD bool sidecar_shipper_state_has(const struct sidecar_shipper_state *s,
                                         const struct tsdb_ulid *id);

/* Add a block. Returns whether it was not there yet. */
bool sidecar_shipper_state_add(struct sidecar_shipper_state *s,
                               const struct tsdb_ulid *id);

typedef bool sidecar_shipper_state_keep_fn(void *arg, const struct tsdb_ulid *id);

/* Forget the blocks that keep does not want. Returns whether there were any. */
bool sidecar_shipper_state_retain(struct sidecar_shipper_state *s,
                                  sidecar_shipper_state_keep_fn *keep, void *arg);

/* Replace the file at path. */
NODISCARD bool sidecar_shipper_state_save(const struct sidecar_shipper_state *s,
                                          const char *path, struct err *err);

/* Release; CLEANUP handler. */
void sidecar_shipper_state_fini(struct sidecar_shipper_state *s);

#endif
