/* SPDX-License-Identifier: Apache-2.0 */
/* One thread at a time looks at the files; others wait for what it finds, so that who
 * comes after a change is judged by it. The lock is not held while the disk is asked.
 */
#include "common/net/web.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/metrics/registry.h"

enum { FILES = 4, PEM_MAX = 4 * 1024 * 1024, TRIES = 3 };

/* Who writes a file in place is done by then, and the clock of the file system has
 * moved on, so that a later change shows. */
static const int64_t SETTLED_NS = 50 * CLOCK_NS_PER_MS;

/* Until files are read again that could not be read, through no fault of theirs. */
static const int64_t RETRY_NS = CLOCK_NS_PER_S;

/* What tells one content of a file from the next. */
struct stamp {
    int error; /* errno, 0 if the file is there */
    dev_t device;
    ino_t inode;
    off_t size;
    int64_t modified_ns;
    int64_t changed_ns;
};

/* The files that an attempt read, as they were just before. */
struct sight {
    char *paths[FILES];
    struct stamp stamps[FILES];
};

struct net_web {
    const char *path;
    bool has_tls;
    struct net_web_password *passwords;
    struct metrics_value *good;
    struct metrics_value *reloads;
    struct metrics_value *failures;
    struct metrics_value *not_after;
    struct mutex lock;
    struct cond looked;
    /* owned by who set looking */
    struct sight sight;
    int64_t retry_ns; /* when to read it again although nothing has changed */
    /* guarded by lock */
    bool looking;
    struct net_web_state *state;
};

struct net_web_session {
    struct net_web *web;
    struct net_web_state *state; /* NULL before the handshake */
    struct net_web_tls_hook hook;
};

static struct stamp
stamp_of(const char *path)
{
    struct stat st;
    struct stamp stamp = {0};
    if (stat(path, &st) != 0) {
        stamp.error = errno;
        return stamp;
    }
    stamp.device = st.st_dev;
    stamp.inode = st.st_ino;
    stamp.size = st.st_size;
    stamp.modified_ns = st.st_mtim.tv_sec * CLOCK_NS_PER_S + st.st_mtim.tv_nsec;
    stamp.changed_ns = st.st_ctim.tv_sec * CLOCK_NS_PER_S + st.st_ctim.tv_nsec;
    return stamp;
}

static bool
is_same(const struct stamp *a, const struct stamp *b)
{
    return a->error == b->error && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && a->modified_ns == b->modified_ns &&
           a->changed_ns == b->changed_ns;
}

static void
sight_fini(struct sight *s)
{
    for (size_t i = 0; i < FILES; i++)
        free(s->paths[i]);
    *s = (struct sight){0};
}

static void
note_file(struct sight *s, size_t i, const char *path)
{
    if (path == NULL)
        return;
    free(s->paths[i]);
    s->paths[i] = xstrdup(path);
    s->stamps[i] = stamp_of(path);
}

/* Whether a file is another than it was; *newest_ns is the latest change of one. */
static bool
has_changed(const struct sight *s, int64_t *newest_ns)
{
    bool changed = false;
    *newest_ns = 0;
    for (size_t i = 0; i < FILES && s->paths[i] != NULL; i++) {
        struct stamp now = stamp_of(s->paths[i]);
        changed |= !is_same(&now, &s->stamps[i]);
        *newest_ns = NUM_MAX(*newest_ns, NUM_MAX(now.modified_ns, now.changed_ns));
    }
    return changed;
}

static void
wipe(struct buf *b)
{
    if (b->len > 0)
        digest_cleanse(b->at, b->len);
    buf_fini(b);
}

/* The PEM text of one kind; empty if it is not configured. */
static bool
read_pem(const char *key, const struct net_web_pem *pem, struct buf *into,
         struct err *err)
{
    if (pem->path != NULL)
        return file_read_all(pem->path, PEM_MAX, into, err) || err_wrap(err, "%s", key);
    if (pem->text != NULL)
        buf_put_str(into, pem->text);
    return buf_ok(into, err);
}

static bool
load_tls(struct net_web_state *s, struct err *err)
{
    CLEANUP(wipe) struct buf cert = {0};
    CLEANUP(wipe) struct buf key = {0};
    CLEANUP(wipe) struct buf ca = {0};
    if (!s->config.has_tls)
        return true;
    if (!read_pem("cert_file", &s->config.cert, &cert, err) ||
        !read_pem("key_file", &s->config.key, &key, err) ||
        !read_pem("client_ca_file", &s->config.client_ca, &ca, err))
        return false;
    const struct net_web_tls_files files = {
        .cert = buf_bytes(&cert), .key = buf_bytes(&key), .client_ca = buf_bytes(&ca)};
    return net_web_tls_new(&s->tls, &s->config, &files, err);
}

static void
free_state(struct net_web_state **out)
{
    struct net_web_state *s = TAKE(*out);
    if (s == NULL)
        return;
    net_web_tls_free(&s->tls);
    net_web_config_fini(&s->config);
    free(s);
}

/* Read all files; *sight is what was read, also on failure. */
static bool
load(const char *path, struct sight *sight, struct net_web_state **out, struct err *err)
{
    CLEANUP(free_state) struct net_web_state *s = xcalloc(1, sizeof *s);
    CLEANUP(wipe) struct buf text = {0};
    sight_fini(sight);
    note_file(sight, 0, path);
    s->users = 1;
    if (!file_read_all(path, NET_WEB_CONFIG_MAX, &text, err) ||
        !net_web_config_parse(&s->config, buf_bytes(&text), path, err))
        return err_wrap(err, "%s", path);
    const char *const named[] = {s->config.cert.path, s->config.key.path,
                                 s->config.client_ca.path};
    for (size_t i = 0, at = 1; i < ARRAY_LEN(named); i++)
        if (named[i] != NULL)
            note_file(sight, at++, named[i]);
    if (!load_tls(s, err))
        return err_wrap(err, "%s", path);
    *out = TAKE(s);
    return true;
}

static bool
has_users(const struct net_web_state *s)
{
    return s->config.users != NULL && s->config.users->count > 0;
}

/* Whether what now holds would hold no more: a file that was cut may say so. */
static bool
check_not_weaker(const struct net_web_state *now, const struct net_web_state *next,
                 struct err *err)
{
    const char *lost = NULL;
    if (now->config.has_tls != next->config.has_tls)
        lost = "tls_server_config came or went";
    else if (has_users(now) && !has_users(next))
        lost = "basic_auth_users are gone";
    else if (now->config.client_auth > next->config.client_auth)
        lost = "client_auth_type is weaker than before";
    else if (now->config.allowed_sans != NULL && next->config.allowed_sans == NULL)
        lost = "client_allowed_sans are gone";
    return lost == NULL || err_set(err, ERR_INVALID, "%s: that takes a restart", lost);
}

/* Make next the state; what was it is freed by its last user. */
static void
publish(struct net_web *w, struct net_web_state *next)
{
    struct net_web_state *before;
    if (next->tls != NULL)
        metrics_set(w->not_after, (double)net_web_tls_not_after_s(next->tls));
    {
        MUTEX_SCOPE(&w->lock);
        before = w->state;
        w->state = next;
    }
    if (before != NULL)
        net_web_release(w, &before);
}

/* Whether that is of this moment, such as a want of descriptors or memory, so that the
 * same files may be read later. */
static bool
is_passing(enum err_code code)
{
    return code != ERR_INVALID && code != ERR_UNSUPPORTED && code != ERR_NOT_FOUND &&
           code != ERR_DENIED;
}

/* Called by who set looking. */
static void
reload(struct net_web *w)
{
    struct net_web_state *next = NULL;
    struct err err;
    int64_t newest_ns;
    bool ok = load(w->path, &w->sight, &next, &err);
    /* Files that were replaced one after the other, and read in between. */
    for (int i = 1; i < TRIES && !ok && has_changed(&w->sight, &newest_ns); i++)
        ok = load(w->path, &w->sight, &next, &err);
    ok =
        ok && (check_not_weaker(w->state, next, &err) || err_wrap(&err, "%s", w->path));
    w->retry_ns = CLOCK_NEVER;
    metrics_set(w->good, ok);
    metrics_add(ok ? w->reloads : w->failures, 1);
    if (ok) {
        publish(w, TAKE(next));
        LOG_INFO("read the web configuration again", LOG_STR("path", w->path));
        return;
    }
    free_state(&next);
    if (is_passing(err.code))
        w->retry_ns = clock_deadline(RETRY_NS);
    LOG_ERROR(
        "the web configuration has changed and does not hold together; the former "
        "one stays in force",
        LOG_STR("path", w->path), LOG_ERR(&err));
}

static void
wait_to_settle(struct net_web *w, int64_t newest_ns)
{
    int64_t age_ns = clock_wall_ns() - newest_ns;
    if (age_ns < 0 || age_ns >= SETTLED_NS)
        return;
    int64_t until_ns = clock_deadline(SETTLED_NS - age_ns);
    MUTEX_SCOPE(&w->lock);
    while (cond_wait_until(&w->looked, &w->lock, until_ns))
        ;
}

static void
look(struct net_web *w)
{
    int64_t newest_ns;
    if (!has_changed(&w->sight, &newest_ns) && clock_left_ns(w->retry_ns) > 0)
        return;
    wait_to_settle(w, newest_ns);
    reload(w);
}

struct net_web_state *
net_web_acquire(struct net_web *w)
{
    {
        MUTEX_SCOPE(&w->lock);
        while (w->looking)
            cond_wait_until(&w->looked, &w->lock, CLOCK_NEVER);
        w->looking = true;
    }
    look(w);
    MUTEX_SCOPE(&w->lock);
    w->looking = false;
    cond_broadcast(&w->looked);
    w->state->users++;
    return w->state;
}

void
net_web_release(struct net_web *w, struct net_web_state **out)
{
    struct net_web_state *s = TAKE(*out);
    {
        MUTEX_SCOPE(&w->lock);
        if (--s->users > 0)
            return;
    }
    free_state(&s);
}

static void
make_metrics(struct net_web *w, struct metrics_registry *r)
{
    static const char *const names[] = {"result", NULL};
    struct metrics_family *reloads = metrics_family_new(
        r, METRICS_COUNTER, "blockhouse_http_config_reloads_total",
        "Times that changed files of --http.config were read, by result.", names);
    w->reloads = metrics_child(reloads, (const char *const[]){"ok", NULL});
    w->failures = metrics_child(reloads, (const char *const[]){"failed", NULL});
    w->good = metrics_gauge(r, "blockhouse_http_config_last_reload_successful",
                            "1 if the files of --http.config are in force as they are, "
                            "0 if they were read in vain.");
    w->not_after =
        metrics_gauge(r, "blockhouse_http_certificate_not_after_timestamp_seconds",
                      "When the certificate of the HTTP server ends; 0 without TLS.");
    metrics_set(w->good, 1);
}

bool
net_web_open(struct net_web **out, const char *path, struct metrics_registry *metrics,
             struct err *err)
{
    CLEANUP(net_web_close) struct net_web *w = xcalloc(1, sizeof *w);
    struct net_web_state *first = NULL;
    w->path = path;
    w->retry_ns = CLOCK_NEVER;
    mutex_init(&w->lock, LOCK_WEB);
    cond_init(&w->looked);
    if (metrics != NULL)
        make_metrics(w, metrics);
    if (!net_web_password_new(&w->passwords, err) ||
        !load(path, &w->sight, &first, err))
        return false;
    w->has_tls = first->tls != NULL;
    if (first->config.has_http2)
        LOG_INFO("http2 of the web configuration is without effect: this server speaks "
                 "HTTP/1.1",
                 LOG_STR("path", path));
    if (!w->has_tls && !has_users(first))
        LOG_WARN("the web configuration has neither TLS nor users: the port is open to "
                 "all",
                 LOG_STR("path", path));
    publish(w, first);
    *out = TAKE(w);
    return true;
}

void
net_web_close(struct net_web **out)
{
    struct net_web *w = TAKE(*out);
    if (w == NULL)
        return;
    free_state(&w->state);
    sight_fini(&w->sight);
    net_web_password_free(&w->passwords);
    cond_fini(&w->looked);
    mutex_fini(&w->lock);
    free(w);
}

void
net_web_stop(struct net_web *w)
{
    net_web_password_stop(w->passwords);
}

bool
net_web_has_tls(const struct net_web *w)
{
    return w->has_tls;
}

enum net_web_verdict
net_web_admits(struct net_web *w, const struct net_web_state *state,
               const char *authorization)
{
    return has_users(state) ? net_web_password_check(w->passwords, state->config.users,
                                                     authorization)
                            : NET_WEB_ADMITTED;
}

static const struct net_web_tls *
choose(void *arg)
{
    struct net_web_session *s = arg;
    if (s->state == NULL)
        s->state = net_web_acquire(s->web);
    return s->state->tls;
}

struct net_web_session *
net_web_session_new(struct net_web *w, void *session)
{
    struct net_web_session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->web = w;
    s->hook = (struct net_web_tls_hook){.choose = choose, .arg = s};
    net_web_tls_attach(session, &s->hook);
    return s;
}

void
net_web_session_free(struct net_web_session **out)
{
    struct net_web_session *s = TAKE(*out);
    if (s == NULL)
        return;
    if (s->state != NULL)
        net_web_release(s->web, &s->state);
    free(s);
}
