/* SPDX-License-Identifier: Apache-2.0 */
/* A child is identified by its rendered labels, so that looking it up is comparing
 * texts and printing it copies one. */
#include "common/metrics/registry.h"
#include "common/metrics/registry_priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"

enum { MAX_COLLECTORS = 16, NUMBER_SIZE = 32 };

enum kind { COUNTER, GAUGE, HISTOGRAM };

/* A double that threads add to without a lock, by its bit pattern. */
struct number {
    _Atomic uint64_t bits;
};

struct metrics_value {
    struct number number;
};

struct metrics_histogram {
    const struct metrics_family *family;
    struct number sum;
    _Atomic uint64_t counts[]; /* one for each bound, then +Inf; not cumulative */
};

struct child {
    struct child *next;
    char *labels; /* a="x",b="y" */
    struct metrics_value value;
    struct metrics_histogram *histogram; /* of a histogram family, else NULL */
};

struct metrics_family {
    struct metrics_registry *registry;
    struct metrics_family *next;
    enum kind kind;
    const char *name;
    const char *help;
    const char *const *label_names;
    const double *bounds;
    size_t bound_count;
    /* guarded by the registry's lock */
    struct child *first;
    struct child **end;
};

struct collector {
    metrics_collect_fn *fn;
    void *arg;
    bool owns_arg;
};

struct metrics_registry {
    struct mutex lock;
    /* guarded by lock */
    struct metrics_family *first;
    struct metrics_family **end;
    struct collector collectors[MAX_COLLECTORS];
    size_t collector_count;
};

static double
number_get(const struct number *n)
{
    uint64_t bits = atomic_load_explicit(&n->bits, memory_order_relaxed);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t
bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void
number_add(struct number *n, double delta)
{
    uint64_t before = atomic_load_explicit(&n->bits, memory_order_relaxed);
    double value;
    do {
        memcpy(&value, &before, sizeof value);
    } while (!atomic_compare_exchange_weak_explicit(
        &n->bits, &before, bits_of(value + delta), memory_order_relaxed,
        memory_order_relaxed));
}

struct metrics_registry *
metrics_registry_new(void)
{
    struct metrics_registry *r = xcalloc(1, sizeof *r);
    mutex_init(&r->lock, LOCK_METRICS);
    r->end = &r->first;
    return r;
}

static void
free_family(struct metrics_family *f)
{
    while (f->first != NULL) {
        struct child *c = f->first;
        f->first = c->next;
        free(c->labels);
        free(c->histogram);
        free(c);
    }
    free(f);
}

void
metrics_registry_free(struct metrics_registry **out)
{
    struct metrics_registry *r = TAKE(*out);
    if (r == NULL)
        return;
    while (r->first != NULL) {
        struct metrics_family *f = r->first;
        r->first = f->next;
        free_family(f);
    }
    for (size_t i = 0; i < r->collector_count; i++)
        if (r->collectors[i].owns_arg)
            free(r->collectors[i].arg);
    mutex_fini(&r->lock);
    free(r);
}

static struct metrics_family *
add_family(struct metrics_registry *r, struct metrics_family family)
{
    struct metrics_family *f = xcalloc(1, sizeof *f);
    *f = family;
    f->registry = r;
    f->end = &f->first;
    MUTEX_SCOPE(&r->lock);
    for (struct metrics_family *other = r->first; other != NULL; other = other->next)
        CHECK(strcmp(other->name, f->name) != 0);
    *r->end = f;
    r->end = &f->next;
    return f;
}

struct metrics_family *
metrics_family_new(struct metrics_registry *r, enum metrics_kind kind, const char *name,
                   const char *help, const char *const *label_names)
{
    return add_family(
        r, (struct metrics_family){.kind = kind == METRICS_COUNTER ? COUNTER : GAUGE,
                                   .name = name,
                                   .help = help,
                                   .label_names = label_names});
}

struct metrics_family *
metrics_histogram_family_new(struct metrics_registry *r, const char *name,
                             const char *help, const char *const *label_names,
                             const double *bounds, size_t bound_count)
{
    for (size_t i = 1; i < bound_count; i++)
        CHECK(bounds[i - 1] < bounds[i]);
    return add_family(r, (struct metrics_family){.kind = HISTOGRAM,
                                                 .name = name,
                                                 .help = help,
                                                 .label_names = label_names,
                                                 .bounds = bounds,
                                                 .bound_count = bound_count});
}

/* Label values escape the quote as well; help texts do not. */
static void
put_escaped(struct buf *out, const char *text, bool is_label)
{
    for (; *text != 0; text++) {
        if (*text == '\n')
            buf_put_str(out, "\\n");
        else if (*text == '\\')
            buf_put_str(out, "\\\\");
        else if (*text == '"' && is_label)
            buf_put_str(out, "\\\"");
        else
            buf_put_u8(out, (uint8_t)*text);
    }
}

static char *
render_labels(const char *const *names, const char *const *values)
{
    CLEANUP(buf_fini) struct buf text = {0};
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        buf_printf(&text, "%s%s=\"", i > 0 ? "," : "", names[i]);
        put_escaped(&text, values[i], true);
        buf_put_u8(&text, '"');
    }
    return xstrdup(buf_text(&text));
}

static struct metrics_histogram *
new_histogram(const struct metrics_family *f)
{
    struct metrics_histogram *h =
        xcalloc(1, sizeof *h + (f->bound_count + 1) * sizeof h->counts[0]);
    h->family = f;
    return h;
}

static struct child *
find_or_add_child(struct metrics_family *f, const char *const *label_values)
{
    CLEANUP(xfree) char *labels = render_labels(f->label_names, label_values);
    MUTEX_SCOPE(&f->registry->lock);
    for (struct child *c = f->first; c != NULL; c = c->next)
        if (strcmp(c->labels, labels) == 0)
            return c;
    struct child *c = xcalloc(1, sizeof *c);
    c->labels = TAKE(labels);
    if (f->kind == HISTOGRAM)
        c->histogram = new_histogram(f);
    *f->end = c;
    f->end = &c->next;
    return c;
}

struct metrics_value *
metrics_child(struct metrics_family *f, const char *const *label_values)
{
    CHECK(f->kind != HISTOGRAM);
    return &find_or_add_child(f, label_values)->value;
}

struct metrics_histogram *
metrics_histogram_child(struct metrics_family *f, const char *const *label_values)
{
    CHECK(f->kind == HISTOGRAM);
    return find_or_add_child(f, label_values)->histogram;
}

struct metrics_value *
metrics_counter(struct metrics_registry *r, const char *name, const char *help)
{
    return metrics_child(metrics_family_new(r, METRICS_COUNTER, name, help, NULL),
                         NULL);
}

struct metrics_value *
metrics_gauge(struct metrics_registry *r, const char *name, const char *help)
{
    return metrics_child(metrics_family_new(r, METRICS_GAUGE, name, help, NULL), NULL);
}

void
metrics_add(struct metrics_value *v, double delta)
{
    number_add(&v->number, delta);
}

void
metrics_set(struct metrics_value *v, double value)
{
    atomic_store_explicit(&v->number.bits, bits_of(value), memory_order_relaxed);
}

double
metrics_get(const struct metrics_value *v)
{
    return number_get(&v->number);
}

void
metrics_observe(struct metrics_histogram *h, double value)
{
    const struct metrics_family *f = h->family;
    size_t i = 0;
    /* The negation puts NaN into +Inf. */
    while (i < f->bound_count && !(value <= f->bounds[i]))
        i++;
    atomic_fetch_add_explicit(&h->counts[i], 1, memory_order_relaxed);
    number_add(&h->sum, value);
}

static void
add_collector(struct metrics_registry *r, struct collector collector)
{
    MUTEX_SCOPE(&r->lock);
    CHECK(r->collector_count < MAX_COLLECTORS);
    r->collectors[r->collector_count++] = collector;
}

void
metrics_on_collect(struct metrics_registry *r, metrics_collect_fn *fn, void *arg)
{
    add_collector(r, (struct collector){fn, arg, .owns_arg = false});
}

void
metrics_on_collect_owned(struct metrics_registry *r, metrics_collect_fn *fn, void *arg)
{
    add_collector(r, (struct collector){fn, arg, .owns_arg = true});
}

/* The shortest of three precisions that yields the value again. Six digits give the
 * texts that Go writes for bounds: 0.005, 30, 1e+06. */
static void
render_number(double value, char text[NUMBER_SIZE])
{
    static const int precisions[] = {6, 15, 17};
    if (isnan(value) || isinf(value)) {
        snprintf(text, NUMBER_SIZE, "%s",
                 isnan(value) ? "NaN"
                 : value > 0  ? "+Inf"
                              : "-Inf");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(precisions); i++) {
        snprintf(text, NUMBER_SIZE, "%.*g", precisions[i], value);
        if (bits_of(strtod(text, NULL)) == bits_of(value))
            return;
    }
}

/* As Go writes it for OpenMetrics: 0.005, 30.0, 1e+06, 1.048576e+06. */
static void
render_canonical(double value, char text[NUMBER_SIZE])
{
    enum { DIGITS_MAX = 17, EXPONENT_MIN = -4, EXPONENT_MAX = 5 };
    if (isnan(value) || isinf(value)) {
        render_number(value, text);
        return;
    }
    for (int digits = 1; digits <= DIGITS_MAX; digits++) {
        snprintf(text, NUMBER_SIZE, "%.*e", digits - 1, value);
        if (bits_of(strtod(text, NULL)) != bits_of(value))
            continue;
        int exponent = atoi(strchr(text, 'e') + 1);
        if (exponent >= EXPONENT_MIN && exponent <= EXPONENT_MAX)
            snprintf(text, NUMBER_SIZE, "%.*f", NUM_MAX(digits - 1 - exponent, 1),
                     value);
        return;
    }
}

typedef void render_fn(double value, char text[NUMBER_SIZE]);

/* What differs between the formats. */
struct format {
    render_fn *render;
    bool is_openmetrics;
};

static const struct format text_format = {render_number, false};
static const struct format openmetrics = {render_canonical, true};

/* One line. le is an upper bound, or NULL for no such label. */
static void
put_sample(struct buf *out, const struct metrics_family *f, const char *suffix,
           const char *labels, const char *le, const char *value)
{
    bool has_labels = labels[0] != 0;
    buf_printf(out, "%s%s", f->name, suffix);
    if (has_labels || le != NULL)
        buf_printf(out, "{%s", labels);
    if (le != NULL)
        buf_printf(out, "%sle=\"%s\"", has_labels ? "," : "", le);
    if (has_labels || le != NULL)
        buf_put_u8(out, '}');
    buf_printf(out, " %s\n", value);
}

static void
put_count(struct buf *out, const struct metrics_family *f, const char *suffix,
          const char *labels, const char *le, uint64_t count)
{
    char text[NUMBER_SIZE];
    snprintf(text, sizeof text, "%" PRIu64, count);
    put_sample(out, f, suffix, labels, le, text);
}

/* The count is the sum of the buckets as they were read here, so that the lines agree
 * with each other while other threads observe. */
static void
put_histogram(struct buf *out, const struct child *c, render_fn *render)
{
    const struct metrics_histogram *h = c->histogram;
    const struct metrics_family *f = h->family;
    char text[NUMBER_SIZE];
    uint64_t total = 0;
    for (size_t i = 0; i <= f->bound_count; i++) {
        total += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
        render(i < f->bound_count ? f->bounds[i] : (double)INFINITY, text);
        put_count(out, f, "_bucket", c->labels, text, total);
    }
    render(number_get(&h->sum), text);
    put_sample(out, f, "_sum", c->labels, NULL, text);
    put_count(out, f, "_count", c->labels, NULL, total);
}

static bool
has_family(const struct metrics_registry *r, struct bytes name)
{
    for (const struct metrics_family *f = r->first; f != NULL; f = f->next)
        if (bytes_eq(bytes_of_str(f->name), name))
            return true;
    return false;
}

/* Whether a counter of OpenMetrics can have this name: it is called without _total, and
 * no other family may be called so. Sets *short_len. */
static bool
is_open_counter(const struct metrics_registry *r, const struct metrics_family *f,
                size_t *short_len)
{
    static const char TOTAL[] = "_total";
    struct bytes name = bytes_of_str(f->name);
    size_t end = sizeof TOTAL - 1;
    if (name.len <= end || strcmp(f->name + name.len - end, TOTAL) != 0)
        return false;
    *short_len = name.len - end;
    return !has_family(r, bytes_of(f->name, *short_len));
}

static void
put_head(struct buf *out, const struct metrics_registry *r,
         const struct metrics_family *f, const struct format *format)
{
    static const char *const type_names[] = {
        [COUNTER] = "counter", [GAUGE] = "gauge", [HISTOGRAM] = "histogram"};
    const char *type = type_names[f->kind];
    size_t len = strlen(f->name), short_len;
    if (format->is_openmetrics && f->kind == COUNTER) {
        if (is_open_counter(r, f, &short_len))
            len = short_len;
        else
            type = "unknown";
    }
    buf_printf(out, "# HELP %.*s ", (int)len, f->name);
    put_escaped(out, f->help, format->is_openmetrics);
    buf_printf(out, "\n# TYPE %.*s %s\n", (int)len, f->name, type);
}

static void
put_family(struct buf *out, const struct metrics_registry *r,
           const struct metrics_family *f, const struct format *format)
{
    if (f->first == NULL)
        return;
    put_head(out, r, f, format);
    for (const struct child *c = f->first; c != NULL; c = c->next) {
        char text[NUMBER_SIZE];
        if (f->kind == HISTOGRAM) {
            put_histogram(out, c, format->render);
            continue;
        }
        format->render(metrics_get(&c->value), text);
        put_sample(out, f, "", c->labels, NULL, text);
    }
}

/* Collectors run without the lock, because they may look up children. The list only
 * grows, so a copy of its length is enough. */
static void
collect(struct metrics_registry *r)
{
    size_t count;
    {
        MUTEX_SCOPE(&r->lock);
        count = r->collector_count;
    }
    for (size_t i = 0; i < count; i++)
        r->collectors[i].fn(r->collectors[i].arg);
}

static void
print(struct metrics_registry *r, struct buf *out, const struct format *format)
{
    collect(r);
    MUTEX_SCOPE(&r->lock);
    for (const struct metrics_family *f = r->first; f != NULL; f = f->next)
        put_family(out, r, f, format);
}

void
metrics_print(struct metrics_registry *r, struct buf *out)
{
    print(r, out, &text_format);
}

void
metrics_print_openmetrics(struct metrics_registry *r, struct buf *out)
{
    print(r, out, &openmetrics);
    buf_put_str(out, "# EOF\n");
}
