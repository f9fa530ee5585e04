/* SPDX-License-Identifier: Apache-2.0 */
/* How far long work is: on a terminal one line that is written over, else a log line
 * now and then. Any thread. */
#ifndef COMMON_TOOLS_PROGRESS_H
#define COMMON_TOOLS_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct tools_progress {
    /* private */
    bool is_terminal;
    int64_t begin_ns;
    uint64_t total;
    atomic_uint_fast64_t done;
    _Atomic int64_t next_ns; /* when to tell again */
};

/* Work of so many bytes begins. */
void tools_progress_begin(struct tools_progress *p, uint64_t total);

/* So many more are done. */
void tools_progress_add(struct tools_progress *p, uint64_t bytes);

/* Take the line away. Also before other lines are written. */
void tools_progress_clear(struct tools_progress *p);

#endif
