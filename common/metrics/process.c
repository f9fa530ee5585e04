/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel and the allocator know of this process. There is no Go runtime here:
 * the go_* names carry what comes nearest, so that the resource rows of dashboards made
 * for Thanos are not empty. */
#include "common/metrics/registry.h"
#include "common/metrics/registry_priv.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "common/base/clock.h"
#include "common/base/compiler.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"

enum { STATUS_LIMIT = 64 * 1024, BYTES_PER_KB = 1024 };

enum value {
    CPU_SECONDS,
    OPEN_FDS,
    MAX_FDS,
    VIRTUAL_BYTES,
    RESIDENT_BYTES,
    START_TIME,
    GOROUTINES,
    ALLOC_BYTES,
    ALLOC_BYTES_TOTAL,
    HEAP_ALLOC_BYTES,
    HEAP_INUSE_BYTES,
    STACK_BYTES,
    VALUE_COUNT
};

static const struct {
    enum metrics_kind kind;
    const char *name;
    const char *help;
} families[VALUE_COUNT] = {
    [CPU_SECONDS] = {METRICS_COUNTER, "process_cpu_seconds_total",
                     "User and system CPU time spent in seconds."},
    [OPEN_FDS] = {METRICS_GAUGE, "process_open_fds", "Open file descriptors."},
    [MAX_FDS] = {METRICS_GAUGE, "process_max_fds", "Limit of open file descriptors."},
    [VIRTUAL_BYTES] = {METRICS_GAUGE, "process_virtual_memory_bytes",
                       "Virtual memory in bytes."},
    [RESIDENT_BYTES] = {METRICS_GAUGE, "process_resident_memory_bytes",
                        "Resident memory in bytes."},
    [START_TIME] = {METRICS_GAUGE, "process_start_time_seconds",
                    "Start of the process in seconds since the Unix epoch."},
    [GOROUTINES] = {METRICS_GAUGE, "go_goroutines", "Threads of the process."},
    [ALLOC_BYTES] = {METRICS_GAUGE, "go_memstats_alloc_bytes",
                     "Bytes allocated and not freed."},
    [ALLOC_BYTES_TOTAL] = {METRICS_COUNTER, "go_memstats_alloc_bytes_total",
                           "Growth of the allocated bytes between expositions, summed "
                           "up: a lower bound of what was allocated."},
    [HEAP_ALLOC_BYTES] = {METRICS_GAUGE, "go_memstats_heap_alloc_bytes",
                          "Bytes allocated and not freed."},
    [HEAP_INUSE_BYTES] = {METRICS_GAUGE, "go_memstats_heap_inuse_bytes",
                          "Bytes that the allocator holds, free ones included."},
    [STACK_BYTES] = {METRICS_GAUGE, "go_memstats_stack_inuse_bytes",
                     "Stack of the main thread in bytes."},
};

struct process {
    struct metrics_value *values[VALUE_COUNT];
};

/* The number behind key ("VmRSS:") in the text of /proc/self/status, or 0. */
static double
status_number(const char *status, const char *key)
{
    const char *line = strstr(status, key);
    return line != NULL ? (double)strtoull(line + strlen(key), NULL, 10) : 0;
}

static void
collect_status(const struct process *p)
{
    CLEANUP(buf_fini) struct buf text = {0};
    struct err ignored;
    if (!file_read_all("/proc/self/status", STATUS_LIMIT, &text, &ignored))
        return;
    const char *status = buf_text(&text);
    metrics_set(p->values[VIRTUAL_BYTES],
                status_number(status, "VmSize:") * BYTES_PER_KB);
    metrics_set(p->values[RESIDENT_BYTES],
                status_number(status, "VmRSS:") * BYTES_PER_KB);
    metrics_set(p->values[STACK_BYTES], status_number(status, "VmStk:") * BYTES_PER_KB);
    metrics_set(p->values[GOROUTINES], status_number(status, "Threads:"));
}

static bool
count_entry(void *arg, const char *name, struct err *err)
{
    (void)name;
    (void)err;
    ++*(int *)arg;
    return true;
}

static void
collect_descriptors(const struct process *p)
{
    struct err ignored;
    struct rlimit limit;
    int count = 0;
    /* One of them is the listing's own. */
    if (file_list("/proc/self/fd", count_entry, &count, &ignored))
        metrics_set(p->values[OPEN_FDS], count - 1);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metrics_set(p->values[MAX_FDS], (double)limit.rlim_cur);
}

static double
seconds_of(struct timeval tv)
{
    return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static void
collect_cpu(const struct process *p)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        metrics_set(p->values[CPU_SECONDS],
                    seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
}

static void
collect_heap(const struct process *p)
{
    struct mallinfo2 info = mallinfo2();
    double allocated = (double)info.uordblks + (double)info.hblkhd;
    double grown = allocated - metrics_get(p->values[ALLOC_BYTES]);
    if (grown > 0)
        metrics_add(p->values[ALLOC_BYTES_TOTAL], grown);
    metrics_set(p->values[ALLOC_BYTES], allocated);
    metrics_set(p->values[HEAP_ALLOC_BYTES], allocated);
    metrics_set(p->values[HEAP_INUSE_BYTES], (double)info.arena + (double)info.hblkhd);
}

static void
collect(void *arg)
{
    const struct process *p = arg;
    collect_status(p);
    collect_descriptors(p);
    collect_cpu(p);
    collect_heap(p);
}

/* Nothing pauses here for a garbage collection: all quantiles stay 0. */
static void
register_gc_pauses(struct metrics_registry *r)
{
    static const char *const label_names[] = {"quantile", NULL};
    static const char *const quantiles[] = {"0", "0.25", "0.5", "0.75", "1"};
    struct metrics_family *f =
        metrics_family_new(r, METRICS_GAUGE, "go_gc_duration_seconds",
                           "Pauses for garbage collection: none.", label_names);
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++)
        metrics_child(f, &quantiles[i]);
}

void
metrics_process_register(struct metrics_registry *r)
{
    struct process *p = xcalloc(1, sizeof *p);
    for (size_t i = 0; i < VALUE_COUNT; i++) {
        struct metrics_family *f = metrics_family_new(
            r, families[i].kind, families[i].name, families[i].help, NULL);
        p->values[i] = metrics_child(f, NULL);
    }
    /* Daemons register at start, so this moment is the start. */
    metrics_set(p->values[START_TIME], (double)clock_wall_ns() / CLOCK_NS_PER_S);
    register_gc_pauses(r);
    metrics_on_collect_owned(r, collect, p);
}
