/* SPDX-License-Identifier: Apache-2.0 */
/* The control port of tests/support/fault_proxy.py. */
#ifndef TESTS_E2E_BUCKET_PROXY_H
#define TESTS_E2E_BUCKET_PROXY_H

#include <stdio.h>

#include "common/base/compiler.h"

struct proxy {
    int fd;
    FILE *answers; /* on fd */
};

/* address is "127.0.0.1:PORT". Ends the program, with a reason, where it fails; so do
 * the others. A connection is for one thread. */
void proxy_open(struct proxy *p, const char *address);
void proxy_close(struct proxy *p);

/* Give a command; the answer has to be "ok". */
void proxy_tell(struct proxy *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The counts so far. *answer is to be freed. */
char *proxy_stats(struct proxy *p);

/* The sum of the counts whose name begins with prefix. */
long proxy_count(struct proxy *p, const char *prefix);

#endif
