/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of credentials share: a home directory, an environment without
 * anything of AWS, and a server that plays STS, the credentials endpoint of a container
 * and the metadata service of an instance, with answers that may change at any time. */
#ifndef TESTS_UNIT_COMMON_OBJSTORE_FAKE_AWS_H
#define TESTS_UNIT_COMMON_OBJSTORE_FAKE_AWS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mutex.h"
#include "common/net/http_server.h"
#include "common/objstore/credentials.h"
#include "tests/support/expect.h"

enum aws_route { AWS_STS, AWS_CONTAINER, AWS_SESSION, AWS_ROLES, AWS_ROLE, AWS_ROUTES };

/* All secrets that the server or the tests know have this inside. */
#define AWS_SECRET "s3cr3t"

struct aws_asked {
    unsigned count;
    char authorization[128];
    char session[64];
    char ttl[16];
    char type[64];
    char body[1024];
};

struct aws {
    char home[64];
    char url[64]; /* of the server */
    struct objstore_credentials *credentials;
    struct err err;
    struct net_http_server *server;
    struct net_http_route routes[AWS_ROUTES];
    struct aws_arg {
        struct aws *aws;
        enum aws_route route;
    } args[AWS_ROUTES];
    struct budget budget;
    struct mutex lock;
    struct cond opened;
    /* guarded by lock */
    struct {
        int status;
        char body[2048];
        unsigned failures; /* so many answers are 503 first */
        struct aws_asked asked;
    } at[AWS_ROUTES];
    bool is_closed; /* answers wait */
};

static const struct objstore_call AWS_CALL = {.deadline_ns = CLOCK_NEVER};

static inline void
aws_copy(char *into, size_t size, const char *value)
{
    snprintf(into, size, "%s", value != NULL ? value : "");
}

static inline void
aws_record(struct aws_asked *a, struct net_http_exchange *x)
{
    struct bytes body = net_http_exchange_body(x);
    a->count++;
    aws_copy(a->authorization, sizeof a->authorization,
             net_http_exchange_header(x, "Authorization"));
    aws_copy(a->session, sizeof a->session,
             net_http_exchange_header(x, "X-aws-ec2-metadata-token"));
    aws_copy(a->ttl, sizeof a->ttl,
             net_http_exchange_header(x, "X-aws-ec2-metadata-token-ttl-seconds"));
    aws_copy(a->type, sizeof a->type, net_http_exchange_header(x, "Content-Type"));
    snprintf(a->body, sizeof a->body, "%.*s", BYTES_FMT(body));
}

static inline void
aws_handle(void *arg, struct net_http_exchange *x)
{
    const struct aws_arg *a = arg;
    struct aws *f = a->aws;
    char body[sizeof f->at[0].body];
    int status = 503;
    {
        MUTEX_SCOPE(&f->lock);
        aws_record(&f->at[a->route].asked, x);
        while (f->is_closed)
            cond_wait_until(&f->opened, &f->lock, CLOCK_NEVER);
        memcpy(body, f->at[a->route].body, sizeof body);
        if (f->at[a->route].failures > 0)
            f->at[a->route].failures--;
        else
            status = f->at[a->route].status;
    }
    net_http_reply(x, status, "text/plain", bytes_of_str(body));
}

static inline void
aws_answer(struct aws *f, enum aws_route route, int status, const char *body)
{
    MUTEX_SCOPE(&f->lock);
    f->at[route].status = status;
    aws_copy(f->at[route].body, sizeof f->at[route].body, body);
}

static inline void
aws_fail(struct aws *f, enum aws_route route, unsigned times)
{
    MUTEX_SCOPE(&f->lock);
    f->at[route].failures = times;
}

static inline struct aws_asked
aws_asked(struct aws *f, enum aws_route route)
{
    MUTEX_SCOPE(&f->lock);
    return f->at[route].asked;
}

static inline void
aws_close(struct aws *f, bool is_closed)
{
    MUTEX_SCOPE(&f->lock);
    f->is_closed = is_closed;
    cond_broadcast(&f->opened);
}

/* The time in so many seconds, by the real clock, as answers have it. */
static inline const char *
aws_time(char text[32], int life_s)
{
    struct tm utc;
    time_t at = time(NULL) + life_s;
    gmtime_r(&at, &utc);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return text;
}

/* Keys that live for life_s, called name. */
static inline void
aws_answer_sts(struct aws *f, const char *name, int life_s)
{
    char body[1024], end[32];
    snprintf(body, sizeof body,
             "<AssumeRoleWithWebIdentityResponse "
             "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
             "<AssumeRoleWithWebIdentityResult>"
             "<SubjectFromWebIdentityToken>x</SubjectFromWebIdentityToken>"
             "<Credentials><AccessKeyId>%s</AccessKeyId>"
             "<SecretAccessKey>" AWS_SECRET "-%s</SecretAccessKey>"
             "<SessionToken>" AWS_SECRET "-token-%s</SessionToken>"
             "<Expiration>%s</Expiration></Credentials>"
             "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
             name, name, name, aws_time(end, life_s));
    aws_answer(f, AWS_STS, 200, body);
}

static inline void
aws_answer_json(struct aws *f, enum aws_route route, const char *name, int life_s)
{
    char body[1024], end[32];
    snprintf(body, sizeof body,
             "{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"%s\","
             "\"SecretAccessKey\":\"" AWS_SECRET "-%s\","
             "\"Token\":\"" AWS_SECRET "-token-%s\",\"Expiration\":\"%s\"}",
             name, name, name, aws_time(end, life_s));
    aws_answer(f, route, 200, body);
}

/* Write a file into the home directory; its path is to be freed. */
static inline char *
aws_write(struct aws *f, const char *name, const char *text)
{
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", f->home, name) > 0);
    expect_ok(file_replace(path, bytes_of_str(text), &f->err), f->err);
    return path;
}

static inline void
aws_write_keys(struct aws *f, const char *profile, const char *name)
{
    char text[256];
    snprintf(text, sizeof text,
             "[%s]\naws_access_key_id = %s\n"
             "aws_secret_access_key = " AWS_SECRET "-%s\n",
             profile, name, name);
    free(aws_write(f, ".aws/credentials", text));
}

/* Use the web identity at the server. */
static inline void
aws_use_sts(struct aws *f)
{
    char *path = aws_write(f, "token", AWS_SECRET "-web\n");
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path, 1);
    setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r", 1);
    setenv("AWS_ENDPOINT_URL_STS", f->url, 1);
    free(path);
}

static inline void
aws_clear_environment(void)
{
    for (char **e = environ; *e != NULL;) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*e, "="), *e);
        if (strncmp(name, "AWS_", 4) == 0) {
            unsetenv(name);
            e = environ;
        } else {
            e++;
        }
    }
}

static inline void
aws_start(struct aws *f)
{
    static const char *const routes[AWS_ROUTES][2] = {
        [AWS_STS] = {"POST", "/"},
        [AWS_CONTAINER] = {"GET", "/keys"},
        [AWS_SESSION] = {"PUT", "/latest/api/token"},
        [AWS_ROLES] = {"GET", "/latest/meta-data/iam/security-credentials/"},
        [AWS_ROLE] = {"GET", "/latest/meta-data/iam/security-credentials/r"}};
    char path[128];
    *f = (struct aws){.home = "/tmp/blockhouse-aws-XXXXXX"};
    assert_non_null(mkdtemp(f->home));
    snprintf(path, sizeof path, "%s/.aws", f->home);
    expect_ok(file_mkdirs(path, &f->err), f->err);
    mutex_init(&f->lock, LOCK_TEST);
    cond_init(&f->opened);
    budget_init(&f->budget, "fake", SIZE_MAX, NULL);
    for (size_t i = 0; i < AWS_ROUTES; i++) {
        f->args[i] = (struct aws_arg){f, (enum aws_route)i};
        f->at[i].status = 500;
        f->routes[i] = (struct net_http_route){.method = routes[i][0],
                                               .path = routes[i][1],
                                               .name = "fake",
                                               .handler = aws_handle,
                                               .arg = &f->args[i],
                                               .max_body = 1 << 20};
    }
    const struct net_http_server_options options = {.address = "127.0.0.1:0",
                                                    .routes = f->routes,
                                                    .route_count = AWS_ROUTES,
                                                    .budget = &f->budget};
    expect_ok(net_http_server_start(&f->server, &options, &f->err), f->err);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%u",
             net_http_server_port(f->server));
    aws_clear_environment();
    setenv("HOME", f->home, 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
}

static inline void
aws_stop(struct aws *f)
{
    clock_unfreeze();
    objstore_credentials_free(&f->credentials);
    net_http_server_stop(&f->server, clock_deadline(10 * CLOCK_NS_PER_S));
    budget_fini(&f->budget);
    cond_fini(&f->opened);
    mutex_fini(&f->lock);
    aws_clear_environment();
    expect_ok(file_remove_tree(f->home, &f->err), f->err);
}

/* Begin anew with the environment as it is. */
static inline void
aws_open(struct aws *f, const struct objstore_credentials_options *options)
{
    const struct objstore_credentials_options none = {0};
    objstore_credentials_free(&f->credentials);
    expect_ok(objstore_credentials_new(&f->credentials,
                                       options != NULL ? options : &none, &f->err),
              f->err);
}

/* Freeze the clocks so many seconds from now. */
static inline void
aws_later(int64_t seconds)
{
    clock_freeze(clock_mono_ns() + seconds * CLOCK_NS_PER_S,
                 clock_wall_ns() + seconds * CLOCK_NS_PER_S);
}

static inline bool
aws_acquire(struct aws *f, const struct objstore_keys **keys)
{
    return objstore_credentials_acquire(f->credentials, &AWS_CALL, keys, &f->err);
}

/* Acquire and compare: the keys of the server and of files follow from their name.
 * Returns the generation. */
static inline uint64_t
aws_expect(struct aws *f, const char *name)
{
    CLEANUP(objstore_keys_release) const struct objstore_keys *keys = NULL;
    char secret[64];
    snprintf(secret, sizeof secret, AWS_SECRET "-%s", name);
    expect_ok(aws_acquire(f, &keys), f->err);
    assert_string_equal(keys->access_key, name);
    assert_string_equal(keys->secret_key, secret);
    return keys->generation;
}

/* Acquire fails with this code and says so, and nothing secret. */
static inline void
aws_expect_failure(struct aws *f, enum err_code code, const char *reason)
{
    const struct objstore_keys *keys = NULL;
    expect_fails(aws_acquire(f, &keys), f->err, code);
    assert_null(keys);
    if (strstr(f->err.text, reason) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", f->err.text, reason);
    assert_null(strstr(f->err.text, AWS_SECRET));
}

#endif
