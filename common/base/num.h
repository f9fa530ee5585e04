/* SPDX-License-Identifier: Apache-2.0 */
/* Checked arithmetic: each returns false, with *out untouched, when the result does
 * not fit the type of *out. */
#ifndef COMMON_BASE_NUM_H
#define COMMON_BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NUM_MIN(a, b) ((a) < (b) ? (a) : (b))
#define NUM_MAX(a, b) ((a) > (b) ? (a) : (b))

#define NUM_CHECKED(builtin, a, b, out)                       \
    __extension__({                                           \
        __typeof__(*(out)) result_;                           \
        bool fits_ = !builtin((a), (b), &result_);            \
        num_store_if(fits_, (out), &result_, sizeof result_); \
    })

/* A function and not a plain assignment: compilers that look for uninitialised reads do
 * not follow the condition through the macro. */
static inline bool
num_store_if(bool fits, void *out, const void *result, size_t size)
{
    if (fits)
        memcpy(out, result, size);
    return fits;
}

#define num_add(a, b, out) NUM_CHECKED(__builtin_add_overflow, a, b, out)
#define num_sub(a, b, out) NUM_CHECKED(__builtin_sub_overflow, a, b, out)
#define num_mul(a, b, out) NUM_CHECKED(__builtin_mul_overflow, a, b, out)

#endif
