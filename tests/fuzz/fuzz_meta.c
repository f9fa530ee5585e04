/* SPDX-License-Identifier: Apache-2.0 */
/* A meta that was parsed prints, with a section of ours, to one that parses again. */
#include "common/base/check.h"
#include "common/tsdb/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tsdb_label label = {BYTES("cluster"), BYTES("eu1")};
static const struct tsdb_meta_file files[] = {{"index", 1, NULL},
                                              {"chunks/000001", 2, NULL}};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(tsdb_meta_fini) struct tsdb_meta m = {0};
    CLEANUP(tsdb_meta_fini) struct tsdb_meta again = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    struct err err = {0};
    if (!tsdb_meta_parse(&m, bytes_of(data, size), &err)) {
        CHECK(err.code == ERR_INVALID && m.tree == NULL);
        return 0;
    }
    const struct tsdb_meta_thanos thanos = {.external = {&label, 1},
                                            .source = "sidecar",
                                            .file_count = 2,
                                            .files = files,
                                            .upload_time_ns = 1};
    CHECK(tsdb_meta_print_with_thanos(&m, &thanos, &text, &err));
    CHECK(tsdb_meta_parse(&again, buf_bytes(&text), &err));
    CHECK(tsdb_ulid_cmp(&m.ulid, &again.ulid) == 0);
    CHECK(m.mint_ms == again.mint_ms && m.maxt_ms == again.maxt_ms);
    CHECK(m.source_count == again.source_count && again.file_count == 3);
    CHECK(bytes_eq(tsdb_labels_get(again.external, label.name), label.value));
    return 0;
}
