/* SPDX-License-Identifier: Apache-2.0 */
/* What was parsed, written down with every byte escaped, parses to the same. */
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/tsdb/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
print_string(struct buf *out, struct bytes text)
{
    buf_put_str(out, "\"");
    for (size_t i = 0; i < text.len; i++)
        buf_printf(out, "\\x%02x", text.at[i]);
    buf_put_str(out, "\"");
}

static void
print(struct buf *out, const struct tsdb_selector *s)
{
    static const char *const operators[] = {"=", "!=", "=~", "!~"};
    buf_put_str(out, "{");
    for (size_t i = 0; i < s->count; i++) {
        print_string(out, s->at[i].name);
        buf_put_str(out, operators[s->at[i].type]);
        print_string(out, s->at[i].value);
        buf_put_str(out, ",");
    }
    buf_put_str(out, "}");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(arena_fini) struct arena arena;
    struct tsdb_selector first, second;
    struct budget budget;
    struct err err;
    budget_init(&budget, "fuzz", SIZE_MAX, NULL);
    arena_init(&arena, &budget);
    if (!tsdb_selector_parse(&first, bytes_of(data, size), &arena, &err))
        return 0;
    print(&text, &first);
    CHECK(tsdb_selector_parse(&second, buf_bytes(&text), &arena, &err));
    CHECK(first.count == second.count);
    for (size_t i = 0; i < first.count; i++)
        CHECK(first.at[i].type == second.at[i].type &&
              bytes_eq(first.at[i].name, second.at[i].name) &&
              bytes_eq(first.at[i].value, second.at[i].value));
    return 0;
}
