/* SPDX-License-Identifier: Apache-2.0 */
/* Assertions about functions that return bool and fill an err; they show its text.
 * Include after cmocka.h. */
#ifndef TESTS_SUPPORT_EXPECT_H
#define TESTS_SUPPORT_EXPECT_H

#include "common/base/err.h"

#define expect_ok(call, err)                              \
    do {                                                  \
        if (!(call))                                      \
            fail_msg("%s failed: %s", #call, (err).text); \
    } while (0)

#define expect_fails(call, err, expected)                                             \
    do {                                                                              \
        (err).code = ERR_NONE;                                                        \
        if (call)                                                                     \
            fail_msg("%s succeeded", #call);                                          \
        if ((err).code != (expected))                                                 \
            fail_msg("%s failed with %s instead of %s: %s", #call,                    \
                     err_code_name((err).code), err_code_name(expected), (err).text); \
    } while (0)

#endif
