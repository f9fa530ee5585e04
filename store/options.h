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

/* One field per row of options.def; texts borrow as app_flags_parse says. */
struct store_options {
#define TEXT(field, name, initial, argument, origin, help) const char *field;
#define DURATION(field, name, initial, min_ns, origin, help) int64_t field##_ns;
#define INT(field, name, initial, min_, max_, origin, help) int64_t field;
#define SIZE(field, name, initial, origin, help) uint64_t field##_bytes;
#define BOOL(field, name, initial, origin, help) bool field;
#define LIST(field, name, argument, origin, help) struct app_flag_list field;
#define INERT(kind, name, initial, argument, help)
#define REFUSED(kind, name, argument, why)
#include "store/options.def"
#undef TEXT
#undef DURATION
#undef INT
#undef SIZE
#undef BOOL
#undef LIST
#undef INERT
#undef REFUSED
    struct app_flag_list inert; /* names of flags without function that were given */
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

#endif
