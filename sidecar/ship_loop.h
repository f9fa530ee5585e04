/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that makes one pass of the shipper after the other. */
#ifndef SIDECAR_SHIP_LOOP_H
#define SIDECAR_SHIP_LOOP_H

#include "sidecar/shipper.h"
#include "sidecar/watch.h"

struct sidecar_ship_loop;

/* Make a shipper from options, whose cancel is set here, and start its thread. The
 * first pass follows at once, others when w (borrowed) tells of a block or is woken. */
NODISCARD bool sidecar_ship_loop_start(struct sidecar_ship_loop **out,
                                       const struct sidecar_shipper_options *options,
                                       struct sidecar_watch *w, struct err *err);

/* Cancel a running upload, leaving its pin, end the thread, release. Accepts NULL. */
void sidecar_ship_loop_stop(struct sidecar_ship_loop **out);

#endif
