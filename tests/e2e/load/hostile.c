/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/e2e/load/hostile.h"

#include "common/base/check.h"
#include "tests/support/read_request.h"

enum { COPIES = 100, WORDS = 2000, MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };

#define EVERYTHING "__name__=~.+"

static const struct {
    const char *name;
    enum asker_manner manner;
} kinds[] = {
    [HOSTILE_STREAMED] = {"streamed", ASKER_READS},
    [HOSTILE_REGEX] = {"regex", ASKER_READS},
    [HOSTILE_SAMPLED] = {"sampled", ASKER_READS},
    [HOSTILE_SLOW] = {"slow", ASKER_READS_SLOWLY},
    [HOSTILE_LEAVES_FIRST] = {"leaves_first", ASKER_LEAVES_AT_FIRST_BYTE},
    [HOSTILE_LEAVES_BEFORE] = {"leaves_before", ASKER_LEAVES_BEFORE},
    [HOSTILE_ALL_BLOCKS] = {"all_blocks", ASKER_READS},
    [HOSTILE_DISCOVERY] = {"discovery", ASKER_READS},
    [HOSTILE_MANY_QUERIES] = {"many_queries", ASKER_READS},
};
_Static_assert(ARRAY_LEN(kinds) == HOSTILE_KINDS, "a row for each kind");

/* Each is tried on every value of a label. The third grows to as many states as RE2
 * allows, the fourth to as many as its cache of states does. */
static const char *const regexes[] = {
    "pod=~.*a.*b.*c.*",
    "instance!~.*1.*2.*3.*4.*5.*6.*7.*",
    "pod=~(?i)(.*[a-z]){10}[0-9a-f-]{1,80}",
    "pod=~.*[0-9a-f](.{0,20}[a-e]){1,20}.*",
    "pod!~((((a?){10}){10}){5}z)*",
};

static const char *const discoveries[] = {
    "/api/v1/labels?match[]=%7B__name__=~%22.%2B%22%7D",
    "/api/v1/label/pod/values?match[]=%7B__name__=~%22.%2B%22%7D",
    "/api/v1/series?match[]=%7B__name__=~%22.%2B%22%7D",
    "/api/v1/label/instance/values",
    "/api/v1/"
    "series?match[]=%7Bpod=~%22.*a.*b.*%22%7D&match[]=%7Bpod=~%22.*b.*a.*%22%7D",
    "/api/v1/labels",
};

const char *
hostile_name(enum hostile_kind kind)
{
    return kinds[kind].name;
}

enum asker_manner
hostile_manner(enum hostile_kind kind)
{
    return kinds[kind].manner;
}

static void
put_read(const struct read_question *q, struct buf *post)
{
    struct err err;
    CHECK(read_request_make(q, post, &err));
}

/* Every tenth of them is an instance that is there. */
static void
put_alternation(const struct hostile_data *d, struct buf *post)
{
    CLEANUP(buf_fini) struct buf matcher = {0};
    buf_put_str(&matcher, "instance=~");
    for (unsigned i = 0; i < WORDS; i++)
        buf_printf(&matcher, "%s10.0.0.%u:.*", i == 0 ? "" : "|", i * 10 % WORDS);
    const char *const matchers[] = {buf_text(&matcher)};
    put_read(
        &(struct read_question){READ_STREAMED, d->from_ms, d->to_ms, matchers, 1, 1},
        post);
}

static void
put_regex(const struct hostile_data *d, unsigned turn, struct buf *post)
{
    size_t i = turn % (ARRAY_LEN(regexes) + 1);
    if (i == ARRAY_LEN(regexes)) {
        put_alternation(d, post);
        return;
    }
    const char *const matchers[] = {regexes[i], EVERYTHING};
    put_read(
        &(struct read_question){READ_STREAMED, d->from_ms, d->to_ms, matchers, 2, 1},
        post);
}

/* All of it, an hour, some minutes, in turns. */
static void
put_sampled(const struct hostile_data *d, unsigned turn, struct buf *post)
{
    static const int64_t ranges_ms[] = {INT32_MAX, HOUR_MS, 5 * MINUTE_MS};
    int64_t range_ms = ranges_ms[turn % ARRAY_LEN(ranges_ms)];
    const char *const matchers[] = {EVERYTHING};
    put_read(&(struct read_question){READ_SAMPLED, d->to_ms - range_ms, d->to_ms,
                                     matchers, 1, 1},
             post);
}

void
hostile_request(const struct hostile_data *d, enum hostile_kind kind, unsigned turn,
                struct buf *url, struct buf *post)
{
    const char *const everything[] = {EVERYTHING};
    const char *const one_metric[] = {"__name__=api_build_info"};
    size_t copies = kind == HOSTILE_MANY_QUERIES ? COPIES : 1;
    const struct read_question broad = {READ_STREAMED, d->from_ms, d->to_ms,
                                        everything,    1,          copies};
    const struct read_question wide = {
        READ_STREAMED, 0, d->to_ms, turn % 2 ? everything : one_metric, 1, 1};
    buf_clear(url);
    buf_clear(post);
    if (kind == HOSTILE_DISCOVERY) {
        buf_printf(url, "%s%s", d->server, discoveries[turn % ARRAY_LEN(discoveries)]);
        return;
    }
    buf_printf(url, "%s/api/v1/read", d->server);
    if (kind == HOSTILE_REGEX)
        put_regex(d, turn, post);
    else if (kind == HOSTILE_SAMPLED)
        put_sampled(d, turn, post);
    else if (kind == HOSTILE_ALL_BLOCKS)
        put_read(&wide, post);
    else
        put_read(&broad, post);
}
