/* SPDX-License-Identifier: Apache-2.0 */
/* Which chunk encodings a reader knows. It is not negotiated: Prometheus says only what
 * it is, in its User-Agent, and its releases say the rest.
 *
 * Source: CHANGELOG.md of Prometheus. */
#ifndef STORE_READ_CLIENT_H
#define STORE_READ_CLIENT_H

#include "common/tsdb/chunk.h"

/* What readers are sent of which nothing is known. */
enum store_read_encodings {
    STORE_READ_PLAIN, /* the encodings that every reader knows */
    STORE_READ_STORED /* all, as they are stored */
};

/* The newest of the encodings that a reader of samples knows; those with smaller
 * numbers are known as well. user_agent is the value of the header, NULL if there is
 * none; others is for readers that are not Prometheus, or do not say of which version.
 */
enum tsdb_chunk_encoding store_read_client_newest(const char *user_agent,
                                                  enum store_read_encodings others);

#endif
