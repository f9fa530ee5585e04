/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/check.h"
#include "common/base/xmalloc.h"
#include "common/objstore/credentials_priv.h"

/* What is asked on the machine itself or next to it answers soon, or is not there. */
#define NEAR_CONNECT_NS CLOCK_NS_PER_S
#define NEAR_SILENCE_NS (5 * CLOCK_NS_PER_S)

/* Between fetches for refused keys: a guess that STS or a metadata service bears. Files
 * bear any. */
#define PAUSE_NS (10 * CLOCK_NS_PER_S)

static bool
provide_given(const struct objstore_sources *s, const struct objstore_call *call,
              struct objstore_found *found, struct err *err)
{
    (void)call;
    if (*s->access_key == 0 && *s->secret_key == 0)
        return true;
    return objstore_found_set(found, s->access_key, s->secret_key, s->session_token,
                              err);
}

static const char *
first_of(const char *a, const char *b)
{
    return *a != 0 ? a : b;
}

static bool
provide_environment(const struct objstore_sources *s, const struct objstore_call *call,
                    struct objstore_found *found, struct err *err)
{
    (void)call;
    const char *access_key =
        first_of(s->env[OBJSTORE_ENV_ACCESS_KEY_ID], s->env[OBJSTORE_ENV_ACCESS_KEY]);
    const char *secret_key = first_of(s->env[OBJSTORE_ENV_SECRET_ACCESS_KEY],
                                      s->env[OBJSTORE_ENV_SECRET_KEY]);
    if (*access_key == 0 && *secret_key == 0)
        return true;
    if (*access_key == 0 || *secret_key == 0)
        return err_set(err, ERR_INVALID, "%s is set without %s",
                       *access_key != 0 ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                       *access_key != 0 ? "AWS_SECRET_ACCESS_KEY"
                                        : "AWS_ACCESS_KEY_ID");
    return objstore_found_set(found, access_key, secret_key,
                              s->env[OBJSTORE_ENV_SESSION_TOKEN], err);
}

enum { GIVEN, ENVIRONMENT, FILES, PROFILE, WEB_IDENTITY, CONTAINER, METADATA };

static const struct objstore_provider PROVIDERS[] = {
    [GIVEN] = {"config", provide_given, true, 0},
    [ENVIRONMENT] = {"environment", provide_environment, true, 0},
    [FILES] = {"shared credentials file", objstore_provide_file, false, 0},
    [PROFILE] = {"profile", objstore_provide_profile, false, 0},
    [WEB_IDENTITY] = {"web identity", objstore_provide_web_identity, false, PAUSE_NS},
    [CONTAINER] = {"container", objstore_provide_container, false, PAUSE_NS},
    [METADATA] = {"EC2 instance metadata", objstore_provide_metadata, false, PAUSE_NS},
};

enum { ORDER_LEN = 6 };
static const uint8_t ORDER[] = {GIVEN,        ENVIRONMENT, FILES,
                                WEB_IDENTITY, CONTAINER,   METADATA};
/* The SDK for Go takes a web identity of the environment before any profile. */
static const uint8_t SDK_ORDER[] = {GIVEN,   ENVIRONMENT, WEB_IDENTITY,
                                    PROFILE, CONTAINER,   METADATA};
_Static_assert(ARRAY_LEN(ORDER) == ORDER_LEN && ARRAY_LEN(SDK_ORDER) == ORDER_LEN,
               "both orders have as many");

static bool
failed(const struct objstore_provider *provider, struct err *err)
{
    if (err->code == ERR_NOT_FOUND)
        err->code = ERR_INVALID;
    else if (err->code == ERR_CORRUPT)
        err->code = ERR_UNAVAILABLE;
    return err_wrap(err, "credentials of %s", provider->name);
}

static bool
nothing_found(struct err *err, const char *last)
{
    return err_set(err, ERR_DENIED,
                   "no credentials for S3: set access_key and secret_key in the config "
                   "or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or provide "
                   "~/.aws/credentials (AWS_SHARED_CREDENTIALS_FILE), "
                   "AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN, "
                   "AWS_CONTAINER_CREDENTIALS_FULL_URI or an EC2 role (%s)",
                   last);
}

bool
objstore_find(const struct objstore_sources *sources, const struct objstore_call *call,
              const struct objstore_provider **provider, struct objstore_found *found,
              struct err *err)
{
    const uint8_t *order = sources->sdk_chain ? SDK_ORDER : ORDER;
    for (size_t i = 0; i < ORDER_LEN; i++) {
        *provider = &PROVIDERS[order[i]];
        if (!(*provider)->provide(sources, call, found, err))
            return failed(*provider, err);
        if (found->access_key != NULL)
            return true;
    }
    return nothing_found(err, "AWS_EC2_METADATA_DISABLED is true");
}

void
objstore_explain(const struct objstore_sources *sources,
                 const struct objstore_provider *provider, struct err *err)
{
    /* Room for the list in front of it. */
    char last[128];
    if (provider != &PROVIDERS[METADATA] ||
        *sources->env[OBJSTORE_ENV_METADATA_ENDPOINT] != 0 ||
        strcasecmp(sources->env[OBJSTORE_ENV_METADATA_DISABLED], "true") == 0)
        return;
    snprintf(last, sizeof last, "%s", err->text);
    nothing_found(err, last);
}

/* Texts of these go into a request as they are. */
static bool
check_url(const char *name, const char *url, struct err *err)
{
    bool ok = *url == 0 || strncmp(url, "https://", 8) == 0 ||
              strncmp(url, "http://", 7) == 0;
    for (const char *c = url; *c != 0; c++)
        ok = ok && *c > ' ' && *c < 0x7f && *c != '@';
    return ok ||
           err_set(err, ERR_INVALID,
                   "%s is no URL: write https://host, or http:// for plain HTTP", name);
}

static const char *
copy_of(const char *text)
{
    return xstrdup(text != NULL ? text : "");
}

static void
read_environment(struct objstore_sources *s)
{
#define X(name, variable) s->env[OBJSTORE_ENV_##name] = copy_of(getenv(variable));
    OBJSTORE_VARIABLES(X)
#undef X
}

static bool
make_clients(struct objstore_sources *s,
             const struct objstore_credentials_options *options, struct err *err)
{
    const struct net_http_client_options near = {
        .user_agent = options->http.user_agent,
        .ca_file = options->http.ca_file,
        .insecure_skip_verify = options->http.insecure_skip_verify,
        .connect_timeout_ns = NEAR_CONNECT_NS,
        .first_byte_timeout_ns = NEAR_SILENCE_NS,
    };
    return net_http_client_new(&s->sts, &options->http, err) &&
           net_http_client_new(&s->metadata, &near, err);
}

bool
objstore_sources_init(struct objstore_sources *sources,
                      const struct objstore_credentials_options *options,
                      struct err *err)
{
    *sources = (struct objstore_sources){
        .access_key = copy_of(options->access_key),
        .secret_key = copy_of(options->secret_key),
        .session_token = copy_of(options->session_token),
        .sdk_chain = options->sdk_chain,
        .region = copy_of(options->region),
    };
    read_environment(sources);
    sources->sts_endpoint = options->sts_endpoint != NULL && *options->sts_endpoint != 0
                                ? copy_of(options->sts_endpoint)
                                : copy_of(sources->env[OBJSTORE_ENV_ENDPOINT_URL_STS]);
    if (check_url("sts_endpoint or AWS_ENDPOINT_URL_STS", sources->sts_endpoint, err) &&
        check_url("AWS_EC2_METADATA_SERVICE_ENDPOINT",
                  sources->env[OBJSTORE_ENV_METADATA_ENDPOINT], err) &&
        make_clients(sources, options, err))
        return true;
    objstore_sources_fini(sources);
    return false;
}

void
objstore_sources_fini(struct objstore_sources *sources)
{
    for (size_t i = 0; i < OBJSTORE_ENV_COUNT; i++)
        objstore_secret_free(sources->env[i]);
    objstore_secret_free(sources->access_key);
    objstore_secret_free(sources->secret_key);
    objstore_secret_free(sources->session_token);
    objstore_secret_free(sources->sts_endpoint);
    objstore_secret_free(sources->region);
    net_http_client_free(&sources->sts);
    net_http_client_free(&sources->metadata);
}
