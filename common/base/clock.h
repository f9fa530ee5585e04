/* SPDX-License-Identifier: Apache-2.0 */
/* The only reader of clocks. Tests may set it. */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_NS_PER_MS INT64_C(1000000)
#define CLOCK_NS_PER_S INT64_C(1000000000)

/* A deadline that never comes. */
#define CLOCK_NEVER INT64_MAX

/* Monotonic time, for deadlines and durations. Origin unspecified. */
int64_t clock_mono_ns(void);

/* Wall time since the Unix epoch. */
int64_t clock_wall_ns(void);

/* now + delay_ns, CLOCK_NEVER when that does not fit. delay_ns is not negative. */
int64_t clock_deadline(int64_t delay_ns);

/* Nanoseconds until deadline_ns, never negative; INT64_MAX for CLOCK_NEVER. */
int64_t clock_left_ns(int64_t deadline_ns);

/* "2026-11-23T10:20:30.123456789Z" into text of at least CLOCK_RFC3339_SIZE bytes. */
enum { CLOCK_RFC3339_SIZE = 40 };
void clock_rfc3339(int64_t wall_ns, char text[CLOCK_RFC3339_SIZE]);

/* Tests only: freeze both clocks at these values until clock_unfreeze. Real waits go
 * on by real time. */
void clock_freeze(int64_t mono_ns, int64_t wall_ns);
void clock_unfreeze(void);

#endif
