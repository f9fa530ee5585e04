/* SPDX-License-Identifier: Apache-2.0 */
/* The INI dialect of AWS's shared files.
 *
 * "[name]" begins a section, "key = value" sets a key; "#" and ";" begin a comment at
 * the start of a line or behind a blank. Names of keys are compared without case, a
 * value may stand in quotes. Indented lines below a key without a value are settings of
 * that key and skipped. */
#ifndef COMMON_OBJSTORE_INI_H
#define COMMON_OBJSTORE_INI_H

#include "common/base/bytes.h"
#include "common/base/err.h"

/* The last value of a key in all sections of that name; empty if there is none.
 * Borrowed from text. O(text.len), no allocation. Errors ERR_INVALID with the number of
 * a line that is none of the above or has a control character; nothing of its content.
 */
NODISCARD bool objstore_ini_get(struct bytes text, const char *section, const char *key,
                                struct bytes *value, struct err *err);

/* Whether there is a section of that name. */
NODISCARD bool objstore_ini_has(struct bytes text, const char *section);

#endif
