/* SPDX-License-Identifier: Apache-2.0 */
/* Postings: the table of their lists and beside it the lists, and the obsolete sections
 * around them. */
#include <inttypes.h>
#include <stdio.h>

#include "common/base/num.h"
#include "common/codec/crc32c.h"
#include "common/tsdb/block_verify_priv.h"
#include "common/tsdb/labels.h"
#include "common/tsdb/postings.h"

enum { LENGTH_SIZE = 4, CRC_SIZE = 4, COUNT_SIZE = 4, SECTION_ALIGN = 4 };
enum { REF_SIZE = sizeof(tsdb_ref) };

struct walk {
    struct tsdb_verify_state *v;
    struct buf last_name; /* of the row before */
    struct buf last_value;
    uint64_t rows;
    bool has_all;       /* the list of all series */
    bool is_whole;      /* each list could be read */
    uint64_t all_count; /* its length */
    uint64_t postings;  /* in all other lists */
    uint64_t digest;
};

/* One list while it is read. */
struct list {
    const struct tsdb_index_posting_row *row;
    uint64_t count;
    uint64_t digest;
    uint32_t name_crc;
    uint32_t value_crc;
    uint32_t last; /* reference; 0 before the first */
    /* The first reference that is wrong, and why; told once the checksum is right. */
    const char *wrong;
    uint32_t wrong_ref;
};

/* A section of the obsolete kinds: only its checksum. Returns the offset behind it, or
 * limit when it is broken. */
static uint64_t
check_obsolete_section(struct tsdb_verify_state *v, uint64_t at, uint64_t limit)
{
    uint32_t crc = 0;
    struct bytes head =
        tsdb_verify_peek(v, &v->index, TSDB_VERIFY_INDEX, at, LENGTH_SIZE);
    if (tsdb_verify_is_over(v))
        return limit;
    uint64_t len = be32_load(head.at), size = LENGTH_SIZE + len + CRC_SIZE;
    if (size > limit - at) {
        tsdb_verify_find(v, TSDB_VERIFY_INDEX, at, "the label index is cut");
        return limit;
    }
    uint64_t body = at + LENGTH_SIZE, end = body + len;
    while (body < end && !tsdb_verify_is_over(v)) {
        struct bytes piece = tsdb_verify_peek(v, &v->index, TSDB_VERIFY_INDEX, body, 1);
        piece.len = (size_t)NUM_MIN(piece.len, end - body);
        crc = crc32c_extend(crc, piece);
        body += piece.len;
    }
    struct bytes tail =
        tsdb_verify_peek(v, &v->index, TSDB_VERIFY_INDEX, end, CRC_SIZE);
    if (!tsdb_verify_is_over(v) && be32_load(tail.at) != crc)
        tsdb_verify_find(v, TSDB_VERIFY_INDEX, at, "label index checksum mismatch");
    return at + size;
}

/* Sections one behind the other, each from a multiple of SECTION_ALIGN on. */
static void
check_obsolete(struct tsdb_verify_state *v, uint64_t at, uint64_t limit)
{
    for (; at < limit && !tsdb_verify_is_over(v);
         at = check_obsolete_section(v, at, limit)) {
        at = (at + SECTION_ALIGN - 1) / SECTION_ALIGN * SECTION_ALIGN;
        if (at >= limit)
            return;
    }
}

static void
find_in_list(struct walk *w, const struct list *list, const char *what)
{
    const struct tsdb_index_posting_row *row = list->row;
    const struct tsdb_label label = {row->name, row->value};
    CLEANUP(buf_fini) struct buf text = {0};
    tsdb_labels_print((struct tsdb_labels){&label, row->name.len > 0 ? 1 : 0}, &text);
    tsdb_verify_find(w->v, TSDB_VERIFY_INDEX, row->offset, "postings of %s: %s",
                     buf_text(&text), what);
    w->is_whole = false;
}

static void
take_ref(struct tsdb_verify_state *v, struct list *list, uint32_t ref)
{
    uint64_t unit = tsdb_verify_series_unit(v), at = ref * unit;
    uint64_t begin = tsdb_verify_series_begin(v);
    const char *wrong = NULL;
    if (ref <= list->last)
        wrong = "do not ascend";
    else if (at < begin || !tsdb_verify_bits_has(&v->series_bits, (at - begin) / unit))
        wrong = "refer to no series";
    if (wrong != NULL && list->wrong == NULL) {
        list->wrong = wrong;
        list->wrong_ref = ref;
    }
    list->last = ref;
    list->digest += tsdb_verify_posting_digest(list->name_crc, list->value_crc, ref);
}

/* Read the references and the checksum behind them. */
static void
read_list(struct walk *w, struct list *list)
{
    struct tsdb_verify_state *v = w->v;
    uint64_t at = list->row->offset + LENGTH_SIZE;
    uint64_t end = at + COUNT_SIZE + list->count * REF_SIZE;
    struct bytes piece =
        tsdb_verify_peek(v, &v->other, TSDB_VERIFY_INDEX, at, COUNT_SIZE);
    uint32_t crc = crc32c(bytes_of(piece.at, NUM_MIN(piece.len, (size_t)COUNT_SIZE)));
    at += COUNT_SIZE;
    while (at < end && !tsdb_verify_is_over(v)) {
        piece = tsdb_verify_peek(v, &v->other, TSDB_VERIFY_INDEX, at, REF_SIZE);
        piece.len = (size_t)NUM_MIN(piece.len, end - at) / REF_SIZE * REF_SIZE;
        crc = crc32c_extend(crc, piece);
        for (size_t i = 0; i < piece.len; i += REF_SIZE)
            take_ref(v, list, be32_load(piece.at + i));
        at += piece.len;
    }
    piece = tsdb_verify_peek(v, &v->other, TSDB_VERIFY_INDEX, end, CRC_SIZE);
    if (tsdb_verify_is_over(v))
        return;
    if (be32_load(piece.at) != crc) {
        find_in_list(w, list, "checksum mismatch");
    } else if (list->wrong != NULL && v->has_series) {
        char what[64];
        snprintf(what, sizeof what, "%s: %" PRIu32, list->wrong, list->wrong_ref);
        find_in_list(w, list, what);
    }
}

/* Its length field and count, against the room up to the end of the lists. */
static bool
read_list_head(struct walk *w, struct list *list)
{
    struct tsdb_verify_state *v = w->v;
    uint64_t at = list->row->offset, end = tsdb_index_postings_end(&v->toc);
    if (at < v->toc.postings || at >= end ||
        end - at < LENGTH_SIZE + COUNT_SIZE + CRC_SIZE) {
        find_in_list(w, list, "outside the section of postings");
        return false;
    }
    struct bytes head =
        tsdb_verify_peek(v, &v->other, TSDB_VERIFY_INDEX, at, LENGTH_SIZE + COUNT_SIZE);
    if (tsdb_verify_is_over(v))
        return false;
    uint64_t len = be32_load(head.at);
    list->count = be32_load(head.at + LENGTH_SIZE);
    if (len != COUNT_SIZE + list->count * REF_SIZE ||
        len > end - at - LENGTH_SIZE - CRC_SIZE) {
        find_in_list(w, list, "length and count do not fit");
        return false;
    }
    return true;
}

static void
check_list(struct walk *w, const struct tsdb_index_posting_row *row)
{
    struct list list = {
        .row = row, .name_crc = crc32c(row->name), .value_crc = crc32c(row->value)};
    if (!read_list_head(w, &list))
        return;
    read_list(w, &list);
    if (row->name.len == 0 && row->value.len == 0) {
        w->has_all = true;
        w->all_count = list.count;
    } else {
        w->postings += list.count;
        w->digest += list.digest;
    }
}

static void
check_row_order(struct walk *w, const struct tsdb_index_posting_row *row)
{
    int order = bytes_cmp(buf_bytes(&w->last_name), row->name);
    if (order == 0)
        order = bytes_cmp(buf_bytes(&w->last_value), row->value);
    /* Version 1 wrote them in no order. */
    if (w->rows > 0 && order >= 0 && w->v->version != 1) {
        const struct list list = {.row = row};
        find_in_list(w, &list,
                     order == 0 ? "the row is there twice" : "the row is out of order");
    }
    buf_clear(&w->last_name);
    buf_clear(&w->last_value);
    buf_put(&w->last_name, row->name);
    buf_put(&w->last_value, row->value);
}

static bool
take_row(void *arg, const struct tsdb_index_posting_row *row, struct err *err)
{
    struct walk *w = arg;
    struct tsdb_verify_state *v = w->v;
    check_row_order(w, row);
    if (!buf_ok(&w->last_name, err) || !buf_ok(&w->last_value, err))
        return false;
    w->rows++;
    check_list(w, row);
    *err = v->failure;
    return !tsdb_verify_is_over(v);
}

/* Whether postings and series say the same. */
static void
compare(struct walk *w)
{
    struct tsdb_verify_state *v = w->v;
    uint64_t at = v->toc.postings_table;
    if (!v->has_series || !w->is_whole)
        return;
    if (!w->has_all && w->rows == 0 && v->totals.series == 0)
        return;
    if (!w->has_all)
        tsdb_verify_find(v, TSDB_VERIFY_INDEX, at, "there is no list of all series");
    else if (w->all_count != v->totals.series)
        tsdb_verify_find(v, TSDB_VERIFY_INDEX, at,
                         "the list of all series has %" PRIu64 " of %" PRIu64,
                         w->all_count, v->totals.series);
    if (!v->has_symbols)
        return;
    if (w->postings != v->label_pairs)
        tsdb_verify_find(v, TSDB_VERIFY_INDEX, at,
                         "%" PRIu64 " postings for the %" PRIu64
                         " label pairs of the series",
                         w->postings, v->label_pairs);
    else if (v->symbol_crcs.len > 0 && w->digest != v->label_digest)
        tsdb_verify_find(v, TSDB_VERIFY_INDEX, at,
                         "postings name other label pairs than the series have");
}

void
tsdb_verify_postings(struct tsdb_verify_state *v)
{
    const struct tsdb_index_toc *toc = &v->toc;
    CLEANUP(tsdb_index_table_fini) struct tsdb_index_table table = {0};
    struct walk w = {.v = v, .is_whole = true};
    if (toc->label_indices != 0)
        check_obsolete(v, toc->label_indices, toc->postings);
    if (toc->label_index_table != 0)
        check_obsolete(v, toc->label_index_table, toc->postings_table);
    buf_init(&w.last_name, v->how->budget);
    buf_init(&w.last_value, v->how->budget);
    tsdb_index_postings_begin(&table, take_row, &w, v->how->budget);
    uint64_t limit = v->how->files[TSDB_VERIFY_INDEX].size - TSDB_INDEX_TOC_SIZE;
    if (tsdb_verify_table(v, &table, toc->postings_table, limit))
        compare(&w);
    buf_fini(&w.last_name);
    buf_fini(&w.last_value);
}
