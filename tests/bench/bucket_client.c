/* SPDX-License-Identifier: Apache-2.0 */
/* One transfer through a bucket, and the resident memory that it takes.
 *
 *   bench_bucket_client CONFIG.yml put FILE KEY
 *   bench_bucket_client CONFIG.yml ranges KEY OBJECT_BYTES RANGE_BYTES COUNT THREADS
 *
 * Prints "idle_KiB peak_KiB". Idle is after a small object has been stored, so with a
 * connection and credentials. */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "common/objstore/config.h"

enum { MAX_THREADS = 256 };

static const struct objstore_call CALL = {.deadline_ns = CLOCK_NEVER};

static struct {
    struct objstore_bucket *bucket;
    const char *key;
    uint64_t object;
    uint64_t range;
    uint64_t count;
    atomic_uint_fast64_t next;
} job;

static void
end_with(const struct err *err)
{
    fprintf(stderr, "bench_bucket_client: %s\n", err->text);
    exit(1);
}

static uint64_t
number(const char *text)
{
    return strtoull(text, NULL, 10);
}

/* "VmRSS" or "VmHWM" in KiB. */
static long
resident_kib(const char *which)
{
    long kib = -1;
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    CHECK(status != NULL);
    while (kib < 0 && fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, which, strlen(which)) == 0)
            kib = atol(line + strlen(which) + 1);
    fclose(status);
    return kib;
}

static void
put_file(const char *path)
{
    struct err err;
    struct stat st;
    struct objstore_attrs stored;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    const struct objstore_file file = {.fd = fd, .size = (uint64_t)st.st_size};
    if (!objstore_put_file(job.bucket, &CALL, bytes_of_str(job.key), &file, &stored,
                           &err))
        end_with(&err);
    CHECK(stored.size == file.size);
    file_close(&fd);
}

static void *
read_ranges(void *arg)
{
    (void)arg;
    uint8_t *into = xcalloc(1, job.range);
    for (uint64_t i; (i = atomic_fetch_add(&job.next, 1)) < job.count;) {
        struct err err;
        size_t got;
        uint64_t offset = i * job.range % (job.object - job.range + 1);
        if (!objstore_read_range(job.bucket, &CALL, bytes_of_str(job.key),
                                 (struct objstore_range){offset, job.range}, into, &got,
                                 &err))
            end_with(&err);
        CHECK(got == job.range);
    }
    free(into);
    return NULL;
}

static void
read_in_parallel(unsigned threads)
{
    struct err err;
    pthread_t at[MAX_THREADS];
    CHECK(threads >= 1 && threads <= MAX_THREADS);
    CHECK(job.range > 0 && job.range <= job.object);
    for (unsigned i = 0; i < threads; i++)
        CHECK(thread_start(&at[i], "ranges", read_ranges, NULL, &err));
    for (unsigned i = 0; i < threads; i++)
        pthread_join(at[i], NULL);
}

static void
open_bucket(const char *config)
{
    struct err err;
    CLEANUP(buf_fini) struct buf yaml = {0};
    if (!file_read_all(config, 1 << 20, &yaml, &err) ||
        !objstore_open(&job.bucket, buf_bytes(&yaml), "bench", NULL, &err) ||
        !objstore_put(job.bucket, &CALL, BYTES("small"), BYTES("x"), &err))
        end_with(&err);
}

int
main(int argc, char **argv)
{
    bool puts = argc == 5 && strcmp(argv[2], "put") == 0;
    bool ranges = argc == 8 && strcmp(argv[2], "ranges") == 0;
    if (!puts && !ranges) {
        fprintf(stderr, "usage: bench_bucket_client CONFIG.yml put FILE KEY\n"
                        "       bench_bucket_client CONFIG.yml ranges KEY OBJECT_BYTES "
                        "RANGE_BYTES COUNT THREADS\n");
        return 2;
    }
    log_setup("bench", LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT);
    open_bucket(argv[1]);
    long idle_kib = resident_kib("VmRSS");
    if (puts) {
        job.key = argv[4];
        put_file(argv[3]);
    } else {
        job.key = argv[3];
        job.object = number(argv[4]);
        job.range = number(argv[5]);
        job.count = number(argv[6]);
        read_in_parallel((unsigned)number(argv[7]));
    }
    printf("%ld %ld\n", idle_kib, resident_kib("VmHWM"));
    objstore_free(&job.bucket);
    return 0;
}
