/* SPDX-License-Identifier: Apache-2.0 */
#include "store/index_header_format.h"

#include "store/page_writer.h"

static const uint32_t MAGIC = 0x42485802; /* "BHX", version 2 */

enum { TOC_AT = 16, ALL_AT = 64, SIZES_AT = 80 };

_Static_assert(SIZES_AT + 8 * (STORE_HEADER_SECTIONS - 1) == STORE_HEADER_HEAD_SIZE,
               "one size per section behind the head");

/* The TOC as a row of numbers, in the order of the file. */
static void
toc_store(const struct tsdb_index_toc *toc, uint8_t *at)
{
    const uint64_t numbers[] = {toc->symbols,       toc->series,
                                toc->label_indices, toc->label_index_table,
                                toc->postings,      toc->postings_table};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        be64_store(at + 8 * i, numbers[i]);
}

static struct tsdb_index_toc
toc_load(const uint8_t *at)
{
    return (struct tsdb_index_toc){.symbols = be64_load(at),
                                   .series = be64_load(at + 8),
                                   .label_indices = be64_load(at + 16),
                                   .label_index_table = be64_load(at + 24),
                                   .postings = be64_load(at + 32),
                                   .postings_table = be64_load(at + 40)};
}

void
store_header_print_head(const struct store_header_layout *l,
                        uint8_t head[STORE_HEADER_HEAD_SIZE])
{
    be32_store(head, MAGIC);
    be32_store(head + 4, (uint32_t)l->index_version);
    be64_store(head + 8, l->index_size);
    toc_store(&l->toc, head + TOC_AT);
    be64_store(head + ALL_AT, l->all.offset);
    be64_store(head + ALL_AT + 8, l->all.len);
    for (size_t i = 1; i < STORE_HEADER_SECTIONS; i++)
        be64_store(head + SIZES_AT + 8 * (i - 1), l->sizes[i]);
}

/* Place the sections; whether they make up a file of that size. */
static bool
lay_out(struct store_header_layout *l, uint64_t file_size)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < STORE_HEADER_SECTIONS; i++) {
        if (l->sizes[i] > file_size)
            return false;
        l->offsets[i] = offset;
        offset += l->sizes[i];
    }
    return file_size % STORE_PAGE_SIZE == 0 &&
           file_size / STORE_PAGE_SIZE == store_page_count(offset);
}

static bool
is_whole_rows(const struct store_header_layout *l)
{
    return l->sizes[STORE_HEADER_SYMBOL_OFFSETS] % STORE_HEADER_SYMBOL_WIDTH == 0 &&
           l->sizes[STORE_HEADER_NAMES] % STORE_HEADER_NAME_WIDTH == 0 &&
           l->sizes[STORE_HEADER_VALUES] % STORE_HEADER_VALUE_WIDTH == 0;
}

bool
store_header_parse_head(struct store_header_layout *l,
                        const uint8_t head[STORE_HEADER_HEAD_SIZE], uint64_t file_size,
                        struct err *err)
{
    uint32_t version = be32_load(head + 4);
    if (be32_load(head) != MAGIC)
        return err_set(err, ERR_CORRUPT, "not an index header of this version");
    if (version < 1 || version > 3)
        return err_set(err, ERR_CORRUPT, "index header of index version %u", version);
    *l = (struct store_header_layout){
        .index_version = (int)version,
        .index_size = be64_load(head + 8),
        .toc = toc_load(head + TOC_AT),
        .all = {be64_load(head + ALL_AT), be64_load(head + ALL_AT + 8)},
        .sizes = {[STORE_HEADER_HEAD] = STORE_HEADER_HEAD_SIZE}};
    for (size_t i = 1; i < STORE_HEADER_SECTIONS; i++)
        l->sizes[i] = be64_load(head + SIZES_AT + 8 * (i - 1));
    if (!lay_out(l, file_size) || !is_whole_rows(l))
        return err_set(err, ERR_CORRUPT, "index header of impossible size %llu",
                       (unsigned long long)file_size);
    return true;
}

static void
text_store(struct store_header_text text, uint8_t *row)
{
    be32_store(row, text.at);
    be32_store(row + 4, text.len);
}

void
store_header_print_name(const struct store_header_name *n,
                        uint8_t row[STORE_HEADER_NAME_WIDTH])
{
    text_store(n->text, row);
    be32_store(row + 8, n->first);
    be32_store(row + 12, n->count);
}

void
store_header_print_value(const struct store_header_value *v,
                         uint8_t row[STORE_HEADER_VALUE_WIDTH])
{
    text_store(v->text, row);
    be64_store(row + 8, v->postings.offset);
    be32_store(row + 16, (uint32_t)v->postings.len);
}

struct store_header_text
store_header_parse_text(const uint8_t *row)
{
    return (struct store_header_text){be32_load(row), be32_load(row + 4)};
}

struct store_header_name
store_header_parse_name(const uint8_t row[STORE_HEADER_NAME_WIDTH])
{
    return (struct store_header_name){store_header_parse_text(row), be32_load(row + 8),
                                      be32_load(row + 12)};
}

struct store_header_value
store_header_parse_value(const uint8_t row[STORE_HEADER_VALUE_WIDTH])
{
    return (struct store_header_value){store_header_parse_text(row),
                                       {be64_load(row + 8), be32_load(row + 16)}};
}
