/* SPDX-License-Identifier: Apache-2.0 */
/* The validated command line of the sidecar. */
#ifndef SIDECAR_OPTIONS_H
#define SIDECAR_OPTIONS_H

#include <stdint.h>

#include "common/app/flags.h"
#include "common/base/log.h"
#include "common/tsdb/block_verify.h"

/* One field per row of options.def; texts borrow as app_flags_parse says. */
struct sidecar_options {
#define TEXT(field, name, initial, argument, origin, help) const char *field;
#define DURATION(field, name, initial, min_ns, origin, help) int64_t field##_ns;
#define BOOL(field, name, initial, origin, help) bool field;
#define INT(field, name, initial, min, max, origin, help) int64_t field;
#define SIZE(field, name, initial, origin, help) uint64_t field##_bytes;
#define INERT(kind, name, initial, argument, help)
#define REFUSED(kind, name, argument, why)
#include "sidecar/options.def"
#undef TEXT
#undef DURATION
#undef BOOL
#undef INT
#undef SIZE
#undef INERT
#undef REFUSED
    struct app_flag_inert inert; /* flags without function that were given */
    /* derived from texts above */
    enum log_level level;
    enum log_format format;
    bool hash_sha256;
    enum tsdb_verify_level verify_level;
};

/* Parse argv and check what the flag table cannot. Results as app_flags_parse. */
enum app_flags_result sidecar_options_parse(struct sidecar_options *options, int argc,
                                            char **argv, struct err *err);

/* The flags that struct sidecar_options is made of. */
const struct app_flags *sidecar_options_table(void);

#endif
