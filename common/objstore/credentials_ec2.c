/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of the role of an EC2 instance, from its metadata service.
 *
 * Version 2 asks for a session token first. Its answer may not travel further than the
 * hop limit of the instance allows, so silence says nothing about version 1, and only a
 * refusal leads there: a time-out that fell back would undo what version 2 is for. */
#include <ctype.h>
#include <stdlib.h>

#include "common/base/xmalloc.h"
#include "common/objstore/credentials_priv.h"
#include "common/objstore/s3_sign.h"

#define ROLES "/latest/meta-data/iam/security-credentials/"

enum { MAX_ROLE = 256, MAX_SESSION = 1024 };

struct metadata {
    const struct objstore_sources *sources;
    const struct objstore_call *call;
    char *endpoint;
    struct buf session; /* header; empty for version 1 */
};

static void
metadata_fini(struct metadata *m)
{
    free(m->endpoint);
    objstore_secret_buf_fini(&m->session);
}

/* Without the slash at its end. Release with free. */
static char *
endpoint_of(const struct objstore_sources *s)
{
    const char *given = s->env[OBJSTORE_ENV_METADATA_ENDPOINT];
    size_t len = strlen(given);
    if (strcasecmp(s->env[OBJSTORE_ENV_METADATA_ENDPOINT_MODE], "ipv6") == 0 &&
        len == 0)
        return xstrdup("http://[fd00:ec2::254]");
    if (len == 0)
        return xstrdup("http://169.254.169.254");
    return xasprintf("%.*s", (int)(len - (given[len - 1] == '/')), given);
}

static bool
ask(const struct metadata *m, const char *method, const char *path, const char *header,
    struct objstore_answer **answer, struct err *err)
{
    CLEANUP(xfree) char *url = xasprintf("%s%s", m->endpoint, path);
    const char *const headers[] = {header, NULL};
    const struct net_http_request request = {
        .method = method, .url = url, .headers = headers};
    return objstore_ask(m->sources->metadata, m->call, request, answer, err);
}

static bool
refused(const struct objstore_answer *answer, const char *what, struct err *err)
{
    int status = answer->response.status;
    return err_set(err, net_http_status_code(status),
                   "the instance metadata answered %d to %s", status, what);
}

static bool
may_use_version_1(const struct metadata *m, int status)
{
    return (status == 403 || status == 404 || status == 405) &&
           strcasecmp(m->sources->env[OBJSTORE_ENV_METADATA_V1_DISABLED], "true") != 0;
}

/* Whether text, at most limit bytes of it, can stand in a header or a path. */
static bool
is_word(struct bytes text, size_t limit)
{
    for (size_t i = 0; i < text.len; i++)
        if (!isgraph(text.at[i]))
            return false;
    return text.len > 0 && text.len <= limit;
}

static bool
begin_session(struct metadata *m, struct err *err)
{
    CLEANUP(objstore_answer_free) struct objstore_answer *answer = NULL;
    if (!ask(m, "PUT", "/latest/api/token",
             "x-aws-ec2-metadata-token-ttl-seconds: 21600", &answer, err))
        return false;
    int status = answer->response.status;
    if (may_use_version_1(m, status))
        return true;
    if (net_http_status_code(status) != ERR_NONE)
        return refused(answer, "a request for a session", err);
    struct bytes token = bytes_of(answer->body, answer->len);
    if (!is_word(token, MAX_SESSION))
        return err_set(err, ERR_CORRUPT, "the instance metadata gave no session token");
    static const char NAME[] = "x-aws-ec2-metadata-token: ";
    buf_reserve(&m->session, sizeof NAME + token.len);
    buf_put_str(&m->session, NAME);
    buf_put(&m->session, token);
    return true;
}

static bool
get(struct metadata *m, const char *path, const char *what,
    struct objstore_answer **answer, struct err *err)
{
    const char *header = m->session.len > 0 ? buf_text(&m->session) : NULL;
    if (!ask(m, "GET", path, header, answer, err))
        return false;
    return net_http_status_code((*answer)->response.status) == ERR_NONE ||
           refused(*answer, what, err);
}

/* The path of the keys of the role, which is on the first line of the list. */
static bool
find_role(struct metadata *m, struct buf *path, struct err *err)
{
    CLEANUP(objstore_answer_free) struct objstore_answer *answer = NULL;
    if (!get(m, ROLES, "the list of roles", &answer, err)) {
        if (err->code == ERR_NOT_FOUND)
            return err_set(err, ERR_DENIED, "the EC2 instance has no role");
        return false;
    }
    const char *end = memchr(answer->body, '\n', answer->len);
    struct bytes role = bytes_of(
        answer->body, end != NULL ? (size_t)(end - answer->body) : answer->len);
    if (role.len > 0 && role.at[role.len - 1] == '\r')
        role.len--;
    if (!is_word(role, MAX_ROLE))
        return err_set(err, ERR_CORRUPT,
                       "the instance metadata gave no name of a role");
    buf_put_str(path, ROLES);
    objstore_s3_encode(path, role, false);
    return true;
}

bool
objstore_provide_metadata(const struct objstore_sources *sources,
                          const struct objstore_call *call,
                          struct objstore_found *found, struct err *err)
{
    CLEANUP(metadata_fini)
    struct metadata m = {
        .sources = sources, .call = call, .endpoint = endpoint_of(sources)};
    CLEANUP(buf_fini) struct buf path = {0};
    CLEANUP(objstore_answer_free) struct objstore_answer *answer = NULL;
    if (strcasecmp(sources->env[OBJSTORE_ENV_METADATA_DISABLED], "true") == 0)
        return true;
    return begin_session(&m, err) && find_role(&m, &path, err) &&
           get(&m, buf_text(&path), "a request for keys", &answer, err) &&
           objstore_found_json(found, answer, err);
}
