/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tsdb/block_path.h"

bool
tsdb_block_path_is_segment(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] < '0' || name.at[i] > '9')
            return false;
    return name.len > 0;
}

bool
tsdb_block_path_split(struct bytes key, struct tsdb_ulid *id, struct bytes *rest)
{
    if (key.len < TSDB_ULID_LEN + 2 || key.at[TSDB_ULID_LEN] != '/' ||
        !tsdb_ulid_parse(id, bytes_of(key.at, TSDB_ULID_LEN)))
        return false;
    bytes_skip(&key, TSDB_ULID_LEN + 1);
    *rest = key;
    return true;
}
