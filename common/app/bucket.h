/* SPDX-License-Identifier: Apache-2.0 */
/* The bucket of a program as its flags have it: --objstore.config, and what its
 * requests cost, --web.request-prices. */
#ifndef COMMON_APP_BUCKET_H
#define COMMON_APP_BUCKET_H

#include "common/objstore/bucket.h"
#include "common/objstore/prices.h"

struct metrics_registry;

/* The first two are values of flags, borrowed until the bucket is open. */
struct app_bucket_options {
    const char *config;
    const char *config_file;
    const char *component;            /* for the user agent: "sidecar" */
    struct metrics_registry *metrics; /* borrowed; NULL: none */
    bool is_optional;                 /* no configuration is no error */
    bool is_read_only;                /* as objstore_open_to_read */
};

/* Open the bucket; *out stays NULL where there is no configuration and need not be.
 * Errors those of app_flags_content and objstore_open; the text names the flag. */
NODISCARD bool app_bucket_open(struct objstore_bucket **out,
                               const struct app_bucket_options *options,
                               struct err *err);

/* Errors those of app_flags_yaml and objstore_prices_read; the text names the flag. */
NODISCARD bool app_bucket_prices(struct objstore_prices *out, const char *prices,
                                 const char *prices_file, struct err *err);

#endif
