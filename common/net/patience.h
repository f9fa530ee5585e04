/* SPDX-License-Identifier: Apache-2.0 */
/* How long requests of one kind wait for a server that says nothing, before they are
 * made again on another connection: shortly, so that who follows a server which fell
 * silent notices soon when it speaks again, and yet long enough for one that is slow.
 *
 * A server that answers waits for nobody but itself: after each silence the next
 * request is given twice the time, up to the client's own limit as long as no answer is
 * known, else once; and after an answer that took long all are given twice what it
 * took. What is older than half an hour does not count. */
#ifndef COMMON_NET_PATIENCE_H
#define COMMON_NET_PATIENCE_H

#include <stdatomic.h>
#include <stdint.h>

/* Shared by the threads that make requests of the same kind. The zero value with
 * first_ns is ready; nothing to release. */
struct net_patience {
    int64_t first_ns; /* longest silence at first; at least 1 */
    /* private */
    _Atomic int64_t grown_ns;    /* by silences since the last answer */
    _Atomic int64_t slow_ns;     /* what a slow answer has asked for */
    _Atomic int64_t slow_at_ns;  /* when it came; 0: none has */
    _Atomic int64_t answered_ns; /* when the last answer came; 0: none has */
};

/* The silence after which a request that begins now is given up, at most most_ns. p may
 * be NULL: most_ns. */
int64_t net_patience_limit(const struct net_patience *p, int64_t now_ns,
                           int64_t most_ns);

/* A request was given up after limit_ns of silence, which net_patience_limit had told
 * for the same most_ns. p may be NULL. */
void net_patience_note_silence(struct net_patience *p, int64_t now_ns, int64_t limit_ns,
                               int64_t most_ns);

/* A request was answered; its longest silence was silence_ns. p may be NULL. */
void net_patience_note_answer(struct net_patience *p, int64_t now_ns,
                              int64_t silence_ns);

#endif
