/* SPDX-License-Identifier: Apache-2.0 */
/* What STS answers to AssumeRoleWithWebIdentity. Nothing in it is trusted. */
#ifndef COMMON_OBJSTORE_STS_XML_H
#define COMMON_OBJSTORE_STS_XML_H

#include "common/base/bytes.h"
#include "common/base/err.h"

/* Heap texts, NULL for what is not there. The zero value is empty. */
struct objstore_sts_answer {
    char *access_key;
    char *secret_key;
    char *session_token;
    char *expiration;
};

/* All four are there and hold no NUL; what they say is not checked.
 * Errors ERR_CORRUPT, without anything of the content; *answer is then empty. */
NODISCARD bool objstore_sts_parse(struct bytes body, struct objstore_sts_answer *answer,
                                  struct err *err);

/* Overwrite and release. CLEANUP handler. */
void objstore_sts_answer_fini(struct objstore_sts_answer *answer);

/* The code of an error ("AccessDenied"); "" when there is none or it is no word. Any
 * bytes will do. */
enum { OBJSTORE_STS_CODE_SIZE = 64 };
void objstore_sts_error_parse(struct bytes body, char code[OBJSTORE_STS_CODE_SIZE]);

#endif
