/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/e2e/bucket/model.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/num.h"
#include "tests/e2e/bucket/contract.h"

void
model_init(struct model *m, const char *key)
{
    *m = (struct model){.count = 1};
    snprintf(m->key, sizeof m->key, "%s", key);
}

void
model_set(struct model *m, struct model_version is)
{
    m->may[0] = is;
    m->count = 1;
}

void
model_add(struct model *m, struct model_version may)
{
    for (unsigned i = 0; i < m->count; i++)
        if (m->may[i].version == may.version)
            return;
    CHECK(m->count < MODEL_MAX);
    m->may[m->count++] = may;
}

bool
model_is_full(const struct model *m)
{
    return m->count == MODEL_MAX;
}

bool
model_may_be_absent(const struct model *m)
{
    for (unsigned i = 0; i < m->count; i++)
        if (m->may[i].version == 0)
            return true;
    return false;
}

bool
model_may_be_present(const struct model *m)
{
    return m->count > 1 || m->may[0].version != 0;
}

bool
model_may_have_size(const struct model *m, uint64_t size)
{
    for (unsigned i = 0; i < m->count; i++)
        if (m->may[i].version != 0 && m->may[i].size == size)
            return true;
    return false;
}

enum model_verdict
model_judge(struct model *m, uint64_t offset, uint64_t len, struct bytes got)
{
    enum model_verdict verdict = MODEL_WRONG;
    for (unsigned i = 0; i < m->count; i++) {
        struct model_version v = m->may[i];
        if (v.version == 0 || offset > v.size ||
            got.len != NUM_MIN(len, v.size - offset))
            continue;
        verdict = MODEL_WRONG_BYTES;
        if (!contract_is(v.version, offset, got))
            continue;
        if (offset == 0 && got.len == v.size && v.size >= sizeof(uint64_t))
            model_set(m, v);
        return MODEL_RIGHT;
    }
    return verdict;
}

void
model_exclude_absent(struct model *m)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < m->count; i++)
        if (m->may[i].version != 0)
            m->may[kept++] = m->may[i];
    m->count = kept;
}
