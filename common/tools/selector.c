/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tools/selector.h"

/* Value without its quotes; inside them a backslash keeps what follows. */
static bool
unquote(const char *text, struct buf *out)
{
    if (*text != '"') {
        buf_put_str(out, text);
        return true;
    }
    for (text++; *text != '"'; text++) {
        if (*text == '\\')
            text++;
        if (*text == '\0')
            return false;
        buf_put_u8(out, (uint8_t)*text);
    }
    return text[1] == '\0';
}

static bool
parse_one(const char *text, struct tsdb_matcher **out, struct err *err)
{
    CLEANUP(buf_fini) struct buf value = {0};
    size_t len = strcspn(text, "=!");
    struct bytes rest = bytes_of_str(text + len);
    enum tsdb_matcher_type type;
    if (!tsdb_matcher_take_operator(&rest, &type))
        return err_set(err, ERR_INVALID, "is not like name=\"value\"");
    if (!unquote((const char *)rest.at, &value))
        return err_set(err, ERR_INVALID, "the quotes are not closed");
    return tsdb_matcher_new(out, type, bytes_of(text, len), buf_bytes(&value), err);
}

bool
tools_selector_parse(struct tools_selector *s, const struct app_flag_list *texts,
                     struct err *err)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (!parse_one(texts->at[i], &s->at[s->count], err))
            return err_wrap(err, "--selector: %s", texts->at[i]);
        s->count++;
    }
    return true;
}

void
tools_selector_fini(struct tools_selector *s)
{
    while (s->count > 0)
        tsdb_matcher_free(&s->at[--s->count]);
}

bool
tools_selector_matches(const struct tools_selector *s, struct tsdb_labels labels)
{
    for (size_t i = 0; i < s->count; i++) {
        struct bytes value = tsdb_labels_get(labels, tsdb_matcher_name(s->at[i]));
        if (!tsdb_matcher_matches(s->at[i], value))
            return false;
    }
    return true;
}
