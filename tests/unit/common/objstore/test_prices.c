/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "common/objstore/prices.h"
#include "tests/support/expect.h"

static struct err err;

static bool
read_text(const char *text, struct objstore_prices *p)
{
    CLEANUP(yaml_tree_free) struct yaml *y = NULL;
    expect_ok(yaml_parse(bytes_of_str(text), 10000, &y, &err), err);
    return objstore_prices_read(p, y, &err);
}

/* 36 gets an hour, 1 GiB; 10 puts. */
static const struct objstore_request_figures figures = {
    .total = {.requests = {[OBJSTORE_REQUEST_GET] = 100}},
    .recent = {.requests = {[OBJSTORE_REQUEST_GET] = 36, [OBJSTORE_REQUEST_PUT] = 10},
               .received_bytes = UINT64_C(1) << 30},
    .recent_s = 3600,
};

static void
makes_a_day_of_an_hour(void **state)
{
    struct objstore_prices p = {0};
    (void)state;
    expect_ok(
        read_text("currency: EUR\nper_1000: {get: 0.5, put: 5}\nper_gib_out: 0.1\n",
                  &p),
        err);
    assert_true(p.is_set);
    assert_string_equal(p.currency, "EUR");
    double cost = objstore_prices_of_day(&p, &figures);
    assert_true(fabs(cost - 24 * (36 * 0.0005 + 10 * 0.005 + 0.1)) < 1e-9);
}

static void
tells_no_money_without_prices(void **state)
{
    static const char *const documents[] = {"", "currency: <b>\n"};
    (void)state;
    for (int is_set = 0; is_set < 2; is_set++) {
        struct objstore_prices p = {0};
        CLEANUP(buf_fini) struct buf page = {0};
        CLEANUP(buf_fini) struct buf text = {0};
        struct json_writer w = {.out = &text};
        expect_ok(read_text(documents[is_set], &p), err);
        objstore_prices_html(&p, &figures, &page);
        objstore_prices_json(&p, &figures, &w);
        assert_int_equal(strstr(buf_text(&page), "cost per day") != NULL, is_set);
        assert_int_equal(strstr(buf_text(&page), "0.0000 &lt;b&gt;") != NULL, is_set);
        assert_int_equal(strstr(buf_text(&text), "costPerDay") != NULL, is_set);
        assert_non_null(strstr(buf_text(&text), "\"perDay\":{\"get\":864,"));
        assert_non_null(strstr(buf_text(&text), "\"sinceStart\":{\"get\":100,"));
    }
}

static void
refuses_what_is_no_price(void **state)
{
    static const char *const texts[] = {
        "per_1000: {get: -1}",
        "per_1000: {get: cheap}",
        "per_1000: {get: nan}",
        "per_1000: {get: inf}",
        "per_1000: {get: \"\"}",
        "per_1000: {copy: 1}",
        "per_1000: 7",
        "per_gib_out: 1e999",
        "price: 1",
        "currency: a text that is much too long for one",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct objstore_prices p = {.per_gib_out = 3};
        expect_fails(read_text(texts[i], &p), err, ERR_INVALID);
        assert_non_null(strstr(err.text, "line 1"));
        assert_true(p.per_gib_out > 2);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_a_day_of_an_hour),
        cmocka_unit_test(tells_no_money_without_prices),
        cmocka_unit_test(refuses_what_is_no_price),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
