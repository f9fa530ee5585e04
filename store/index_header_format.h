/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of an index header file <ULID>.bhx: a sequence of pages (page_cache.h), in
 * which the sections follow each other without gaps: that of a small block is one page.
 * Offsets below are logical: page data only. All integers are big-endian.
 *
 *   section          content
 *   HEAD             0  u32 magic "BHX", version of this format
 *                    4  u32 version of the index
 *                    8  u64 size of the index
 *                    16 u64 x 6 its TOC, in the order of struct tsdb_index_toc
 *                    64 u64 offset, u64 length of the list of all series
 *                    80 u64 x 5 bytes of the sections that follow
 *   SYMBOLS          the symbol table as it stands in the index, from its length field
 *   SYMBOL_OFFSETS   u32 per ordinal: position of the symbol behind the length field.
 *                    Empty for index version 1, whose references are positions
 *   NAMES            16 bytes per label name, ascending: u32 x 2 where its text stands
 *                    in TEXTS and its length, u32 its first value, u32 their number
 *   VALUES           20 bytes per label pair, ascending by name and value: u32 x 2 text
 *                    of the value, u64 offset and u32 length of its postings list
 *   TEXTS            names and values, each name in front of its values, no separators
 *
 * Written by index_header_build.c, read by index_header.c. Another layout needs another
 * version: files of other versions are built anew. */
#ifndef STORE_INDEX_HEADER_FORMAT_H
#define STORE_INDEX_HEADER_FORMAT_H

#include "store/index_header.h"

enum store_header_section {
    STORE_HEADER_HEAD,
    STORE_HEADER_SYMBOLS,
    STORE_HEADER_SYMBOL_OFFSETS,
    STORE_HEADER_NAMES,
    STORE_HEADER_VALUES,
    STORE_HEADER_TEXTS,
    STORE_HEADER_SECTIONS
};

enum {
    STORE_HEADER_HEAD_SIZE = 120,
    STORE_HEADER_SYMBOL_WIDTH = 4,
    STORE_HEADER_NAME_WIDTH = 16,
    STORE_HEADER_VALUE_WIDTH = 20
};

/* What the head says. */
struct store_header_layout {
    int index_version;
    uint64_t index_size;
    struct tsdb_index_toc toc;
    struct store_posting_range all;
    uint64_t sizes[STORE_HEADER_SECTIONS];
    uint64_t offsets[STORE_HEADER_SECTIONS]; /* of each; follow from sizes */
};

/* A text inside TEXTS; rows of NAMES and of VALUES begin with it. */
struct store_header_text {
    uint32_t at;
    uint32_t len;
};

struct store_header_name {
    struct store_header_text text;
    uint32_t first; /* row of VALUES */
    uint32_t count;
};

struct store_header_value {
    struct store_header_text text;
    struct store_posting_range postings; /* its length fits 32 bits */
};

void store_header_print_head(const struct store_header_layout *l,
                             uint8_t head[STORE_HEADER_HEAD_SIZE]);

/* Read the head of a file of file_size bytes.
 * Errors ERR_CORRUPT: another format or version, or sections that do not make up the
 * file. *l is then undefined. */
NODISCARD bool store_header_parse_head(struct store_header_layout *l,
                                       const uint8_t head[STORE_HEADER_HEAD_SIZE],
                                       uint64_t file_size, struct err *err);

void store_header_print_name(const struct store_header_name *n,
                             uint8_t row[STORE_HEADER_NAME_WIDTH]);
void store_header_print_value(const struct store_header_value *v,
                              uint8_t row[STORE_HEADER_VALUE_WIDTH]);

struct store_header_text store_header_parse_text(const uint8_t *row);
struct store_header_name
store_header_parse_name(const uint8_t row[STORE_HEADER_NAME_WIDTH]);
struct store_header_value
store_header_parse_value(const uint8_t row[STORE_HEADER_VALUE_WIDTH]);

#endif
