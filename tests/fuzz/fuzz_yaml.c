/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever parses is a well-formed tree of bounded depth, and its getters answer. */
#include <string.h>

#include "common/base/check.h"
#include "common/codec/yaml.h"

enum { LIMIT = 1 << 14, MAX_DEPTH = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_members(const struct yaml *y)
{
    struct err err;
    const char *text = "";
    bool flag = false;
    int64_t number = 0;
    for (size_t i = 0; i < y->count; i++) {
        CHECK(yaml_get(y, y->keys[i]) == &y->children[i]);
        if (yaml_get_text(y, y->keys[i], &text, &err))
            CHECK(text != NULL);
        if (!yaml_get_bool(y, y->keys[i], &flag, &err) ||
            !yaml_get_i64(y, y->keys[i], &number, &err) ||
            !yaml_get_duration(y, y->keys[i], &number, &err))
            CHECK(err.code == ERR_INVALID);
    }
}

static void
check_tree(const struct yaml *y, int depth)
{
    CHECK(depth <= MAX_DEPTH && y->line > 0);
    CHECK((y->text != NULL) == (y->kind == YAML_SCALAR));
    if (y->kind == YAML_MAP)
        read_members(y);
    for (size_t i = 0; i < y->count; i++)
        check_tree(&y->children[i], depth + 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    CLEANUP(yaml_tree_free) struct yaml *y = NULL;
    CLEANUP(buf_fini) struct buf expanded = {0};
    if (!yaml_expand_env(bytes_of(data, size), &expanded, &err))
        CHECK(err.code == ERR_INVALID);
    if (yaml_parse(bytes_of(data, size), LIMIT, &y, &err))
        check_tree(y, 0);
    else
        CHECK(y == NULL && err.code == ERR_INVALID);
    return 0;
}
