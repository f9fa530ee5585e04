/* SPDX-License-Identifier: Apache-2.0 */
/* A web identity token, as Kubernetes mounts it for a service account, traded for keys
 * at STS. The token is read anew for each trade: it is rotated more often than pods. */
#include <inttypes.h>

#include "common/base/xmalloc.h"
#include "common/objstore/credentials_priv.h"
#include "common/objstore/s3_sign.h"
#include "common/objstore/sts_xml.h"

/* The bodies of STS requests have names of at most this length. */
enum { FORM_ROOM = 4096 };

static bool
is_region(const char *region)
{
    return *region != 0 &&
           region[strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-")] == 0;
}

/* The region next to this machine rather than that of the bucket: a token trades for
 * the same keys everywhere, and not every network reaches every region. */
static const char *
region_of(const struct objstore_sources *s)
{
    if (is_region(s->env[OBJSTORE_ENV_REGION]))
        return s->env[OBJSTORE_ENV_REGION];
    if (is_region(s->env[OBJSTORE_ENV_DEFAULT_REGION]))
        return s->env[OBJSTORE_ENV_DEFAULT_REGION];
    return is_region(s->region) ? s->region : "";
}

/* Release with free. */
static char *
endpoint_of(const struct objstore_sources *s)
{
    const char *region = region_of(s);
    if (*s->sts_endpoint != 0)
        return xstrdup(s->sts_endpoint);
    if (*region == 0 || strcmp(region, "aws-global") == 0 ||
        strcmp(s->env[OBJSTORE_ENV_STS_REGIONAL_ENDPOINTS], "legacy") == 0)
        return xstrdup("https://sts.amazonaws.com");
    return xasprintf("https://sts.%s.amazonaws.com%s", region,
                     strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

static void
put_field(struct buf *form, const char *name, struct bytes value)
{
    buf_printf(form, "&%s=", name);
    objstore_s3_encode(form, value, false);
}

static bool
put_form(struct buf *form, const struct objstore_web_identity *identity,
         struct err *err)
{
    CLEANUP(objstore_secret_buf_fini) struct buf token = {0};
    if (!objstore_token_read(identity->token_path, &token, err))
        return err_wrap(err, "the web identity token");
    buf_reserve(form, FORM_ROOM + 3 * (token.len + strlen(identity->role_arn) +
                                       strlen(identity->session_name)));
    buf_put_str(form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
    if (*identity->role_arn != 0) {
        CLEANUP(xfree)
        char *session = *identity->session_name != 0
                            ? xstrdup(identity->session_name)
                            : xasprintf("blockhouse-%" PRId64, clock_wall_ns());
        put_field(form, "RoleArn", bytes_of_str(identity->role_arn));
        put_field(form, "RoleSessionName", bytes_of_str(session));
    }
    put_field(form, "WebIdentityToken", buf_bytes(&token));
    return true;
}

/* STS says with 400 what others say with 5xx. */
static enum err_code
code_of(int status, const char *sts_code)
{
    if (strcmp(sts_code, "Throttling") == 0)
        return ERR_THROTTLED;
    if (strcmp(sts_code, "IDPCommunicationError") == 0)
        return ERR_UNAVAILABLE;
    if (strcmp(sts_code, "ExpiredTokenException") == 0 ||
        strcmp(sts_code, "InvalidIdentityToken") == 0)
        return ERR_DENIED;
    return net_http_status_code(status);
}

static bool
refused(const struct objstore_answer *answer, const char *endpoint, struct err *err)
{
    char code[OBJSTORE_STS_CODE_SIZE];
    objstore_sts_error_parse(bytes_of(answer->body, answer->len), code);
    int status = answer->response.status;
    return err_set(err, code_of(status, code), "%s answered %d%s%s", endpoint, status,
                   *code != 0 ? " " : "", code);
}

static bool
take_answer(const struct objstore_answer *answer, struct objstore_found *found,
            struct err *err)
{
    CLEANUP(objstore_sts_answer_fini) struct objstore_sts_answer keys = {0};
    if (!objstore_sts_parse(bytes_of(answer->body, answer->len), &keys, err))
        return false;
    if (!objstore_found_set(found, keys.access_key, keys.secret_key, keys.session_token,
                            err)) {
        err->code = ERR_CORRUPT;
        return false;
    }
    if (objstore_found_ends(found, keys.expiration, answer, err))
        return true;
    objstore_found_fini(found);
    return false;
}

bool
objstore_assume_role(const struct objstore_sources *sources,
                     const struct objstore_call *call,
                     const struct objstore_web_identity *identity,
                     struct objstore_found *found, struct err *err)
{
    static const char *const HEADERS[] = {
        "content-type: application/x-www-form-urlencoded", "accept: text/xml", NULL};
    CLEANUP(objstore_secret_buf_fini) struct buf form = {0};
    CLEANUP(objstore_answer_free) struct objstore_answer *answer = NULL;
    CLEANUP(xfree) char *endpoint = endpoint_of(sources);
    if (*identity->role_arn == 0 && *sources->sts_endpoint == 0)
        return err_set(err, ERR_INVALID,
                       "AWS_WEB_IDENTITY_TOKEN_FILE is set without AWS_ROLE_ARN");
    if (!put_form(&form, identity, err))
        return false;
    const struct net_http_request request = {
        .method = "POST",
        .url = endpoint,
        .headers = HEADERS,
        .body = buf_bytes(&form),
    };
    if (!objstore_ask(sources->sts, call, request, &answer, err))
        return false;
    if (net_http_status_code(answer->response.status) != ERR_NONE)
        return refused(answer, endpoint, err);
    return take_answer(answer, found, err);
}

bool
objstore_provide_web_identity(const struct objstore_sources *sources,
                              const struct objstore_call *call,
                              struct objstore_found *found, struct err *err)
{
    const char *token_path = sources->env[OBJSTORE_ENV_WEB_IDENTITY_TOKEN_FILE];
    if (*token_path == 0)
        return true;
    return objstore_assume_role(
        sources, call,
        &(struct objstore_web_identity){
            .token_path = token_path,
            .role_arn = sources->env[OBJSTORE_ENV_ROLE_ARN],
            .session_name = sources->env[OBJSTORE_ENV_ROLE_SESSION_NAME],
        },
        found, err);
}
