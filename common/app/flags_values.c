/* SPDX-License-Identifier: Apache-2.0 */
#include "common/app/flags.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/flags_priv.h"
#include "common/base/xmalloc.h"

/* What stands for a text that may hold credentials. */
#define SECRET "<secret>"

/* A URL without what may be a password or a token in it: user, query, fragment. One
 * whose password holds a character that would have to be written as %2F, %3F or %23 is
 * no URL; its "@" comes later. */
static void
put_url(struct buf *out, const char *url)
{
    const char *host = strstr(url, "://");
    host = host != NULL ? host + 3 : url;
    size_t authority = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', authority);
    if (at == NULL)
        at = strrchr(host, '@');
    buf_put(out, bytes_of(url, (size_t)(host - url)));
    if (at != NULL) {
        buf_put_str(out, SECRET);
        host = at;
    }
    size_t path = strcspn(host, "?#");
    buf_put(out, bytes_of(host, path));
    if (host[path] != 0)
        buf_printf(out, "%c" SECRET, host[path]);
}

/* Configuration that is given as a value holds passwords and keys as a rule. */
static void
put_text(struct buf *out, const struct app_flag *f, const char *text)
{
    if (strcmp(f->argument, "<yaml>") == 0 && *text != 0)
        buf_put_str(out, SECRET);
    else if (strstr(text, "://") != NULL || strcmp(f->argument, "<url>") == 0)
        put_url(out, text);
    else
        buf_put_str(out, text);
}

static void
put_list(struct buf *out, const struct app_flag *f, const struct app_flag_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            buf_put_u8(out, ',');
        put_text(out, f, list->at[i]);
    }
}

/* As it was given, or its default: it has no field. */
static void
put_inert(struct buf *out, const struct app_flag *f, const struct app_flag_inert *inert)
{
    struct app_flag_list values = {.count = 0};
    for (size_t i = 0; i + 1 < inert->given.count; i += 2)
        if (strcmp(inert->given.at[i], f->name) == 0)
            values.at[values.count++] = inert->given.at[i + 1];
    if (values.count == 0)
        values.at[values.count++] = f->initial;
    put_list(out, f, &values);
}

void
app_flags_value(const struct app_flags *table, const struct app_flag *f,
                const void *options, struct buf *out)
{
    const char *base = options;
    const void *field = base + f->at;
    char text[APP_FLAGS_LIMIT_SIZE];
    if (f->origin == APP_FLAG_INERT) {
        put_inert(out, f, (const void *)(base + table->inert_at));
        return;
    }
    switch (f->kind) {
    case APP_FLAG_TEXT:
        put_text(out, f, *(const char *const *)field);
        return;
    case APP_FLAG_BOOL:
        buf_put_str(out, *(const bool *)field ? "true" : "false");
        return;
    case APP_FLAG_INT:
    case APP_FLAG_DURATION:
        app_flags_limit(f, *(const int64_t *)field, text);
        buf_put_str(out, f->kind == APP_FLAG_DURATION && strcmp(text, "0") == 0 ? "0s"
                                                                                : text);
        return;
    case APP_FLAG_SIZE:
        buf_printf(out, "%" PRIu64, *(const uint64_t *)field);
        return;
    case APP_FLAG_LIST:
        put_list(out, f, field);
        return;
    }
}
