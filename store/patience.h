/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_PATIENCE_H
#define STORE_PATIENCE_H

#include "common/base/clock.h"

/* How long what keeps the store up to date (listings, metas, marks, index headers)
 * waits for a silent bucket at first (common/net/patience.h). The next try waits twice
 * as long, and the next pass of the block sync begins within 17 s: so the store is
 * healed half a minute after the bucket is. */
#define STORE_PATIENCE_NS (5 * CLOCK_NS_PER_S)

#endif
