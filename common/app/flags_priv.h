/* SPDX-License-Identifier: Apache-2.0 */
/* What flags.c (parsing) and flags_print.c share. */
#ifndef COMMON_APP_FLAGS_PRIV_H
#define COMMON_APP_FLAGS_PRIV_H

#include "common/app/flags.h"

/* A limit as the user would write it: "90s" for a duration, "12" for a number. */
enum { APP_FLAGS_LIMIT_SIZE = 24 };
void app_flags_limit(const struct app_flag *f, int64_t limit,
                     char text[APP_FLAGS_LIMIT_SIZE]);

void app_flags_print_version(const struct app_flags *table, FILE *to);

#endif
