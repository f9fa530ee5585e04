/* SPDX-License-Identifier: Apache-2.0 */
/* Bare TCP on the loopback, for peers that break the rules of HTTP. Reads give up after
 * ten seconds; whatever fails beyond that aborts the test program. */
#ifndef TESTS_SUPPORT_RAW_HTTP_H
#define TESTS_SUPPORT_RAW_HTTP_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/buf.h"

int raw_connect(uint16_t port);

/* Send all; a peer that has closed is no failure. */
void raw_send(int fd, struct bytes data);

/* Append what arrives until needle has, or the peer closes or resets. Returns whether
 * needle arrived. NULL: until the end. */
bool raw_read(int fd, struct buf *into, const char *needle);

/* Send request on a new connection and read all up to the end. */
void raw_exchange(uint16_t port, const char *request, struct buf *answer);

/* A server that says what it was told, whatever it is asked. */
struct raw_peer {
    uint16_t port;
    const char *answer; /* sent once per connection; NULL: never */
    const char *until;  /* a connection's request is read up to this */
    bool hang;          /* then leave the closing to the client */
    struct buf request; /* what was read; after the end, the caller's to release */
    atomic_int connections;
    /* private */
    int listener;
    pthread_t thread;
};

/* answer, until (NULL: the end of the headers) and hang are set by the caller. */
void raw_peer_begin(struct raw_peer *p);
void raw_peer_end(struct raw_peer *p);

#endif
