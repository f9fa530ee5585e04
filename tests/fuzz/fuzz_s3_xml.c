/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of an S3 server: the first byte says in which pieces the rest arrives. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/objstore/s3_xml.h"

/* Read every byte that the page hands out, where a sanitizer sees it. */
static void
look_at(const struct objstore_s3_page *page)
{
    struct buf copy = {0};
    buf_put(&copy, objstore_s3_page_next(page));
    for (size_t i = 0; i < objstore_s3_page_count(page); i++) {
        struct objstore_object object = objstore_s3_page_object(page, i);
        buf_put(&copy, object.key);
        CHECK(strlen(object.attrs.etag) < sizeof object.attrs.etag);
    }
    buf_fini(&copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct objstore_s3_error error;
    if (size == 0)
        return 0;
    size_t piece = (size_t)data[0] + 1;
    struct bytes rest = bytes_of(data + 1, size - 1);
    objstore_s3_error_parse(rest, &error);
    CHECK(strlen(error.code) < sizeof error.code);
    CHECK(strlen(error.message) < sizeof error.message);

    CLEANUP(objstore_s3_page_free)
    struct objstore_s3_page *page = objstore_s3_page_new(
        data[0] % 2 != 0 ? OBJSTORE_S3_BY_MARKER : OBJSTORE_S3_BY_TOKEN);
    while (rest.len > 0) {
        size_t n = rest.len < piece ? rest.len : piece;
        if (!objstore_s3_page_sink(page, bytes_of(rest.at, n), &err))
            return 0;
        bytes_skip(&rest, n);
    }
    if (objstore_s3_page_finish(page, &err))
        look_at(page);
    return 0;
}
