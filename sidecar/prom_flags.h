/* SPDX-License-Identifier: Apache-2.0 */
/* The flags of a Prometheus, as far as they decide what becomes of its blocks. */
#ifndef SIDECAR_PROM_FLAGS_H
#define SIDECAR_PROM_FLAGS_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/base/log.h"

/* The zero value is a Prometheus that does not tell its flags. Owned texts. */
struct sidecar_prom_flags {
    bool told;
    char *tsdb_path;          /* as Prometheus calls it; "" if it does not say */
    char *delay_compact_file; /* "" for none */
    int64_t min_block_ns;     /* 0 if it does not say */
    int64_t max_block_ns;
    bool lacks_admin_api; /* it says that it is off */
};

/* Read the answer of /api/v1/status/flags. *out must be the zero value. Errors
 * ERR_INVALID: not such an answer, a duration that is none. */
NODISCARD bool sidecar_prom_flags_parse(struct sidecar_prom_flags *out,
                                        struct bytes answer, struct err *err);

/* Release; CLEANUP handler. */
void sidecar_prom_flags_fini(struct sidecar_prom_flags *f);

/* What the sidecar was told by its own flags; borrowed. */
struct sidecar_prom_flags_wanted {
    const char *tsdb_path;
    const char *state_name; /* of the state file in it */
    bool upload_compacted;
    bool ignore_unequal_blocks;
    bool admin_api; /* it is needed */
};

enum sidecar_prom_flags_verdict_kind {
    SIDECAR_PROM_FLAGS_UNKNOWN, /* not asked yet, or not told */
    SIDECAR_PROM_FLAGS_SUITABLE,
    SIDECAR_PROM_FLAGS_UNUSUAL_BLOCKS,   /* all of one length, which is not 2h */
    SIDECAR_PROM_FLAGS_UNEQUAL_BLOCKS,   /* compacts without waiting for the sidecar */
    SIDECAR_PROM_FLAGS_OTHER_DELAY_FILE, /* looks up what is shipped elsewhere */
    SIDECAR_PROM_FLAGS_NO_ADMIN_API,     /* cannot be asked for a snapshot */
    SIDECAR_PROM_FLAGS_VERDICTS
};

struct sidecar_prom_flags_verdict {
    enum sidecar_prom_flags_verdict_kind kind;
    enum log_level level; /* how bad it is: INFO, WARN or ERROR */
    char text[1024];      /* what is wrong, what comes of it, and the way out */
};

/* Compare. Looks at the file system only to resolve wanted->tsdb_path. */
void sidecar_prom_flags_judge(const struct sidecar_prom_flags *f,
                              const struct sidecar_prom_flags_wanted *wanted,
                              struct sidecar_prom_flags_verdict *out);

#endif
