/* SPDX-License-Identifier: Apache-2.0 */
/* The server's library counts silence only: a peer that sends a byte now and then would
 * hold its connection for ever. One thread looks at all peers when the next of them may
 * be due; it shuts sockets down, and the library's threads do the rest. */
#include "common/net/http_peers_priv.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"

/* How often those who come are made room for, and the time that even then each gets. */
static const int64_t CROWDED_NS = 100 * CLOCK_NS_PER_MS;
static const int64_t PATIENCE_NS = CLOCK_NS_PER_S;

enum state { RESTING, SENDING, WAITING };

struct net_http_peer {
    int fd;
    enum state state;
    bool cut;
    int64_t since_ns; /* of the state */
    struct net_http_peer *next;
    struct net_http_peer **link; /* where the list points here */
};

struct net_http_peers {
    struct net_http_peers_options options;
    pthread_t thread;
    struct mutex lock;
    struct cond changed;
    /* guarded by lock */
    bool stopping;
    unsigned count; /* of those that are not cut */
    struct net_http_peer *first;
};

static int64_t
due_ns(const struct net_http_peers *p, const struct net_http_peer *peer)
{
    if (peer->cut || peer->state == WAITING)
        return CLOCK_NEVER;
    return peer->since_ns + (peer->state == SENDING ? p->options.request_timeout_ns
                                                    : p->options.idle_timeout_ns);
}

/* The descriptor is open: a peer is taken off the list before it is closed. */
static void
cut(struct net_http_peers *p, struct net_http_peer *peer)
{
    mutex_check_held(&p->lock);
    peer->cut = true;
    p->count--;
    shutdown(peer->fd, SHUT_RDWR);
}

/* Whether a goes before b when room is needed: who rests before who sends. */
static bool
goes_first(const struct net_http_peer *a, const struct net_http_peer *b)
{
    if (b == NULL || a->state != b->state)
        return b == NULL || a->state == RESTING;
    return a->since_ns < b->since_ns;
}

/* The peer to be cut for another; NULL if each has just come or waits for an answer. */
static struct net_http_peer *
find_victim(const struct net_http_peers *p, int64_t now_ns)
{
    struct net_http_peer *victim = NULL;
    for (struct net_http_peer *at = p->first; at != NULL; at = at->next) {
        bool may_go = !at->cut && at->state != WAITING &&
                      (at->state == RESTING || now_ns - at->since_ns > PATIENCE_NS);
        if (may_go && goes_first(at, victim))
            victim = at;
    }
    return victim;
}

/* Cut who is due and who is too many; returns when to look again. */
static int64_t
sweep(struct net_http_peers *p)
{
    int64_t now_ns = clock_mono_ns();
    int64_t next_ns = CLOCK_NEVER;
    struct net_http_peer *victim;
    mutex_check_held(&p->lock);
    for (struct net_http_peer *at = p->first; at != NULL; at = at->next) {
        if (due_ns(p, at) <= now_ns)
            cut(p, at);
        next_ns = NUM_MIN(next_ns, due_ns(p, at));
    }
    while (p->count > p->options.most && (victim = find_victim(p, now_ns)) != NULL)
        cut(p, victim);
    return p->count > p->options.most ? NUM_MIN(next_ns, now_ns + CROWDED_NS) : next_ns;
}

static void *
watch(void *arg)
{
    struct net_http_peers *p = arg;
    MUTEX_SCOPE(&p->lock);
    while (!p->stopping)
        cond_wait_until(&p->changed, &p->lock, sweep(p));
    return NULL;
}

bool
net_http_peers_new(struct net_http_peers **out,
                   const struct net_http_peers_options *options, struct err *err)
{
    struct net_http_peers *p = xcalloc(1, sizeof *p);
    p->options = *options;
    mutex_init(&p->lock, LOCK_HTTP_PEERS);
    cond_init(&p->changed);
    if (thread_start(&p->thread, "http-peers", watch, p, err)) {
        *out = p;
        return true;
    }
    cond_fini(&p->changed);
    mutex_fini(&p->lock);
    free(p);
    return false;
}

void
net_http_peers_free(struct net_http_peers **out)
{
    struct net_http_peers *p = TAKE(*out);
    if (p == NULL)
        return;
    {
        MUTEX_SCOPE(&p->lock);
        p->stopping = true;
        cond_broadcast(&p->changed);
    }
    pthread_join(p->thread, NULL);
    cond_fini(&p->changed);
    mutex_fini(&p->lock);
    free(p);
}

struct net_http_peer *
net_http_peers_open(struct net_http_peers *p, int fd)
{
    struct net_http_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    peer->fd = fd;
    peer->state = SENDING;
    peer->since_ns = clock_mono_ns();
    MUTEX_SCOPE(&p->lock);
    peer->next = p->first;
    peer->link = &p->first;
    if (peer->next != NULL)
        peer->next->link = &peer->next;
    p->first = peer;
    p->count++;
    cond_signal(&p->changed);
    return peer;
}

void
net_http_peers_close(struct net_http_peers *p, struct net_http_peer **out)
{
    struct net_http_peer *peer = TAKE(*out);
    if (peer == NULL)
        return;
    {
        MUTEX_SCOPE(&p->lock);
        *peer->link = peer->next;
        if (peer->next != NULL)
            peer->next->link = peer->link;
        p->count -= !peer->cut;
    }
    free(peer);
}

static void
enter(struct net_http_peers *p, struct net_http_peer *peer, enum state state)
{
    if (peer == NULL)
        return;
    MUTEX_SCOPE(&p->lock);
    /* The first request counts from the connection. */
    bool goes_on = peer->state == SENDING && state == SENDING;
    peer->state = state;
    if (!goes_on)
        peer->since_ns = clock_mono_ns();
    /* Only then may it be the next that is due. */
    if (state != WAITING && !goes_on)
        cond_signal(&p->changed);
}

void
net_http_peers_sends(struct net_http_peers *p, struct net_http_peer *peer)
{
    enter(p, peer, SENDING);
}

void
net_http_peers_waits(struct net_http_peers *p, struct net_http_peer *peer)
{
    enter(p, peer, WAITING);
}

void
net_http_peers_rests(struct net_http_peers *p, struct net_http_peer *peer)
{
    enter(p, peer, RESTING);
}
