/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/e2e/bucket/contract.h"

#include <dirent.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/metrics/registry.h"
#include "common/objstore/config.h"

#define CASE_NS (120 * CLOCK_NS_PER_S)

static void
note_secret(struct contract *c, const char *yaml)
{
    const char *line = strstr(yaml, "secret_key: ");
    if (line != NULL)
        sscanf(line, "secret_key: %127s", c->secret);
}

bool
contract_open(struct contract *c, const char *config)
{
    CLEANUP(buf_fini) struct buf yaml = {0};
    log_setup("test", LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
    c->metrics = metrics_registry_new();
    if (!file_read_all(config, 1 << 20, &yaml, &c->err))
        return false;
    note_secret(c, buf_text(&yaml));
    return objstore_open(&c->bucket, buf_bytes(&yaml), "test", c->metrics, &c->err);
}

void
contract_close(struct contract *c)
{
    objstore_free(&c->bucket);
    metrics_registry_free(&c->metrics);
}

bool
contract_fail(struct contract *c, const char *where, int line, const char *expected)
{
    struct err last = c->err;
    return err_set(&c->err, ERR_INTERNAL, "%s:%d: not %s; last error: %s: %.300s",
                   where, line, expected, err_code_name(last.code), last.text);
}

bool
contract_error_is_good(const struct contract *c, const char *op, struct bytes key)
{
    return strstr(c->err.text, op) != NULL &&
           memmem(c->err.text, strlen(c->err.text), key.at, key.len) != NULL &&
           (*c->secret == 0 || strstr(c->err.text, c->secret) == NULL);
}

/* splitmix64 of a counter. */
static uint64_t
word_of(uint64_t version, uint64_t index)
{
    uint64_t z = version * UINT64_C(0xd1342543de82ef95) +
                 (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void
contract_fill(uint64_t version, uint64_t offset, uint8_t *into, size_t len)
{
    for (size_t done = 0; done < len;) {
        uint64_t word = word_of(version, (offset + done) / 8);
        size_t skip = (offset + done) % 8;
        size_t n = NUM_MIN(8 - skip, len - done);
        memcpy(into + done, (const uint8_t *)&word + skip, n);
        done += n;
    }
}

bool
contract_is(uint64_t version, uint64_t offset, struct bytes data)
{
    uint8_t expected[4096];
    for (size_t done = 0; done < data.len;) {
        size_t n = NUM_MIN(sizeof expected, data.len - done);
        contract_fill(version, offset + done, expected, n);
        if (memcmp(expected, data.at + done, n) != 0)
            return false;
        done += n;
    }
    return true;
}

bool
contract_file(struct contract *c, uint64_t version, uint64_t size, int *fd)
{
    char path[] = "/tmp/bucket-contract-XXXXXX";
    static _Thread_local uint8_t piece[64 << 10];
    *fd = mkstemp(path);
    if (*fd < 0 || unlink(path) != 0)
        return err_set(&c->err, ERR_IO, "no temporary file");
    for (uint64_t done = 0; done < size;) {
        size_t n = (size_t)NUM_MIN(size - done, (uint64_t)sizeof piece);
        contract_fill(version, done, piece, n);
        if (!file_write_all(*fd, path, bytes_of(piece, n), &c->err))
            return false;
        done += n;
    }
    return true;
}

bool
contract_put(struct contract *c, const char *key, uint64_t version, size_t size)
{
    CLEANUP(buf_fini) struct buf data = {0};
    contract_fill(version, 0, buf_reserve(&data, size + 1), size);
    data.len = size;
    return objstore_put(c->bucket, &c->call, bytes_of_str(key), buf_bytes(&data),
                        &c->err);
}

bool
contract_put_file(struct contract *c, const char *key, uint64_t version, uint64_t size,
                  struct objstore_attrs *stored)
{
    CLEANUP(file_close) int fd = -1;
    if (!contract_file(c, version, size, &fd))
        return false;
    const struct objstore_file file = {.fd = fd, .size = size};
    return objstore_put_file(c->bucket, &c->call, bytes_of_str(key), &file, stored,
                             &c->err);
}

struct compared {
    uint64_t version;
    uint64_t got;
    bool is_same;
};

static bool
compare_piece(void *arg, struct bytes piece, struct err *err)
{
    struct compared *d = arg;
    (void)err;
    d->is_same = d->is_same && contract_is(d->version, d->got, piece);
    d->got += piece.len;
    return true;
}

bool
contract_holds(struct contract *c, const char *key, uint64_t version, uint64_t size)
{
    struct objstore_attrs attrs;
    struct compared d = {.version = version, .is_same = true};
    if (!objstore_head(c->bucket, &c->call, bytes_of_str(key), &attrs, &c->err))
        return false;
    EXPECT(c, attrs.size == size);
    EXPECT(c, llabs(attrs.mtime_ms - clock_wall_ns() / CLOCK_NS_PER_MS) < 120000);
    if (size == 0)
        return true;
    if (!objstore_get_range(c->bucket, &c->call, bytes_of_str(key), 0, size + 1,
                            compare_piece, &d, &c->err))
        return false;
    EXPECT(c, d.got == size);
    EXPECT(c, d.is_same);
    return true;
}

bool
contract_lacks(struct contract *c, const char *key)
{
    struct objstore_attrs attrs;
    EXPECT_ERR(c,
               objstore_head(c->bucket, &c->call, bytes_of_str(key), &attrs, &c->err),
               ERR_NOT_FOUND, "head", bytes_of_str(key));
    return true;
}

bool
contract_remove(struct contract *c, const char *key)
{
    return objstore_remove(c->bucket, &c->call, bytes_of_str(key), &c->err);
}

bool
contract_refuses(struct contract *c, const char *text, uint64_t version,
                 enum err_code code)
{
    uint8_t into[4];
    size_t got;
    struct objstore_attrs attrs;
    struct bytes key = bytes_of_str(text);
    CLEANUP(buf_fini) struct buf back = {0};
    EXPECT_ERR(c, contract_put(c, text, version, 4), code, "put", key);
    EXPECT_ERR(c, contract_put_file(c, text, version, 4, &attrs), code, "put", key);
    EXPECT_ERR(c, objstore_create(c->bucket, &c->call, key, BYTES("x"), &c->err), code,
               "create", key);
    EXPECT_ERR(c, objstore_head(c->bucket, &c->call, key, &attrs, &c->err), code,
               "head", key);
    EXPECT_ERR(c, objstore_get(c->bucket, &c->call, key, 9, &back, &c->err), code,
               "read", key);
    EXPECT_ERR(c,
               objstore_read_range(c->bucket, &c->call, key,
                                   (struct objstore_range){0, 4}, into, &got, &c->err),
               code, "read", key);
    EXPECT_ERR(c, contract_remove(c, text), code, "delete", key);
    return true;
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

bool
contract_lists(struct contract *c, const char *prefix, size_t count)
{
    struct listed l = {.in_order = true};
    if (!objstore_list(c->bucket, &c->call, bytes_of_str(prefix), count_object, &l,
                       &c->err))
        return false;
    EXPECT(c, l.count == count);
    EXPECT(c, l.in_order);
    return true;
}

static bool
note_key(void *arg, const struct objstore_object *object, struct err *err)
{
    (void)err;
    buf_put(arg, object->key);
    buf_put_u8(arg, 0);
    return true;
}

/* Leave nothing behind for the next case. */
static bool
clear_bucket(struct contract *c)
{
    CLEANUP(buf_fini) struct buf keys = {0};
    bool ok = objstore_list(c->bucket, &c->call, BYTES(""), note_key, &keys, &c->err);
    for (size_t at = 0; at < keys.len; at += strlen((char *)keys.at + at) + 1)
        ok = contract_remove(c, (char *)keys.at + at) && ok;
    return ok;
}

static bool
run_case(struct contract *c, const struct contract_case *one)
{
    int64_t begin_ns = clock_mono_ns();
    c->call = (struct objstore_call){.deadline_ns = clock_deadline(CASE_NS)};
    c->err = (struct err){0};
    bool ok = one->run(c);
    printf("%-6s %-52s%6" PRId64 " ms\n", ok ? "ok" : "FAILED", one->name,
           (clock_mono_ns() - begin_ns) / CLOCK_NS_PER_MS);
    if (!ok) {
        printf("       %s: %s\n", err_code_name(c->err.code), c->err.text);
        c->call.deadline_ns = clock_deadline(CASE_NS);
        if (!clear_bucket(c))
            printf("       not cleared: %s\n", c->err.text);
    }
    fflush(stdout);
    return ok;
}

bool
contract_run(struct contract *c, const struct contract_case *cases, size_t count,
             const char *part)
{
    bool ok = true;
    for (size_t i = 0; i < count; i++)
        if (strstr(cases[i].name, part) != NULL)
            ok = run_case(c, &cases[i]) && ok;
    return ok;
}

unsigned
contract_open_files(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL)
        count++;
    if (dir != NULL)
        closedir(dir);
    return count;
}

long
contract_resident_kib(void)
{
    long pages = 0;
    malloc_trim(0);
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* "5" resets the peak, see proc(5). */
void
contract_forget_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (file == NULL)
        return;
    fputs("5", file);
    fclose(file);
}

long
contract_peak_kib(void)
{
    char line[256];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && kib == 0 && fgets(line, sizeof line, file) != NULL)
        sscanf(line, "VmHWM: %ld", &kib);
    if (file != NULL)
        fclose(file);
    return kib;
}

bool
contract_is_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#else
    return false;
#endif
}
