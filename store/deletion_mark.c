/* SPDX-License-Identifier: Apache-2.0 */
#include "store/deletion_mark.h"

#include "common/base/num.h"
#include "common/codec/json.h"

bool
store_deletion_mark_parse(struct bytes text, int64_t *marked_ms, struct err *err)
{
    CLEANUP(json_free) struct json *mark = NULL;
    int64_t version, seconds;
    if (!json_parse(text, STORE_DELETION_MARK_MAX_BYTES, &mark, err))
        return false;
    if (!json_i64(json_get(mark, "version"), &version) || version != 1)
        return err_set(err, ERR_INVALID, "\"version\" is not 1");
    if (!json_i64(json_get(mark, "deletion_time"), &seconds) ||
        !num_mul(seconds, INT64_C(1000), marked_ms))
        return err_set(err, ERR_INVALID, "\"deletion_time\" is not a time");
    return true;
}
