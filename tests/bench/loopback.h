/* SPDX-License-Identifier: Apache-2.0 */
/* Where the small servers of the benchmarks listen. */
#ifndef TESTS_BENCH_LOOPBACK_H
#define TESTS_BENCH_LOOPBACK_H

#include <netinet/in.h>

/* The address of a port of this machine. */
struct sockaddr_in loopback_address(uint16_t port);

/* A listening socket. Ends the program, with the reason on stderr, if that fails. */
int loopback_listen(uint16_t port);

#endif
