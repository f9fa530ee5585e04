/* SPDX-License-Identifier: Apache-2.0 */
/* Postings lists: as they come, and with length and checksum repaired. */
#include "common/base/check.h"
#include "common/tsdb/postings.h"
#include "tests/support/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
walk(struct bytes section)
{
    struct tsdb_postings all, some;
    struct err err = {0};
    tsdb_ref ref = 0, at = 0;
    if (!tsdb_postings_parse(&all, section, &err)) {
        CHECK(err.code == ERR_CORRUPT);
        return;
    }
    some = all;
    size_t count = tsdb_postings_count(&all);
    while (tsdb_postings_next(&all, 0, &ref))
        count--;
    CHECK(count == 0);
    /* Every second reference, if they ascend; an end in any case. */
    while (at < UINT32_MAX && tsdb_postings_next(&some, at, &ref))
        at = ref < UINT32_MAX - 1 ? ref + 2 : UINT32_MAX;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_fini) struct buf sealed = {0};
    walk(bytes_of(data, size));
    put_section(&sealed, bytes_of(data, size));
    walk(buf_bytes(&sealed));
    return 0;
}
