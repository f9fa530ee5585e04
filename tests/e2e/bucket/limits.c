/* SPDX-License-Identifier: Apache-2.0 */
/* Calls whose caller has no time left, or has left. */
#include "common/base/clock.h"
#include "tests/e2e/bucket/contract.h"

static bool
ignore_object(void *arg, const struct objstore_object *object, struct err *err)
{
    (void)arg, (void)object, (void)err;
    return true;
}

static bool
refuse_all(struct contract *c, enum err_code code)
{
    EXPECT_ERR(c,
               objstore_list(c->bucket, &c->call, BYTES("limited/"), ignore_object,
                             NULL, &c->err),
               code, "list", BYTES("limited/"));
    return contract_refuses(c, "limited", 2, code);
}

/* Nothing of it is done. */
static bool
limit_all(struct contract *c, const struct objstore_call *limited, enum err_code code)
{
    const struct objstore_call call = c->call;
    if (!contract_put(c, "limited", 1, 9))
        return false;
    c->call = *limited;
    bool ok = refuse_all(c, code);
    c->call = call;
    return ok && contract_holds(c, "limited", 1, 9) && contract_remove(c, "limited");
}

static bool
refuses_after_the_deadline(struct contract *c)
{
    return limit_all(c, &(struct objstore_call){.deadline_ns = clock_mono_ns()},
                     ERR_TIMEOUT);
}

static bool
refuses_who_has_left(struct contract *c)
{
    struct cancel cancel = {0};
    cancel_raise(&cancel);
    bool ok = limit_all(
        c,
        &(struct objstore_call){.deadline_ns = c->call.deadline_ns, .cancel = &cancel},
        ERR_CANCELLED);
    cancel_fini(&cancel);
    return ok;
}

const struct contract_case CONTRACT_LIMITS[] = {
    {"refuses after the deadline", refuses_after_the_deadline},
    {"refuses who has left", refuses_who_has_left},
};
const size_t CONTRACT_LIMITS_COUNT = ARRAY_LEN(CONTRACT_LIMITS);
