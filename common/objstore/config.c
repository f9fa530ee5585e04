/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/codec/yaml.h"
#include "common/objstore/config_s3.h"
#include "common/objstore/dir.h"
#include "common/objstore/hedged.h"
#include "common/objstore/measured.h"
#include "common/objstore/prefixed.h"

enum { MAX_CONFIG = 1 << 20 };

/* What for, beside the document. */
struct opening {
    const char *user_agent;
    bool to_read;                       /* nothing is made */
    struct objstore_requests *requests; /* count here; NULL: do not */
};

static bool
open_filesystem(struct objstore_bucket **out, const struct yaml *config,
                const struct opening *how, struct err *err)
{
    static const char *const KEYS[] = {"directory", NULL};
    const char *directory = "";
    if (!yaml_check_keys(config, KEYS, "the FILESYSTEM config", err) ||
        !yaml_get_text(config, "directory", &directory, err))
        return false;
    if (*directory == 0)
        return err_set(err, ERR_INVALID, "the FILESYSTEM config: directory is missing");
    if (how->to_read && !file_exists(directory))
        return err_set(err, ERR_NOT_FOUND, "line %d: directory: %s does not exist",
                       yaml_get(config, "directory")->line, directory);
    return objstore_dir_open(out, directory, err);
}

static bool
open_provider(struct objstore_bucket **out, const struct yaml *root,
              const struct opening *how, struct err *err)
{
    static const char *const KEYS[] = {"type", "config", "prefix", "hedging_config",
                                       NULL};
    const char *type = "";
    const struct yaml *config = yaml_get(root, "config");
    if (!yaml_check_keys(root, KEYS, "the document", err) ||
        !yaml_get_text(root, "type", &type, err))
        return false;
    if (*type == 0)
        return err_set(err, ERR_INVALID, "the document: type is missing");
    if (strcasecmp(type, "S3") == 0)
        return objstore_config_open_s3(out, config, how->user_agent, how->to_read,
                                       how->requests, err);
    if (strcasecmp(type, "FILESYSTEM") == 0)
        return open_filesystem(out, config, how, err);
    return err_set(err, ERR_UNSUPPORTED,
                   "line %d: type: %s is not supported; S3 and FILESYSTEM are",
                   yaml_get(root, "type")->line, type);
}

/* The bucket's reads, hedged as the document asks. */
static bool
hedge(struct objstore_bucket **b, const struct yaml *y, struct err *err)
{
    enum { MOST = 10 };
    static const char *const KEYS[] = {"enabled", "up_to", "quantile", NULL};
    const char *quantile = "0.9";
    int64_t up_to = 3;
    bool enabled = false;
    if (!yaml_check_keys(y, KEYS, "hedging_config", err) ||
        !yaml_get_bool(y, "enabled", &enabled, err) ||
        !yaml_get_i64(y, "up_to", &up_to, err) ||
        !yaml_get_text(y, "quantile", &quantile, err))
        return false;
    if (up_to < 1 || up_to > MOST)
        return err_set(err, ERR_INVALID, "line %d: up_to: %" PRId64 " is not 1 to %d",
                       yaml_get(y, "up_to")->line, up_to, MOST);
    char *end;
    const struct objstore_hedging how = {.up_to = (unsigned)up_to,
                                         .quantile = strtod(quantile, &end)};
    if (*quantile == 0 || *end != 0 || !(how.quantile > 0 && how.quantile < 1))
        return err_set(err, ERR_INVALID,
                       "line %d: quantile: \"%s\" is no number between 0 and 1",
                       yaml_get(y, "quantile")->line, quantile);
    return !enabled || up_to == 1 || objstore_hedged_wrap(b, &how, err);
}

static bool
open_tree(struct objstore_bucket **out, const struct yaml *root,
          const struct opening *how, struct err *err)
{
    const char *prefix = "";
    CLEANUP(objstore_free) struct objstore_bucket *b = NULL;
    if (!open_provider(&b, root, how, err) ||
        !hedge(&b, yaml_get(root, "hedging_config"), err) ||
        !yaml_get_text(root, "prefix", &prefix, err) ||
        !objstore_prefixed_wrap(&b, prefix, err))
        return false;
    *out = TAKE(b);
    return true;
}

static bool
open_document(struct objstore_bucket **out, struct bytes yaml, struct opening how,
              const char *component, struct err *err)
{
    CLEANUP(yaml_tree_free) struct yaml *root = NULL;
    CLEANUP(xfree) char *user_agent = xasprintf("blockhouse-%s", component);
    how.user_agent = user_agent;
    struct buf expanded = {0};
    bool ok = yaml_expand_env(yaml, &expanded, err) &&
              yaml_parse(buf_bytes(&expanded), MAX_CONFIG, &root, err) &&
              open_tree(out, root, &how, err);
    if (expanded.len > 0)
        digest_cleanse(expanded.at, expanded.len);
    buf_fini(&expanded);
    return ok || err_wrap(err, "object-store configuration");
}

bool
objstore_open(struct objstore_bucket **out, struct bytes yaml, const char *component,
              struct metrics_registry *metrics, struct err *err)
{
    struct objstore_bucket *b = NULL;
    CLEANUP(objstore_requests_free)
    struct objstore_requests *requests =
        metrics != NULL ? objstore_requests_new(metrics) : NULL;
    const struct opening how = {.requests = requests};
    if (!open_document(&b, yaml, how, component, err))
        return false;
    if (metrics != NULL)
        objstore_measured_wrap(&b, metrics, TAKE(requests));
    *out = b;
    return true;
}

bool
objstore_open_to_read(struct objstore_bucket **out, struct bytes yaml,
                      const char *component, struct err *err)
{
    const struct opening how = {.to_read = true};
    return open_document(out, yaml, how, component, err);
}
