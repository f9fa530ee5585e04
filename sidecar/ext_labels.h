/* SPDX-License-Identifier: Apache-2.0 */
/* External labels: what tells the blocks of one Prometheus from those of another. */
#ifndef SIDECAR_EXT_LABELS_H
#define SIDECAR_EXT_LABELS_H

#include "common/base/err.h"
#include "common/tsdb/labels.h"

/* An owned label set. The zero value is the empty set; release with
 * sidecar_ext_labels_fini. */
struct sidecar_ext_labels {
    struct tsdb_labels set;
    /* private */
    struct tsdb_label *storage;
};

/* Read global.external_labels from the text of a Prometheus configuration as its API
 * returns it. None is an empty set. *out must be the zero value.
 * Errors ERR_INVALID: not YAML, a label without a name or with a value that is not a
 * text. */
NODISCARD bool sidecar_ext_labels_parse(struct sidecar_ext_labels *out,
                                        struct bytes config, struct err *err);

/* Copy of a set. */
struct sidecar_ext_labels sidecar_ext_labels_copy(struct tsdb_labels set);

/* Release; CLEANUP handler. *l is empty afterwards. */
void sidecar_ext_labels_fini(struct sidecar_ext_labels *l);

#endif
