/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys there are, and what is said of those that are not. */
#include <string.h>

#include "common/base/xmalloc.h"
#include "tests/e2e/bucket/contract.h"

enum { LONG_KEY = 900, LONG_PART = 200 };

static const char *const ODD_KEYS[] = {
    "a b/c  d",
    " x /y ",
    "a+b=c&d",
    "!'()*@:;,$~",
    "%41%2F%",
    "%",
    "?#[]\"<>|^{}`\\",
    "?list-type=2&uploads",
    "\xc3\xbc\xe2\x82\xac\xf0\x9f\x8e\x88/\xc3\xa4",
    "u\xcc\x88/\xc3\xbc", /* two ways to write one letter are two keys */
    "-/~",
    "&amp;/&lt;",
    "=/==",
};

static const char *const PLAIN_KEYS[] = {
    "plain",       "01JABCDEFGHJKMNPQRSTVWXYZ0/chunks/000001", "-/_/.a", "UPPER/upper",
    "...x/.y/..z",
};

static const char *const BAD_KEYS[] = {
    "",      "/",    "/a",   "a/",   "a//b", ".",    "..",
    "a/./b", "../b", "a/..", "a\nb", "\x7f", "a\tb",
};

static bool
keep_key(struct contract *c, const char *key, uint64_t version)
{
    CLEANUP(buf_fini) struct buf back = {0};
    size_t size = strlen(key);
    if (!contract_put(c, key, version, size) ||
        !contract_holds(c, key, version, size) ||
        !objstore_get(c->bucket, &c->call, bytes_of_str(key), size, &back, &c->err))
        return err_wrap(&c->err, "key %s", key);
    EXPECT(c, back.len == size);
    EXPECT(c, contract_is(version, 0, buf_bytes(&back)));
    return true;
}

static bool
keep_keys(struct contract *c, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!keep_key(c, keys[i], i))
            return false;
    if (!contract_lists(c, "", count))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!contract_holds(c, keys[i], i, strlen(keys[i])) ||
            !contract_remove(c, keys[i]) || !contract_lacks(c, keys[i]))
            return err_wrap(&c->err, "key %s", keys[i]);
    return contract_lists(c, "", 0);
}

static bool
keeps_plain_keys(struct contract *c)
{
    return keep_keys(c, PLAIN_KEYS, ARRAY_LEN(PLAIN_KEYS));
}

/* Or refuses them all, in every operation. */
static bool
keeps_odd_keys(struct contract *c)
{
    if (objstore_can(c->bucket, OBJSTORE_CAN_ANY_KEY))
        return keep_keys(c, ODD_KEYS, ARRAY_LEN(ODD_KEYS));
    for (size_t i = 0; i < ARRAY_LEN(ODD_KEYS); i++)
        if (!contract_refuses(c, ODD_KEYS[i], 0, ERR_UNSUPPORTED))
            return err_wrap(&c->err, "key %s", ODD_KEYS[i]);
    return contract_lists(c, "", 0);
}

static bool
refuses_bad_keys(struct contract *c)
{
    CLEANUP(xfree) char *too_long = xcalloc(1, OBJSTORE_KEY_MAX + 2);
    memset(too_long, 'x', OBJSTORE_KEY_MAX + 1);
    for (size_t i = 0; i < ARRAY_LEN(BAD_KEYS); i++)
        if (!contract_refuses(c, BAD_KEYS[i], 0, ERR_INVALID))
            return err_wrap(&c->err, "key \"%s\"", BAD_KEYS[i]);
    EXPECT(c, !contract_put(c, too_long, 0, 1));
    EXPECT(c, c->err.code == ERR_INVALID);
    return contract_lists(c, "", 0);
}

static bool
keeps_a_long_key(struct contract *c)
{
    char key[LONG_KEY + 1] = {0};
    for (size_t i = 0; i < LONG_KEY; i++)
        key[i] = i % LONG_PART == LONG_PART - 1 ? '/' : 'k';
    key[LONG_KEY - 1] = 'e';
    return contract_put(c, key, 1, 3) && contract_holds(c, key, 1, 3) &&
           contract_lists(c, "", 1) && contract_remove(c, key) &&
           contract_lists(c, "", 0);
}

static bool
misses_what_is_not_there(struct contract *c)
{
    uint8_t into[4];
    size_t got;
    CLEANUP(buf_fini) struct buf back = {0};
    struct bytes key = BYTES("no/such");
    if (!contract_lacks(c, "no/such") || !contract_remove(c, "no/such"))
        return false;
    EXPECT_ERR(c, objstore_get(c->bucket, &c->call, key, 9, &back, &c->err),
               ERR_NOT_FOUND, "read", key);
    EXPECT_ERR(c,
               objstore_read_range(c->bucket, &c->call, key,
                                   (struct objstore_range){2, 4}, into, &got, &c->err),
               ERR_NOT_FOUND, "read", key);
    return contract_put(c, "no/such", 1, 9) && contract_remove(c, "no/such") &&
           contract_remove(c, "no/such") && contract_lacks(c, "no/such") &&
           contract_lists(c, "no/", 0);
}

const struct contract_case CONTRACT_KEYS[] = {
    {"keeps plain keys", keeps_plain_keys},
    {"keeps odd keys", keeps_odd_keys},
    {"refuses bad keys", refuses_bad_keys},
    {"keeps a long key", keeps_a_long_key},
    {"misses what is not there", misses_what_is_not_there},
};
const size_t CONTRACT_KEYS_COUNT = ARRAY_LEN(CONTRACT_KEYS);
