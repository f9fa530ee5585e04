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
#include "store/block_set.h"
#include "tests/support/expect.h"

/* Times of blocks are minutes: windows have 5 or 60 of them. */
enum {
    NOBODY = -1,
    MINUTE = 60000,
    MAX_BLOCKS = 24,
    TIMES = 300,
    CLUSTERS = 2,
    TEXT_MAX = 512
};

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
add_ms(struct fixture *f, size_t cluster, enum store_resolution resolution,
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

static void
add(struct fixture *f, size_t cluster, enum store_resolution resolution, int64_t from,
    int64_t to)
{
    add_ms(f, cluster, resolution, from * MINUTE, to * MINUTE);
}

static size_t
number_of(const struct store_block *b)
{
    return b->id.raw[TSDB_ULID_SIZE - 1];
}

static struct store_block_choice
choose_ms(struct fixture *f, enum store_resolution coarsest, int64_t mint_ms,
          int64_t maxt_ms)
{
    struct store_block_choice c;
    const struct store_block_question q = {{mint_ms, maxt_ms}, coarsest};
    if (f->set == NULL)
        f->set = store_block_set_new(f->blocks, f->count);
    expect_ok(store_block_choose(&c, &f->set->plan, &q, &f->arena, &err), err);
    return c;
}

static struct store_block_choice
choose(struct fixture *f, enum store_resolution coarsest, int64_t from, int64_t to)
{
    return choose_ms(f, coarsest, from * MINUTE, to * MINUTE);
}

/* "a[-,9) b[20,-)": which minutes are used of which block. */
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
                sprintf(mint, "%g", (double)b->parts.at[k].mint_ms / MINUTE);
            if (b->parts.at[k].maxt_ms != INT64_MAX)
                sprintf(maxt, "%g", (double)(b->parts.at[k].maxt_ms + 1) / MINUTE);
            len += (size_t)sprintf(out + len, "[%s,%s)", mint, maxt);
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
    CHECK(&f, RAW, 0, 100, "c[-,-) a[-,-) b[-,-)");
    CHECK(&f, R1H, 0, 100, "c[-,-) a[-,-) b[-,-)");
    CHECK(&f, R1H, 9, 9, "c[-,-)");
    CHECK(&f, R1H, 10, 10, "a[-,-)");
    CHECK(&f, RAW, 30, 40, "");
    assert_ptr_equal(f.set->plan.by_coarsest[R1H].at, f.set->plan.by_coarsest[RAW].at);
    end(&f);
}

static void
falls_back_to_what_is_there(void **unused)
{
    struct fixture f;
    (void)unused;
    begin(&f);
    add(&f, 0, R1H, 0, 100);
    CHECK(&f, RAW, 0, 1000, "a[-,-)");
    end(&f);
    begin(&f);
    add(&f, 0, R1H, 0, 240);
    add(&f, 0, R5M, 120, 240);
    add(&f, 0, RAW, 180, 300);
    CHECK(&f, RAW, 0, 1000, "a[-,120) b[-,180) c[-,-)");
    CHECK(&f, R5M, 0, 1000, "a[-,120) b[-,-) c[240,-)");
    CHECK(&f, R1H, 0, 1000, "a[-,-) c[240,-)");
    CHECK(&f, R1H, 0, 239, "a[-,-)");
    CHECK(&f, RAW, 190, 195, "c[-,-)");
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
    CHECK(&f, R5M, 0, 200, "a[-,10)[30,50)[60,-) b[-,-) c[-,-) d[-,-)");
    CHECK(&f, R5M, 35, 45, "a[30,50)");
    CHECK(&f, R5M, 25, 45, "a[30,50) c[-,-)");
    CHECK(&f, R5M, 31, 55, "a[30,50) d[-,-)");
    CHECK(&f, RAW, 0, 200, "a[-,-) e[-,-)");
    end(&f);
}

/* Whose samples were made of other ones than those that the hole lacks. */
static void
uses_no_window_that_begins_before_the_hole(void **unused)
{
    struct fixture f;
    (void)unused;
    begin(&f);
    add(&f, 0, RAW, 0, 63);
    add(&f, 0, RAW, 69, 73); /* 64 to 68: no whole window */
    add(&f, 0, RAW, 81, 92);
    add(&f, 0, RAW, 101, 120);
    add(&f, 0, R5M, 0, 300);
    add(&f, 0, R1H, 0, 300);
    CHECK(&f, RAW, 0, 110, "a[-,-) b[-,-) e[75,81)[95,101) c[-,-) d[-,-)");
    CHECK(&f, RAW, 64, 68, "");
    CHECK(&f, RAW, 0, 200, "a[-,-) b[-,-) e[75,81)[95,101)[120,-) c[-,-) d[-,-)");
    end(&f);
    begin(&f);
    add(&f, 0, R1H, 0, 90);
    add(&f, 0, R5M, 0, 103);
    add(&f, 0, RAW, 0, 110);
    CHECK(&f, R1H, 0, 200, "a[-,-) b[90,-) c[103,-)");
    end(&f);
    begin(&f); /* what has no room for a window is left for raw samples */
    add(&f, 0, R1H, 0, 62);
    add(&f, 0, R1H, 69, 120);
    add(&f, 0, R5M, 0, 120);
    add(&f, 0, RAW, 0, 120);
    CHECK(&f, R1H, 0, 110, "a[-,-) d[62,69) b[-,-)");
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
    CHECK(&f, R5M, 0, 99, "b[-,-) c[-,-) a[50,-)");
    end(&f);
}

static size_t
pick(size_t n)
{
    return (size_t)rand() % n;
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

/* Who answers the minutes of one cluster, found minute by minute. The first and the
 * last one stand for all time before and behind. */
struct model {
    int owner[TIMES + 2]; /* a resolution, or NOBODY */
    bool is_fillable[TIMES + 2];
};

static int64_t
first_unit(const struct store_block *b)
{
    return b->meta.mint_ms / MINUTE + 1;
}

static int64_t
end_unit(const struct store_block *b)
{
    return b->meta.maxt_ms / MINUTE + 1;
}

/* Minutes in holes, from the first whole window of the hole on. */
static void
find_fillable(struct model *m, int64_t window)
{
    memset(m->is_fillable, 0, sizeof m->is_fillable);
    for (int64_t from = 0; from < TIMES + 2; from++) {
        int64_t to = from;
        while (to < TIMES + 2 && m->owner[to] == NOBODY)
            to++;
        int64_t begin = from;
        while (window > 0 && from > 0 && (begin - 1) % window != 0)
            begin++;
        if (from == 0 || to == TIMES + 2 || begin + window <= to)
            for (int64_t i = begin; i < to; i++)
                m->is_fillable[i] = true;
        from = to;
    }
}

static bool
is_used(const struct model *m, const struct store_block *b)
{
    for (int64_t i = first_unit(b); i < end_unit(b); i++)
        if (m->is_fillable[i])
            return true;
    return false;
}

/* The blocks of one cluster and resolution, and whether each answers the minutes that
 * it has as the model says. */
static void
check_level(const struct fixture *f, struct model *m, const struct tsdb_label *cluster,
            int resolution, const struct store_block_choice *c,
            struct store_time_range query)
{
    struct model before;
    find_fillable(m, widths_ms[resolution] / MINUTE);
    before = *m;
    for (size_t k = 0; k < f->count; k++) {
        const struct store_block *b = f->set->blocks[k];
        if (b->meta.external.at != cluster ||
            b->meta.resolution_ms != widths_ms[resolution])
            continue;
        bool used = is_used(&before, b);
        for (int64_t i = first_unit(b); i < end_unit(b); i++) {
            bool expected = used && before.is_fillable[i];
            if (expected)
                m->owner[i] = resolution;
            if ((i - 1) * MINUTE < query.mint_ms || i * MINUTE - 1 > query.maxt_ms)
                continue;
            for (int64_t ms = 0; ms < MINUTE; ms += MINUTE - 1)
                assert_int_equal(answers(c, b, (i - 1) * MINUTE + ms), expected);
        }
    }
}

static void
check_minutes(struct fixture *f, int coarsest, struct store_time_range query)
{
    struct store_block_choice c =
        choose_ms(f, (enum store_resolution)coarsest, query.mint_ms, query.maxt_ms);
    for (size_t cluster = 0; cluster < CLUSTERS; cluster++) {
        struct model m;
        memset(m.owner, 0xff, sizeof m.owner);
        for (int r = coarsest; r >= 0; r--)
            check_level(f, &m, &f->labels[cluster], r, &c, query);
        for (int r = coarsest + 1; r < STORE_RESOLUTION_COUNT; r++)
            check_level(f, &m, &f->labels[cluster], r, &c, query);
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
    for (int round = 0; round < 2000; round++) {
        struct fixture f;
        begin(&f);
        size_t count = 1 + pick(MAX_BLOCKS);
        for (size_t i = 0; i < count; i++) {
            int64_t longest = pick(3) == 0 ? TIMES : 70;
            int64_t from = (int64_t)pick(TIMES - 1);
            int64_t to = from + 1 + (int64_t)pick((size_t)longest);
            add(&f, pick(CLUSTERS), (enum store_resolution)pick(STORE_RESOLUTION_COUNT),
                from, to < TIMES ? to : TIMES);
        }
        for (int queries = 0; queries < 4; queries++) {
            struct store_time_range query = {(int64_t)pick(TIMES) * MINUTE, 0};
            query.maxt_ms = query.mint_ms + (int64_t)pick(TIMES) * MINUTE;
            int coarsest = (int)pick(STORE_RESOLUTION_COUNT);
            struct store_block_choice c = choose_ms(&f, (enum store_resolution)coarsest,
                                                    query.mint_ms, query.maxt_ms);
            check_form(&c, query);
            check_minutes(&f, coarsest, query);
        }
        end(&f);
    }
}

static void
takes_times_at_the_ends_of_numbers(void **unused)
{
    struct fixture f;
    (void)unused;
    begin(&f);
    add_ms(&f, 0, R5M, INT64_MIN, 0);
    add_ms(&f, 0, RAW, -10 * MINUTE, INT64_MAX);
    add_ms(&f, 0, R5M, INT64_MAX, INT64_MAX);
    struct store_block_choice c = choose_ms(&f, R5M, INT64_MIN, INT64_MAX);
    char text[TEXT_MAX];
    print(&c, text);
    assert_string_equal(text, "a[-,-) b[0,-)");
    c = choose_ms(&f, RAW, INT64_MIN, INT64_MAX);
    print(&c, text);
    assert_string_equal(text, "a[-,-10) b[-,-)");
    c = choose_ms(&f, RAW, INT64_MIN, INT64_MIN);
    print(&c, text);
    assert_string_equal(text, "a[-,-10)");
    c = choose_ms(&f, RAW, INT64_MAX, INT64_MAX);
    assert_int_equal(c.count, 0);
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
    int64_t began_ns = clock_mono_ns();
    f.set = store_block_set_new(f.blocks, f.count);
    int64_t planned_ms = (clock_mono_ns() - began_ns) / CLOCK_NS_PER_MS;
    int64_t begun_ns = clock_mono_ns();
    struct store_block_choice c = choose_ms(&f, R5M, 0, INT64_MAX);
    int64_t took_ms = (clock_mono_ns() - begun_ns) / CLOCK_NS_PER_MS;
    assert_int_equal(c.count, MANY);
    assert_in_range(planned_ms, 0, 2000);
    assert_in_range(took_ms, 0, 200);
    print_message("%d blocks planned in %lld ms, chosen in %lld ms\n", MANY,
                  (long long)planned_ms, (long long)took_ms);
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uses_raw_blocks_whole),
        cmocka_unit_test(falls_back_to_what_is_there),
        cmocka_unit_test(cuts_blocks_to_the_holes_that_they_fill),
        cmocka_unit_test(uses_no_window_that_begins_before_the_hole),
        cmocka_unit_test(keeps_external_labels_apart),
        cmocka_unit_test(chooses_what_a_naive_model_chooses),
        cmocka_unit_test(takes_times_at_the_ends_of_numbers),
        cmocka_unit_test(is_quick_with_many_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
