/* SPDX-License-Identifier: Apache-2.0 */
/* A connection serves one exchange at a time; between exchanges it rests in the
 * client's stack of idle ones, the most recently used on top, so that few stay warm.
 *
 * libcurl 7.88 cannot share connections between threads, so each has a multi of its
 * own. It can share what was looked up and TLS sessions; both have a lock of their own
 * and libcurl never takes one inside another. */
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/net/http_client_priv.h"

/* An exchange that waits, on the stack of its thread. */
struct net_http_waiter {
    struct net_http_waiter *next;
    struct cancel turn; /* raised when it is this one's turn */
};

static struct mutex *
share_lock(struct net_http_client *c, curl_lock_data data)
{
    if (data == CURL_LOCK_DATA_DNS)
        return &c->share_locks[0];
    if (data == CURL_LOCK_DATA_SSL_SESSION)
        return &c->share_locks[1];
    CHECK(data == CURL_LOCK_DATA_SHARE);
    return &c->share_locks[2];
}

static void
on_lock(CURL *easy, curl_lock_data data, curl_lock_access access, void *arg)
{
    (void)easy, (void)access;
    mutex_lock(share_lock(arg, data));
}

static void
on_unlock(CURL *easy, curl_lock_data data, void *arg)
{
    (void)easy;
    mutex_unlock(share_lock(arg, data));
}

#define SET_SHARE(c, option, value) \
    (curl_share_setopt((c)->share, (option), (value)) == CURLSHE_OK)

bool
net_http_share_init(struct net_http_client *c, struct err *err)
{
    mutex_init(&c->lock, LOCK_HTTP_CLIENT);
    for (size_t i = 0; i < NET_HTTP_SHARE_LOCKS; i++)
        mutex_init(&c->share_locks[i], LOCK_HTTP_SHARE);
    c->share = curl_share_init();
    if (c->share != NULL && SET_SHARE(c, CURLSHOPT_LOCKFUNC, on_lock) &&
        SET_SHARE(c, CURLSHOPT_UNLOCKFUNC, on_unlock) &&
        SET_SHARE(c, CURLSHOPT_USERDATA, c) &&
        SET_SHARE(c, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) &&
        SET_SHARE(c, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION))
        return true;
    return err_set(err, ERR_NOMEM, "no memory for an HTTP client");
}

static void
close_connection(struct net_http_connection *x)
{
    curl_easy_cleanup(x->easy);
    curl_multi_cleanup(x->multi);
    *x = (struct net_http_connection){0};
}

void
net_http_share_fini(struct net_http_client *c)
{
    CHECK(c->running == 0);
    for (size_t i = 0; i < c->idle_count; i++)
        close_connection(&c->idle[i]);
    curl_share_cleanup(c->share);
    for (size_t i = 0; i < NET_HTTP_SHARE_LOCKS; i++)
        mutex_fini(&c->share_locks[i]);
    mutex_fini(&c->lock);
}

/* Whether the exchange may begin at once; if not, w is the last in the queue. */
static bool
enter(struct net_http_client *c, struct net_http_waiter *w)
{
    MUTEX_SCOPE(&c->lock);
    if (c->options.max_connections == 0 || c->running < c->options.max_connections) {
        c->running++;
        return true;
    }
    struct net_http_waiter **end = &c->waiters;
    while (*end != NULL)
        end = &(*end)->next;
    *end = w;
    return false;
}

/* To raise a turn is to signal, no I/O; and it cannot wait for the unlock, as w is gone
 * once its thread has seen its turn. */
static void
leave(struct net_http_client *c)
{
    MUTEX_SCOPE(&c->lock);
    struct net_http_waiter *next = c->waiters;
    if (next == NULL) {
        c->running--;
        return;
    }
    c->waiters = next->next;
    cancel_raise(&next->turn);
}

/* Out of the queue; false if w's turn has come meanwhile. */
static bool
give_up(struct net_http_client *c, struct net_http_waiter *w)
{
    MUTEX_SCOPE(&c->lock);
    if (cancel_is_raised(&w->turn))
        return false;
    struct net_http_waiter **at = &c->waiters;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    return true;
}

/* A new one never overtakes: leave passes its place on to who waits. */
static bool
wait_for_turn(struct net_http_client *c, const struct net_http_request *q,
              struct err *err)
{
    struct net_http_waiter w = {0};
    if (enter(c, &w))
        return true;
    int64_t left_ns;
    while (!cancel_is_raised(&w.turn) && !cancel_is_raised(q->cancel) &&
           (left_ns = clock_left_ns(q->deadline_ns)) > 0)
        cancel_wait_either(&w.turn, q->cancel, left_ns);
    bool gave_up = give_up(c, &w);
    cancel_fini(&w.turn);
    if (!gave_up)
        return true;
    struct bytes host = net_http_host_of(q->url);
    if (cancel_is_raised(q->cancel))
        return err_set(err, ERR_CANCELLED, "%s %.*s: cancelled", q->method,
                       BYTES_FMT(host));
    return err_set(err, ERR_TIMEOUT,
                   "%s %.*s: all %u connections were busy until the deadline",
                   q->method, BYTES_FMT(host), c->options.max_connections);
}

static bool
take_idle(struct net_http_client *c, struct net_http_connection *out)
{
    MUTEX_SCOPE(&c->lock);
    if (c->idle_count == 0)
        return false;
    *out = c->idle[--c->idle_count];
    return true;
}

void
net_http_connections_drop_idle(struct net_http_client *c)
{
    struct net_http_connection idle;
    while (take_idle(c, &idle))
        close_connection(&idle);
}

static bool
open_connection(struct net_http_client *c, struct net_http_connection *out)
{
    struct net_http_connection x = {.easy = curl_easy_init(),
                                    .multi = curl_multi_init()};
    if (x.easy == NULL || x.multi == NULL ||
        curl_easy_setopt(x.easy, CURLOPT_SHARE, c->share) != CURLE_OK ||
        curl_multi_setopt(x.multi, CURLMOPT_MAXCONNECTS, 1L) != CURLM_OK) {
        close_connection(&x);
        return false;
    }
    *out = x;
    return true;
}

bool
net_http_connection_acquire(struct net_http_client *c,
                            const struct net_http_request *request,
                            struct net_http_connection *out, struct err *err)
{
    if (!wait_for_turn(c, request, err))
        return false;
    if (take_idle(c, out) || open_connection(c, out))
        return true;
    leave(c);
    return err_set(err, ERR_NOMEM, "no memory for an HTTP connection");
}

static bool
keep_idle(struct net_http_client *c, const struct net_http_connection *x)
{
    MUTEX_SCOPE(&c->lock);
    if (c->idle_count == c->options.max_idle)
        return false;
    c->idle[c->idle_count++] = *x;
    return true;
}

/* The reset keeps the connection and drops the pointers into the exchange, which even a
 * cleanup of the handle would follow. A handle whose exchange failed is not used again:
 * its connection is closed, and curl may keep buffers that refuse new options. */
void
net_http_connection_release(struct net_http_client *c, struct net_http_connection *used,
                            bool usable)
{
    curl_multi_remove_handle(used->multi, used->easy);
    curl_easy_reset(used->easy);
    if (!usable || !keep_idle(c, used))
        close_connection(used);
    *used = (struct net_http_connection){0};
    leave(c);
}
