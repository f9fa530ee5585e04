/* SPDX-License-Identifier: Apache-2.0 */
/* What the providers of credentials share. */
#ifndef COMMON_OBJSTORE_CREDENTIALS_PRIV_H
#define COMMON_OBJSTORE_CREDENTIALS_PRIV_H

#include "common/base/clock.h"
#include "common/objstore/credentials.h"

/* X(name, variable): all that is read of the environment. */
#define OBJSTORE_VARIABLES(X)                                           \
    X(ACCESS_KEY_ID, "AWS_ACCESS_KEY_ID")                               \
    X(ACCESS_KEY, "AWS_ACCESS_KEY")                                     \
    X(SECRET_ACCESS_KEY, "AWS_SECRET_ACCESS_KEY")                       \
    X(SECRET_KEY, "AWS_SECRET_KEY")                                     \
    X(SESSION_TOKEN, "AWS_SESSION_TOKEN")                               \
    X(PROFILE, "AWS_PROFILE")                                           \
    X(SHARED_CREDENTIALS_FILE, "AWS_SHARED_CREDENTIALS_FILE")           \
    X(CONFIG_FILE, "AWS_CONFIG_FILE")                                   \
    X(HOME, "HOME")                                                     \
    X(WEB_IDENTITY_TOKEN_FILE, "AWS_WEB_IDENTITY_TOKEN_FILE")           \
    X(ROLE_ARN, "AWS_ROLE_ARN")                                         \
    X(ROLE_SESSION_NAME, "AWS_ROLE_SESSION_NAME")                       \
    X(ENDPOINT_URL_STS, "AWS_ENDPOINT_URL_STS")                         \
    X(STS_REGIONAL_ENDPOINTS, "AWS_STS_REGIONAL_ENDPOINTS")             \
    X(REGION, "AWS_REGION")                                             \
    X(DEFAULT_REGION, "AWS_DEFAULT_REGION")                             \
    X(CONTAINER_RELATIVE_URI, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") \
    X(CONTAINER_FULL_URI, "AWS_CONTAINER_CREDENTIALS_FULL_URI")         \
    X(CONTAINER_TOKEN, "AWS_CONTAINER_AUTHORIZATION_TOKEN")             \
    X(CONTAINER_TOKEN_FILE, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")   \
    X(METADATA_DISABLED, "AWS_EC2_METADATA_DISABLED")                   \
    X(METADATA_V1_DISABLED, "AWS_EC2_METADATA_V1_DISABLED")             \
    X(METADATA_ENDPOINT, "AWS_EC2_METADATA_SERVICE_ENDPOINT")           \
    X(METADATA_ENDPOINT_MODE, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE")

enum objstore_variable {
#define X(name, variable) OBJSTORE_ENV_##name,
    OBJSTORE_VARIABLES(X)
#undef X
        OBJSTORE_ENV_COUNT
};

/* All that providers go by. Immutable. */
struct objstore_sources {
    const char *env[OBJSTORE_ENV_COUNT]; /* "" for what is not set */
    const char *access_key;
    const char *secret_key;
    const char *session_token;
    bool sdk_chain;
    const char *sts_endpoint; /* "": derived */
    const char *region;
    struct net_http_client *sts;
    struct net_http_client *metadata; /* for what is near: waits for seconds only */
};

/* What a provider found. Zero: nothing. */
struct objstore_found {
    const char *access_key; /* NULL: nothing; the others are not NULL if this is not */
    const char *secret_key;
    const char *session_token;
    int64_t end_ns;    /* clock_mono_ns; CLOCK_NEVER when they do not end */
    int64_t change_ns; /* when to look for others in any case; may be CLOCK_NEVER */
};

/* Look for keys. True with nothing found means: not configured, ask the next one. */
typedef bool objstore_provide_fn(const struct objstore_sources *sources,
                                 const struct objstore_call *call,
                                 struct objstore_found *found, struct err *err);

/* credentials_file.c, _sts.c, _container.c, _ec2.c */
objstore_provide_fn objstore_provide_file, objstore_provide_profile,
    objstore_provide_web_identity, objstore_provide_container,
    objstore_provide_metadata;

struct objstore_provider {
    const char *name;
    objstore_provide_fn *provide;
    bool is_fixed;           /* has the same keys for ever */
    int64_t reject_pause_ns; /* at least so long between fetches for refused keys */
};

/* Set up from the options and the environment. Errors ERR_INVALID; *sources is then
 * released already. */
NODISCARD bool objstore_sources_init(struct objstore_sources *sources,
                                     const struct objstore_credentials_options *options,
                                     struct err *err);
void objstore_sources_fini(struct objstore_sources *sources);

/* Ask the providers in their order, once each. *provider is who had keys or failed;
 * *found is never nothing on success. No error is ERR_NOT_FOUND or ERR_CORRUPT, which
 * would say something of an object. */
NODISCARD bool objstore_find(const struct objstore_sources *sources,
                             const struct objstore_call *call,
                             const struct objstore_provider **provider,
                             struct objstore_found *found, struct err *err);

/* Make an error of this provider that of a search without result, if nobody configured
 * it and it is asked last only because it could be there. */
void objstore_explain(const struct objstore_sources *sources,
                      const struct objstore_provider *provider, struct err *err);

/* Copy keys that do not end into *found, which is nothing yet. "" of a token is none.
 * Errors ERR_INVALID: empty, too long, a blank or a control character. */
NODISCARD bool objstore_found_set(struct objstore_found *found, const char *access_key,
                                  const char *secret_key, const char *session_token,
                                  struct err *err);

/* Overwrite and release. CLEANUP handler. */
void objstore_found_fini(struct objstore_found *found);

/* Overwrite a text and release it; accepts NULL. */
void objstore_secret_free(const char *secret);

/* CLEANUP handler for a buffer with a secret, which must have been reserved before it
 * was filled: growing leaves copies behind. */
void objstore_secret_buf_fini(struct buf *b);

/* Append a small file. Its size is bounded. */
NODISCARD bool objstore_secret_read(const char *path, struct buf *into,
                                    struct err *err);

/* A token that stands in a file by itself, without the blanks around it.
 * Errors ERR_INVALID: empty, a blank or a control character inside. */
NODISCARD bool objstore_token_read(const char *path, struct buf *into, struct err *err);

/* The body of an answer, whole and bounded. */
enum { OBJSTORE_ANSWER_MAX = 64 * 1024 };
struct objstore_answer {
    size_t len;
    char body[OBJSTORE_ANSWER_MAX];
    struct net_http_response response;
};

/* CLEANUP handler: overwrite and release; accepts NULL inside. */
void objstore_answer_free(struct objstore_answer **answer);

/* Perform once within call; *answer is new on success, whatever the status, and for
 * another than 2xx its body is the start of what came. The sink of request is ours.
 * Errors those of net_http_perform; ERR_CORRUPT above the bound. */
NODISCARD bool objstore_ask(struct net_http_client *http,
                            const struct objstore_call *call,
                            struct net_http_request request,
                            struct objstore_answer **answer, struct err *err);

/* Set the end of *found from an RFC 3339 text, by the clock of who answered.
 * Errors ERR_CORRUPT: no time. ERR_UNAVAILABLE: it has passed. */
NODISCARD bool objstore_found_ends(struct objstore_found *found, const char *expiration,
                                   const struct objstore_answer *answer,
                                   struct err *err);

/* Keys as containers and instances get them: a JSON object with AccessKeyId,
 * SecretAccessKey, Token, Expiration. Errors ERR_CORRUPT and of objstore_found_ends. */
NODISCARD bool objstore_found_json(struct objstore_found *found,
                                   const struct objstore_answer *answer,
                                   struct err *err);

/* Which token to trade for which role, and where. */
struct objstore_web_identity {
    const char *token_path;
    const char *role_arn;     /* "" only for servers other than AWS's */
    const char *session_name; /* "": one of ours */
};

/* Trade a web identity token for keys. */
NODISCARD bool objstore_assume_role(const struct objstore_sources *sources,
                                    const struct objstore_call *call,
                                    const struct objstore_web_identity *identity,
                                    struct objstore_found *found, struct err *err);

#endif
