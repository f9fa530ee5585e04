/* SPDX-License-Identifier: Apache-2.0 */
/* The table of all locks. A thread may take a lock only if its rank is above the ranks
 * of all locks that it holds: so no two threads can wait for each other in a ring. */
#ifndef COMMON_BASE_LOCK_RANK_H
#define COMMON_BASE_LOCK_RANK_H

/* X(name, what it guards), in rank order, lowest first. */
#define LOCK_RANKS(X)                                                             \
    X(LOCK_LABELS, "sidecar: the external labels last read from Prometheus")      \
    X(LOCK_BLOCKS, "sidecar: the table of blocks and what becomes of them")       \
    X(LOCK_BANDWIDTH, "sidecar: until when the bandwidth is booked")              \
    X(LOCK_OVERLAP, "sidecar: what is known of the blocks of the bucket")         \
    X(LOCK_PROM_FLAGS, "sidecar: what was found of the flags of Prometheus")      \
    X(LOCK_BLOCK_SYNC, "store: whether the block sync has to stop")               \
    X(LOCK_SYNC_PROGRESS, "store: how far the block sync is, for who asks")       \
    X(LOCK_HEADERS, "store: index headers that are being built, and failures")    \
    X(LOCK_HEADER_BUILD, "store: how far a thread is that reads symbols")         \
    X(LOCK_BLOCK_SET, "store: the pointer to the served set of blocks")           \
    X(LOCK_TOOLS, "tools: what several blocks at a time add to")                  \
    X(LOCK_GATE, "store: free slots and waiting queries")                         \
    X(LOCK_PAGE_CACHE, "store: the map and the clock hand of the page cache")     \
    X(LOCK_RANGE_FLIGHT, "store: which ranges are being read, and for whom")      \
    X(LOCK_RANGE_CACHE, "store: a part of the ranges that are cached")            \
    X(LOCK_DISK_CACHE, "store: what is on the disk, and what is to be written")   \
    X(LOCK_FETCH, "store: what a waiting query knows of its fetches")             \
    X(LOCK_KEYS, "objstore: the current set of keys and when it ends")            \
    X(LOCK_CREDENTIALS, "objstore: signing key of the day")                       \
    X(LOCK_REQUESTS, "objstore: requests that were sent in the last hour")        \
    X(LOCK_HEDGED, "objstore: reads that may be sent twice")                      \
    X(LOCK_PACE, "objstore: request rate of a bucket")                            \
    X(LOCK_HTTP_CLIENT, "net: connections and waiters of an HTTP client")         \
    X(LOCK_HTTP_SHARE, "net: addresses and TLS sessions of an HTTP client")       \
    X(LOCK_HTTP_SERVER, "net: running requests of an HTTP server")                \
    X(LOCK_WEB, "net: the web configuration and who reads it again")              \
    X(LOCK_WEB_SLOW, "net: the scratch space of bcrypt")                          \
    X(LOCK_WEB_KNOWN, "net: logins that were right a while ago")                  \
    X(LOCK_HTTP_PEERS, "net: who is connected to an HTTP server")                 \
    X(LOCK_POOL, "base: job queue of a worker pool")                              \
    X(LOCK_METRICS, "metrics: the list of families and their children")           \
    X(LOCK_MEMORY, "base: large pieces that are kept for the next who needs one") \
    X(LOCK_BUDGET, "base: who waits for memory of a shared budget")               \
    X(LOCK_TEST, "tests: whatever a test guards")

enum lock_rank {
    LOCK_NONE = 0,
#define X(name, what) name,
    LOCK_RANKS(X)
#undef X
        LOCK_RANK_COUNT
};

#endif
