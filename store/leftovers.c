/* SPDX-License-Identifier: Apache-2.0 */
#include "store/leftovers.h"

#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/xmalloc.h"
#include "store/block_snapshot.h"

/* Copies of metas that earlier versions kept. */
#define FORMER_META_SUFFIX ".meta.json"

struct search {
    const char *data_dir;
    struct store_catalog *catalog;
    struct metrics_value *failures;
};

static void
remove_file(const struct search *s, const char *name)
{
    CLEANUP(xfree) char *path = xasprintf("%s/%s", s->data_dir, name);
    if (unlink(path) == 0)
        return;
    metrics_add(s->failures, 1);
    LOG_WARN("file of a vanished block not removed", LOG_STR("path", path));
}

/* Whether name is one of our files: a ULID and suffix. */
static bool
parse_name(const char *name, const char *suffix, struct tsdb_ulid *id)
{
    return strlen(name) > TSDB_ULID_LEN && strcmp(name + TSDB_ULID_LEN, suffix) == 0 &&
           tsdb_ulid_parse(id, bytes_of(name, TSDB_ULID_LEN));
}

static bool
remove_vanished(void *arg, const char *name, struct err *err)
{
    const struct search *s = arg;
    struct tsdb_ulid id;
    (void)err;
    if (parse_name(name, STORE_BLOCK_HEADER_SUFFIX, &id) &&
        store_catalog_find(s->catalog, &id) == NULL)
        remove_file(s, name);
    return true;
}

static bool
remove_unfinished(void *arg, const char *name, struct err *err)
{
    static const char header[] = STORE_BLOCK_HEADER_SUFFIX ".";
    struct tsdb_ulid id;
    (void)err;
    if (parse_name(name, FORMER_META_SUFFIX, &id) ||
        strcmp(name, STORE_BLOCK_SNAPSHOT_NAME ".tmp") == 0 ||
        (strlen(name) > TSDB_ULID_LEN &&
         strncmp(name + TSDB_ULID_LEN, header, sizeof header - 1) == 0 &&
         tsdb_ulid_parse(&id, bytes_of(name, TSDB_ULID_LEN))))
        remove_file(arg, name);
    return true;
}

bool
store_leftovers_remove_unfinished(const char *data_dir, struct metrics_value *failures,
                                  struct err *err)
{
    struct search s = {.data_dir = data_dir, .failures = failures};
    return file_list(data_dir, remove_unfinished, &s, err);
}

bool
store_leftovers_remove_vanished(const char *data_dir, struct store_catalog *catalog,
                                struct metrics_value *failures, struct err *err)
{
    struct search s = {data_dir, catalog, failures};
    return file_list(data_dir, remove_vanished, &s, err);
}
