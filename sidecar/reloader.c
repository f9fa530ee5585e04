/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/reloader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/pool.h"
#include "common/base/xmalloc.h"
#include "sidecar/reloader_files.h"
#include "sidecar/reloader_render.h"

/* A Prometheus with many rules takes some time for them; this is what it gets at least.
 */
#define RELOAD_TIMEOUT_NS (60 * CLOCK_NS_PER_S)

struct sidecar_reloader {
    struct sidecar_reloader_options options;
    struct sidecar_reloader_metrics metrics;
    pthread_t thread;
    bool runs;
    struct cancel stop;
    /* owned by the thread */
    struct sidecar_reloader_watch *watch;
    uint8_t loaded[DIGEST_SHA256_SIZE]; /* what Prometheus has taken last */
    bool is_loaded;                     /* nothing was refused since */
    bool is_changed;                    /* while Prometheus was waited for */
    unsigned failures;                  /* in a row, since the last change */
};

const char *
sidecar_reloader_method_name(enum sidecar_reloader_method method)
{
    return method == SIDECAR_RELOADER_HTTP ? "http" : "signal";
}

bool
sidecar_reloader_is_wanted(const struct sidecar_reloader_options *o)
{
    return *o->config_file != 0 || o->rule_dir_count > 0;
}

static bool
apply_config(struct sidecar_reloader *r, struct digest_stream *digest, struct err *err)
{
    const struct sidecar_reloader_options *o = &r->options;
    CLEANUP(buf_fini) struct buf input = {0};
    bool unset_variable;
    if (*o->config_file == 0)
        return true;
    sidecar_reloader_files_watch(r->watch, o->config_file);
    bool ok = sidecar_reloader_render(o->config_file, o->output_file, &input,
                                      &unset_variable, err);
    metrics_set(r->metrics.expansion_errors, unset_variable);
    if (ok)
        sidecar_reloader_files_add(digest, o->config_file, buf_bytes(&input));
    return ok;
}

static bool
look_at_files(struct sidecar_reloader *r, struct digest_stream *digest, struct err *err)
{
    bool ok = apply_config(r, digest, err);
    for (size_t i = 0; ok && i < r->options.rule_dir_count; i++)
        ok =
            sidecar_reloader_files_walk(r->watch, r->options.rule_dirs[i], digest, err);
    return ok;
}

/* Look at all files, write the output; *found is the digest of what they hold. */
static bool
apply(struct sidecar_reloader *r, uint8_t found[DIGEST_SHA256_SIZE], struct err *err)
{
    CLEANUP(digest_stream_free)
    struct digest_stream *digest = digest_stream_new(DIGEST_SHA256);
    metrics_add(r->metrics.passes, 1);
    sidecar_reloader_watch_begin(r->watch);
    bool ok = look_at_files(r, digest, err);
    sidecar_reloader_watch_end(r->watch, ok);
    if (!ok) {
        metrics_add(r->metrics.failed_passes, 1);
        return false;
    }
    digest_stream_finish(&digest, found);
    return true;
}

/* For the trigger: sleep, unless files change. */
static bool
pause_for_prometheus(void *arg, int64_t deadline_ns)
{
    struct sidecar_reloader *r = arg;
    r->is_changed = sidecar_reloader_watch_wait(r->watch, &r->stop, deadline_ns);
    return !r->is_changed && !cancel_is_raised(&r->stop);
}

static bool
trigger(struct sidecar_reloader *r, struct err *err)
{
    const struct sidecar_reloader_options *o = &r->options;
    const struct sidecar_reloader_trigger t = {
        .method = o->method,
        .process_name = o->process_name,
        .client = o->client,
        .pause = pause_for_prometheus,
        .pause_arg = r,
    };
    int64_t timeout_ns = NUM_MAX(o->watch_interval_ns, RELOAD_TIMEOUT_NS);
    metrics_add(r->metrics.reloads, 1);
    return sidecar_reloader_trigger_run(&t, clock_deadline(timeout_ns), &r->stop, err);
}

static void
took(struct sidecar_reloader *r, const uint8_t found[DIGEST_SHA256_SIZE])
{
    memcpy(r->loaded, found, DIGEST_SHA256_SIZE);
    r->is_loaded = true;
    metrics_set(r->metrics.last_good, 1);
    metrics_set(r->metrics.last_good_at,
                (double)clock_wall_ns() / (double)CLOCK_NS_PER_S);
    LOG_INFO("prometheus has reloaded configuration and rules");
}

/* One that is not there yet will read its files when it starts. */
static void
refused(struct sidecar_reloader *r, const struct err *err)
{
    metrics_add(r->metrics.failed_reloads, 1);
    metrics_set(r->metrics.last_good, 0);
    enum log_level level =
        err->code == ERR_UNAVAILABLE ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR;
    LOG_AT(level, "prometheus has not reloaded configuration and rules",
           LOG_INT("attempt", r->failures + 1), LOG_ERR(err));
}

/* Returns whether Prometheus has what the files hold. */
static bool
pass(struct sidecar_reloader *r)
{
    struct err err = {0};
    uint8_t found[DIGEST_SHA256_SIZE];
    if (!apply(r, found, &err)) {
        LOG_ERROR("cannot apply configuration and rules",
                  LOG_INT("attempt", r->failures + 1), LOG_ERR(&err));
        return false;
    }
    if (r->is_loaded && memcmp(found, r->loaded, sizeof found) == 0)
        return true;
    r->is_loaded = false;
    if (trigger(r, &err)) {
        took(r, found);
        return true;
    }
    if (!cancel_is_raised(&r->stop) && !r->is_changed)
        refused(r, &err);
    return false;
}

static int64_t
pause_ns(const struct sidecar_reloader *r)
{
    const struct sidecar_reloader_options *o = &r->options;
    int64_t pause = o->retry_interval_ns;
    if (r->failures == 0)
        return o->watch_interval_ns;
    for (unsigned i = 1; i < r->failures && pause <= o->watch_interval_ns / 2; i++)
        pause *= 2;
    return NUM_MIN(pause, o->watch_interval_ns);
}

static void *
run(void *arg)
{
    struct sidecar_reloader *r = arg;
    while (!cancel_is_raised(&r->stop)) {
        r->is_changed = false;
        bool ok = pass(r);
        r->failures = ok ? 0 : r->failures + 1;
        if (!r->is_changed)
            r->is_changed = sidecar_reloader_watch_wait(r->watch, &r->stop,
                                                        clock_deadline(pause_ns(r)));
        if (r->is_changed)
            r->failures = 0;
    }
    return NULL;
}

bool
sidecar_reloader_start(struct sidecar_reloader **out,
                       const struct sidecar_reloader_options *options, struct err *err)
{
    CLEANUP(sidecar_reloader_stop) struct sidecar_reloader *r = xcalloc(1, sizeof *r);
    r->options = *options;
    sidecar_reloader_metrics_init(&r->metrics, options->metrics,
                                  sidecar_reloader_method_name(options->method));
    if (sidecar_reloader_is_wanted(options)) {
        r->watch = sidecar_reloader_watch_new(&r->metrics, options->output_file);
        r->runs = thread_start(&r->thread, "reloader", run, r, err);
        if (!r->runs)
            return false;
    }
    *out = TAKE(r);
    return true;
}

bool
sidecar_reloader_once(const struct sidecar_reloader_options *options, struct err *err)
{
    CLEANUP(buf_fini) struct buf input = {0};
    bool unset_variable;
    return *options->config_file == 0 ||
           sidecar_reloader_render(options->config_file, options->output_file, &input,
                                   &unset_variable, err);
}

void
sidecar_reloader_stop(struct sidecar_reloader **out)
{
    struct sidecar_reloader *r = TAKE(*out);
    if (r == NULL)
        return;
    cancel_raise(&r->stop);
    if (r->runs)
        pthread_join(r->thread, NULL);
    sidecar_reloader_watch_free(&r->watch);
    cancel_fini(&r->stop);
    free(r);
}
