/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of an ECS task or an EKS pod, from the endpoint that its container is given. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/xmalloc.h"
#include "common/objstore/credentials_priv.h"

#define TASK_ENDPOINT "http://169.254.170.2"

/* Whether keys may go to a host without TLS: it is this machine, or one of the
 * link-local addresses at which ECS and EKS answer. */
static bool
is_near(const char *host)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127 || strcmp(host, "169.254.170.2") == 0 ||
               strcmp(host, "169.254.170.23") == 0;
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           strcmp(host, "[fd00:ec2::23]") == 0;
}

/* Nothing that this function and curl could read in two ways. */
static bool
check_url(const char *url, struct err *err)
{
    char host[64];
    bool is_https = strncmp(url, "https://", 8) == 0;
    if (!is_https && strncmp(url, "http://", 7) != 0)
        return err_set(err, ERR_INVALID, "it begins with neither https:// nor http://");
    const char *authority = url + (is_https ? 8 : 7);
    size_t len = strcspn(authority, "/?#");
    size_t plain = strspn(authority, "abcdefghijklmnopqrstuvwxyz"
                                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789.-:[]");
    if (len == 0 || plain != len)
        return err_set(err, ERR_INVALID, "its host is none");
    for (const char *c = url; *c != 0; c++)
        if (*c <= ' ' || *c >= 0x7f)
            return err_set(err, ERR_INVALID,
                           "it has a blank, a control character or "
                           "one beyond ASCII");
    size_t host_len =
        *authority == '[' ? strcspn(authority, "]") + 1 : strcspn(authority, ":/?#");
    if (is_https)
        return true;
    if (host_len < sizeof host && host_len <= len)
        snprintf(host, sizeof host, "%.*s", (int)host_len, authority);
    if (host_len >= sizeof host || host_len > len || !is_near(host))
        return err_set(err, ERR_INVALID,
                       "plain HTTP goes only to loopback and to the addresses of ECS "
                       "and EKS: use https://");
    return true;
}

/* The URL to ask, to be released with free; NULL in *url when there is none. */
static bool
find_url(const struct objstore_sources *s, char **url, struct err *err)
{
    const char *relative = s->env[OBJSTORE_ENV_CONTAINER_RELATIVE_URI];
    const char *full = s->env[OBJSTORE_ENV_CONTAINER_FULL_URI];
    const char *variable = *relative != 0 ? "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
                                          : "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    CLEANUP(xfree)
    char *found =
        *relative != 0 ? xasprintf(TASK_ENDPOINT "%s", relative) : xstrdup(full);
    *url = NULL;
    if (*found == 0)
        return true;
    if (*relative != 0 && *relative != '/')
        return err_set(err, ERR_INVALID, "%s does not begin with /", variable);
    if (!check_url(found, err))
        return err_wrap(err, "%s", variable);
    *url = TAKE(found);
    return true;
}

/* The header with the token of the pod, which is rotated in its file; empty without. */
static bool
put_authorization(const struct objstore_sources *s, struct buf *header, struct err *err)
{
    const char *path = s->env[OBJSTORE_ENV_CONTAINER_TOKEN_FILE];
    const char *token = s->env[OBJSTORE_ENV_CONTAINER_TOKEN];
    CLEANUP(objstore_secret_buf_fini) struct buf from_file = {0};
    if (*path != 0) {
        if (!objstore_token_read(path, &from_file, err))
            return err_wrap(err, "the container's authorization token");
        token = buf_text(&from_file);
    }
    if (*token == 0)
        return true;
    if (token[strcspn(token, "\r\n")] != 0)
        return err_set(err, ERR_INVALID,
                       "AWS_CONTAINER_AUTHORIZATION_TOKEN has a line break");
    static const char NAME[] = "authorization: ";
    buf_reserve(header, sizeof NAME + strlen(token));
    buf_put_str(header, NAME);
    buf_put_str(header, token);
    return true;
}

bool
objstore_provide_container(const struct objstore_sources *sources,
                           const struct objstore_call *call,
                           struct objstore_found *found, struct err *err)
{
    CLEANUP(xfree) char *url = NULL;
    CLEANUP(objstore_secret_buf_fini) struct buf authorization = {0};
    CLEANUP(objstore_answer_free) struct objstore_answer *answer = NULL;
    if (!find_url(sources, &url, err))
        return false;
    if (url == NULL)
        return true;
    if (!put_authorization(sources, &authorization, err))
        return false;
    const char *const headers[] = {
        "accept: application/json",
        authorization.len > 0 ? buf_text(&authorization) : NULL, NULL};
    const struct net_http_request request = {
        .method = "GET", .url = url, .headers = headers};
    if (!objstore_ask(sources->metadata, call, request, &answer, err))
        return false;
    int status = answer->response.status;
    if (net_http_status_code(status) != ERR_NONE)
        return err_set(err, net_http_status_code(status),
                       "the credentials endpoint answered %d", status);
    return objstore_found_json(found, answer, err);
}
