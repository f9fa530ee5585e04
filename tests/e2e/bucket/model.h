/* SPDX-License-Identifier: Apache-2.0 */
/* What an object may be, given everything that was done to it and what came out of it:
 * after a success one thing, after a failure the old or the new one. For one thread. */
#ifndef TESTS_E2E_BUCKET_MODEL_H
#define TESTS_E2E_BUCKET_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"

enum { MODEL_MAX = 16 };

struct model_version {
    uint64_t version; /* of contract_fill; 0: no object */
    uint64_t size;
};

struct model {
    char key[32];
    struct model_version may[MODEL_MAX];
    unsigned count;
};

/* What a read that returned success has brought. */
enum model_verdict {
    MODEL_RIGHT,
    MODEL_WRONG_BYTES, /* of a right number */
    MODEL_WRONG,       /* nothing that it could be */
};

/* Nothing is there. */
void model_init(struct model *m, const char *key);

/* It is this, for sure. */
void model_set(struct model *m, struct model_version is);

/* It may be this as well. */
void model_add(struct model *m, struct model_version may);

/* Whether the next model_add might find no room. */
bool model_is_full(const struct model *m);

bool model_may_be_absent(const struct model *m);
bool model_may_be_present(const struct model *m);
bool model_may_have_size(const struct model *m, uint64_t size);

/* Judge what a read of len bytes at offset brought; one of a whole object narrows what
 * it may be. */
enum model_verdict model_judge(struct model *m, uint64_t offset, uint64_t len,
                               struct bytes got);

/* It is there. */
void model_exclude_absent(struct model *m);

#endif
