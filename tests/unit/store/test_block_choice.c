/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/xmalloc.h"
#include "store/block_choice.h"
#include "tests/support/expect.h"

enum { MAX_BLOCKS = 24, TIMES = 60, CLUSTERS = 2, TEXT_MAX = 512 };

static const int64_t widths_ms[] = {0, 300000, 3600000};
static struct err err;

struct fixture {
    struct budget budget;
    struct arena arena;
    struct tsdb_label labels[CLUSTERS];
    size_t count;
    struct store_block **blocks; /* given to the set */
    struct store_block_set *set;
};

static void
begin(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    budget_init(&f->budget, "test", SIZE_MAX, NULL);
    arena_init(&f->arena, &f->budget);
    f->blocks = xcalloc(MAX_BLOCKS, sizeof(struct store_block *));
    for (size_t i = 0; i < CLUSTERS; i++)
        f->labels[i] =
            (struct tsdb_label){BYTES("cluster"), {(const uint8_t *)"ab" + i, 1}};
}

static void
end(struct fixture *f)
{
    store_block_set_unref(&f->set);
    arena_fini(&f->arena);
    budget_fini(&f->budget);
}

/* Blocks are named by letters, in the order in which they are added. */
static void
add(struct fixture *f, size_t cluster, enum store_resolution resolution,
    int64_t mint_ms, int64_t maxt_ms)
{
    struct store_block *b = xcalloc(1, sizeof *b);
    atomic_init(&b->references, 1);
    b->id.raw[TSDB_ULID_SIZE - 1] = (uint8_t)f->count;
    b->meta.mint_ms = mint_ms;
    b->meta.maxt_ms = maxt_ms;
    b->meta.resolution_ms = widths_ms[resolution];
    b->meta.external = (struct tsdb_labels){&f->labels[cluster], 1};
    f->blocks[f->count++] = b;
}

static size_t
number_of(const struct store_block *b)
{
    return b->id.raw[TSDB_ULID_SIZE - 1];
}

static struct store_block_choice
choose(struct fixture *f, enum store_resolution coarsest, int64_t mint_ms,
       int64_t maxt_ms)
{
    struct store_block_choice c;
    const struct store_block_question q = {{mint_ms, maxt_ms}, coarsest};
    if (f->set == NULL)
        f->set = store_block_set_new(f->blocks, f->count);
    expect_ok(store_block_choose(&c, f->set, &q, &f->arena, &err), err);
    return c;
}

/* "a[-,9] b[20,-]": what is used of which block. */
static void
print(const struct store_block_choice *c, char *out)
{
    size_t len = 0;
    out[0] = 0;
    for (size_t i = 0; i < c->count; i++) {
        const struct store_chosen_block *b = &c->at[i];
        len += (size_t)sprintf(out + len, "%s%c", i > 0 ? " " : "",
                               (char)('a' + number_of(b->block)));
        for (size_t k = 0; k < b->parts.count; k++) {
            char mint[24] = "-", maxt[24] = "-";
            if (b->parts.at[k].mint_ms != INT64_MIN)
                sprintf(mint, "%lld", (long long)b->parts.at[k].mint_ms);
            if (b->parts.at[k].maxt_ms != INT64_MAX)
                sprintf(maxt, "%lld", (long long)b->parts.at[k].maxt_ms);
            len += (size_t)sprintf(out + len, "[%s,%s]", mint, maxt);
        }
    }
}

#define CHECK(f, coarsest, mint, maxt, expected)                                \
    do {                                                                        \
        char text[TEXT_MAX];                                                    \
        struct store_block_choice choice = choose((f), (coarsest), mint, maxt); \
        print(&choice, text);                                                   \
        assert_string_equal(text, (expected));                                  \
    } while (0)

#define RAW STORE_RESOLUTION_RAW
#define R5M STORE_RESOLUTION_5M
#define R1H STORE_RESOLUTION_1H

static void
uses_raw_blocks_whole(void **unused)
{
    struct fixture f;
    (void)unused;
    begin(&f);
    add(&f, 0, RAW, 10, 20);
    add(&f, 1, RAW, 15, 30);
    add(&f, 0, RAW, 0, 10);
    CHECK(&f, RAW, 0, 100, "c[-,-] a[-,-] b[-,-]");
    CHECK(&f, R1H, 0, 100, "c[-,-] a[-,-] b[-,-]");
    CHECK(&f, R1H, 9, 9, "c[-,-]");
    CHECK(&f, R1H, 10, 10, "a[-,-]");
    CHECK(&f, RAW, 30, 40, "");
    assert_ptr_equal(f.set->groups.plain, f.set->blocks);
    end(&f);
}

static void
falls_back_to_what_is_there(void **unused)
{
    struct fixture f;
    (void)unused;
    begin(&f);
    add(&f, 0, R1H, 0, 100);
    CHECK(&f, RAW, 0, 1000, "a[-,-]");
    end(&f);
    begin(&f);
    add(&f, 0, R1H, 0, 100);
    add(&f, 0, R5M, 50, 100);
    add(&f, 0, RAW, 80, 120);
    CHECK(&f, RAW, 0, 1000, "a[-,49] b[-,79] c[-,-]");
    CHECK(&f, R5M, 0, 1000, "a[-,49] b[-,-] c[100,-]");
    CHECK(&f, R1H, 0, 1000, "a[-,-] c[100,-]");
    CHECK(&f, R1H, 0, 99, "a[-,-]");
    CHECK(&f, RAW, 90, 95, "c[-,-]");
    end(&f);
}

static void
cuts_blocks_to_the_holes_that_they_fill(void **unused)
{
    struct fixture f;
    (void)unused;
    begin(&f);
    add(&f, 0, RAW, 0, 100);
    add(&f, 0, R5M, 10, 20);
    add(&f, 0, R5M, 15, 30); /* overlapping ones are all used */
    add(&f, 0, R5M, 50, 60);
    add(&f, 0, RAW, 12, 18); /* all hidden */
    CHECK(&f, R5M, 0, 200, "a[-,9][30,49][60,-] b[-,-] c[-,-] d[-,-]");
    CHECK(&f, R5M, 35, 45, "a[-,-]");
    CHECK(&f, R5M, 25, 45, "c[-,-] a[30,-]");
    CHECK(&f, R5M, 31, 55, "a[-,49] d[-,-]");
    CHECK(&f, RAW, 0, 200, "a[-,-] e[-,-]");
    end(&f);
}

static void
keeps_external_labels_apart(void **unused)
{
    struct fixture f;
    (void)unused;
    begin(&f);
    add(&f, 0, RAW, 0, 100);
    add(&f, 0, R5M, 0, 50);
    add(&f, 1, RAW, 0, 100);
    CHECK(&f, R5M, 0, 99, "b[-,-] c[-,-] a[50,-]");
    end(&f);
}

static size_t
pick(size_t n)
{
    return (size_t)rand() % n;
}

/* Whether a block answers a time at all, by its times alone. */
static bool
has(const struct store_block *b, int64_t t_ms)
{
    return b->meta.mint_ms <= t_ms && t_ms < b->meta.maxt_ms;
}

/* The rule for one moment: the resolution that answers it for a cluster, -1 for none. A
 * moment that the first resolution leaves to another one is seen moment by moment. */
static int
resolution_at(const struct fixture *f, size_t cluster, unsigned coarsest, int64_t t_ms,
              struct store_time_range query)
{
    unsigned order[STORE_RESOLUTION_COUNT], n = 0;
    for (unsigned r = coarsest + 1; r-- > 0;)
        order[n++] = r;
    for (unsigned r = coarsest + 1; r < STORE_RESOLUTION_COUNT; r++)
        order[n++] = r;
    for (unsigned i = 0; i < n; i++)
        for (size_t k = 0; k < f->count; k++) {
            const struct store_block *b = f->set->blocks[k];
            if (b->meta.external.at == &f->labels[cluster] &&
                b->meta.resolution_ms == widths_ms[order[i]] && has(b, t_ms) &&
                store_block_overlaps(b, query.mint_ms, query.maxt_ms))
                return (int)order[i];
        }
    return -1;
}

static bool
answers(const struct store_block_choice *c, const struct store_block *b, int64_t t_ms)
{
    for (size_t i = 0; i < c->count; i++) {
        struct store_time_ranges parts = c->at[i].parts;
        size_t at = store_time_ranges_find(parts, t_ms);
        if (c->at[i].block == b && at < parts.count && parts.at[at].mint_ms <= t_ms)
            return true;
    }
    return false;
}

/* Moment by moment: a block answers those of its own whose resolution is the one. */
static void
check_moments(struct fixture *f, unsigned coarsest, struct store_time_range query)
{
    struct store_block_choice c =
        choose(f, (enum store_resolution)coarsest, query.mint_ms, query.maxt_ms);
    for (size_t k = 0; k < f->count; k++) {
        const struct store_block *b = f->set->blocks[k];
        size_t cluster = (size_t)(b->meta.external.at - f->labels);
        for (int64_t t = query.mint_ms; t <= query.maxt_ms; t++) {
            if (!has(b, t))
                continue;
            int r = resolution_at(f, cluster, coarsest, t, query);
            assert_int_equal(answers(&c, b, t), b->meta.resolution_ms == widths_ms[r]);
        }
    }
}

static void
check_form(const struct store_block_choice *c, struct store_time_range query)
{
    for (size_t i = 0; i < c->count; i++) {
        struct store_time_ranges parts = c->at[i].parts;
        struct store_time_range reach = store_chosen_block_reach(&c->at[i], query);
        assert_true(parts.count > 0);
        assert_true(reach.mint_ms >= query.mint_ms && reach.maxt_ms <= query.maxt_ms);
        assert_true(reach.mint_ms <= reach.maxt_ms);
        assert_true(store_block_overlaps(c->at[i].block, reach.mint_ms, reach.maxt_ms));
        for (size_t k = 0; k < parts.count; k++) {
            assert_true(parts.at[k].mint_ms <= parts.at[k].maxt_ms);
            if (k > 0)
                assert_true(parts.at[k].mint_ms > parts.at[k - 1].maxt_ms + 1);
        }
        for (size_t k = 0; k < i; k++)
            assert_ptr_not_equal(c->at[k].block, c->at[i].block);
    }
}

static void
chooses_what_a_naive_model_chooses(void **unused)
{
    (void)unused;
    srand(4711);
    for (int round = 0; round < 3000; round++) {
        struct fixture f;
        begin(&f);
        size_t count = pick(MAX_BLOCKS);
        for (size_t i = 0; i < count; i++) {
            int64_t mint = (int64_t)pick(TIMES);
            int64_t longest = pick(3) == 0 ? TIMES : 8;
            add(&f, pick(CLUSTERS), (enum store_resolution)pick(STORE_RESOLUTION_COUNT),
                mint, mint + 1 + (int64_t)pick((size_t)longest));
        }
        for (int queries = 0; queries < 4; queries++) {
            struct store_time_range query = {(int64_t)pick(TIMES), 0};
            query.maxt_ms = query.mint_ms + (int64_t)pick(TIMES);
            unsigned coarsest = (unsigned)pick(STORE_RESOLUTION_COUNT);
            struct store_block_choice c = choose(&f, (enum store_resolution)coarsest,
                                                 query.mint_ms, query.maxt_ms);
            check_form(&c, query);
            check_moments(&f, coarsest, query);
        }
        if (f.set == NULL)
            f.set = store_block_set_new(f.blocks, f.count);
        end(&f);
    }
}

static void
takes_times_at_the_ends_of_numbers(void **unused)
{
    struct fixture f;
    (void)unused;
    begin(&f);
    add(&f, 0, R5M, INT64_MIN, 0);
    add(&f, 0, RAW, -10, INT64_MAX);
    add(&f, 0, R5M, INT64_MAX, INT64_MAX);
    CHECK(&f, R5M, INT64_MIN, INT64_MAX, "a[-,-] b[0,-]");
    CHECK(&f, RAW, INT64_MIN, INT64_MAX, "a[-,-11] b[-,-]");
    CHECK(&f, RAW, INT64_MIN, INT64_MIN, "a[-,-]");
    end(&f);
}

/* As many as a store may serve, in two resolutions that interrupt each other. */
static void
is_quick_with_many_blocks(void **unused)
{
    enum { MANY = 50000 };
    struct fixture f;
    (void)unused;
    begin(&f);
    free(f.blocks);
    f.blocks = xcalloc(MANY, sizeof(struct store_block *));
    for (int64_t i = 0; i < MANY / 2; i++) {
        add(&f, 0, R5M, i * 20, i * 20 + 10);
        add(&f, 0, RAW, i * 20, i * 20 + 20);
    }
    choose(&f, R5M, 0, 0);
    int64_t begun_ns = clock_mono_ns();
    struct store_block_choice c = choose(&f, R5M, 0, INT64_MAX);
    int64_t took_ms = (clock_mono_ns() - begun_ns) / CLOCK_NS_PER_MS;
    assert_int_equal(c.count, MANY);
    assert_in_range(took_ms, 0, 500);
    print_message("%d blocks chosen in %lld ms, %zu bytes\n", MANY, (long long)took_ms,
                  arena_size(&f.arena));
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uses_raw_blocks_whole),
        cmocka_unit_test(falls_back_to_what_is_there),
        cmocka_unit_test(cuts_blocks_to_the_holes_that_they_fill),
        cmocka_unit_test(keeps_external_labels_apart),
        cmocka_unit_test(chooses_what_a_naive_model_chooses),
        cmocka_unit_test(takes_times_at_the_ends_of_numbers),
        cmocka_unit_test(is_quick_with_many_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
