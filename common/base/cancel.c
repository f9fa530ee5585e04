/* SPDX-License-Identifier: Apache-2.0 */
/* Neither side takes a lock. The raiser sets the flag and then looks for a descriptor;
 * the first waiter publishes the descriptor and then looks at the flag. Whatever the
 * order, one of the two sees what the other has done and makes the descriptor readable.
 * Both may: it stays readable for ever. */
#include "common/base/cancel.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/num.h"

/* How soon the flag is seen when there is no descriptor to wait for. */
#define BLIND_WAIT_NS (20 * CLOCK_NS_PER_MS)

void
cancel_fini(struct cancel *c)
{
    int event = atomic_load(&c->event);
    if (event != 0)
        close(event - 1);
    atomic_store(&c->event, 0);
    atomic_store(&c->raised, false);
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

/* Publish a new descriptor unless another thread was faster; returns the one in use. */
static int
make_event(atomic_int *event)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -1;
    int published = 0;
    if (atomic_compare_exchange_strong(event, &published, fd + 1))
        return fd;
    close(fd);
    return published - 1;
}

int
cancel_fd(const struct cancel *c)
{
    if (c == NULL)
        return -1;
    int event = atomic_load(&c->event);
    if (event != 0)
        return event - 1;
    /* To wait is no change that a caller could see. */
    int fd = make_event((atomic_int *)(uintptr_t)&c->event);
    if (fd >= 0 && atomic_load(&c->raised))
        make_readable(fd);
    return fd;
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
