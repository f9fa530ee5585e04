/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket that answers reads by the round: it holds them until as many wait as the
 * round is expected to have, then lets all go. So a test sees how many reads depend on
 * each other, whatever time they take. */
#ifndef TESTS_SUPPORT_LOCKSTEP_BUCKET_H
#define TESTS_SUPPORT_LOCKSTEP_BUCKET_H

#include "common/objstore/bucket.h"

/* Wrap inner, which the wrapper then owns. Until it is told what to expect, it passes
 * everything on. */
struct objstore_bucket *lockstep_bucket_new(struct objstore_bucket *inner);

/* From now on expect count rounds of so many reads. rounds is borrowed until the next
 * call; 0 rounds: pass everything on again. A read beyond them, and one that waits for
 * others in vain for 20 seconds, fails. */
void lockstep_bucket_expect(struct objstore_bucket *lockstep, const unsigned *rounds,
                            size_t count);

/* Whole rounds since then. */
size_t lockstep_bucket_rounds(struct objstore_bucket *lockstep);

#endif
