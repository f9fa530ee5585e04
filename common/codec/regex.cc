/* SPDX-License-Identifier: Apache-2.0 */
/* Where RE2 differs from Go, and what is done about it: it takes \C, which is refused
 * here; and to it a byte of broken UTF-8 is no character at all, so such a text is
 * repaired before it is matched. */
#include "common/codec/regex.h"

#include <re2/re2.h>

#include <string>

#include "common/base/utf8.h"

struct regex {
    re2::RE2 program;
};

namespace
{

re2::StringPiece
piece_of(struct bytes b)
{
    return re2::StringPiece(reinterpret_cast<const char *>(b.at), b.len);
}

re2::RE2::Options
options()
{
    re2::RE2::Options o;
    o.set_dot_nl(true);
    o.set_log_errors(false);
    o.set_max_mem(REGEX_MAX_BYTES);
    return o;
}

/* Whether \C, a single byte to RE2, stands outside of \Q...\E. */
bool
has_single_byte_escape(re2::StringPiece expression)
{
    for (size_t i = 0; i + 1 < expression.size(); i++) {
        if (expression[i] != '\\')
            continue;
        char escaped = expression[++i];
        if (escaped == 'C')
            return true;
        if (escaped == 'Q')
            i = expression.find("\\E", i);
        if (i == re2::StringPiece::npos)
            return false;
    }
    return false;
}

/* The text with U+FFFD for each broken character. */
std::string
repaired(struct bytes text)
{
    std::string whole;
    while (text.len > 0) {
        size_t len = utf8_len(text);
        if (len > 0)
            whole.append(reinterpret_cast<const char *>(text.at), len);
        else
            whole += UTF8_REPLACEMENT;
        bytes_skip(&text, len > 0 ? len : 1);
    }
    return whole;
}

bool
matches_whole(const re2::RE2 &program, re2::StringPiece text)
{
    return program.Match(text, 0, text.size(), re2::RE2::ANCHOR_BOTH, nullptr, 0);
}

bool
fail(struct err *err, struct bytes expression, const char *reason)
{
    return err_set(err, ERR_INVALID, "regular expression \"%.*s\": %s",
                   BYTES_FMT(expression), reason);
}

} // namespace

bool
regex_new(struct regex **out, struct bytes expression, struct err *err)
{
    if (has_single_byte_escape(piece_of(expression)))
        return fail(err, expression, "invalid escape sequence: \\C");
    regex *re = new regex{{piece_of(expression), options()}};
    if (!re->program.ok()) {
        fail(err, expression, re->program.error().c_str());
        delete re;
        return false;
    }
    *out = re;
    return true;
}

void
regex_free(struct regex **re)
{
    delete *re;
    *re = nullptr;
}

bool
regex_matches(const struct regex *re, struct bytes text)
{
    if (utf8_is_valid(text))
        return matches_whole(re->program, piece_of(text));
    return matches_whole(re->program, repaired(text));
}
