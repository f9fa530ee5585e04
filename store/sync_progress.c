/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sync_progress.h"

#include "common/base/clock.h"

static int64_t
now_ms(void)
{
    return clock_wall_ns() / CLOCK_NS_PER_MS;
}

void
store_sync_moment_fini(struct store_sync_moment *m)
{
    store_block_report_unref(&m->report);
}

void
store_sync_progress_init(struct store_sync_progress *p)
{
    mutex_init(&p->lock, LOCK_SYNC_PROGRESS);
    p->now = (struct store_sync_moment){
        .begun_ms = INT64_MIN, .ended_ms = INT64_MIN, .read_ms = INT64_MIN};
}

void
store_sync_progress_fini(struct store_sync_progress *p)
{
    store_sync_moment_fini(&p->now);
    mutex_fini(&p->lock);
}

void
store_sync_progress_begin(struct store_sync_progress *p)
{
    MUTEX_SCOPE(&p->lock);
    p->now.is_running = true;
    p->now.metas = p->now.unread = 0;
    p->now.begun_ms = now_ms();
    p->begun_ns = clock_mono_ns();
}

void
store_sync_progress_unread(struct store_sync_progress *p, size_t left)
{
    MUTEX_SCOPE(&p->lock);
    if (left > p->now.metas)
        p->now.metas = left;
    p->now.unread = left;
}

void
store_sync_progress_end(struct store_sync_progress *p, bool is_complete,
                        const struct err *failure)
{
    MUTEX_SCOPE(&p->lock);
    p->now.is_running = false;
    p->now.ended_ms = now_ms();
    p->now.took_ms = (clock_mono_ns() - p->begun_ns) / CLOCK_NS_PER_MS;
    p->now.is_complete = is_complete;
    p->now.failure = failure != NULL ? *failure : (struct err){0};
    p->now.next_ns = 0;
}

void
store_sync_progress_next(struct store_sync_progress *p, int64_t due_ns)
{
    MUTEX_SCOPE(&p->lock);
    p->now.next_ns = due_ns;
}

void
store_sync_progress_read(struct store_sync_progress *p, int64_t read_ms,
                         bool is_of_snapshot)
{
    MUTEX_SCOPE(&p->lock);
    p->now.read_ms = read_ms;
    p->now.is_of_snapshot = is_of_snapshot;
}

void
store_sync_progress_publish(struct store_sync_progress *p,
                            struct store_block_report *report,
                            const size_t counts[STORE_BLOCK_STATE_COUNT])
{
    struct store_block_report *old;
    {
        MUTEX_SCOPE(&p->lock);
        old = p->now.report;
        p->now.report = report;
        memcpy(p->now.counts, counts, sizeof p->now.counts);
    }
    store_block_report_unref(&old);
}

void
store_sync_progress_look(struct store_sync_progress *p, struct store_sync_moment *m)
{
    MUTEX_SCOPE(&p->lock);
    *m = p->now;
    if (m->report != NULL)
        store_block_report_ref(m->report);
}
