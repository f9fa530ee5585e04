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

static void
look_at_upload(void *arg, struct bytes key, struct bytes id)
{
    buf_put(arg, key);
    buf_put(arg, id);
}

/* The small documents of uploads in parts, and the region. */
static void
read_small(struct bytes body)
{
    static const char *const ROOTS[] = {"InitiateMultipartUploadResult",
                                        "CompleteMultipartUploadResult",
                                        "LocationConstraint"};
    char id[16], etag[4], region[1];
    const struct objstore_s3_field fields[] = {
        {"UploadId", id, sizeof id},
        {"ETag", etag, sizeof etag},
        {"LocationConstraint", region, sizeof region},
    };
    struct buf seen = {0};
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(ROOTS); i++) {
        bool ok = objstore_s3_fields(body, ROOTS[i], fields, ARRAY_LEN(fields), &err);
        for (size_t k = 0; k < ARRAY_LEN(fields); k++)
            CHECK(memchr(fields[k].into, 0, fields[k].size) != NULL);
        CHECK(ok || err.code == ERR_CORRUPT);
    }
    CHECK(objstore_s3_uploads(body, look_at_upload, &seen, &err) ||
          err.code == ERR_CORRUPT);
    buf_fini(&seen);
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
    read_small(rest);
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
