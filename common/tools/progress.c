/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tools/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"

static const int64_t TERMINAL_EVERY_NS = CLOCK_NS_PER_S / 4;
static const int64_t LOG_EVERY_NS = 30 * CLOCK_NS_PER_S;

static int64_t
interval_ns(const struct tools_progress *p)
{
    return p->is_terminal ? TERMINAL_EVERY_NS : LOG_EVERY_NS;
}

void
tools_progress_begin(struct tools_progress *p, uint64_t total)
{
    p->is_terminal = isatty(STDERR_FILENO) != 0;
    p->begin_ns = clock_mono_ns();
    p->total = total;
    atomic_init(&p->done, 0);
    atomic_init(&p->next_ns, p->begin_ns + interval_ns(p));
}

static void
tell(const struct tools_progress *p, uint64_t done, int64_t now_ns)
{
    int64_t elapsed_ms = NUM_MAX((now_ns - p->begin_ns) / CLOCK_NS_PER_MS, INT64_C(1));
    uint64_t rate = done / (uint64_t)elapsed_ms * 1000;
    /* Parts that are read once more may lead beyond the end. */
    double share =
        p->total > 0 ? (double)NUM_MIN(done, p->total) / (double)p->total : 1;
    if (p->is_terminal)
        fprintf(stderr, "\r%3d %% of %.1f MiB, %.1f MiB/s \x1b[K", (int)(100 * share),
                (double)p->total / (1 << 20), (double)rate / (1 << 20));
    else
        LOG_INFO("verifying", LOG_INT("percent", 100 * share), LOG_INT("bytes", done),
                 LOG_INT("bytes_per_s", rate));
}

void
tools_progress_add(struct tools_progress *p, uint64_t bytes)
{
    uint64_t done = atomic_fetch_add(&p->done, bytes) + bytes;
    int64_t now_ns = clock_mono_ns(), next_ns = atomic_load(&p->next_ns);
    if (now_ns >= next_ns &&
        atomic_compare_exchange_strong(&p->next_ns, &next_ns, now_ns + interval_ns(p)))
        tell(p, done, now_ns);
}

void
tools_progress_clear(struct tools_progress *p)
{
    if (p->is_terminal)
        fputs("\r\x1b[K", stderr);
}
