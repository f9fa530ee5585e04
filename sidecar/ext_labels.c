/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/ext_labels.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/xmalloc.h"
#include "common/codec/yaml.h"

/* External labels are a handful of words; this is far above any real set. */
enum { GLOBAL_SECTION_MAX = 1024 * 1024 };

/* The section "global:" with its indented lines. Prometheus prints its configuration
 * itself, so sections begin at the start of a line and everything inside is indented.
 * The other sections may be megabytes and are not looked at. */
static struct bytes
global_section(struct bytes config)
{
    struct bytes section = {0};
    while (config.len > 0) {
        const uint8_t *newline = memchr(config.at, '\n', config.len);
        size_t line = newline == NULL ? config.len : (size_t)(newline - config.at) + 1;
        bool inside = section.len > 0;
        bool indented = strchr(" \n", config.at[0]) != NULL;
        if (inside && !indented)
            break;
        if (inside)
            section.len += line;
        else if (bytes_starts_with(config, BYTES("global:")))
            section = bytes_of(config.at, line);
        bytes_skip(&config, line);
    }
    return section;
}

/* One allocation: the pairs, then their bytes. */
static struct sidecar_ext_labels
copy_pairs(const struct tsdb_label *from, size_t count)
{
    size_t text = 0;
    for (size_t i = 0; i < count; i++)
        text += from[i].name.len + from[i].value.len;
    struct tsdb_label *pairs = xcalloc(1, count * sizeof *pairs + text);
    uint8_t *at = (uint8_t *)(pairs + count);
    for (size_t i = 0; i < count; i++) {
        struct bytes name = from[i].name, value = from[i].value;
        pairs[i].name = bytes_of(at, name.len);
        pairs[i].value = bytes_of(at + name.len, value.len);
        memcpy(at, name.at, name.len);
        if (value.len > 0)
            memcpy(at + name.len, value.at, value.len);
        at += name.len + value.len;
    }
    return (struct sidecar_ext_labels){.set = {pairs, count}, .storage = pairs};
}

struct sidecar_ext_labels
sidecar_ext_labels_copy(struct tsdb_labels set)
{
    return copy_pairs(set.at, set.len);
}

static bool
read_pairs(const struct yaml *map, struct tsdb_label *pairs, struct err *err)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct yaml *value = &map->children[i];
        if (value->kind != YAML_SCALAR && value->kind != YAML_NULL)
            return err_set(err, ERR_INVALID, "external label %s is not a text",
                           map->keys[i]);
        const char *text = value->kind == YAML_SCALAR ? value->text : "";
        pairs[i] = (struct tsdb_label){bytes_of_str(map->keys[i]), bytes_of_str(text)};
    }
    if (!tsdb_labels_sort(pairs, map->count))
        return err_set(err, ERR_INVALID, "an external label has no name");
    return true;
}

bool
sidecar_ext_labels_parse(struct sidecar_ext_labels *out, struct bytes config,
                         struct err *err)
{
    CLEANUP(yaml_tree_free) struct yaml *root = NULL;
    if (!yaml_parse(global_section(config), GLOBAL_SECTION_MAX, &root, err))
        return err_wrap(err, "global section of the Prometheus configuration");
    const struct yaml *map = yaml_get(yaml_get(root, "global"), "external_labels");
    if (map == NULL || map->kind == YAML_NULL)
        return true;
    if (map->kind != YAML_MAP)
        return err_set(err, ERR_INVALID, "external_labels is not a map");
    CLEANUP(xfree) struct tsdb_label *pairs = xcalloc(map->count, sizeof *pairs);
    if (!read_pairs(map, pairs, err))
        return false;
    *out = copy_pairs(pairs, map->count);
    return true;
}

void
sidecar_ext_labels_fini(struct sidecar_ext_labels *l)
{
    free(l->storage);
    *l = (struct sidecar_ext_labels){0};
}
