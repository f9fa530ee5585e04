/* SPDX-License-Identifier: Apache-2.0 */
/* The validated command line of the store. */
#ifndef STORE_OPTIONS_H
#define STORE_OPTIONS_H

#include <stdint.h>

#include "common/app/flags.h"
#include "common/base/log.h"
#include "store/read_client.h"
#include "store/replica_labels.h"
#include "store/time_bound.h"

/* Said in --help and in the log of the start. */
#define STORE_NOTE                                                                   \
    "answers Prometheus remote read, not yet the gRPC StoreAPI of Thanos: a Thanos " \
    "Querier cannot use this version"

/* One field per row of options.def; texts borrow as app_flags_parse says. */
struct store_options {
#define APP_FLAGS_ROWS "store/options.def"
#include "common/app/flags_fields.def"
    struct app_flag_inert inert; /* flags without function that were given */
    /* derived from texts above */
    enum log_level level;
    enum log_format format;
    struct store_time_bound mint;
    struct store_time_bound maxt;
    bool skip_bad_blocks;
    bool has_lazy_headers;
    enum store_read_encodings encodings;
    struct store_replica_labels dropped;
};

/* Parse argv and check what the flag table cannot. Limits of 0 that mean a share of the
 * memory are replaced by it. Results as app_flags_parse. Call fini unless it fails. */
enum app_flags_result store_options_parse(struct store_options *options, int argc,
                                          char **argv, struct err *err);

/* Accepts the zero value. */
void store_options_fini(struct store_options *options);

/* The flags that struct store_options is made of. */
const struct app_flags *store_options_table(void);

#endif
