/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that the reloader looks at hold now, as one digest. */
#ifndef SIDECAR_RELOADER_FILES_H
#define SIDECAR_RELOADER_FILES_H

#include "common/base/err.h"
#include "common/codec/digest.h"
#include "sidecar/reloader_watch.h"

/* Add name and content of a file to a digest. */
void sidecar_reloader_files_add(struct digest_stream *digest, const char *path,
                                struct bytes content);

/* Name the directories around a file to the watch: the one it is named in, and the one
 * it lies in where that name is a link. */
void sidecar_reloader_files_watch(struct sidecar_reloader_watch *watch,
                                  const char *path);

/* Add every file below a directory, in an order that only depends on their names, and
 * name every directory to the watch. Links are followed, each directory is entered
 * once; entries that begin with ".." are what Kubernetes keeps behind such links, and
 * passed over. A file that vanishes meanwhile is not there. Errors of the directory
 * itself: ERR_NOT_FOUND, ERR_DENIED; of a file: ERR_DENIED; ERR_INVALID: more or larger
 * files than anybody has rules. */
NODISCARD bool sidecar_reloader_files_walk(struct sidecar_reloader_watch *watch,
                                           const char *directory,
                                           struct digest_stream *digest,
                                           struct err *err);

#endif
