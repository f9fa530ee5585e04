/* SPDX-License-Identifier: Apache-2.0 */
/* Everything is checked, so that a wrong configuration is found at the start; of what
 * is right only the sizes matter. Blocks never change, so a time to live means nothing.
 */
#include "store/cache_config.h"

#include <strings.h>

#include "common/base/log.h"
#include "common/base/num.h"

static const uint64_t DEFAULT_BYTES = UINT64_C(250) << 20;

/* A place where Thanos can keep what it has read. */
struct backend {
    const char *type;
    const char *servers; /* the key that says where it runs, which has to be there */
};

static const struct backend backends[] = {
    {"IN-MEMORY", NULL},
    {"MEMCACHED", "addresses"},
    {"REDIS", "addr"},
    {"GROUPCACHE", NULL},
};

enum { IN_MEMORY = 0, INDEX_BACKENDS = 3, BUCKET_BACKENDS = ARRAY_LEN(backends) };

static bool
find_backend(const struct yaml *y, size_t count, size_t *found, struct err *err)
{
    const char *type = "";
    if (!yaml_get_text(y, "type", &type, err))
        return false;
    for (*found = 0; *found < count; ++*found)
        if (strcasecmp(type, backends[*found].type) == 0)
            return true;
    (void)err_set(err, ERR_UNSUPPORTED, "\"%s\" is none of IN-MEMORY, MEMCACHED%s",
                  type,
                  count == INDEX_BACKENDS ? " and REDIS" : ", REDIS and GROUPCACHE");
    return yaml_blame(y, "type", err);
}

static bool
parse_memory(const struct yaml *config, uint64_t *bytes, struct err *err)
{
    static const char *const KEYS[] = {"max_size", "max_item_size", NULL};
    uint64_t size = DEFAULT_BYTES, item = 0;
    if (!yaml_check_keys(config, KEYS, "the IN-MEMORY config", err) ||
        !yaml_get_size(config, "max_size", &size, err) ||
        !yaml_get_size(config, "max_item_size", &item, err))
        return false;
    if (item > size)
        return yaml_refuse(config, "max_item_size", err, "is above max_size");
    *bytes = size;
    return true;
}

static bool
check_remote(const struct backend *backend, const struct yaml *config, struct err *err)
{
    if (config != NULL && config->kind != YAML_NULL && config->kind != YAML_MAP)
        return err_set(err, ERR_INVALID, "line %d: config is not a map of keys",
                       config->line);
    if (backend->servers == NULL)
        return true;
    const struct yaml *servers = yaml_get(config, backend->servers);
    if (servers == NULL || (servers->count == 0 && servers->text == NULL))
        return err_set(err, ERR_INVALID, "the %s config: %s is missing", backend->type,
                       backend->servers);
    return true;
}

/* *bytes is set only for a cache in memory. */
static bool
parse_backend(const struct yaml *y, size_t count, const char *flag, uint64_t *bytes,
              struct err *err)
{
    const struct yaml *config = yaml_get(y, "config");
    size_t i;
    if (!find_backend(y, count, &i, err))
        return false;
    if (i == IN_MEMORY)
        return parse_memory(config, bytes, err);
    if (!check_remote(&backends[i], config, err))
        return false;
    LOG_WARN("there are no caches of other machines in this version, memory is used",
             LOG_STR("flag", flag), LOG_STR("type", backends[i].type));
    return true;
}

static bool
check_items(const struct yaml *y, struct err *err)
{
    static const char *const items[] = {"Postings", "Series", "ExpandedPostings"};
    const struct yaml *list = yaml_get(y, "enabled_items");
    if (list == NULL || list->kind == YAML_NULL)
        return true;
    if (list->kind != YAML_LIST)
        return yaml_refuse(y, "enabled_items", err, "is not a list");
    for (size_t i = 0; i < list->count; i++) {
        const char *item = list->children[i].text;
        size_t k = 0;
        while (k < ARRAY_LEN(items) && (item == NULL || strcmp(item, items[k]) != 0))
            k++;
        if (k == ARRAY_LEN(items))
            return yaml_refuse(y, "enabled_items", err,
                               "value %zu is none of Postings, Series and "
                               "ExpandedPostings",
                               i + 1);
    }
    return true;
}

/* Set *bytes if the document asks for a cache in memory. */
static bool
parse_index_cache(const struct yaml *y, uint64_t *bytes, struct err *err)
{
    static const char *const KEYS[] = {"type", "config", "enabled_items", "ttl", NULL};
    int64_t ttl_ns = 0;
    if (y->kind == YAML_NULL)
        return true;
    return yaml_check_keys(y, KEYS, "the document", err) && check_items(y, err) &&
           yaml_get_duration(y, "ttl", &ttl_ns, err) &&
           parse_backend(y, INDEX_BACKENDS, "index-cache.config", bytes, err);
}

static bool
check_numbers(const struct yaml *y, struct err *err)
{
    static const char *const times[] = {
        "chunk_object_attrs_ttl", "chunk_subrange_ttl",        "blocks_iter_ttl",
        "metafile_exists_ttl",    "metafile_doesnt_exist_ttl", "metafile_content_ttl"};
    int64_t unused_ns, unused;
    uint64_t unused_bytes;
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        if (!yaml_get_duration(y, times[i], &unused_ns, err))
            return false;
    return yaml_get_i64(y, "chunk_subrange_size", &unused, err) &&
           yaml_get_i64(y, "max_chunks_get_range_requests", &unused, err) &&
           yaml_get_size(y, "metafile_max_size", &unused_bytes, err);
}

/* Add to *bytes if the document asks for a cache in memory. */
static bool
parse_caching_bucket(const struct yaml *y, uint64_t *bytes, struct err *err)
{
    static const char *const KEYS[] = {"type",
                                       "config",
                                       "chunk_subrange_size",
                                       "max_chunks_get_range_requests",
                                       "chunk_object_attrs_ttl",
                                       "chunk_subrange_ttl",
                                       "blocks_iter_ttl",
                                       "metafile_exists_ttl",
                                       "metafile_doesnt_exist_ttl",
                                       "metafile_content_ttl",
                                       "metafile_max_size",
                                       NULL};
    uint64_t more = 0;
    if (y->kind == YAML_NULL)
        return true;
    if (!yaml_check_keys(y, KEYS, "the document", err) || !check_numbers(y, err) ||
        !parse_backend(y, BUCKET_BACKENDS, "store.caching-bucket.config", &more, err))
        return false;
    if (!num_add(*bytes, more, bytes))
        *bytes = UINT64_MAX;
    return true;
}

bool
store_cache_config_read(struct store_options *o, struct err *err)
{
    CLEANUP(yaml_tree_free) struct yaml *index = NULL;
    CLEANUP(yaml_tree_free) struct yaml *objects = NULL;
    uint64_t *bytes = &o->index_cache_size_bytes;
    if (!app_flags_yaml("index-cache.config", o->index_cache_config,
                        o->index_cache_config_file, &index, err) ||
        !app_flags_yaml("store.caching-bucket.config", o->caching_bucket_config,
                        o->caching_bucket_config_file, &objects, err))
        return false;
    if (!parse_index_cache(index, bytes, err))
        return app_flags_content_fail("index-cache.config", o->index_cache_config_file,
                                      err);
    return parse_caching_bucket(objects, bytes, err) ||
           app_flags_content_fail("store.caching-bucket.config",
                                  o->caching_bucket_config_file, err);
}
