/* SPDX-License-Identifier: Apache-2.0 */
/* An index header file whose checksums are right and whose content is anything.
 *
 * Input: for each section a BE16 length, then the sections without their padding. The
 * harness lays them out in pages and puts their true sizes into the head. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/cursor.h"
#include "common/base/file.h"
#include "common/base/num.h"
#include "store/index_header_format.h"
#include "store/page_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZES_AT = STORE_HEADER_HEAD_SIZE - 8 * (STORE_HEADER_SECTIONS - 1) };

static void
put_pages(int fd, struct bytes head, const struct bytes *sections)
{
    struct err err;
    struct budget budget;
    struct store_page_writer w = {0};
    budget_init(&budget, "pages", SIZE_MAX, NULL);
    CHECK(store_page_writer_open_at(&w, fd, "memory", &budget, &err));
    CHECK(store_page_writer_put(&w, head, &err));
    for (size_t i = 1; i < STORE_HEADER_SECTIONS; i++)
        CHECK(store_page_writer_put(&w, sections[i], &err));
    CHECK(store_page_writer_end(&w, &err));
    store_page_writer_fini(&w);
    budget_fini(&budget);
}

/* Write the file; returns the size of the index that it claims to be of. */
static uint64_t
put_file(int fd, struct bytes input)
{
    struct cursor c = cursor_of(input);
    uint8_t head[STORE_HEADER_HEAD_SIZE] = {0};
    uint16_t lengths[STORE_HEADER_SECTIONS];
    struct bytes sections[STORE_HEADER_SECTIONS];
    for (size_t i = 0; i < STORE_HEADER_SECTIONS; i++)
        lengths[i] = cursor_be16(&c);
    for (size_t i = 0; i < STORE_HEADER_SECTIONS; i++)
        sections[i] = cursor_take(&c, NUM_MIN(lengths[i], c.rest.len));
    size_t known = NUM_MIN(sections[STORE_HEADER_HEAD].len, sizeof head);
    if (known > 0)
        memcpy(head, sections[STORE_HEADER_HEAD].at, known);
    for (size_t i = 1; i < STORE_HEADER_SECTIONS; i++)
        be64_store(head + SIZES_AT + 8 * (i - 1), sections[i].len);
    put_pages(fd, bytes_of(head, sizeof head), sections);
    return be64_load(head + 8);
}

static bool
touch(void *arg, struct bytes value, struct store_posting_range range, struct err *err)
{
    size_t *calls = arg;
    (void)err;
    CHECK(value.len == 0 || value.at != NULL);
    CHECK(range.offset + range.len >= range.offset);
    return ++*calls < 1000 || err_set(err, ERR_CANCELLED, "enough");
}

static void
ask(struct store_index_header *h, struct budget *budget)
{
    static const char *const names[] = {"", "__name__", "job", "zzz"};
    struct store_posting_range range;
    struct arena arena;
    struct bytes text;
    struct err err;
    bool found;
    arena_init(&arena, budget);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        size_t calls = 0;
        struct bytes name = bytes_of_str(names[i]);
        struct store_value_rows rows;
        if (store_index_header_rows(h, name, (struct bytes){0}, &rows, &err))
            (void)!store_index_header_scan(h, rows, touch, &calls, &err);
        if (store_index_header_rows(h, name, BYTES("a"), &rows, &err))
            (void)!store_index_header_scan(h, rows, touch, &calls, &err);
        (void)!store_index_header_find(h, name, BYTES("up"), &found, &range, &err);
        (void)!store_index_header_has_name(h, name, &found, &err);
    }
    for (uint32_t ref = 0; ref < 40; ref++)
        if (store_index_header_symbol(h, ref, &arena, &text, &err))
            CHECK(text.len == 0 || text.at[text.len - 1] <= UINT8_MAX);
    (void)!store_index_header_symbol(h, UINT32_MAX, &arena, &text, &err);
    arena_fini(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct budget budget;
    struct store_index_header *h = NULL;
    struct err err;
    char path[32];
    int fd = memfd_create("header", MFD_CLOEXEC);
    CHECK(fd >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    budget_init(&budget, "fuzz", (size_t)8 << 20, NULL);
    struct store_page_cache *cache = store_page_cache_new(0, &budget);
    struct store_index_source source = {
        .key = "index", .size = put_file(fd, bytes_of(data, size)), .budget = &budget};
    if (store_index_header_open(&h, &source, path, cache, &err))
        ask(h, &budget);
    store_index_header_free(&h);
    store_page_cache_free(&cache);
    budget_fini(&budget);
    close(fd);
    return 0;
}
