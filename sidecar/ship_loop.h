/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of the shipper: one that makes a pass after the other, and workers. */
#ifndef SIDECAR_SHIP_LOOP_H
#define SIDECAR_SHIP_LOOP_H

#include "sidecar/prom_client.h"
#include "sidecar/ship_work.h"
#include "sidecar/shipper.h"
#include "sidecar/watch.h"

struct sidecar_ship_loop;

/* Make a shipper and workers, whose cancel is set here, and start their threads. The
 * first pass follows at once, others when w (borrowed) tells of a block or is woken. */
NODISCARD bool sidecar_ship_loop_start(struct sidecar_ship_loop **out,
                                       const struct sidecar_shipper_options *options,
                                       const struct sidecar_ship_work_options *work,
                                       struct sidecar_watch *w, struct err *err);

/* Ship the head of Prometheus, too (flush.h), until deadline_ns; workers go on with
 * other blocks meanwhile. No passes are made any more afterwards. What came of it is
 * logged; what is pinned and not shipped is left to the next start. At most once. */
void sidecar_ship_loop_flush(struct sidecar_ship_loop *l,
                             struct sidecar_prom_client *client, int64_t deadline_ns);

/* Cancel running uploads, leaving their pins, end the threads, release. Accepts NULL.
 */
void sidecar_ship_loop_stop(struct sidecar_ship_loop **out);

#endif
