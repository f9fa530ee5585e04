/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a block into the bucket: those that are not there yet, the segments side
 * by side, then the index. */
#ifndef SIDECAR_BLOCK_SEND_H
#define SIDECAR_BLOCK_SEND_H

#include "sidecar/bandwidth.h"
#include "sidecar/block_files.h"
#include "sidecar/block_remote.h"

/* Told about bytes that are sent, or were there; by the threads that send. */
typedef void sidecar_block_sent_fn(void *arg, uint64_t bytes);

/* How things are sent. All is borrowed. */
struct sidecar_sender {
    struct objstore_bucket *bucket;
    struct sidecar_bandwidth *bandwidth;
    uint64_t slowest_bytes_per_s; /* a transfer below that has stalled */
    unsigned concurrency;         /* segments side by side, at least 1 */
    const struct cancel *cancel;  /* NULL: never */
    sidecar_block_sent_fn *sent;
    void *sent_arg;
};

/* Send the files of the block in directory that are not there; there is what the bucket
 * holds of it. One of the same size is taken for the same if must_match is false, or
 * nothing is known of its content: the bucket tells the MD5 of some objects.
 * Errors those of the bucket and of files; ERR_CANCELLED. */
NODISCARD bool sidecar_block_send(const struct sidecar_sender *sender,
                                  const char *directory,
                                  const struct sidecar_block_files *files,
                                  const struct sidecar_block_remote *there,
                                  bool must_match, struct err *err);

/* Limits of one request that moves so many bytes. */
struct objstore_call sidecar_sender_call(const struct sidecar_sender *sender,
                                         uint64_t bytes);

#endif
