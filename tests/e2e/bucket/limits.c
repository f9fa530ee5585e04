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
    uint8_t into[4];
    size_t got;
    struct objstore_attrs attrs;
    struct bytes key = BYTES("limited");
    CLEANUP(buf_fini) struct buf back = {0};
    EXPECT_ERR(c, contract_put(c, "limited", 2, 4), code, "put", key);
    EXPECT_ERR(c, contract_put_file(c, "limited", 2, 4, &attrs), code, "put", key);
    EXPECT_ERR(c, objstore_create(c->bucket, &c->call, key, BYTES("x"), &c->err), code,
               "create", key);
    EXPECT_ERR(c, objstore_head(c->bucket, &c->call, key, &attrs, &c->err), code,
               "head", key);
    EXPECT_ERR(c, objstore_get(c->bucket, &c->call, key, 9, &back, &c->err), code,
               "read", key);
    EXPECT_ERR(c,
               objstore_read_range(c->bucket, &c->call, key,
                                   (struct objstore_range){0, 4}, into, &got, &c->err),
               code, "read", key);
    EXPECT_ERR(c,
               objstore_list(c->bucket, &c->call, BYTES("limited/"), ignore_object,
                             NULL, &c->err),
               code, "list", BYTES("limited/"));
    EXPECT_ERR(c, contract_remove(c, "limited"), code, "delete", key);
    return true;
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
