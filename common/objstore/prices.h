/* SPDX-License-Identifier: Apache-2.0 */
/* What a provider takes for requests, from the configuration, and what a day costs. */
#ifndef COMMON_OBJSTORE_PRICES_H
#define COMMON_OBJSTORE_PRICES_H

#include "common/codec/json_writer.h"
#include "common/codec/yaml.h"
#include "common/objstore/requests.h"

enum { OBJSTORE_CURRENCY_SIZE = 16 };

/* The zero value is no price at all. */
struct objstore_prices {
    bool is_set;
    char currency[OBJSTORE_CURRENCY_SIZE]; /* any text */
    double per_1000[OBJSTORE_REQUEST_KIND_COUNT];
    double per_gib_out; /* of what is received from the bucket */
};

/* From a map with currency, per_1000 (a map from kinds to numbers) and per_gib_out, all
 * of which may be left out; null sets nothing.
 * Errors ERR_INVALID with the line. */
NODISCARD bool objstore_prices_read(struct objstore_prices *p, const struct yaml *y,
                                    struct err *err);

/* What a day costs at the recent rate. */
double objstore_prices_of_day(const struct objstore_prices *p,
                              const struct objstore_request_figures *f);

/* Append the member "requests": per kind since the start and per day at the recent
 * rate, bytes received, and with prices the cost of a day. */
void objstore_prices_json(const struct objstore_prices *p,
                          const struct objstore_request_figures *f,
                          struct json_writer *w);

/* The same as a table with its heading, for a page. */
void objstore_prices_html(const struct objstore_prices *p,
                          const struct objstore_request_figures *f, struct buf *out);

#endif
