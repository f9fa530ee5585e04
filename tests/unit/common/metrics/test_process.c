/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/metrics/registry.h"
#include "tests/support/sandbox.h"

/* The value of a sample without labels in the exposition. */
static double
sample(struct metrics_registry *r, const char *name)
{
    CLEANUP(buf_fini) struct buf out = {0};
    CLEANUP(buf_fini) struct buf needle = {0};
    metrics_print(r, &out);
    buf_printf(&needle, "\n%s ", name);
    const char *line = strstr(buf_text(&out), buf_text(&needle));
    if (line == NULL)
        fail_msg("no sample %s in %s", name, buf_text(&out));
    return strtod(line + needle.len, NULL);
}

static void
fills_values_from_the_kernel(void **state)
{
    (void)state;
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    metrics_process_register(r);
    double resident = sample(r, "process_resident_memory_bytes");
    double now = (double)clock_wall_ns() / 1e9;
    assert_true(resident > 100e3);
    assert_true(sample(r, "process_virtual_memory_bytes") >= resident);
    assert_true(sample(r, "process_start_time_seconds") > now - 600);
    assert_true(sample(r, "process_start_time_seconds") <= now);
    assert_true(sample(r, "process_cpu_seconds_total") >= 0);
    assert_true(sample(r, "go_goroutines") >= 1);
    assert_true(sample(r, "go_memstats_stack_inuse_bytes") > 0);
}

static void
counts_open_descriptors(void **state)
{
    (void)state;
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    metrics_process_register(r);
    double before = sample(r, "process_open_fds");
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    CLEANUP(file_close) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(sample(r, "process_open_fds") == before + 1);
    assert_true(sample(r, "process_max_fds") == (double)limit.rlim_cur);
}

/* As a daemon runs: not as root, and its files in /proc are root's. */
static bool
counts_as_nobody(void *arg)
{
    enum { NOBODY = 65534 };
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    (void)arg;
    metrics_process_register(r);
    if ((geteuid() == 0 && setuid(NOBODY) != 0) || prctl(PR_SET_DUMPABLE, 0) != 0)
        return false;
    double before = sample(r, "process_open_fds");
    CLEANUP(file_close) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return before > 0 && sample(r, "process_open_fds") == before + 1 &&
           sample(r, "process_resident_memory_bytes") > 0 &&
           sample(r, "go_goroutines") >= 1;
}

static void
sees_itself_when_others_must_not(void **state)
{
    (void)state;
    assert_true(sandbox_run(counts_as_nobody, NULL));
}

static void
prints_a_pause_for_each_quantile(void **state)
{
    (void)state;
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    CLEANUP(buf_fini) struct buf out = {0};
    metrics_process_register(r);
    metrics_print(r, &out);
    assert_non_null(
        strstr(buf_text(&out), "\ngo_gc_duration_seconds{quantile=\"0.25\"} 0\n"));
}

static void
never_lets_the_allocated_total_fall(void **state)
{
    (void)state;
    CLEANUP(metrics_registry_free) struct metrics_registry *r = metrics_registry_new();
    metrics_process_register(r);
    double before = sample(r, "go_memstats_alloc_bytes_total");
    free(malloc(1 << 22));
    assert_true(sample(r, "go_memstats_alloc_bytes_total") >= before);
    assert_true(sample(r, "go_memstats_heap_inuse_bytes") >=
                sample(r, "go_memstats_heap_alloc_bytes"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_values_from_the_kernel),
        cmocka_unit_test(counts_open_descriptors),
        cmocka_unit_test(sees_itself_when_others_must_not),
        cmocka_unit_test(prints_a_pause_for_each_quantile),
        cmocka_unit_test(never_lets_the_allocated_total_fall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
