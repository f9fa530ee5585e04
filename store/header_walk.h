/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that goes through the set of blocks that is followed, the newest first: it
 * opens index headers whose files are there, has the others built unless they are to
 * wait until a query asks, and looks at the disk where there is a limit for it. */
#ifndef STORE_HEADER_WALK_H
#define STORE_HEADER_WALK_H

/* Go through one set after the other until the headers (struct store_block_headers) are
 * freed; the main function of a thread. */
void *store_header_walk_run(void *headers);

#endif
