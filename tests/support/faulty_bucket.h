/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket that passes every call on to another one and fails those that a rule names:
 * "the second upload of a key with /index in it fails half-way". */
#ifndef TESTS_SUPPORT_FAULTY_BUCKET_H
#define TESTS_SUPPORT_FAULTY_BUCKET_H

#include "common/objstore/bucket.h"

/* Kinds of calls, to be combined with |. */
enum faulty_op {
    FAULTY_LIST = 1,
    FAULTY_HEAD = 2,
    FAULTY_GET = 4, /* get, get_range and read_range */
    FAULTY_PUT = 8, /* put and put_file */
    FAULTY_REMOVE = 16,
    FAULTY_ANY = 31,
};

enum faulty_how {
    FAULTY_REFUSE,   /* nothing is done; the call fails with the rule's code */
    FAULTY_LOSE,     /* the call is done, and its success reported as a failure */
    FAULTY_CUT,      /* half of the range, or of the listing, then the failure */
    FAULTY_TRUNCATE, /* success, with half of the data stored or delivered: a liar */
    FAULTY_FLIP,     /* success, with the first byte stored or delivered changed */
    FAULTY_HANG,     /* blocks until the call is cancelled or its deadline has passed */
};

struct faulty_rule {
    unsigned ops;     /* calls that the rule is about */
    const char *part; /* only keys or prefixes with this text in them; NULL: all */
    unsigned first;   /* the first of those calls to fail, from 1; 0 means 1 */
    unsigned times;   /* how many in a row fail; 0: all from there on */
    enum faulty_how how;
    enum err_code code; /* of REFUSE, LOSE and CUT; 0 means ERR_UNAVAILABLE */
};

/* Wrap inner, which the wrapper then owns. Without rules it changes nothing. */
struct objstore_bucket *faulty_bucket_new(struct objstore_bucket *inner);

/* Add a rule; its text is copied. Of several that apply the oldest wins; each counts
 * the calls it is about. At most 16. Any thread. */
void faulty_bucket_add(struct objstore_bucket *faulty, struct faulty_rule rule);

/* Forget all rules. */
void faulty_bucket_heal(struct objstore_bucket *faulty);

/* Calls of these kinds since the bucket was made, failed ones included. */
unsigned faulty_bucket_calls(const struct objstore_bucket *faulty, unsigned ops);

#endif
