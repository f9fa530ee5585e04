/* SPDX-License-Identifier: Apache-2.0 */
/* Admission: so many queries run, so many wait for so long, the rest are refused at
 * once with an error that tells the caller to come back. */
#ifndef STORE_GATE_H
#define STORE_GATE_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mutex.h"

struct store_gate {
    /* private */
    struct mutex lock;
    struct cond freed;
    unsigned slots; /* 0: no gate */
    unsigned max_waiting;
    /* guarded by lock */
    unsigned running;
    unsigned waiting;
};

void store_gate_init(struct store_gate *g, unsigned slots, unsigned max_waiting);
void store_gate_fini(struct store_gate *g);

/* Take a slot, waiting until deadline_ns at most. is_gone is asked now and then whether
 * the caller still wants it; may be NULL.
 * Errors ERR_UNAVAILABLE: the queue is full or the deadline has passed; ERR_CANCELLED.
 */
NODISCARD bool store_gate_enter(struct store_gate *g, int64_t deadline_ns,
                                bool (*is_gone)(void *arg), void *arg, struct err *err);

/* Give the slot back. */
void store_gate_leave(struct store_gate *g);

/* Queries that run now. */
unsigned store_gate_running(struct store_gate *g);

#endif
