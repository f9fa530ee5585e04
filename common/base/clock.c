/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static atomic_bool frozen;
static _Atomic int64_t frozen_mono_ns;
static _Atomic int64_t frozen_wall_ns;

static int64_t
read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * CLOCK_NS_PER_S + ts.tv_nsec;
}

int64_t
clock_mono_ns(void)
{
    return atomic_load(&frozen) ? atomic_load(&frozen_mono_ns)
                                : read_clock(CLOCK_MONOTONIC);
}

int64_t
clock_wall_ns(void)
{
    return atomic_load(&frozen) ? atomic_load(&frozen_wall_ns)
                                : read_clock(CLOCK_REALTIME);
}

int64_t
clock_deadline(int64_t delay_ns)
{
    int64_t deadline;
    if (__builtin_add_overflow(clock_mono_ns(), delay_ns, &deadline))
        return CLOCK_NEVER;
    return deadline;
}

int64_t
clock_left_ns(int64_t deadline_ns)
{
    if (deadline_ns == CLOCK_NEVER)
        return INT64_MAX;
    int64_t now = clock_mono_ns();
    return deadline_ns > now ? deadline_ns - now : 0;
}

void
clock_rfc3339(int64_t wall_ns, char text[CLOCK_RFC3339_SIZE])
{
    int64_t seconds = wall_ns / CLOCK_NS_PER_S;
    int64_t ns = wall_ns % CLOCK_NS_PER_S;
    if (ns < 0) {
        ns += CLOCK_NS_PER_S;
        seconds--;
    }
    time_t when = (time_t)seconds;
    struct tm tm;
    gmtime_r(&when, &tm);
    size_t len = strftime(text, CLOCK_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + len, CLOCK_RFC3339_SIZE - len, ".%09dZ", (int)ns);
}

void
clock_freeze(int64_t mono_ns, int64_t wall_ns)
{
    atomic_store(&frozen_mono_ns, mono_ns);
    atomic_store(&frozen_wall_ns, wall_ns);
    atomic_store(&frozen, true);
}

void
clock_unfreeze(void)
{
    atomic_store(&frozen, false);
}
