/* SPDX-License-Identifier: Apache-2.0 */
/* A listing of S3, page after page, each retried on its own. */
#ifndef COMMON_OBJSTORE_S3_LIST_H
#define COMMON_OBJSTORE_S3_LIST_H

#include "common/objstore/retry.h"
#include "common/objstore/s3_xml.h"

/* Which objects, and from where on. */
struct objstore_s3_wanted {
    const struct objstore_call *call;
    struct bytes prefix;
    struct bytes from; /* token or marker; empty for the first page */
};

/* Request one page; its body goes to sink (objstore_s3_page_sink), arg page. May be
 * called again for the same page. */
typedef bool objstore_s3_fetch_fn(void *fetch_arg,
                                  const struct objstore_s3_wanted *wanted,
                                  struct objstore_s3_page *page, struct err *err);

struct objstore_s3_listing {
    const struct objstore_call *call;
    struct bytes prefix;
    struct objstore_retrier *retrier; /* NULL: pages are not retried */
    enum objstore_s3_paging paging;
    objstore_s3_fetch_fn *fetch;
    void *fetch_arg;
};

/* List as objstore_list. Errors also ERR_CORRUPT: not in byte order, not below the
 * prefix, a page that repeats itself. */
NODISCARD bool objstore_s3_list(const struct objstore_s3_listing *listing,
                                objstore_list_fn *fn, void *arg, struct err *err);

#endif
