/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of Prometheus with its variables replaced. */
#ifndef SIDECAR_RELOADER_RENDER_H
#define SIDECAR_RELOADER_RENDER_H

#include "common/base/buf.h"

/* Read the configuration, which may be compressed with gzip, append it as it is in the
 * file to *input, and, if output is not "", write it there: decompressed, with $(NAME)
 * replaced by the environment, unless that is what output holds already. The file is
 * replaced as a whole, is for all to read, and holds what the variables held.
 * *unset_variable tells whether a variable that is not set was the error.
 * Errors naming the file. ERR_INVALID: a variable that is not set; no gzip behind the
 * first bytes of gzip; too large. */
NODISCARD bool sidecar_reloader_render(const char *path, const char *output,
                                       struct buf *input, bool *unset_variable,
                                       struct err *err);

#endif
