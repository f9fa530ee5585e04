/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tools/selector.h"

static const struct {
    const char *text;
    enum tsdb_matcher_type type;
} operators[] = {{"=~", TSDB_MATCH_RE},
                 {"!~", TSDB_MATCH_NRE},
                 {"!=", TSDB_MATCH_NEQ},
                 {"=", TSDB_MATCH_EQ}};

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
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        struct bytes operator= bytes_of_str(operators[i].text);
        if (!bytes_starts_with(bytes_of_str(text + len), operator))
            continue;
        if (!unquote(text + len + operator.len, &value))
            return err_set(err, ERR_INVALID, "the quotes are not closed");
        return tsdb_matcher_new(out, operators[i].type, bytes_of(text, len),
                                buf_bytes(&value), err);
    }
    return err_set(err, ERR_INVALID, "is not like name=\"value\"");
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
