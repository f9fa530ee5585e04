/* SPDX-License-Identifier: Apache-2.0 */
/* What reading and printing a meta share. */
#ifndef COMMON_TSDB_META_PRIV_H
#define COMMON_TSDB_META_PRIV_H

enum { TSDB_META_VERSION = 1 };

/* The name of the hash function in the "hash" of a file. */
#define TSDB_META_SHA256 "SHA256"

#endif
