/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/reloader_render.h"

#include "common/base/file.h"
#include "common/codec/compress.h"
#include "common/codec/digest.h"
#include "common/codec/yaml.h"

/* A configuration with thousands of targets is a few megabytes; a Secret or ConfigMap
 * of Kubernetes holds one at most, hence the gzip. */
enum { CONFIG_MAX_BYTES = 64 * 1024 * 1024 };

/* It may hold secrets. */
static void
cleanse(struct buf *text)
{
    if (text->len > 0)
        digest_cleanse(text->at, text->len);
    buf_fini(text);
}

static bool
holds(const char *path, struct bytes text)
{
    CLEANUP(cleanse) struct buf now = {0};
    struct err ignored;
    return file_read_all(path, CONFIG_MAX_BYTES, &now, &ignored) &&
           bytes_eq(buf_bytes(&now), text);
}

static bool
expand(struct bytes input, struct buf *expanded, bool *unset_variable, struct err *err)
{
    CLEANUP(cleanse) struct buf plain = {0};
    if (compress_is_gzip(input)) {
        if (!compress_gzip_decode(input, CONFIG_MAX_BYTES, &plain, err))
            return false;
        input = buf_bytes(&plain);
    }
    *unset_variable = !yaml_expand_env(input, expanded, err);
    return !*unset_variable;
}

bool
sidecar_reloader_render(const char *path, const char *output, struct buf *input,
                        bool *unset_variable, struct err *err)
{
    CLEANUP(cleanse) struct buf expanded = {0};
    *unset_variable = false;
    if (!file_read_all(path, CONFIG_MAX_BYTES, input, err))
        return false;
    if (*output == 0)
        return true;
    if (!expand(buf_bytes(input), &expanded, unset_variable, err))
        return err_wrap(err, "%s", path);
    return holds(output, buf_bytes(&expanded)) ||
           file_replace(output, buf_bytes(&expanded), err);
}
