/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers out of the bytes of a fuzzer, for targets that begin with values and not with
 * their encoding. Few bytes make what series usually do: the same step in time, the
 * same or nearly the same value. A script that has ended yields zeros. */
#ifndef TESTS_SUPPORT_FUZZ_SCRIPT_H
#define TESTS_SUPPORT_FUZZ_SCRIPT_H

#include "common/base/bytes.h"

struct fuzz_script {
    struct bytes rest;
};

static inline bool
fuzz_script_has_ended(const struct fuzz_script *s)
{
    return s->rest.len == 0;
}

uint8_t fuzz_script_byte(struct fuzz_script *s);

/* A number below limit, which is at most 256. */
uint32_t fuzz_script_below(struct fuzz_script *s, uint32_t limit);

/* Any number of 64 bits; small ones take few bytes. */
uint64_t fuzz_script_number(struct fuzz_script *s);

/* Some bytes of the script, fewer than limit, which is at most 256. */
struct bytes fuzz_script_text(struct fuzz_script *s, uint32_t limit);

/* Times one behind the other: usually by the last step or nearly so. They wrap. */
struct fuzz_clock {
    uint64_t ms;
    uint64_t step;
};
int64_t fuzz_script_time(struct fuzz_script *s, struct fuzz_clock *clock);

/* The bits of a float behind one with the bits before: equal, with some bits flipped, a
 * special one such as a stale marker, or any. */
uint64_t fuzz_script_float(struct fuzz_script *s, uint64_t before);

/* A count behind one before: equal, a little more or less, or any. */
uint64_t fuzz_script_count(struct fuzz_script *s, uint64_t before);

#endif
