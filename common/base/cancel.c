/* SPDX-License-Identifier: Apache-2.0 */
/* Neither side takes a lock. The raiser sets the flag and then looks for a descriptor;
 * the first waiter publishes the descriptor and then looks at the flag. Whatever the
 * order, one of the two sees what the other has done and makes the descriptor readable.
 * Both may: it stays readable for ever. */
#include "common/base/cancel.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/num.h"

/* How soon the flag is seen when there is no descriptor to wait for. */
#define BLIND_WAIT_NS (20 * CLOCK_NS_PER_MS)

static void
close_descriptor(atomic_int *slot)
{
    int value = atomic_exchange(slot, 0);
    if (value != 0)
        close(value - 1);
}

void
cancel_fini(struct cancel *c)
{
    close_descriptor(&c->either);
    close_descriptor(&c->event);
    atomic_store(&c->raised, false);
    c->parent = NULL;
}

static void
make_readable(int fd)
{
    /* Cannot fail before 2^64 - 2 calls. */
    (void)!eventfd_write(fd, 1);
}

void
cancel_raise(struct cancel *c)
{
    atomic_store(&c->raised, true);
    int event = atomic_load(&c->event);
    if (event != 0)
        make_readable(event - 1);
}

/* Publish a new descriptor, -1 for none, unless another thread was faster; returns the
 * one in use. */
static int
publish(atomic_int *slot, int fd)
{
    int published = 0;
    if (fd < 0 || atomic_compare_exchange_strong(slot, &published, fd + 1))
        return fd;
    close(fd);
    return published - 1;
}

static int
event_of(atomic_int *event, const atomic_bool *raised)
{
    int published = atomic_load(event);
    if (published != 0)
        return published - 1;
    int fd = publish(event, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (fd >= 0 && atomic_load(raised))
        make_readable(fd);
    return fd;
}

static int
make_either(int a, int b)
{
    struct epoll_event readable = {.events = EPOLLIN};
    int fd = a < 0 || b < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
    if (fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, a, &readable) == 0 &&
        epoll_ctl(fd, EPOLL_CTL_ADD, b, &readable) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

int
cancel_fd(const struct cancel *c)
{
    if (c == NULL)
        return -1;
    /* To wait is no change that a caller could see. */
    struct cancel *own = (struct cancel *)(uintptr_t)c;
    int event = event_of(&own->event, &own->raised);
    if (c->parent == NULL)
        return event;
    int either = atomic_load(&own->either);
    if (either != 0)
        return either - 1;
    return publish(&own->either, make_either(event, cancel_fd(c->parent)));
}

int64_t
cancel_max_sleep_ns(const struct cancel *c, int64_t left_ns)
{
    return c == NULL || cancel_fd(c) >= 0 ? left_ns : NUM_MIN(left_ns, BLIND_WAIT_NS);
}

/* The descriptors come first: their number may not exceed what the process may open. */
static void
sleep_once(const struct cancel *a, const struct cancel *b, int64_t wait_ns)
{
    struct pollfd raised[2];
    nfds_t count = 0;
    if (cancel_fd(a) >= 0)
        raised[count++] = (struct pollfd){.fd = cancel_fd(a), .events = POLLIN};
    if (cancel_fd(b) >= 0)
        raised[count++] = (struct pollfd){.fd = cancel_fd(b), .events = POLLIN};
    const struct timespec limit = {.tv_sec = (time_t)(wait_ns / CLOCK_NS_PER_S),
                                   .tv_nsec = (long)(wait_ns % CLOCK_NS_PER_S)};
    (void)!ppoll(raised, count, &limit, NULL);
}

bool
cancel_wait_either(const struct cancel *a, const struct cancel *b, int64_t wait_ns)
{
    while (wait_ns > 0 && !cancel_is_raised(a) && !cancel_is_raised(b)) {
        int64_t step_ns = cancel_max_sleep_ns(a, cancel_max_sleep_ns(b, wait_ns));
        sleep_once(a, b, step_ns);
        wait_ns -= step_ns;
    }
    return cancel_is_raised(a) || cancel_is_raised(b);
}

bool
cancel_wait(const struct cancel *c, int64_t wait_ns)
{
    return cancel_wait_either(c, NULL, wait_ns);
}
