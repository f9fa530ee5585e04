/* SPDX-License-Identifier: Apache-2.0 */
/* Tries all that bucket.h promises on the bucket that a configuration names, which has
 * to be empty and is left so.
 *
 * usage: bucket_contract CONFIG.yml [KEYS [PART]]
 *   KEYS  how many to list, 50 unless told; above 1000 listings have pages
 *   PART  only cases with this in their name */
#include <stdlib.h>

#include "tests/e2e/bucket/contract.h"

enum { MANY = 50, FEWEST = 4 };

static bool
is_empty(struct contract *c)
{
    return contract_lists(c, "", 0);
}

static bool
run_all(struct contract *c, const char *part)
{
    static const struct contract_case EMPTY = {"is empty", is_empty};
    unsigned files = contract_open_files();
    if (!contract_run(c, &EMPTY, 1, ""))
        return false;
    bool ok = contract_run(c, CONTRACT_KEYS, CONTRACT_KEYS_COUNT, part);
    ok = contract_run(c, CONTRACT_READS, CONTRACT_READS_COUNT, part) && ok;
    ok = contract_run(c, CONTRACT_WRITES, CONTRACT_WRITES_COUNT, part) && ok;
    ok = contract_run(c, CONTRACT_LISTS, CONTRACT_LISTS_COUNT, part) && ok;
    ok = contract_run(c, CONTRACT_LIMITS, CONTRACT_LIMITS_COUNT, part) && ok;
    ok = contract_run(c, &EMPTY, 1, "") && ok;
    objstore_free(&c->bucket);
    /* curl may keep a wakeup pair. */
    unsigned left = contract_open_files();
    if (left > files)
        printf("FAILED %u files are open, %u were before\n", left, files);
    return ok && left <= files;
}

int
main(int argc, char **argv)
{
    struct contract c = {.many = argc > 2 ? (size_t)atoi(argv[2]) : MANY};
    if (argc < 2 || argc > 4 || c.many < FEWEST) {
        fprintf(stderr, "usage: bucket_contract CONFIG.yml [KEYS [PART]]\n");
        return 2;
    }
    bool ok = contract_open(&c, argv[1]);
    if (!ok)
        fprintf(stderr, "%s: %s\n", err_code_name(c.err.code), c.err.text);
    ok = ok && run_all(&c, argc > 3 ? argv[3] : "");
    contract_close(&c);
    return ok ? 0 : 1;
}
