/* SPDX-License-Identifier: Apache-2.0 */
/* The validated command line of the sidecar. */
#ifndef SIDECAR_OPTIONS_H
#define SIDECAR_OPTIONS_H

#include <stdint.h>

#include "common/app/flags.h"
#include "common/base/log.h"
#include "common/tsdb/block_verify.h"
#include "sidecar/reloader_trigger.h"

/* Said in --help and in the log of the start. */
#define SIDECAR_NOTE                                                                \
    "ships blocks, and has no gRPC StoreAPI yet: a Thanos Querier cannot use this " \
    "version"

/* One field per row of options.def; texts borrow as app_flags_parse says. */
struct sidecar_options {
#define APP_FLAGS_ROWS "sidecar/options.def"
#include "common/app/flags_fields.def"
    struct app_flag_inert inert; /* flags without function that were given */
    /* derived from texts above */
    enum log_level level;
    enum log_format format;
    bool hash_sha256;
    enum tsdb_verify_level verify_level;
    enum sidecar_reloader_method method;
};

/* Parse argv and check what the flag table cannot. Results as app_flags_parse. */
enum app_flags_result sidecar_options_parse(struct sidecar_options *options, int argc,
                                            char **argv, struct err *err);

/* The flags that struct sidecar_options is made of. */
const struct app_flags *sidecar_options_table(void);

#endif
