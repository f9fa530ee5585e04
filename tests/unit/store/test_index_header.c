/* SPDX-License-Identifier: Apache-2.0 */
/* Index headers of real and of made blocks against a naive reading of the whole index.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/cursor.h"
#include "common/base/file.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/crc32c.h"
#include "common/codec/varint.h"
#include "common/objstore/dir.h"
#include "store/index_header.h"
#include "tests/support/expect.h"
#include "tests/support/faulty_bucket.h"
#include "tests/support/index_writer.h"

enum { MADE_SERIES = 3000, LONG_VALUE = 40000, CACHE_BYTES = 1 << 20 };

struct fixture {
    char *dir;
    char *path; /* of the header file */
    struct objstore_bucket *bucket;
    struct budget budget;
    struct store_page_cache *cache;
    struct arena arena;
};

static struct err err;

static int
set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char template[] = "/tmp/blockhouse-header-XXXXXX";
    struct objstore_bucket *dir = NULL;
    f->dir = xstrdup(mkdtemp(template));
    f->path = xasprintf("%s/header.bhx", f->dir);
    budget_init(&f->budget, "test", SIZE_MAX, NULL);
    f->cache = store_page_cache_new(CACHE_BYTES, &f->budget);
    arena_init(&f->arena, &f->budget);
    expect_ok(objstore_dir_open(&dir, f->dir, &err), err);
    f->bucket = faulty_bucket_new(dir);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    objstore_free(&f->bucket);
    store_page_cache_free(&f->cache);
    arena_fini(&f->arena);
    budget_fini(&f->budget);
    expect_ok(file_remove_tree(f->dir, &err), err);
    free(f->path);
    free(f->dir);
    free(f);
    return 0;
}

/* Everything a header knows, read the slow way. */
struct pair {
    struct bytes name;
    struct bytes value;
    uint64_t offset;
    uint64_t end;
};

struct naive {
    struct buf text;
    int version;
    struct tsdb_index_toc toc;
    size_t pair_count;
    struct pair *pairs;
    size_t symbol_count;
    struct bytes *symbols;
    uint32_t *refs; /* of symbols, as in series entries */
};

static void
naive_fini(struct naive *n)
{
    buf_fini(&n->text);
    free(n->pairs);
    free(n->symbols);
    free(n->refs);
}

static int
by_offset(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static int
by_text(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int order = bytes_cmp(x->name, y->name);
    return order != 0 ? order : bytes_cmp(x->value, y->value);
}

static void
naive_read(struct naive *n, const char *path)
{
    *n = (struct naive){0};
    expect_ok(file_read_all(path, SIZE_MAX / 2, &n->text, &err), err);
    const uint8_t *at = n->text.at;
    struct bytes tail =
        bytes_of(at + n->text.len - TSDB_INDEX_TOC_SIZE, TSDB_INDEX_TOC_SIZE);
    n->version = at[4];
    expect_ok(tsdb_index_toc_parse(&n->toc, tail, n->text.len, &err), err);
    struct cursor c =
        cursor_of(bytes_of(at + n->toc.symbols + 4, n->text.len - n->toc.symbols - 4));
    n->symbol_count = cursor_be32(&c);
    n->symbols = xcalloc(n->symbol_count, sizeof *n->symbols);
    n->refs = xcalloc(n->symbol_count, sizeof *n->refs);
    for (size_t i = 0; i < n->symbol_count; i++) {
        n->refs[i] = n->version == 1 ? (uint32_t)(c.rest.at - at) : (uint32_t)i;
        n->symbols[i] = cursor_take(&c, varint_u64(&c));
    }
    c = cursor_of(bytes_of(at + n->toc.postings_table + 4,
                           n->text.len - n->toc.postings_table - 4));
    n->pair_count = cursor_be32(&c);
    n->pairs = xcalloc(n->pair_count, sizeof *n->pairs);
    for (size_t i = 0; i < n->pair_count; i++) {
        assert_int_equal(varint_u64(&c), 2);
        n->pairs[i].name = cursor_take(&c, varint_u64(&c));
        n->pairs[i].value = cursor_take(&c, varint_u64(&c));
        n->pairs[i].offset = varint_u64(&c);
    }
    assert_false(c.bad);
    qsort(n->pairs, n->pair_count, sizeof *n->pairs, by_offset);
    for (size_t i = 0; i < n->pair_count; i++)
        n->pairs[i].end = i + 1 < n->pair_count ? n->pairs[i + 1].offset
                                                : tsdb_index_postings_end(&n->toc);
    qsort(n->pairs, n->pair_count, sizeof *n->pairs, by_text);
}

static void
check_pairs(struct store_index_header *h, const struct naive *n)
{
    assert_int_equal(n->pairs[0].name.len, 0);
    assert_int_equal(store_index_header_all(h).offset, n->pairs[0].offset);
    assert_int_equal(store_index_header_all(h).len,
                     n->pairs[0].end - n->pairs[0].offset);
    for (size_t i = 1; i < n->pair_count; i++) {
        const struct pair *p = &n->pairs[i];
        struct store_posting_range range;
        bool found = false, has = false;
        expect_ok(store_index_header_find(h, p->name, p->value, &found, &range, &err),
                  err);
        assert_true(found);
        assert_int_equal(range.offset, p->offset);
        assert_int_equal(range.len, p->end - p->offset);
        expect_ok(store_index_header_has_name(h, p->name, &has, &err), err);
        assert_true(has);
        struct bytes shorter = {p->value.at, p->value.len - 1};
        expect_ok(store_index_header_find(h, p->name, shorter, &found, &range, &err),
                  err);
        assert_int_equal(found, bytes_eq(p[-1].name, p->name) &&
                                    bytes_eq(p[-1].value, shorter));
    }
}

struct expected_values {
    const struct pair *next;
    const struct pair *end;
    struct bytes name;
    struct bytes prefix;
    size_t calls;
};

static bool
check_value(void *arg, struct bytes value, struct store_posting_range range,
            struct err *e)
{
    struct expected_values *x = arg;
    (void)e;
    while (x->next < x->end && (!bytes_eq(x->next->name, x->name) ||
                                !bytes_starts_with(x->next->value, x->prefix)))
        x->next++;
    assert_true(x->next < x->end);
    assert_true(bytes_eq(value, x->next->value));
    assert_int_equal(range.offset, x->next->offset);
    x->next++;
    x->calls++;
    return true;
}

static size_t
count_values(const struct naive *n, struct bytes name, struct bytes prefix)
{
    size_t count = 0;
    for (size_t i = 1; i < n->pair_count; i++)
        count += bytes_eq(n->pairs[i].name, name) &&
                 bytes_starts_with(n->pairs[i].value, prefix);
    return count;
}

static void
check_scan(struct store_index_header *h, const struct naive *n, struct bytes name,
           struct bytes prefix)
{
    struct expected_values x = {n->pairs + 1, n->pairs + n->pair_count, name, prefix,
                                0};
    struct store_value_rows rows;
    expect_ok(store_index_header_rows(h, name, prefix, &rows, &err), err);
    expect_ok(store_index_header_scan(h, rows, check_value, &x, &err), err);
    assert_int_equal(x.calls, count_values(n, name, prefix));
}

static void
check_scans(struct store_index_header *h, const struct naive *n)
{
    for (size_t i = 1; i < n->pair_count; i++) {
        const struct pair *p = &n->pairs[i];
        bool is_first = !bytes_eq(p->name, p[-1].name);
        if (is_first)
            check_scan(h, n, p->name, (struct bytes){0});
        if (is_first || i % 97 == 0)
            for (size_t len = 1; len <= NUM_MIN(p->value.len, (size_t)6); len++)
                check_scan(h, n, p->name, (struct bytes){p->value.at, len});
    }
    check_scan(h, n, BYTES("no such name"), (struct bytes){0});
    check_scan(h, n, BYTES(""), (struct bytes){0});
}

static void
check_symbols(struct fixture *f, struct store_index_header *h, const struct naive *n)
{
    struct bytes text;
    for (size_t i = 0; i < n->symbol_count; i++) {
        expect_ok(store_index_header_symbol(h, n->refs[i], &f->arena, &text, &err),
                  err);
        assert_true(bytes_eq(text, n->symbols[i]));
    }
    uint32_t beyond =
        n->version == 1 ? (uint32_t)n->toc.series : (uint32_t)n->symbol_count;
    expect_fails(store_index_header_symbol(h, beyond, &f->arena, &text, &err), err,
                 ERR_CORRUPT);
    expect_fails(store_index_header_symbol(h, UINT32_MAX, &f->arena, &text, &err), err,
                 ERR_CORRUPT);
    if (n->version == 1)
        for (uint32_t ref = 0; ref < n->toc.symbols + 8; ref++)
            expect_fails(store_index_header_symbol(h, ref, &f->arena, &text, &err), err,
                         ERR_CORRUPT);
    arena_reset(&f->arena);
}

static void
check_unknown(struct store_index_header *h)
{
    struct store_posting_range range;
    bool found = true;
    expect_ok(store_index_header_has_name(h, BYTES("zzz"), &found, &err), err);
    assert_false(found);
    expect_ok(
        store_index_header_find(h, BYTES("zzz"), BYTES("a"), &found, &range, &err),
        err);
    assert_false(found);
    expect_ok(store_index_header_find(h, BYTES("__name__"), BYTES("\xff\xff"), &found,
                                      &range, &err),
              err);
    assert_false(found);
}

static const struct objstore_call forever = {.deadline_ns = CLOCK_NEVER};

static struct store_index_source
source_of(struct fixture *f, uint64_t size)
{
    return (struct store_index_source){f->bucket, "index", size, &f->budget};
}

/* Build from the file "index" of the bucket and open. */
static struct store_index_header *
build(struct fixture *f, uint64_t size)
{
    struct store_index_source source = source_of(f, size);
    struct store_index_header *h = NULL;
    expect_ok(store_index_header_build(&source, &forever, f->path, &err), err);
    expect_ok(store_index_header_open(&h, &source, f->path, f->cache, &err), err);
    return h;
}

static void
check_index(struct fixture *f, const char *path)
{
    CLEANUP(naive_fini) struct naive n;
    CLEANUP(xfree) char *copy = xasprintf("%s/index", f->dir);
    naive_read(&n, path);
    expect_ok(file_replace(copy, buf_bytes(&n.text), &err), err);
    unsigned before = faulty_bucket_calls(f->bucket, FAULTY_ANY);
    CLEANUP(store_index_header_free)
    struct store_index_header *h = build(f, n.text.len);
    assert_true(faulty_bucket_calls(f->bucket, FAULTY_ANY) - before <= 3);
    assert_memory_equal(store_index_header_toc(h), &n.toc, sizeof n.toc);
    assert_int_equal(store_index_header_series_unit(h), n.version == 1 ? 1 : 16);
    check_pairs(h, &n);
    check_scans(h, &n);
    check_symbols(f, h, &n);
    check_unknown(h);
}

static void
knows_what_real_indexes_hold(void **state)
{
    static const char *const indexes[] = {
        "hist-st/01M852M9SCNF0GMC3GGW4ZTYGC",
        "xor/01M852M9MD7R7B87FBFM0F3DC8",
        "xor2/01M852M9NQ3STSDM65Z2ZRWH68",
        "xor2-st/01M852M9QWERCCBXQAZT4MBB03",
    };
    for (size_t i = 0; i < ARRAY_LEN(indexes); i++) {
        CLEANUP(xfree) char *path = xasprintf(TESTS_DIR "/golden/%s/index", indexes[i]);
        check_index(*state, path);
    }
}

/* An index of many pages: thousands of values, some longer than a page, an empty set of
 * labels, names that are prefixes of each other. */
static void
make_index(const char *path, int version, size_t series)
{
    CLEANUP(index_writer_free) struct index_writer *w = NULL;
    CLEANUP(xfree) char *long_value = xcalloc(1, LONG_VALUE + 1);
    memset(long_value, 'x', LONG_VALUE);
    expect_ok(index_writer_new(&w, path, version, &err), err);
    for (size_t i = 0; i < series; i++) {
        char value[32];
        snprintf(value, sizeof value, "v%07zu", i);
        struct bytes text = i % 1000 == 999 ? bytes_of_str(long_value) : BYTES("short");
        long_value[LONG_VALUE - 1] = (char)('a' + i / 1000);
        struct tsdb_label labels[] = {{BYTES("__name__"), bytes_of_str(value)},
                                      {BYTES("a"), text},
                                      {BYTES("aa"), BYTES("\xc3\xa9")}};
        index_writer_begin_series(w, (struct tsdb_labels){labels, 3}, 1);
        index_writer_add_chunk(w, (struct tsdb_chunk_meta){.ref = 8 + i});
        index_writer_end_series(w);
    }
    expect_ok(index_writer_finish(w, &err), err);
}

static void
knows_what_large_indexes_hold(void **state)
{
    struct fixture *f = *state;
    CLEANUP(xfree) char *path = xasprintf("%s/made", f->dir);
    for (int version = 1; version <= 2; version++) {
        make_index(path, version, MADE_SERIES);
        check_index(f, path);
    }
}

static void
builds_in_memory_that_does_not_grow(void **state)
{
    struct fixture *f = *state;
    CLEANUP(xfree) char *path = xasprintf("%s/index", f->dir);
    size_t peaks[2];
    for (size_t i = 0; i < 2; i++) {
        struct budget budget;
        budget_init(&budget, "build", SIZE_MAX, NULL);
        make_index(path, 2, i == 0 ? 80000 : 160000);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        struct store_index_source source = source_of(f, (uint64_t)st.st_size);
        source.budget = &budget;
        expect_ok(store_index_header_build(&source, &forever, f->path, &err), err);
        peaks[i] = budget_peak(&budget);
        budget_fini(&budget);
    }
    /* Two threads read: what both hold at a time differs. */
    assert_true(peaks[1] <= peaks[0] + 8 * LONG_VALUE);
    assert_true(peaks[1] < 1024 * 1024);
}

static uint64_t
put_golden(struct fixture *f, struct buf *text)
{
    CLEANUP(xfree) char *copy = xasprintf("%s/index", f->dir);
    buf_clear(text);
    expect_ok(file_read_all(TESTS_DIR "/golden/xor/01M852M9MD7R7B87FBFM0F3DC8/index",
                            SIZE_MAX / 2, text, &err),
              err);
    expect_ok(file_replace(copy, buf_bytes(text), &err), err);
    return text->len;
}

/* Every answer of the header, as one number; 0 when a question fails. */
static uint32_t
fingerprint(struct fixture *f, struct store_index_header *h, const struct naive *n)
{
    uint32_t crc = 1;
    struct store_posting_range range = store_index_header_all(h);
    crc = crc32c_extend(crc, bytes_of(&range, sizeof range));
    crc = crc32c_extend(
        crc, bytes_of(store_index_header_toc(h), sizeof(struct tsdb_index_toc)));
    for (size_t i = 0; i < n->pair_count; i++) {
        bool found = false;
        range = (struct store_posting_range){0};
        if (!store_index_header_find(h, n->pairs[i].name, n->pairs[i].value, &found,
                                     &range, &err))
            return 0;
        crc = crc32c_extend(crc, bytes_of(&range, sizeof range));
    }
    for (size_t i = 0; i < n->symbol_count; i++) {
        struct bytes text = {0};
        if (!store_index_header_symbol(h, n->refs[i], &f->arena, &text, &err))
            return 0;
        crc = crc32c_extend(crc, text);
    }
    arena_reset(&f->arena);
    return crc;
}

static void
check_damaged(struct fixture *f, struct bytes file, const struct naive *n,
              uint32_t right)
{
    struct store_index_source source = source_of(f, n->text.len);
    CLEANUP(store_index_header_free) struct store_index_header *h = NULL;
    source.bucket = NULL;
    FILE *out = fopen(f->path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(file.at, 1, file.len, out), file.len);
    fclose(out);
    if (!store_index_header_open(&h, &source, f->path, f->cache, &err)) {
        assert_int_equal(err.code, ERR_CORRUPT);
        return;
    }
    uint32_t got = fingerprint(f, h, n);
    if (got == 0)
        assert_int_equal(err.code, ERR_CORRUPT);
    else
        assert_int_equal(got, right);
}

static void
never_answers_wrongly_from_a_damaged_file(void **state)
{
    struct fixture *f = *state;
    CLEANUP(naive_fini) struct naive n;
    CLEANUP(buf_fini) struct buf text = {0}, file = {0};
    CLEANUP(xfree) char *copy = xasprintf("%s/index", f->dir);
    put_golden(f, &text);
    naive_read(&n, copy);
    struct store_index_header *h = build(f, n.text.len);
    uint32_t right = fingerprint(f, h, &n);
    assert_int_not_equal(right, 0);
    store_index_header_free(&h);
    expect_ok(file_read_all(f->path, SIZE_MAX / 2, &file, &err), err);
    for (size_t len = 0; len < file.len; len += len < 200 ? 1 : 997)
        check_damaged(f, bytes_of(file.at, len), &n, right);
    for (size_t bit = 0; bit < 8 * file.len; bit += bit < 2000 ? 7 : 1009) {
        file.at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        check_damaged(f, buf_bytes(&file), &n, right);
        file.at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

static void
builds_a_damaged_or_missing_file_again(void **state)
{
    struct fixture *f = *state;
    CLEANUP(naive_fini) struct naive n;
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(xfree) char *copy = xasprintf("%s/index", f->dir);
    struct store_index_source source = source_of(f, put_golden(f, &text));
    naive_read(&n, copy);
    for (size_t round = 0; round < 3; round++) {
        store_index_header_free(&(struct store_index_header *){build(f, n.text.len)});
        struct store_index_header *h = NULL;
        expect_ok(store_index_header_open(&h, &source, f->path, f->cache, &err), err);
        if (round == 0)
            assert_int_equal(truncate(f->path, STORE_PAGE_SIZE / 2), 0);
        else if (round == 1)
            assert_int_equal(unlink(f->path), 0);
        check_pairs(h, &n);
        check_symbols(f, h, &n);
        store_index_header_free(&h);
    }
}

static void
fails_when_the_index_has_changed_meanwhile(void **state)
{
    struct fixture *f = *state;
    CLEANUP(xfree) char *path = xasprintf("%s/index", f->dir);
    struct stat st;
    bool has;
    make_index(path, 2, 10);
    assert_int_equal(stat(path, &st), 0);
    CLEANUP(store_index_header_free)
    struct store_index_header *h = build(f, (uint64_t)st.st_size);
    make_index(path, 1, 10);
    assert_int_equal(unlink(f->path), 0);
    expect_fails(store_index_header_has_name(h, BYTES("a"), &has, &err), err,
                 ERR_CORRUPT);
}

static void
refuses_a_file_of_another_index(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_fini) struct buf text = {0};
    struct store_index_source source = source_of(f, put_golden(f, &text));
    struct store_index_header *h = build(f, source.size);
    store_index_header_free(&h);
    source.size++;
    expect_fails(store_index_header_open(&h, &source, f->path, f->cache, &err), err,
                 ERR_CORRUPT);
    assert_int_equal(unlink(f->path), 0);
    expect_fails(store_index_header_open(&h, &source, f->path, f->cache, &err), err,
                 ERR_NOT_FOUND);
}

static size_t files_left;

static bool
count_file(void *arg, const char *name, struct err *e)
{
    (void)arg;
    (void)e;
    files_left += strcmp(name, "index") != 0;
    return true;
}

/* Neither table may differ in a bit from what was written. */
static void
builds_nothing_from_a_damaged_index(void **state)
{
    struct fixture *f = *state;
    CLEANUP(naive_fini) struct naive n;
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(xfree) char *copy = xasprintf("%s/index", f->dir);
    struct store_index_source source = source_of(f, put_golden(f, &text));
    naive_read(&n, copy);
    for (uint64_t at = 0; at < text.len; at += at < 600 ? 3 : 211) {
        bool is_read = at < n.toc.series || at >= n.toc.postings_table;
        if (!is_read)
            continue;
        text.at[at] ^= 1;
        expect_ok(file_replace(copy, buf_bytes(&text), &err), err);
        /* The version may become another one that exists. */
        if (store_index_header_build(&source, &forever, f->path, &err))
            assert_int_equal(at, 4);
        else
            assert_true(err.code == ERR_CORRUPT || err.code == ERR_UNSUPPORTED);
        text.at[at] ^= 1;
    }
    unlink(f->path);
    files_left = 0;
    expect_ok(file_list(f->dir, count_file, NULL, &err), err);
    assert_int_equal(files_left, 0);
}

static void
reports_what_the_bucket_says(void **state)
{
    struct fixture *f = *state;
    CLEANUP(xfree) char *path = xasprintf("%s/index", f->dir);
    struct stat st;
    make_index(path, 2, MADE_SERIES);
    assert_int_equal(stat(path, &st), 0);
    struct store_index_source source = source_of(f, (uint64_t)st.st_size);
    for (unsigned call = 1; call <= 3; call++) {
        faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_GET,
                                                          .first = call,
                                                          .times = 1,
                                                          .how = FAULTY_CUT,
                                                          .code = ERR_UNAVAILABLE});
        expect_fails(store_index_header_build(&source, &forever, f->path, &err), err,
                     ERR_UNAVAILABLE);
        faulty_bucket_heal(f->bucket);
        faulty_bucket_add(f->bucket, (struct faulty_rule){.ops = FAULTY_GET,
                                                          .first = call,
                                                          .times = 1,
                                                          .how = FAULTY_TRUNCATE});
        expect_fails(store_index_header_build(&source, &forever, f->path, &err), err,
                     ERR_CORRUPT);
        faulty_bucket_heal(f->bucket);
    }
    source.key = "nothing";
    expect_fails(store_index_header_build(&source, &forever, f->path, &err), err,
                 ERR_NOT_FOUND);
}

static void
stays_inside_its_budget(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(xfree) char *path = xasprintf("%s/index", f->dir);
    struct stat st;
    make_index(path, 1, 1000);
    assert_int_equal(stat(path, &st), 0);
    struct store_index_source source = source_of(f, (uint64_t)st.st_size);
    for (size_t limit = 0; limit < 200 * 1024; limit += 10 * 1024) {
        struct budget budget;
        budget_init(&budget, "build", limit, NULL);
        source.budget = &budget;
        if (!store_index_header_build(&source, &forever, f->path, &err))
            assert_int_equal(err.code, ERR_BUDGET);
        budget_fini(&budget);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(knows_what_real_indexes_hold),
        TEST(knows_what_large_indexes_hold),
        TEST(builds_in_memory_that_does_not_grow),
        TEST(never_answers_wrongly_from_a_damaged_file),
        TEST(builds_a_damaged_or_missing_file_again),
        TEST(fails_when_the_index_has_changed_meanwhile),
        TEST(refuses_a_file_of_another_index),
        TEST(builds_nothing_from_a_damaged_index),
        TEST(reports_what_the_bucket_says),
        TEST(stays_inside_its_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
