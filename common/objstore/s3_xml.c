/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/s3_xml.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/quantity.h"
#include "common/objstore/bucket_priv.h"
#include "common/objstore/xml.h"

enum { MAX_OBJECTS = 10000 }; /* of a page; 1000 are asked for */

struct entry {
    size_t key_at; /* into keys */
    size_t key_len;
    struct objstore_attrs attrs;
    bool has_key, has_size, has_mtime;
};

struct objstore_s3_page {
    struct objstore_xml xml; /* first: handlers get it and mean the page */
    bool in_contents;
    enum objstore_s3_paging paging;
    bool is_encoded;
    bool is_truncated;
    bool has_truncated;    /* the page says whether it is the last one */
    struct entry *entries; /* the last one is still being filled in in_contents */
    size_t count;
    size_t cap;
    struct buf keys;
    struct buf token;
};

static struct objstore_s3_page *
page_of(struct objstore_xml *xml)
{
    return (struct objstore_s3_page *)xml;
}

static bool
is(const char *name, const char *expected)
{
    return strcmp(name, expected) == 0;
}

static void
begin_entry(struct objstore_s3_page *page)
{
    if (page->count == MAX_OBJECTS) {
        objstore_xml_stop(&page->xml, "there are too many objects");
        return;
    }
    if (page->count == page->cap) {
        page->cap = page->cap > 0 ? 2 * page->cap : 64;
        page->entries = xrealloc(page->entries, page->cap * sizeof *page->entries);
    }
    page->entries[page->count++] = (struct entry){0};
    page->in_contents = true;
}

static void
page_start(struct objstore_xml *xml, const char *name)
{
    struct objstore_s3_page *page = page_of(xml);
    if (xml->depth == 1 && !is(name, "ListBucketResult"))
        objstore_xml_stop(xml, "it is no listing");
    else if (xml->depth == 2 && is(name, "Contents"))
        begin_entry(page);
}

/* Without its quotes; one that is too long is as good as none. */
static void
set_etag(struct objstore_attrs *attrs, struct bytes text)
{
    if (text.len >= 2 && text.at[0] == '"' && text.at[text.len - 1] == '"')
        text = bytes_of(text.at + 1, text.len - 2);
    if (text.len < sizeof attrs->etag)
        snprintf(attrs->etag, sizeof attrs->etag, "%.*s", BYTES_FMT(text));
}

static void
set_key(struct objstore_s3_page *page, struct entry *entry, struct bytes text)
{
    entry->key_at = page->keys.len;
    entry->key_len = text.len;
    buf_put(&page->keys, text);
}

static void
end_field_of_entry(struct objstore_s3_page *page, const char *name, struct bytes text)
{
    struct entry *entry = &page->entries[page->count - 1];
    struct err ignored;
    if (is(name, "Key") && !entry->has_key) {
        set_key(page, entry, text);
        entry->has_key = text.len > 0;
    } else if (is(name, "Size")) {
        entry->has_size = objstore_parse_u64(text, &entry->attrs.size);
    } else if (is(name, "LastModified")) {
        entry->has_mtime =
            quantity_rfc3339((const char *)text.at, &entry->attrs.mtime_ms, &ignored);
    } else if (is(name, "ETag")) {
        set_etag(&entry->attrs, text);
    }
}

static void
end_entry(struct objstore_s3_page *page)
{
    const struct entry *entry = &page->entries[page->count - 1];
    page->in_contents = false;
    if (!entry->has_key || !entry->has_size || !entry->has_mtime)
        objstore_xml_stop(&page->xml, "an object has no key, size or time");
}

static void
end_field_of_page(struct objstore_s3_page *page, const char *name, struct bytes text)
{
    if (is(name, "IsTruncated")) {
        page->is_truncated = bytes_eq(text, BYTES("true"));
        page->has_truncated = page->is_truncated || bytes_eq(text, BYTES("false"));
    } else if (is(name, "EncodingType")) {
        page->is_encoded = bytes_eq(text, BYTES("url"));
    } else if (is(name, "NextContinuationToken") &&
               page->paging == OBJSTORE_S3_BY_TOKEN) {
        buf_clear(&page->token);
        buf_put(&page->token, text);
    }
}

static void
page_end(struct objstore_xml *xml, const char *name, struct bytes text)
{
    struct objstore_s3_page *page = page_of(xml);
    if (page->in_contents && xml->depth == 3)
        end_field_of_entry(page, name, text);
    else if (page->in_contents && xml->depth == 2)
        end_entry(page);
    else if (xml->depth == 2)
        end_field_of_page(page, name, text);
}

struct objstore_s3_page *
objstore_s3_page_new(enum objstore_s3_paging paging)
{
    struct objstore_s3_page *page = xcalloc(1, sizeof *page);
    page->paging = paging;
    objstore_xml_init(&page->xml, page_start, page_end);
    return page;
}

void
objstore_s3_page_free(struct objstore_s3_page **page)
{
    if (*page == NULL)
        return;
    objstore_xml_fini(&(*page)->xml);
    free((*page)->entries);
    buf_fini(&(*page)->keys);
    buf_fini(&(*page)->token);
    free(TAKE(*page));
}

bool
objstore_s3_page_sink(void *arg, struct bytes piece, struct err *err)
{
    struct objstore_s3_page *page = arg;
    return objstore_xml_feed(&page->xml, piece, false, err);
}

static int
hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode a key of encoding-type=url in place: %XX, and "+" for a blank. */
static bool
decode(uint8_t *at, size_t *len)
{
    size_t out = 0;
    for (size_t in = 0; in < *len; in++) {
        uint8_t c = at[in];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = *len - in > 2 ? hex_value(at[in + 1]) : -1;
            int low = *len - in > 2 ? hex_value(at[in + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (uint8_t)(high << 4 | low);
            in += 2;
        }
        at[out++] = c;
    }
    *len = out;
    return true;
}

static bool
decode_keys(struct objstore_s3_page *page, struct err *err)
{
    for (size_t i = 0; page->is_encoded && i < page->count; i++) {
        struct entry *entry = &page->entries[i];
        if (!decode(page->keys.at + entry->key_at, &entry->key_len))
            return err_set(err, ERR_CORRUPT, "bad listing: a key is badly encoded");
    }
    return true;
}

/* The last key is the marker: servers name a next one with delimiters only. */
static bool
find_next(struct objstore_s3_page *page, struct err *err)
{
    if (!page->has_truncated)
        return err_set(err, ERR_CORRUPT, "bad listing: it does not say if it is cut");
    if (!page->is_truncated) {
        buf_clear(&page->token);
    } else if (page->paging == OBJSTORE_S3_BY_MARKER && page->count > 0) {
        const struct entry *last = &page->entries[page->count - 1];
        buf_clear(&page->token);
        buf_put(&page->token, bytes_of(page->keys.at + last->key_at, last->key_len));
    }
    return !page->is_truncated || page->token.len > 0 ||
           err_set(err, ERR_CORRUPT, "bad listing: it is cut without %s",
                   page->paging == OBJSTORE_S3_BY_MARKER ? "an object" : "a token");
}

bool
objstore_s3_page_finish(struct objstore_s3_page *page, struct err *err)
{
    return objstore_xml_feed(&page->xml, (struct bytes){0}, true, err) &&
           decode_keys(page, err) && find_next(page, err);
}

size_t
objstore_s3_page_count(const struct objstore_s3_page *page)
{
    return page->count;
}

struct objstore_object
objstore_s3_page_object(const struct objstore_s3_page *page, size_t i)
{
    CHECK(i < page->count);
    const struct entry *entry = &page->entries[i];
    return (struct objstore_object){
        .key = bytes_of(page->keys.at + entry->key_at, entry->key_len),
        .attrs = entry->attrs,
    };
}

struct bytes
objstore_s3_page_next(const struct objstore_s3_page *page)
{
    return buf_bytes(&page->token);
}

struct fields_parser {
    struct objstore_xml xml; /* first: handlers get it and mean the whole */
    const char *root;
    const struct objstore_s3_field *fields;
    size_t count;
    bool is_cut; /* a text did not fit */
};

static void
fields_start(struct objstore_xml *xml, const char *name)
{
    const struct fields_parser *parser = (const struct fields_parser *)xml;
    if (xml->depth == 1 && !is(name, parser->root))
        objstore_xml_stop(xml, "it is another document");
}

/* Whether all of text fits. */
static bool
put_clean(char *into, size_t size, struct bytes text)
{
    size_t len = NUM_MIN(text.len, size - 1);
    for (size_t i = 0; i < len; i++)
        into[i] = text.at[i] < 0x20 || text.at[i] == 0x7f ? ' ' : (char)text.at[i];
    into[len] = 0;
    return len == text.len;
}

static void
fields_end(struct objstore_xml *xml, const char *name, struct bytes text)
{
    struct fields_parser *parser = (struct fields_parser *)xml;
    for (size_t i = 0; xml->depth <= 2 && i < parser->count; i++)
        if (is(name, parser->fields[i].name) &&
            !put_clean(parser->fields[i].into, parser->fields[i].size, text))
            parser->is_cut = true;
}

/* What came before a cut stays. */
static bool
parse_fields(struct fields_parser *parser, struct bytes body, struct err *err)
{
    for (size_t i = 0; i < parser->count; i++)
        parser->fields[i].into[0] = 0;
    objstore_xml_init(&parser->xml, fields_start, fields_end);
    bool whole = objstore_xml_feed(&parser->xml, body, true, err);
    objstore_xml_fini(&parser->xml);
    return whole;
}

bool
objstore_s3_fields(struct bytes body, const char *root,
                   const struct objstore_s3_field *fields, size_t count,
                   struct err *err)
{
    struct fields_parser parser = {.root = root, .fields = fields, .count = count};
    if (!parse_fields(&parser, body, err))
        return false;
    return !parser.is_cut || err_set(err, ERR_CORRUPT, "bad XML: a text is too long");
}

void
objstore_s3_error_parse(struct bytes body, struct objstore_s3_error *error)
{
    const struct objstore_s3_field fields[] = {
        {"Code", error->code, sizeof error->code},
        {"Message", error->message, sizeof error->message},
        {"RequestId", error->request_id, sizeof error->request_id},
        {"Region", error->region, sizeof error->region},
    };
    struct fields_parser parser = {
        .root = "Error", .fields = fields, .count = ARRAY_LEN(fields)};
    struct err ignored;
    bool whole = parse_fields(&parser, body, &ignored);
    (void)whole;
}

struct uploads_parser {
    struct objstore_xml xml; /* first: handlers get it and mean the whole */
    objstore_s3_upload_fn *fn;
    void *arg;
    struct buf key;
    struct buf id;
};

static void
uploads_start(struct objstore_xml *xml, const char *name)
{
    struct uploads_parser *parser = (struct uploads_parser *)xml;
    if (xml->depth == 1 && !is(name, "ListMultipartUploadsResult"))
        objstore_xml_stop(xml, "it is no list of uploads");
    if (xml->depth == 2) {
        buf_clear(&parser->key);
        buf_clear(&parser->id);
    }
}

static void
uploads_end(struct objstore_xml *xml, const char *name, struct bytes text)
{
    struct uploads_parser *parser = (struct uploads_parser *)xml;
    if (xml->depth == 3 && is(name, "Key"))
        buf_put(&parser->key, text);
    else if (xml->depth == 3 && is(name, "UploadId"))
        buf_put(&parser->id, text);
    else if (xml->depth == 2 && is(name, "Upload"))
        parser->fn(parser->arg, buf_bytes(&parser->key), buf_bytes(&parser->id));
}

bool
objstore_s3_uploads(struct bytes body, objstore_s3_upload_fn *fn, void *arg,
                    struct err *err)
{
    struct uploads_parser parser = {.fn = fn, .arg = arg};
    objstore_xml_init(&parser.xml, uploads_start, uploads_end);
    bool ok = objstore_xml_feed(&parser.xml, body, true, err);
    objstore_xml_fini(&parser.xml);
    buf_fini(&parser.key);
    buf_fini(&parser.id);
    return ok;
}
