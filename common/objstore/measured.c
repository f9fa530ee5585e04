/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/measured.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/xmalloc.h"
#include "common/objstore/bucket_priv.h"

/* X(id, label value, whether bytes are observed). exists and get are there for
 * dashboards: existence is asked with a head, and a whole object is a range. */
#define OPERATIONS(X)               \
    X(ITER, "iter", false)          \
    X(GET, "get", true)             \
    X(GET_RANGE, "get_range", true) \
    X(EXISTS, "exists", false)      \
    X(UPLOAD, "upload", true)       \
    X(DELETE, "delete", false)      \
    X(ATTRIBUTES, "attributes", false)

enum operation {
#define X(id, label, has_bytes) OP_##id,
    OPERATIONS(X)
#undef X
        OP_COUNT
};

static const struct {
    const char *label;
    bool has_bytes;
} OPERATION[OP_COUNT] = {
#define X(id, label, has_bytes) [OP_##id] = {label, has_bytes},
    OPERATIONS(X)
#undef X
};

static const char *const LABELS[] = {"bucket", "operation", NULL};
static const double SECONDS[] = {.001, .01, .1, .3, .6, 1,  3,
                                 6,    9,   20, 30, 60, 90, 120};
/* 32 KiB to 1 GiB. */
static const double BYTES_BOUNDS[] = {0x1p15, 0x1p16, 0x1p17, 0x1p18, 0x1p19, 0x1p20,
                                      0x1p21, 0x1p22, 0x1p23, 0x1p24, 0x1p25, 0x1p26,
                                      0x1p27, 0x1p28, 0x1p29, 0x1p30};

struct op_metrics {
    struct metrics_value *operations;
    struct metrics_value *failures;
    struct metrics_value *fetched_bytes;
    struct metrics_histogram *seconds;
    struct metrics_histogram *bytes; /* NULL: none are observed */
};

struct measured {
    struct objstore_bucket base;
    struct objstore_bucket *inner;
    struct op_metrics ops[OP_COUNT];
    struct metrics_value *last_upload;
    struct objstore_requests *requests; /* NULL: none are counted */
};

/* One running operation. */
struct measurement {
    struct op_metrics *metrics;
    int64_t begin_ns;
};

static struct measured *
measured_of(struct objstore_bucket *b)
{
    return (struct measured *)b;
}

static struct measurement
begin(struct measured *m, enum operation op)
{
    metrics_add(m->ops[op].operations, 1);
    return (struct measurement){&m->ops[op], clock_mono_ns()};
}

/* expected: a failure with this code is a normal answer. */
static bool
end(const struct measurement *m, bool ok, enum err_code expected, const struct err *err)
{
    int64_t spent_ns = clock_mono_ns() - m->begin_ns;
    metrics_observe(m->metrics->seconds, (double)spent_ns / (double)CLOCK_NS_PER_S);
    if (!ok && err->code != ERR_CANCELLED && err->code != expected)
        metrics_add(m->metrics->failures, 1);
    return ok;
}

static bool
measured_list(struct objstore_bucket *b, const struct objstore_call *call,
              struct bytes prefix, objstore_list_fn *fn, void *arg, struct err *err)
{
    struct measured *m = measured_of(b);
    struct measurement running = begin(m, OP_ITER);
    bool ok = m->inner->ops->list(m->inner, call, prefix, fn, arg, err);
    return end(&running, ok, ERR_NONE, err);
}

static bool
measured_head(struct objstore_bucket *b, const struct objstore_call *call,
              struct bytes key, struct objstore_attrs *attrs, struct err *err)
{
    struct measured *m = measured_of(b);
    struct measurement running = begin(m, OP_ATTRIBUTES);
    bool ok = m->inner->ops->head(m->inner, call, key, attrs, err);
    return end(&running, ok, ERR_NOT_FOUND, err);
}

static bool
measured_get_range(struct objstore_bucket *b, const struct objstore_call *call,
                   struct objstore_read *read, objstore_sink_fn *sink, void *arg,
                   struct err *err)
{
    struct measured *m = measured_of(b);
    struct measurement running = begin(m, OP_GET_RANGE);
    struct objstore_outlet outlet = {.sink = sink, .arg = arg};
    bool ok = m->inner->ops->get_range(m->inner, call, read, objstore_outlet_sink,
                                       &outlet, err);
    metrics_add(running.metrics->fetched_bytes, (double)outlet.passed);
    if (ok)
        metrics_observe(running.metrics->bytes, (double)outlet.passed);
    /* A reader that ends the transfer is no failure of the bucket, nor is an empty
     * object, in which no range begins. */
    end(&running, ok || outlet.refused, read->offset == 0 ? ERR_INVALID : ERR_NONE,
        err);
    return ok;
}

static bool
measured_put(struct objstore_bucket *b, const struct objstore_call *call,
             const struct objstore_put *put, struct objstore_attrs *stored,
             struct err *err)
{
    struct measured *m = measured_of(b);
    struct measurement running = begin(m, OP_UPLOAD);
    bool ok = m->inner->ops->put(m->inner, call, put, stored, err);
    if (ok) {
        metrics_observe(running.metrics->bytes, (double)put->size);
        metrics_set(m->last_upload, (double)clock_wall_ns() / (double)CLOCK_NS_PER_S);
    }
    return end(&running, ok, put->create ? ERR_CONFLICT : ERR_NONE, err);
}

static bool
measured_remove(struct objstore_bucket *b, const struct objstore_call *call,
                struct bytes key, struct err *err)
{
    struct measured *m = measured_of(b);
    struct measurement running = begin(m, OP_DELETE);
    bool ok = m->inner->ops->remove(m->inner, call, key, err);
    return end(&running, ok, ERR_NONE, err);
}

static unsigned
measured_abilities(const struct objstore_bucket *b)
{
    const struct objstore_bucket *inner = ((const struct measured *)b)->inner;
    return inner->ops->abilities(inner);
}

static const char *
measured_name(const struct objstore_bucket *b)
{
    return objstore_name(((const struct measured *)b)->inner);
}

static void
measured_free(struct objstore_bucket *b)
{
    struct measured *m = measured_of(b);
    objstore_free(&m->inner);
    objstore_requests_free(&m->requests);
    free(m);
}

static const struct objstore_bucket_ops MEASURED_OPS = {
    .list = measured_list,
    .head = measured_head,
    .get_range = measured_get_range,
    .put = measured_put,
    .remove = measured_remove,
    .abilities = measured_abilities,
    .name = measured_name,
    .free = measured_free,
};

struct objstore_requests *
objstore_measured_requests(const struct objstore_bucket *b)
{
    return b->ops == &MEASURED_OPS ? ((const struct measured *)b)->requests : NULL;
}

static void
register_metrics(struct measured *m, struct metrics_registry *registry)
{
    struct metrics_family *operations = metrics_family_new(
        registry, METRICS_COUNTER, "thanos_objstore_bucket_operations_total",
        "Operations on the bucket.", LABELS);
    struct metrics_family *failures = metrics_family_new(
        registry, METRICS_COUNTER, "thanos_objstore_bucket_operation_failures_total",
        "Operations on the bucket that failed for a reason that was not expected.",
        LABELS);
    struct metrics_family *fetched =
        metrics_family_new(registry, METRICS_COUNTER,
                           "thanos_objstore_bucket_operation_fetched_bytes_total",
                           "Bytes read from the bucket.", LABELS);
    struct metrics_family *seconds = metrics_histogram_family_new(
        registry, "thanos_objstore_bucket_operation_duration_seconds",
        "Duration of operations on the bucket.", LABELS, SECONDS, ARRAY_LEN(SECONDS));
    struct metrics_family *bytes = metrics_histogram_family_new(
        registry, "thanos_objstore_bucket_operation_transferred_bytes",
        "Bytes that one successful operation transferred.", LABELS, BYTES_BOUNDS,
        ARRAY_LEN(BYTES_BOUNDS));
    for (size_t i = 0; i < OP_COUNT; i++) {
        const char *values[] = {objstore_name(m->inner), OPERATION[i].label};
        m->ops[i] = (struct op_metrics){
            .operations = metrics_child(operations, values),
            .failures = metrics_child(failures, values),
            .fetched_bytes = metrics_child(fetched, values),
            .seconds = metrics_histogram_child(seconds, values),
            .bytes =
                OPERATION[i].has_bytes ? metrics_histogram_child(bytes, values) : NULL,
        };
    }
}

void
objstore_measured_wrap(struct objstore_bucket **b, struct metrics_registry *registry,
                       struct objstore_requests *requests)
{
    static const char *const BUCKET_LABEL[] = {"bucket", NULL};
    struct measured *m = xcalloc(1, sizeof *m);
    m->base.ops = &MEASURED_OPS;
    m->inner = *b;
    m->requests = requests;
    register_metrics(m, registry);
    struct metrics_family *last_upload = metrics_family_new(
        registry, METRICS_GAUGE, "thanos_objstore_bucket_last_successful_upload_time",
        "Unix time of the last successful upload.", BUCKET_LABEL);
    const char *bucket[] = {objstore_name(m->inner)};
    m->last_upload = metrics_child(last_upload, bucket);
    *b = &m->base;
}
