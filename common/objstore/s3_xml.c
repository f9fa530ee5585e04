/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/s3_xml.h"

#include <expat.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/quantity.h"
#include "common/objstore/bucket_priv.h"

enum {
    MAX_DEPTH = 8,
    MAX_TEXT = 8192,     /* a key of 1024 bytes, each as %XX, and then some */
    MAX_BODY = 32 << 20, /* of a page; 1000 objects make up to 4 MB */
    MAX_OBJECTS = 10000, /* of a page; 1000 are asked for */
};

/* Elements as they begin and end, with the text of those that have no children. */
struct sax {
    XML_Parser expat;
    void (*on_start)(struct sax *sax, const char *name);
    void (*on_end)(struct sax *sax, const char *name, struct bytes text);
    unsigned depth; /* of the current element; 1 is the root */
    size_t fed;
    struct buf text;
    const char *fault; /* why the parser was stopped */
};

static void
sax_stop(struct sax *sax, const char *fault)
{
    if (sax->fault == NULL)
        sax->fault = fault;
    XML_StopParser(sax->expat, XML_FALSE);
}

static void XMLCALL
expat_start(void *user, const XML_Char *name, const XML_Char **attributes)
{
    (void)attributes;
    struct sax *sax = user;
    if (sax->fault != NULL)
        return;
    if (sax->depth == MAX_DEPTH) {
        sax_stop(sax, "elements are nested too deeply");
        return;
    }
    sax->depth++;
    buf_clear(&sax->text);
    sax->on_start(sax, name);
}

static void XMLCALL
expat_end(void *user, const XML_Char *name)
{
    struct sax *sax = user;
    if (sax->fault != NULL)
        return;
    sax->on_end(sax, name, buf_bytes(&sax->text));
    buf_clear(&sax->text);
    sax->depth--;
}

static void XMLCALL
expat_text(void *user, const XML_Char *text, int len)
{
    struct sax *sax = user;
    if (sax->fault != NULL)
        return;
    if ((size_t)len > MAX_TEXT - sax->text.len)
        sax_stop(sax, "a text is too long");
    else
        buf_put(&sax->text, bytes_of(text, (size_t)len));
}

static void XMLCALL
expat_doctype(void *user, const XML_Char *name, const XML_Char *system_id,
              const XML_Char *public_id, int has_internal_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal_subset;
    sax_stop(user, "it has a document type");
}

static void
sax_init(struct sax *sax, void (*on_start)(struct sax *, const char *),
         void (*on_end)(struct sax *, const char *, struct bytes))
{
    *sax = (struct sax){.on_start = on_start, .on_end = on_end};
    sax->expat = XML_ParserCreate(NULL);
    CHECK(sax->expat != NULL);
    XML_SetUserData(sax->expat, sax);
    XML_SetElementHandler(sax->expat, expat_start, expat_end);
    XML_SetCharacterDataHandler(sax->expat, expat_text);
    XML_SetStartDoctypeDeclHandler(sax->expat, expat_doctype);
}

static void
sax_fini(struct sax *sax)
{
    XML_ParserFree(sax->expat);
    buf_fini(&sax->text);
}

static bool
sax_feed(struct sax *sax, struct bytes piece, bool is_last, struct err *err)
{
    if (piece.len > MAX_BODY - sax->fed)
        return err_set(err, ERR_CORRUPT, "bad XML: more than %d bytes", MAX_BODY);
    sax->fed += piece.len;
    if (XML_Parse(sax->expat, (const char *)piece.at, (int)piece.len, is_last) ==
        XML_STATUS_OK)
        return true;
    const char *reason =
        sax->fault != NULL ? sax->fault : XML_ErrorString(XML_GetErrorCode(sax->expat));
    return err_set(err, ERR_CORRUPT, "bad XML: line %lu: %s",
                   XML_GetCurrentLineNumber(sax->expat), reason);
}

struct entry {
    size_t key_at; /* into keys */
    size_t key_len;
    struct objstore_attrs attrs;
    bool has_key, has_size, has_mtime;
};

struct objstore_s3_page {
    struct sax sax; /* first: handlers get it and mean the page */
    bool in_contents;
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
page_of(struct sax *sax)
{
    return (struct objstore_s3_page *)sax;
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
        sax_stop(&page->sax, "there are too many objects");
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
page_start(struct sax *sax, const char *name)
{
    struct objstore_s3_page *page = page_of(sax);
    if (sax->depth == 1 && !is(name, "ListBucketResult"))
        sax_stop(sax, "it is no listing");
    else if (sax->depth == 2 && is(name, "Contents"))
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
        entry->has_mtime = quantity_rfc3339(buf_text(&page->sax.text),
                                            &entry->attrs.mtime_ms, &ignored);
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
        sax_stop(&page->sax, "an object has no key, size or time");
}

static void
end_field_of_page(struct objstore_s3_page *page, const char *name, struct bytes text)
{
    if (is(name, "IsTruncated")) {
        page->is_truncated = bytes_eq(text, BYTES("true"));
        page->has_truncated = page->is_truncated || bytes_eq(text, BYTES("false"));
    } else if (is(name, "EncodingType")) {
        page->is_encoded = bytes_eq(text, BYTES("url"));
    } else if (is(name, "NextContinuationToken")) {
        buf_clear(&page->token);
        buf_put(&page->token, text);
    }
}

static void
page_end(struct sax *sax, const char *name, struct bytes text)
{
    struct objstore_s3_page *page = page_of(sax);
    if (page->in_contents && sax->depth == 3)
        end_field_of_entry(page, name, text);
    else if (page->in_contents && sax->depth == 2)
        end_entry(page);
    else if (sax->depth == 2)
        end_field_of_page(page, name, text);
}

struct objstore_s3_page *
objstore_s3_page_new(void)
{
    struct objstore_s3_page *page = xcalloc(1, sizeof *page);
    sax_init(&page->sax, page_start, page_end);
    return page;
}

void
objstore_s3_page_free(struct objstore_s3_page **page)
{
    if (*page == NULL)
        return;
    sax_fini(&(*page)->sax);
    free((*page)->entries);
    buf_fini(&(*page)->keys);
    buf_fini(&(*page)->token);
    free(TAKE(*page));
}

bool
objstore_s3_page_feed(struct objstore_s3_page *page, struct bytes piece,
                      struct err *err)
{
    return sax_feed(&page->sax, piece, false, err);
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

bool
objstore_s3_page_finish(struct objstore_s3_page *page, struct err *err)
{
    if (!sax_feed(&page->sax, (struct bytes){0}, true, err))
        return false;
    if (!page->has_truncated)
        return err_set(err, ERR_CORRUPT, "bad listing: it does not say if it is cut");
    if (!page->is_truncated)
        buf_clear(&page->token);
    else if (page->token.len == 0)
        return err_set(err, ERR_CORRUPT, "bad listing: it is cut without a token");
    for (size_t i = 0; page->is_encoded && i < page->count; i++) {
        struct entry *entry = &page->entries[i];
        if (!decode(page->keys.at + entry->key_at, &entry->key_len))
            return err_set(err, ERR_CORRUPT, "bad listing: a key is badly encoded");
    }
    return true;
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

struct error_parser {
    struct sax sax; /* first: handlers get it and mean the whole */
    struct objstore_s3_error *error;
};

static void
error_start(struct sax *sax, const char *name)
{
    if (sax->depth == 1 && !is(name, "Error"))
        sax_stop(sax, "it is no error");
}

static void
put_clean(char *into, size_t size, struct bytes text)
{
    size_t len = NUM_MIN(text.len, size - 1);
    for (size_t i = 0; i < len; i++)
        into[i] = text.at[i] < 0x20 || text.at[i] == 0x7f ? ' ' : (char)text.at[i];
    into[len] = 0;
}

static void
error_end(struct sax *sax, const char *name, struct bytes text)
{
    struct objstore_s3_error *error = ((struct error_parser *)sax)->error;
    if (sax->depth == 2 && is(name, "Code"))
        put_clean(error->code, sizeof error->code, text);
    else if (sax->depth == 2 && is(name, "Message"))
        put_clean(error->message, sizeof error->message, text);
}

void
objstore_s3_error_parse(struct bytes body, struct objstore_s3_error *error)
{
    struct error_parser parser = {.error = error};
    struct err ignored;
    *error = (struct objstore_s3_error){0};
    sax_init(&parser.sax, error_start, error_end);
    /* What came before a cut is good enough for a message. */
    bool whole = sax_feed(&parser.sax, body, true, &ignored);
    (void)whole;
    sax_fini(&parser.sax);
}
