/* SPDX-License-Identifier: Apache-2.0 */
/* Read requests. */
#include "common/base/check.h"
#include "common/wire/remote_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BUDGET = 1 << 20 };

static void
check_request(const struct wire_read_request *request)
{
    for (size_t i = 0; i < request->query_count; i++)
        for (size_t k = 0; k < request->queries[i].matcher_count; k++) {
            const struct wire_matcher *m = &request->queries[i].matchers[k];
            CHECK((unsigned)m->type <= TSDB_MATCH_NRE);
            CHECK(m->name.len <= BUDGET && m->value.len <= BUDGET);
        }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct budget budget;
    struct arena arena;
    struct wire_read_request request;
    struct err err = {0};
    budget_init(&budget, "fuzz", BUDGET, NULL);
    arena_init(&arena, &budget);
    if (wire_read_request_parse(&request, bytes_of(data, size), &arena, &err))
        check_request(&request);
    else
        CHECK(err.code == ERR_INVALID || err.code == ERR_BUDGET);
    arena_fini(&arena);
    budget_fini(&budget);
    return 0;
}
