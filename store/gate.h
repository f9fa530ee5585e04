/* SPDX-License-Identifier: Apache-2.0 */
/* Admission: so many queries run, so many wait for so long, the rest are refused at
 * once with an error that tells the caller to come back. Small queries have slots and a
 * queue that big ones cannot fill. */
#ifndef STORE_GATE_H
#define STORE_GATE_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mutex.h"

enum store_lane { STORE_LANE_BIG, STORE_LANE_SMALL, STORE_LANES };

struct store_gate {
    /* private */
    struct mutex lock;
    unsigned slots; /* 0: no gate */
    unsigned max_waiting;
    struct {
        struct cond freed;
        /* guarded by lock */
        unsigned running;
        unsigned waiting;
    } lanes[STORE_LANES];
};

/* slots are for queries of both lanes, max_waiting for each; a quarter more slots, two
 * at least, are for small queries alone. */
void store_gate_init(struct store_gate *g, unsigned slots, unsigned max_waiting);
void store_gate_fini(struct store_gate *g);

/* Take a slot, waiting until deadline_ns at most. is_gone is asked now and then whether
 * the caller still wants it; may be NULL.
 * Errors ERR_UNAVAILABLE: the queue is full or the deadline has passed; ERR_CANCELLED.
 */
NODISCARD bool store_gate_enter(struct store_gate *g, enum store_lane lane,
                                int64_t deadline_ns, bool (*is_gone)(void *arg),
                                void *arg, struct err *err);

/* Give the slot back. */
void store_gate_leave(struct store_gate *g, enum store_lane lane);

/* Queries of both lanes that run now, and that wait. */
unsigned store_gate_running(struct store_gate *g);
unsigned store_gate_waiting(struct store_gate *g);

/* All slots that there are. */
unsigned store_gate_slots(const struct store_gate *g);

#endif
