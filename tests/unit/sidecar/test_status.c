/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/xmalloc.h"
#include "common/codec/json.h"
#include "sidecar/status.h"
#include "sidecar/status_page.h"

enum { HOUR_MS = 3600 * 1000 };

/* Ten hours after the epoch of the ids below, which are made at n hours. */
#define NOW_NS (INT64_C(10) * HOUR_MS * CLOCK_NS_PER_MS)

struct world {
    struct metrics_registry *metrics;
    struct sidecar_status status;
};

static int
setup(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    w->metrics = metrics_registry_new();
    w->status = (struct sidecar_status){.table = sidecar_block_table_new(),
                                        .admin = app_admin_new("sidecar", w->metrics),
                                        .bucket = "blocks"};
    clock_freeze(NOW_NS, NOW_NS);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    clock_unfreeze();
    app_admin_free(&w->status.admin);
    sidecar_block_table_free(&w->status.table);
    metrics_registry_free(&w->metrics);
    free(w);
    return 0;
}

/* The block of the two hours before hour n, made then. */
static struct sidecar_block
block_of(unsigned n)
{
    int64_t made_ms = (int64_t)n * HOUR_MS;
    struct sidecar_block b = {
        .mint_ms = made_ms - 2 * HOUR_MS, .maxt_ms = made_ms, .level = 1};
    for (unsigned i = 0; i < 6; i++)
        b.id.raw[i] = (uint8_t)(made_ms >> (40 - 8 * i));
    return b;
}

static void
add(struct world *w, unsigned n, enum sidecar_block_state state)
{
    struct sidecar_block b = block_of(n);
    sidecar_block_table_see(w->status.table, &b);
    sidecar_block_table_measure(w->status.table, &b.id, 3 << 20);
    sidecar_block_table_set(w->status.table, &b.id, state);
}

static void
add_failed(struct world *w, unsigned n, const char *reason)
{
    struct err err;
    struct sidecar_block b = block_of(n);
    add(w, n, SIDECAR_BLOCK_READY);
    err_fill(&err, ERR_CORRUPT, "%s", reason);
    sidecar_block_table_fail(w->status.table, &b.id, &err, clock_mono_ns());
}

static struct json *
ask(struct world *w)
{
    struct err err;
    struct json *root;
    CLEANUP(sidecar_status_view_fini) struct sidecar_status_view view = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    sidecar_status_look(&w->status, &view);
    sidecar_status_json(&view, &text);
    if (!json_parse(buf_bytes(&text), text.len, &root, &err))
        fail_msg("%s in %s", err.text, buf_text(&text));
    return root;
}

static void
assert_number(const struct json *at, const char *key, int64_t want)
{
    int64_t got;
    assert_true(json_i64(json_get(at, key), &got));
    assert_int_equal(got, want);
}

static void
assert_text(const struct json *at, const char *key, const char *want)
{
    const char *got;
    assert_true(json_text(json_get(at, key), &got));
    assert_string_equal(got, want);
}

static void
tells_each_block(void **state)
{
    struct world *w = *state;
    add(w, 4, SIDECAR_BLOCK_SHIPPED);
    add_failed(w, 6, "index: checksum \"mismatch\"");
    add(w, 8, SIDECAR_BLOCK_PINNED);
    CLEANUP(json_free) struct json *root = ask(w);
    const struct json *data = json_get(root, "data");
    const struct json *blocks = json_get(data, "blocks");
    assert_text(root, "status", "success");
    assert_text(data, "bucket", "blocks");
    assert_number(data, "newestShippedMaxTime", 4 * HOUR_MS);
    assert_number(data, "nextBlockMaxTime", 10 * HOUR_MS);
    assert_number(data, "nextBlockExpectedAt", 11 * HOUR_MS);
    assert_number(data, "oldestUnshippedAgeSeconds", 4 * 3600);
    assert_int_equal(json_array_len(blocks), 3);
    assert_text(json_array_at(blocks, 0), "state", "shipped");
    assert_number(json_array_at(blocks, 0), "sentBytes", 3 << 20);
    const struct json *failed = json_array_at(blocks, 1);
    assert_text(failed, "state", "failed");
    assert_text(failed, "code", "corrupt");
    assert_text(failed, "reason", "index: checksum \"mismatch\"");
    assert_number(failed, "retrySeconds", 5);
    assert_number(failed, "ageSeconds", 4 * 3600);
    assert_text(json_array_at(blocks, 2), "state", "pinned");
    assert_null(json_get(json_array_at(blocks, 2), "reason"));
}

static void
leaves_out_what_is_not_known(void **state)
{
    struct world *w = *state;
    w->status.bucket = NULL;
    CLEANUP(json_free) struct json *root = ask(w);
    const struct json *data = json_get(root, "data");
    assert_null(json_get(data, "bucket"));
    assert_null(json_get(data, "newestShippedMaxTime"));
    assert_null(json_get(data, "nextBlockExpectedAt"));
    assert_number(data, "oldestUnshippedAgeSeconds", 0);
    assert_int_equal(json_array_len(json_get(data, "blocks")), 0);
}

static void
tells_how_prometheus_is(void **state)
{
    struct world *w = *state;
    bool ready;
    {
        CLEANUP(json_free) struct json *root = ask(w);
        const struct json *p = json_get(json_get(root, "data"), "prometheus");
        assert_true(json_bool(json_get(p, "ready"), &ready));
        assert_false(ready);
        assert_text(p, "reason", "starting");
        assert_text(p, "flags", "");
    }
    app_admin_set_ready(w->status.admin, true, "");
    CLEANUP(json_free) struct json *root = ask(w);
    const struct json *p = json_get(json_get(root, "data"), "prometheus");
    assert_true(json_bool(json_get(p, "ready"), &ready));
    assert_true(ready);
}

static void
assert_on_page(struct world *w, const char *part, bool wanted)
{
    CLEANUP(sidecar_status_view_fini) struct sidecar_status_view view = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    sidecar_status_look(&w->status, &view);
    sidecar_status_page(&view, &text);
    if ((strstr(buf_text(&text), part) != NULL) != wanted)
        fail_msg("%s in\n%s", part, buf_text(&text));
}

static void
draws_a_page_of_the_same(void **state)
{
    struct world *w = *state;
    struct sidecar_block b = block_of(6);
    add_failed(w, 6, "<script>alert('&')</script>");
    assert_on_page(w, tsdb_ulid_print(&b.id).text, true);
    assert_on_page(w, "<script>", false);
    assert_on_page(w, "&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;", true);
    assert_on_page(w, "1970-01-01T06:00:00Z", true); /* the end of its range */
    assert_on_page(w, "3.0 MiB", true);
    assert_on_page(w, "4 h 0 min", true);
    assert_on_page(w, "in 5 s", true);
    assert_on_page(w, "not known", true); /* the flags of Prometheus */
}

static void
knows_no_times_of_what_cannot_be_read(void **state)
{
    struct world *w = *state;
    struct err err;
    const struct sidecar_block b = {.id = block_of(6).id};
    sidecar_block_table_see(w->status.table, &b);
    err_fill(&err, ERR_CORRUPT, "no meta.json");
    sidecar_block_table_fail(w->status.table, &b.id, &err, clock_mono_ns());
    CLEANUP(json_free) struct json *root = ask(w);
    const struct json *data = json_get(root, "data");
    const struct json *row = json_array_at(json_get(data, "blocks"), 0);
    assert_null(json_get(row, "minTime"));
    assert_null(json_get(row, "maxTime"));
    assert_null(json_get(row, "level"));
    assert_number(row, "ageSeconds", 4 * 3600);
    assert_number(data, "olderUnshippedBlocks", 0);
    assert_on_page(w, "1970", false);
    assert_on_page(w, "no meta.json", true);
}

static void
tells_of_a_data_directory_that_cannot_be_used(void **state)
{
    struct world *w = *state;
    {
        CLEANUP(json_free) struct json *root = ask(w);
        assert_null(json_get(json_get(root, "data"), "dataDirectoryTrouble"));
        assert_on_page(w, "in order", true);
    }
    sidecar_block_table_trouble(w->status.table, "open <data>: gone");
    CLEANUP(json_free) struct json *root = ask(w);
    assert_text(json_get(root, "data"), "dataDirectoryTrouble", "open <data>: gone");
    assert_on_page(w, "open &lt;data&gt;: gone", true);
    assert_on_page(w, "in order", false);
}

static void
counts_what_waits_behind_the_newest(void **state)
{
    struct world *w = *state;
    add(w, 4, SIDECAR_BLOCK_SHIPPED);
    add(w, 6, SIDECAR_BLOCK_READY);
    add(w, 8, SIDECAR_BLOCK_SHIPPED);
    add(w, 10, SIDECAR_BLOCK_READY);
    CLEANUP(json_free) struct json *root = ask(w);
    assert_number(json_get(root, "data"), "newestShippedMaxTime", 8 * HOUR_MS);
    assert_number(json_get(root, "data"), "olderUnshippedBlocks", 1);
    assert_on_page(w, "up to 1970-01-01T08:00:00Z; 1 older not shipped yet", true);
}

static void
explains_a_block_that_is_overdue(void **state)
{
    struct world *w = *state;
    add(w, 8, SIDECAR_BLOCK_SHIPPED); /* the next one is due at 11 */
    assert_on_page(w, "overdue", false);
    const int64_t later_ns = NOW_NS + 3 * HOUR_MS * CLOCK_NS_PER_MS;
    clock_freeze(later_ns, later_ns);
    assert_on_page(w, "overdue by 2 h 0 min: Prometheus is not ready", true);
    app_admin_set_ready(w->status.admin, true, "");
    assert_on_page(w, "overdue by 2 h 0 min: Prometheus writes it when", true);
    CLEANUP(json_free) struct json *root = ask(w);
    assert_number(json_get(root, "data"), "nextBlockOverdueSeconds", 2 * 3600);
}

static void
bears_blocks_of_any_time(void **state)
{
    static const struct {
        int64_t mint_ms, maxt_ms;
    } cases[] = {{INT64_MIN, INT64_MIN + 1},
                 {INT64_MIN, INT64_MAX},
                 {-1, INT64_MAX},
                 {INT64_MAX - 1, INT64_MAX}};
    struct world *w = *state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct sidecar_block b = block_of(i + 1);
        b.mint_ms = cases[i].mint_ms;
        b.maxt_ms = cases[i].maxt_ms;
        sidecar_block_table_see(w->status.table, &b);
        CLEANUP(json_free) struct json *root = ask(w);
        assert_int_equal(json_array_len(json_get(json_get(root, "data"), "blocks")),
                         i + 1);
        assert_on_page(w, "up to 1970", false);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(tells_each_block),
        CASE(leaves_out_what_is_not_known),
        CASE(tells_how_prometheus_is),
        CASE(draws_a_page_of_the_same),
        CASE(knows_no_times_of_what_cannot_be_read),
        CASE(tells_of_a_data_directory_that_cannot_be_used),
        CASE(counts_what_waits_behind_the_newest),
        CASE(explains_a_block_that_is_overdue),
        CASE(bears_blocks_of_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
