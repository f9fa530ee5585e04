/* SPDX-License-Identifier: Apache-2.0 */
/* Listings: whole, in byte order, below a prefix, over pages. */
#include <string.h>

#include "common/base/clock.h"
#include "tests/e2e/bucket/contract.h"

/* In byte order: "/" stands behind "-" and "." and before digits. */
static const char *const ORDERED[] = {
    "a!", "a-/x", "a-b", "a.b", "a/-", "a/a/a", "a/b", "a0", "aa", "b/c/d/e",
};

/* The same without what some drivers refuse. */
static bool
is_storable(const struct contract *c, const char *key)
{
    return strchr(key, '!') == NULL || objstore_can(c->bucket, OBJSTORE_CAN_ANY_KEY);
}

struct expected {
    size_t next;  /* in ORDERED */
    size_t count; /* seen */
    const struct contract *c;
    const char *prefix;
    bool is_right;
};

static bool
match_next(void *arg, const struct objstore_object *object, struct err *err)
{
    struct expected *e = arg;
    (void)err;
    while (e->next < ARRAY_LEN(ORDERED) &&
           (!is_storable(e->c, ORDERED[e->next]) ||
            strncmp(ORDERED[e->next], e->prefix, strlen(e->prefix)) != 0))
        e->next++;
    e->is_right = e->is_right && e->next < ARRAY_LEN(ORDERED) &&
                  bytes_eq(object->key, bytes_of_str(ORDERED[e->next])) &&
                  object->attrs.size == e->next &&
                  object->attrs.mtime_ms > clock_wall_ns() / CLOCK_NS_PER_MS - 120000;
    e->next++;
    e->count++;
    return true;
}

static bool
list_ordered(struct contract *c, const char *prefix, size_t count)
{
    struct expected e = {.c = c, .prefix = prefix, .is_right = true};
    if (!objstore_list(c->bucket, &c->call, bytes_of_str(prefix), match_next, &e,
                       &c->err))
        return false;
    EXPECT(c, e.is_right);
    EXPECT(c, e.count == count);
    return true;
}

static bool
lists_in_byte_order(struct contract *c)
{
    size_t stored = 0;
    for (size_t i = ARRAY_LEN(ORDERED); i-- > 0;)
        if (is_storable(c, ORDERED[i])) {
            stored++;
            if (!contract_put(c, ORDERED[i], i, i))
                return false;
        }
    if (!list_ordered(c, "", stored) || !list_ordered(c, "a/", 3) ||
        !list_ordered(c, "a-/", 1) || !list_ordered(c, "a/a/", 1) ||
        !list_ordered(c, "b/c/d/", 1) || !list_ordered(c, "c/", 0) ||
        !list_ordered(c, "a/b/", 0) || !list_ordered(c, "aa/", 0))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(ORDERED); i++)
        if (is_storable(c, ORDERED[i]) && !contract_remove(c, ORDERED[i]))
            return false;
    return contract_lists(c, "", 0);
}

static bool
ignore(void *arg, const struct objstore_object *object, struct err *err)
{
    (void)arg, (void)object, (void)err;
    return true;
}

static bool
refuses_bad_prefixes(struct contract *c)
{
    static const char *const BAD[] = {"a", "/", "a//", "../", "a/./", "\n/", "a/b"};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct bytes prefix = bytes_of_str(BAD[i]);
        EXPECT_ERR(c, objstore_list(c->bucket, &c->call, prefix, ignore, NULL, &c->err),
                   ERR_INVALID, "list", prefix);
    }
    return true;
}

static bool
refuse_third(void *arg, const struct objstore_object *object, struct err *err)
{
    unsigned *asked = arg;
    (void)object;
    return ++*asked < 3 || err_set(err, ERR_BUDGET, "enough");
}

static bool
for_each_of_many(struct contract *c, bool (*visit)(struct contract *c, const char *key))
{
    for (size_t i = 0; i < c->many; i++) {
        char key[32];
        snprintf(key, sizeof key, "many/%02zu/%05zu", i % 7, i);
        if (!visit(c, key))
            return false;
    }
    return true;
}

static bool
put_small(struct contract *c, const char *key)
{
    return contract_put(c, key, 1, 1);
}

static bool
lists_many_pages(struct contract *c)
{
    unsigned asked = 0;
    if (!for_each_of_many(c, put_small) || !contract_lists(c, "", c->many) ||
        !contract_lists(c, "many/", c->many) ||
        !contract_lists(c, "many/03/", (c->many - 3 + 6) / 7) ||
        !contract_lists(c, "man/", 0))
        return false;
    EXPECT_ERR(c,
               objstore_list(c->bucket, &c->call, BYTES("many/"), refuse_third, &asked,
                             &c->err),
               ERR_BUDGET, "enough", BYTES("many/"));
    EXPECT(c, asked == 3);
    return for_each_of_many(c, contract_remove) && contract_lists(c, "", 0);
}

const struct contract_case CONTRACT_LISTS[] = {
    {"lists in byte order", lists_in_byte_order},
    {"refuses bad prefixes", refuses_bad_prefixes},
    {"lists many pages", lists_many_pages},
};
const size_t CONTRACT_LISTS_COUNT = ARRAY_LEN(CONTRACT_LISTS);
