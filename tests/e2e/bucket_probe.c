/* SPDX-License-Identifier: Apache-2.0 */
/* Tries all that a bucket promises on the bucket that a configuration names, which has
 * to be empty and is left so.
 *
 * usage: bucket_probe CONFIG.yml [KEYS]      how many keys to list, 2500 unless told */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/metrics/registry.h"
#include "common/objstore/config.h"

enum {
    MANY = 2500, /* keys of a listing: three pages */
    LARGE = 64 << 20,
    /* A stream's buffers, and what the allocator keeps. */
    STREAM_KIB = 8 << 10,
};

struct probe {
    struct objstore_bucket *bucket;
    struct objstore_call call;
    int many;
    struct err err;
};

/* Fail the step with what was expected. */
#define EXPECT(p, cond)                                                         \
    do {                                                                        \
        if (!(cond))                                                            \
            return err_set(&(p)->err, ERR_CORRUPT, "line %d: not %s", __LINE__, \
                           #cond);                                              \
    } while (0)

static const char *const ODD_KEYS[] = {
    "plain",
    "a b/c  d",
    "a+b=c&d",
    "!'()*@:;,$~",
    "%41%2F%",
    "?#[]\"<>|^{}`\\",
    "...x/.y/..z",
    "\xc3\xbc\xe2\x82\xac\xf0\x9f\x8e\x88/\xc3\xa4",
    "01JABCDEFGHJKMNPQRSTVWXYZ0/chunks/000001",
    "-/_/~",
    "&amp;/&lt;",
};

static struct bytes
key_of(const char *text)
{
    return bytes_of_str(text);
}

static bool
put_text(struct probe *p, const char *key, const char *data)
{
    return objstore_put(p->bucket, &p->call, key_of(key), key_of(data), &p->err);
}

struct listed {
    size_t count;
    bool in_order;
    uint8_t last[OBJSTORE_KEY_MAX];
    size_t last_len;
};

static bool
count_object(void *arg, const struct objstore_object *object, struct err *err)
{
    struct listed *l = arg;
    (void)err;
    l->in_order =
        l->in_order &&
        (l->count == 0 || bytes_cmp(object->key, bytes_of(l->last, l->last_len)) > 0);
    l->count++;
    l->last_len = object->key.len;
    memcpy(l->last, object->key.at, object->key.len);
    return true;
}

static bool
list(struct probe *p, const char *prefix, struct listed *l)
{
    *l = (struct listed){.in_order = true};
    return objstore_list(p->bucket, &p->call, key_of(prefix), count_object, l, &p->err);
}

static bool
begins_empty(struct probe *p)
{
    struct listed l;
    if (!list(p, "", &l))
        return false;
    EXPECT(p, l.count == 0);
    return true;
}

static bool
round_trip(struct probe *p, const char *key)
{
    CLEANUP(buf_fini) struct buf back = {0};
    struct objstore_attrs attrs;
    if (!put_text(p, key, key) ||
        !objstore_head(p->bucket, &p->call, key_of(key), &attrs, &p->err) ||
        !objstore_get(p->bucket, &p->call, key_of(key), 1000, &back, &p->err))
        return false;
    EXPECT(p, attrs.size == strlen(key));
    EXPECT(p, llabs(attrs.mtime_ms - clock_wall_ns() / CLOCK_NS_PER_MS) < 120000);
    EXPECT(p, bytes_eq(buf_bytes(&back), key_of(key)));
    return true;
}

static bool
is_plain(const char *key)
{
    return key[strspn(key, "abcdefghijklmnopqrstuvwxyz"
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/")] == 0;
}

static bool
refuses_odd_keys(struct probe *p)
{
    struct listed l;
    for (size_t i = 0; i < ARRAY_LEN(ODD_KEYS); i++) {
        bool ok = put_text(p, ODD_KEYS[i], ODD_KEYS[i]);
        EXPECT(p, ok == is_plain(ODD_KEYS[i]));
        EXPECT(p, ok || p->err.code == ERR_UNSUPPORTED);
        if (ok && !objstore_remove(p->bucket, &p->call, key_of(ODD_KEYS[i]), &p->err))
            return false;
    }
    EXPECT(p, !list(p, "a b/", &l) && p->err.code == ERR_UNSUPPORTED);
    return begins_empty(p);
}

static bool
keeps_odd_keys(struct probe *p)
{
    struct listed l;
    if (!objstore_can(p->bucket, OBJSTORE_CAN_ANY_KEY))
        return refuses_odd_keys(p);
    for (size_t i = 0; i < ARRAY_LEN(ODD_KEYS); i++)
        if (!round_trip(p, ODD_KEYS[i]))
            return err_wrap(&p->err, "key %s", ODD_KEYS[i]);
    if (!list(p, "", &l))
        return false;
    EXPECT(p, l.count == ARRAY_LEN(ODD_KEYS));
    EXPECT(p, l.in_order);
    if (!list(p, "a b/", &l))
        return false;
    EXPECT(p, l.count == 1);
    for (size_t i = 0; i < ARRAY_LEN(ODD_KEYS); i++)
        if (!objstore_remove(p->bucket, &p->call, key_of(ODD_KEYS[i]), &p->err))
            return false;
    return begins_empty(p);
}

static bool
deletes_and_misses(struct probe *p)
{
    struct objstore_attrs attrs;
    CLEANUP(buf_fini) struct buf back = {0};
    if (!objstore_remove(p->bucket, &p->call, key_of("no/such"), &p->err))
        return false;
    EXPECT(p, !objstore_head(p->bucket, &p->call, key_of("no/such"), &attrs, &p->err));
    EXPECT(p, p->err.code == ERR_NOT_FOUND);
    EXPECT(p, !objstore_get(p->bucket, &p->call, key_of("no/such"), 9, &back, &p->err));
    EXPECT(p, p->err.code == ERR_NOT_FOUND);
    return true;
}

static bool
reads_ranges(struct probe *p)
{
    static const struct {
        uint64_t offset;
        size_t len;
        const char *expected;
    } cases[] = {{0, 1, "0"},           {9, 1, "9"},   {3, 4, "3456"}, {8, 16, "89"},
                 {0, 10, "0123456789"}, {10, 1, NULL}, {1000, 5, NULL}};
    if (!put_text(p, "range", "0123456789"))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t into[16];
        size_t got = 0;
        bool ok =
            objstore_read_range(p->bucket, &p->call, key_of("range"),
                                (struct objstore_range){cases[i].offset, cases[i].len},
                                into, &got, &p->err);
        EXPECT(p, ok == (cases[i].expected != NULL));
        EXPECT(p, ok || p->err.code == ERR_INVALID);
        EXPECT(p, !ok || bytes_eq(bytes_of(into, got), key_of(cases[i].expected)));
    }
    return objstore_remove(p->bucket, &p->call, key_of("range"), &p->err);
}

static bool
keeps_an_empty_object(struct probe *p)
{
    struct objstore_attrs attrs = {.size = 1};
    CLEANUP(buf_fini) struct buf back = {0};
    if (!put_text(p, "empty", "") ||
        !objstore_head(p->bucket, &p->call, key_of("empty"), &attrs, &p->err) ||
        !objstore_get(p->bucket, &p->call, key_of("empty"), 9, &back, &p->err))
        return false;
    EXPECT(p, attrs.size == 0 && back.len == 0);
    return objstore_remove(p->bucket, &p->call, key_of("empty"), &p->err);
}

static bool
for_each_of_many(struct probe *p, bool (*visit)(struct probe *p, const char *key))
{
    for (int i = 0; i < p->many; i++) {
        char key[32];
        snprintf(key, sizeof key, "many/%02d/%05d", i % 7, i);
        if (!visit(p, key))
            return false;
    }
    return true;
}

static bool
put_small(struct probe *p, const char *key)
{
    return put_text(p, key, "x");
}

static bool
remove_one(struct probe *p, const char *key)
{
    return objstore_remove(p->bucket, &p->call, key_of(key), &p->err);
}

static bool
lists_many_pages(struct probe *p)
{
    struct listed l;
    if (!for_each_of_many(p, put_small) || !list(p, "", &l))
        return false;
    EXPECT(p, l.count == (size_t)p->many);
    EXPECT(p, l.in_order);
    if (!list(p, "many/03/", &l))
        return false;
    EXPECT(p, l.count == (size_t)(p->many - 3 + 6) / 7);
    return for_each_of_many(p, remove_one);
}

/* A file of pseudo-random bytes that nobody else sees. */
static bool
make_large_file(struct probe *p, int *fd, uint8_t hash[DIGEST_SHA256_SIZE])
{
    char path[] = "/tmp/bucket-probe-XXXXXX";
    uint64_t piece[8192];
    uint64_t state = 88172645463325252u;
    struct digest_stream *stream = digest_stream_new(DIGEST_SHA256);
    *fd = mkstemp(path);
    bool ok = *fd >= 0 && unlink(path) == 0;
    for (size_t done = 0; ok && done < LARGE; done += sizeof piece) {
        for (size_t i = 0; i < ARRAY_LEN(piece); i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            piece[i] = state;
        }
        digest_stream_add(stream, bytes_of(piece, sizeof piece));
        ok = file_write_all(*fd, path, bytes_of(piece, sizeof piece), &p->err);
    }
    digest_stream_finish(&stream, hash);
    return ok;
}

static bool
add_to_hash(void *arg, struct bytes piece, struct err *err)
{
    (void)err;
    digest_stream_add(arg, piece);
    return true;
}

static long
peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static bool
streams_a_large_file(struct probe *p)
{
    uint8_t hash[DIGEST_SHA256_SIZE], back[DIGEST_SHA256_SIZE];
    CLEANUP(file_close) int fd = -1;
    struct objstore_attrs stored;
    struct bytes key = key_of("large");
    if (!make_large_file(p, &fd, hash))
        return false;
    long before_kib = peak_kib();
    const struct objstore_file file = {.fd = fd, .size = LARGE};
    if (!objstore_put_file(p->bucket, &p->call, key, &file, &stored, &p->err))
        return false;
    struct digest_stream *stream = digest_stream_new(DIGEST_SHA256);
    bool ok = objstore_get_range(p->bucket, &p->call, key, 0, LARGE, add_to_hash,
                                 stream, &p->err);
    digest_stream_finish(&stream, back);
    if (!ok)
        return false;
    EXPECT(p, memcmp(hash, back, sizeof hash) == 0);
    EXPECT(p, peak_kib() - before_kib < STREAM_KIB);
    return objstore_remove(p->bucket, &p->call, key, &p->err);
}

static const struct {
    const char *name;
    bool (*run)(struct probe *p);
} STEPS[] = {
    {"begins empty", begins_empty},
    {"keeps odd keys", keeps_odd_keys},
    {"deletes and misses", deletes_and_misses},
    {"reads ranges", reads_ranges},
    {"keeps an empty object", keeps_an_empty_object},
    {"lists many pages", lists_many_pages},
    {"streams a large file", streams_a_large_file},
    {"ends empty", begins_empty},
};

static bool
open_bucket(struct probe *p, const char *config, struct metrics_registry *registry)
{
    CLEANUP(buf_fini) struct buf yaml = {0};
    return file_read_all(config, 1 << 20, &yaml, &p->err) &&
           objstore_open(&p->bucket, buf_bytes(&yaml), "probe", registry, &p->err);
}

static bool
run_steps(struct probe *p)
{
    for (size_t i = 0; i < ARRAY_LEN(STEPS); i++) {
        int64_t begin_ns = clock_mono_ns();
        p->call.deadline_ns = clock_deadline(120 * CLOCK_NS_PER_S);
        if (!STEPS[i].run(p))
            return err_wrap(&p->err, "%s", STEPS[i].name);
        printf("%-24s%6" PRId64 " ms\n", STEPS[i].name,
               (clock_mono_ns() - begin_ns) / CLOCK_NS_PER_MS);
    }
    return true;
}

int
main(int argc, char **argv)
{
    struct probe p = {.many = argc == 3 ? atoi(argv[2]) : MANY};
    if (argc < 2 || argc > 3 || p.many < 4) {
        fprintf(stderr, "usage: bucket_probe CONFIG.yml [KEYS]\n");
        return 2;
    }
    struct metrics_registry *registry = metrics_registry_new();
    bool ok = open_bucket(&p, argv[1], registry) && run_steps(&p);
    if (!ok)
        fprintf(stderr, "bucket_probe: %s: %s\n", err_code_name(p.err.code),
                p.err.text);
    objstore_free(&p.bucket);
    metrics_registry_free(&registry);
    return ok ? 0 : 1;
}
