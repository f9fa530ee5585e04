/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/e2e/load/tally.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/num.h"
#include "common/base/xmalloc.h"

void
tally_init(struct tally *t)
{
    *t = (struct tally){0};
    pthread_mutex_init(&t->lock, NULL);
}

void
tally_fini(struct tally *t)
{
    pthread_mutex_destroy(&t->lock);
    free(t->took_ns);
}

/* One line in which each number is "N". */
static void
normalise(const char *text, char out[TALLY_TEXT])
{
    size_t len = 0;
    for (; *text != 0 && *text != '\n' && len + 1 < TALLY_TEXT; text++) {
        bool digit = isdigit((unsigned char)*text);
        if (digit && len > 0 && out[len - 1] == 'N')
            continue;
        out[len++] = digit ? 'N' : *text;
    }
    out[len] = 0;
}

/* The last place is for all texts that have none of their own. */
static void
add_text(struct tally *t, const char *text)
{
    char line[TALLY_TEXT];
    normalise(text, line);
    size_t i = 0;
    while (i + 1 < TALLY_TEXTS && t->texts[i].times > 0 &&
           strcmp(t->texts[i].text, line) != 0)
        i++;
    if (t->texts[i].times++ == 0)
        memcpy(t->texts[i].text, line, sizeof line);
}

static void
add_time(struct tally *t, int64_t took_ns)
{
    if (t->took_count == t->took_cap) {
        t->took_cap = NUM_MAX(2 * t->took_cap, (size_t)1024);
        t->took_ns = xrealloc(t->took_ns, t->took_cap * sizeof *t->took_ns);
    }
    t->took_ns[t->took_count++] = took_ns;
}

void
tally_add(struct tally *t, enum tally_outcome outcome, long status, const char *text,
          int64_t took_ns)
{
    pthread_mutex_lock(&t->lock);
    t->outcomes[outcome]++;
    if (status > 0 && status < TALLY_STATUSES)
        t->statuses[status]++;
    if (text[0] != 0)
        add_text(t, text);
    if (outcome == TALLY_WHOLE)
        add_time(t, took_ns);
    pthread_mutex_unlock(&t->lock);
}

void
tally_add_bytes(struct tally *t, uint64_t bytes)
{
    pthread_mutex_lock(&t->lock);
    t->bytes += bytes;
    pthread_mutex_unlock(&t->lock);
}

static int
time_cmp(const void *left, const void *right)
{
    const int64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static void
print_times(struct tally *t, struct json *into)
{
    static const struct {
        const char *name;
        size_t percent;
    } points[] = {{"p50_us", 50}, {"p99_us", 99}, {"max_us", 100}};
    if (t->took_count == 0)
        return;
    qsort(t->took_ns, t->took_count, sizeof *t->took_ns, time_cmp);
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        size_t at = (t->took_count - 1) * points[i].percent / 100;
        json_set_i64(into, points[i].name, t->took_ns[at] / 1000);
    }
}

static void
print_texts(const struct tally *t, struct json *into)
{
    struct json *texts = json_new_object();
    for (size_t i = 0; i < TALLY_TEXTS; i++) {
        bool is_rest = i + 1 == TALLY_TEXTS;
        if (t->texts[i].times > 0)
            json_set_i64(texts, is_rest ? "others" : t->texts[i].text,
                         (int64_t)t->texts[i].times);
    }
    json_set(into, "texts", &texts);
}

void
tally_print(struct tally *t, const char *name, struct json *parent)
{
    static const char *const outcomes[] = {
        [TALLY_WHOLE] = "whole",     [TALLY_WRONG] = "wrong",
        [TALLY_REFUSED] = "refused", [TALLY_ABORTED] = "aborted",
        [TALLY_LEFT] = "left",       [TALLY_NO_ANSWER] = "no_answer"};
    struct json *all = json_new_object(), *statuses = json_new_object();
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < TALLY_OUTCOMES; i++)
        json_set_i64(all, outcomes[i], (int64_t)t->outcomes[i]);
    for (size_t i = 0; i < TALLY_STATUSES; i++) {
        char key[8];
        snprintf(key, sizeof key, "%zu", i);
        if (t->statuses[i] > 0)
            json_set_i64(statuses, key, (int64_t)t->statuses[i]);
    }
    json_set_i64(all, "bytes", (int64_t)t->bytes);
    json_set(all, "statuses", &statuses);
    print_times(t, all);
    print_texts(t, all);
    pthread_mutex_unlock(&t->lock);
    json_set(parent, name, &all);
}
