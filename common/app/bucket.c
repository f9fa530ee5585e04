/* SPDX-License-Identifier: Apache-2.0 */
#include "common/app/bucket.h"

#include <string.h>

#include "common/app/flags.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/objstore/config.h"

static bool
complain_of_none(const struct app_bucket_options *o, struct err *err)
{
    if (*o->config_file != 0)
        return err_set(err, ERR_INVALID, "--objstore.config-file: %s is empty",
                       o->config_file);
    return err_set(err, ERR_INVALID,
                   "no object storage is configured: give --objstore.config or "
                   "--objstore.config-file");
}

bool
app_bucket_open(struct objstore_bucket **out, const struct app_bucket_options *o,
                struct err *err)
{
    static const char name[] = "objstore.config";
    CLEANUP(xfree) char *yaml = NULL;
    if (!app_flags_content(name, o->config, o->config_file, &yaml, err))
        return false;
    if (yaml[0] == 0)
        return o->is_optional || complain_of_none(o, err);
    struct bytes text = bytes_of_str(yaml);
    bool ok = o->is_read_only ? objstore_open_to_read(out, text, o->component, err)
                              : objstore_open(out, text, o->component, o->metrics, err);
    digest_cleanse(yaml, strlen(yaml));
    return ok || app_flags_content_fail(name, o->config_file, err);
}

bool
app_bucket_prices(struct objstore_prices *out, const char *prices,
                  const char *prices_file, struct err *err)
{
    static const char name[] = "web.request-prices";
    CLEANUP(yaml_tree_free) struct yaml *tree = NULL;
    return app_flags_yaml(name, prices, prices_file, &tree, err) &&
           (objstore_prices_read(out, tree, err) ||
            app_flags_content_fail(name, prices_file, err));
}
