/* SPDX-License-Identifier: Apache-2.0 */
/* The XML answers of S3 that matter here: a page of a listing, and small documents.
 *
 * Nothing in them is trusted: document types and entities are refused, depth, text and
 * size are bounded. */
#ifndef COMMON_OBJSTORE_S3_XML_H
#define COMMON_OBJSTORE_S3_XML_H

#include "common/objstore/bucket.h"

/* How a listing goes on behind a page. */
enum objstore_s3_paging {
    OBJSTORE_S3_BY_TOKEN,  /* ListObjectsV2: with a token that the page names */
    OBJSTORE_S3_BY_MARKER, /* ListObjects: behind the last key of the page */
};

/* A page of a listing, fed piece by piece and complete before the first object of it is
 * looked at: a page whose end never came delivers nothing. */
struct objstore_s3_page;

struct objstore_s3_page *objstore_s3_page_new(enum objstore_s3_paging paging);

/* CLEANUP handler; accepts NULL inside. */
void objstore_s3_page_free(struct objstore_s3_page **page);

/* Parse the next piece of the body (net_http_sink_fn); arg is the page.
 * Errors ERR_CORRUPT: not XML, not a listing, beyond a bound. The page is then spent.
 */
NODISCARD bool objstore_s3_page_sink(void *page, struct bytes piece, struct err *err);

/* The body has ended. Errors ERR_CORRUPT: it is not complete, or a key is badly
 * encoded. Decodes the keys if the server says that it encoded them. */
NODISCARD bool objstore_s3_page_finish(struct objstore_s3_page *page, struct err *err);

/* After finish: the objects in the order of the page. The key lives as long as the
 * page; it need not be a valid one. */
size_t objstore_s3_page_count(const struct objstore_s3_page *page);
struct objstore_object objstore_s3_page_object(const struct objstore_s3_page *page,
                                               size_t i);

/* After finish: the token or marker of the next page, empty after the last page. */
struct bytes objstore_s3_page_next(const struct objstore_s3_page *page);

/* Element of a small document whose text is wanted. Control characters become blanks.
 */
struct objstore_s3_field {
    const char *name;
    char *into; /* "" if there is none */
    size_t size;
};

/* Find fields in a document with this root element: children of the root, or the root
 * itself.
 * Errors ERR_CORRUPT: not XML, another root, a text that does not fit. */
NODISCARD bool objstore_s3_fields(struct bytes body, const char *root,
                                  const struct objstore_s3_field *fields, size_t count,
                                  struct err *err);

/* An upload in parts that is not complete. Both are borrowed for the call. */
typedef void objstore_s3_upload_fn(void *arg, struct bytes key, struct bytes id);

/* Call fn for each upload of a ListMultipartUploads answer. Errors ERR_CORRUPT. */
NODISCARD bool objstore_s3_uploads(struct bytes body, objstore_s3_upload_fn *fn,
                                   void *arg, struct err *err);

/* What an error body says; "" for what it does not. Control characters are blanks. */
struct objstore_s3_error {
    char code[64];
    char message[256];
    char request_id[80];
    char region[64]; /* where the bucket is */
};

/* Any bytes will do: what cannot be understood leaves "". */
void objstore_s3_error_parse(struct bytes body, struct objstore_s3_error *error);

#endif
