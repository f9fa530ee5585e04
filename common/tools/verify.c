/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "common/codec/json.h"
#include "common/tools/audit.h"
#include "common/tools/commands.h"
#include "common/tools/selector.h"

static const char *const verdict_names[] = {[TOOLS_OK] = "ok",
                                            [TOOLS_PARTIAL] = "partial",
                                            [TOOLS_BROKEN] = "broken",
                                            [TOOLS_UNREAD] = "unread"};

enum { ULID, RESULT, SERIES, CHUNKS, SAMPLES, SIZE, PROBLEMS, COLUMN_COUNT };

static const struct tools_column columns[COLUMN_COUNT] = {
    [ULID] = {"ULID", "ulid", TOOLS_TEXT},
    [RESULT] = {"RESULT", "result", TOOLS_TEXT},
    [SERIES] = {"#SERIES", "series", TOOLS_NUMBER},
    [CHUNKS] = {"#CHUNKS", "chunks", TOOLS_NUMBER},
    [SAMPLES] = {"#SAMPLES", "samples", TOOLS_NUMBER},
    [SIZE] = {"SIZE", "size_bytes", TOOLS_SIZE},
    [PROBLEMS] = {"#PROBLEMS", "problems", TOOLS_NUMBER},
};

struct check_job {
    struct pool_job job;
    const struct tools_audit *audit;
    const struct tools_block *block;
    struct tools_report report;
};

struct verification {
    const struct tools_context *context;
    struct arena arena;
    struct tools_selector selector;
    struct tools_blocks blocks;
    struct check_job *jobs;
    size_t job_count;
};

static void
verification_fini(struct verification *v)
{
    for (size_t i = 0; i < v->job_count; i++)
        tools_report_fini(&v->jobs[i].report);
    tools_selector_fini(&v->selector);
    arena_fini(&v->arena);
}

static int
compare_ids(const void *a, const void *b)
{
    return tsdb_ulid_cmp(a, b);
}

static bool
parse_ids(const struct app_flag_list *texts, struct tsdb_ulid *ids, struct err *err)
{
    for (size_t i = 0; i < texts->count; i++)
        if (!tsdb_ulid_parse(&ids[i], bytes_of_str(texts->at[i])))
            return err_set(err, ERR_INVALID, "--id: \"%s\" is no ULID", texts->at[i]);
    qsort(ids, texts->count, sizeof *ids, compare_ids);
    return true;
}

/* List the blocks that were asked for, or the whole bucket. */
static bool
list(struct verification *v, const struct objstore_call *call, struct err *err)
{
    const struct tools_context *c = v->context;
    size_t count = c->options->ids.count;
    struct tsdb_ulid *ids = arena_calloc(&v->arena, count, sizeof *ids);
    if (ids == NULL)
        return arena_ok(&v->arena, err);
    if (!parse_ids(&c->options->ids, ids, err))
        return false;
    if (count == 0)
        return tools_blocks_list(&v->blocks, c->bucket, call, (struct bytes){0},
                                 &v->arena, err);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && tsdb_ulid_cmp(&ids[i], &ids[i - 1]) == 0)
            continue;
        size_t before = v->blocks.count;
        struct tsdb_ulid_text name = tsdb_ulid_print(&ids[i]);
        CLEANUP(xfree) char *prefix = xasprintf("%s/", name.text);
        if (!tools_blocks_list(&v->blocks, c->bucket, call, bytes_of_str(prefix),
                               &v->arena, err))
            return false;
        if (v->blocks.count == before)
            return err_set(err, ERR_NOT_FOUND, "block %s is not in the bucket",
                           name.text);
    }
    return true;
}

/* A selector can judge complete blocks only, by metas that can be read; those that
 * cannot are checked, to say why. */
static bool
is_selected(const struct verification *v, const struct tools_block *b)
{
    if (v->context->options->exclude_delete && b->is_marked_for_deletion)
        return false;
    if (v->selector.count == 0 || b->problem.len > 0)
        return true;
    return b->meta != NULL && tools_selector_matches(&v->selector, b->meta->external);
}

static bool
choose(struct verification *v, struct err *err)
{
    const struct tools_options *o = v->context->options;
    struct objstore_call call = {.deadline_ns = clock_deadline(o->timeout_ns)};
    if (!tools_selector_parse(&v->selector, &o->selectors, err) ||
        !list(v, &call, err) ||
        (v->selector.count > 0 &&
         !tools_blocks_read_metas(&v->blocks, v->context->bucket, &call, &v->arena,
                                  err)))
        return false;
    struct check_job *jobs = arena_calloc(&v->arena, v->blocks.count, sizeof *jobs);
    if (jobs == NULL)
        return arena_ok(&v->arena, err);
    v->jobs = jobs;
    for (size_t i = 0; i < v->blocks.count; i++)
        if (is_selected(v, &v->blocks.at[i]))
            v->jobs[v->job_count++].block = &v->blocks.at[i];
    return true;
}

static void
run_check_job(struct pool_job *job)
{
    struct check_job *j = (struct check_job *)job;
    int64_t begin_ns = clock_mono_ns();
    tools_audit_block(j->audit, j->block, &j->report);
    tools_progress_clear(j->audit->progress);
    bool is_ok = j->report.verdict <= TOOLS_PARTIAL;
    LOG_AT(is_ok ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "block verified",
           LOG_STR("block", j->block->name.text),
           LOG_STR("result", verdict_names[j->report.verdict]),
           LOG_INT("problems", j->report.problem_count),
           LOG_INT("bytes", j->report.totals.bytes_read),
           LOG_INT("dur_ms", (clock_mono_ns() - begin_ns) / CLOCK_NS_PER_MS));
}

static bool
check_all(struct verification *v, struct err *err)
{
    const struct tools_context *c = v->context;
    CLEANUP(pool_free) struct pool *pool = NULL;
    struct tools_progress progress;
    const struct tools_audit audit = {c->bucket, c->budget, &progress};
    uint64_t bytes = 0;
    for (size_t i = 0; i < v->job_count; i++)
        bytes += v->jobs[i].block->has_meta ? v->jobs[i].block->size : 0;
    if (!pool_new(&pool, "verify", (unsigned)c->options->concurrency, err))
        return false;
    tools_progress_begin(&progress, bytes);
    for (size_t i = 0; i < v->job_count; i++) {
        v->jobs[i].job.run = run_check_job;
        v->jobs[i].audit = &audit;
        pool_submit(pool, &v->jobs[i].job);
    }
    pool_free(&pool); /* once all jobs are done */
    tools_progress_clear(&progress);
    return true;
}

static const struct tools_cell *
row_of(const struct check_job *j, struct arena *arena)
{
    struct tools_cell *row = arena_calloc(arena, COLUMN_COUNT, sizeof *row);
    if (row == NULL)
        return NULL;
    row[ULID].text = bytes_of_str(j->block->name.text);
    row[RESULT].text = bytes_of_str(verdict_names[j->report.verdict]);
    row[SERIES].number = (int64_t)j->report.totals.series;
    row[CHUNKS].number = (int64_t)j->report.totals.chunks;
    row[SAMPLES].number = (int64_t)j->report.totals.samples;
    row[SIZE].number = (int64_t)j->block->size;
    row[PROBLEMS].number = (int64_t)j->report.problem_count;
    return row;
}

static void
print_problem(const struct check_job *j, const struct tools_problem *p, FILE *to)
{
    CLEANUP(buf_fini) struct buf text = {0};
    buf_printf(&text, "%s%s", j->block->name.text, *p->object ? "/" : "");
    tools_table_put_plain(bytes_of_str(p->object), &text);
    if (p->has_offset)
        buf_printf(&text, " at %" PRIu64, p->offset);
    buf_put_str(&text, ": ");
    tools_table_put_plain(bytes_of_str(p->what), &text);
    fprintf(to, "%s\n", buf_text(&text));
}

static void
print_problems(const struct check_job *j, FILE *to)
{
    const struct tools_report *r = &j->report;
    for (size_t i = 0; i < r->kept; i++)
        print_problem(j, &r->problems[i], to);
    if (r->problem_count > r->kept)
        fprintf(to, "%s: %" PRIu64 " more problems\n", j->block->name.text,
                r->problem_count - r->kept);
}

static bool
print_table(struct verification *v, struct err *err)
{
    struct tools_table table = {
        .columns = columns,
        .column_count = COLUMN_COUNT,
        .rows = arena_calloc(&v->arena, v->job_count, sizeof *table.rows)};
    if (table.rows == NULL)
        return arena_ok(&v->arena, err);
    for (size_t i = 0; i < v->job_count; i++)
        table.rows[table.row_count++] = row_of(&v->jobs[i], &v->arena);
    if (!arena_ok(&v->arena, err))
        return false;
    tools_table_print(&table, TOOLS_TABLE, v->context->out);
    for (size_t i = 0; i < v->job_count; i++)
        print_problems(&v->jobs[i], v->context->out);
    return true;
}

static struct json *
problems_array(const struct tools_report *r)
{
    struct json *array = json_new_array();
    for (size_t i = 0; i < r->kept; i++) {
        struct json *object = json_new_object();
        json_set_text(object, "object", r->problems[i].object);
        if (r->problems[i].has_offset)
            json_set_i64(object, "offset", (int64_t)r->problems[i].offset);
        json_set_text(object, "what", r->problems[i].what);
        json_append(array, &object);
    }
    return array;
}

static void
print_json(const struct verification *v)
{
    fputs("[", v->context->out);
    for (size_t i = 0; i < v->job_count; i++) {
        const struct check_job *j = &v->jobs[i];
        CLEANUP(buf_fini) struct buf text = {0};
        CLEANUP(json_free) struct json *object = json_new_object();
        struct json *problems = problems_array(&j->report);
        json_set_text(object, "ulid", j->block->name.text);
        json_set_text(object, "result", verdict_names[j->report.verdict]);
        json_set_i64(object, "series", (int64_t)j->report.totals.series);
        json_set_i64(object, "chunks", (int64_t)j->report.totals.chunks);
        json_set_i64(object, "samples", (int64_t)j->report.totals.samples);
        json_set_i64(object, "size_bytes", (int64_t)j->block->size);
        json_set_i64(object, "problem_count", (int64_t)j->report.problem_count);
        json_set(object, "problems", &problems);
        json_print(object, 0, &text);
        fprintf(v->context->out, "%s\n%s", i > 0 ? "," : "", buf_text(&text));
    }
    fputs("\n]\n", v->context->out);
}

/* A partial block is an upload that goes on, unless somebody asked for this one. */
static bool
is_sound(const struct verification *v)
{
    enum tools_verdict worst = TOOLS_OK;
    for (size_t i = 0; i < v->job_count; i++)
        if (v->jobs[i].report.verdict > worst)
            worst = v->jobs[i].report.verdict;
    return worst <= (v->context->options->ids.count > 0 ? TOOLS_OK : TOOLS_PARTIAL);
}

bool
tools_verify(const struct tools_context *c, bool *sound, struct err *err)
{
    CLEANUP(verification_fini) struct verification v = {.context = c};
    arena_init(&v.arena, c->budget);
    if (!choose(&v, err) || !check_all(&v, err))
        return false;
    *sound = is_sound(&v);
    if (c->options->output_format == TOOLS_JSON)
        print_json(&v);
    else if (!print_table(&v, err))
        return false;
    return true;
}
