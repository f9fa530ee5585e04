/* SPDX-License-Identifier: Apache-2.0 */
#include "common/app/info.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "common/app/lifecycle.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/codec/json_writer.h"

static void
begin(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){.out = out};
    json_writer_open(w, NULL, '{');
    json_writer_put_str(w, "status", "success");
    json_writer_open(w, "data", '{');
}

static void
reply(struct json_writer *w, struct net_http_exchange *x)
{
    json_writer_close(w, '{');
    json_writer_close(w, '{');
    net_http_reply(x, 200, "application/json", buf_bytes(w->out));
}

static void
on_flags(void *arg, struct net_http_exchange *x)
{
    const struct app_info *info = arg;
    CLEANUP(buf_fini) struct buf out = {0};
    CLEANUP(buf_fini) struct buf value = {0};
    struct json_writer w;
    begin(&w, &out);
    for (size_t i = 0; i < info->table->count; i++) {
        const struct app_flag *f = &info->table->flags[i];
        buf_clear(&value);
        app_flags_value(info->table, f, info->options, &value);
        json_writer_put_text(&w, f->name, buf_bytes(&value));
    }
    reply(&w, x);
}

static void
on_build(void *arg, struct net_http_exchange *x)
{
    CLEANUP(buf_fini) struct buf out = {0};
    struct json_writer w;
    (void)arg;
    begin(&w, &out);
    json_writer_put_str(&w, "version", app_version());
    json_writer_put_str(&w, "revision", app_revision());
    json_writer_put_str(&w, "branch", "");
    json_writer_put_str(&w, "buildUser", "");
    json_writer_put_str(&w, "buildDate", "");
    json_writer_put_str(&w, "goVersion", "");
    reply(&w, x);
}

static bool
count_entry(void *arg, const char *name, struct err *err)
{
    size_t *count = arg;
    (void)name;
    (void)err;
    ++*count;
    return true;
}

static void
put_folder(struct json_writer *w)
{
    char folder[PATH_MAX / 4]; /* a longer one is left out */
    json_writer_put_str(w, "CWD", getcwd(folder, sizeof folder) != NULL ? folder : "");
}

/* What of it is Go's has the nearest thing there is here. */
static void
on_runtime(void *arg, struct net_http_exchange *x)
{
    const struct app_info *info = arg;
    CLEANUP(buf_fini) struct buf out = {0};
    char started[CLOCK_RFC3339_SIZE];
    struct json_writer w;
    struct err err;
    size_t threads = 0;
    if (!file_list("/proc/self/task", count_entry, &threads, &err))
        threads = 0;
    clock_rfc3339(info->started_ns, started);
    begin(&w, &out);
    json_writer_put_str(&w, "startTime", started);
    put_folder(&w);
    json_writer_put_u64(&w, "goroutineCount", threads);
    json_writer_put_i64(&w, "GOMAXPROCS", sysconf(_SC_NPROCESSORS_ONLN));
    json_writer_put_str(&w, "GOGC", "");
    json_writer_put_str(&w, "GODEBUG", "");
    reply(&w, x);
}

size_t
app_info_routes(struct app_info *i, struct net_http_route *at)
{
    const struct net_http_route routes[APP_INFO_ROUTES] = {
        {.method = "GET",
         .path = "/api/v1/status/flags",
         .name = "flags",
         .handler = on_flags,
         .arg = i,
         .compress = true},
        {.method = "GET",
         .path = "/api/v1/status/buildinfo",
         .name = "buildinfo",
         .handler = on_build,
         .arg = i},
        {.method = "GET",
         .path = "/api/v1/status/runtimeinfo",
         .name = "runtimeinfo",
         .handler = on_runtime,
         .arg = i},
    };
    i->started_ns = clock_wall_ns();
    memcpy(at, routes, sizeof routes);
    return APP_INFO_ROUTES;
}
