/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"
#include "common/codec/json.h"
#include "common/codec/quantity.h"
#include "common/net/http_date.h"
#include "common/objstore/credentials_priv.h"

/* Guesses: AWS's access keys have at most 128 bytes, its session tokens a few thousand;
 * a request whose headers are larger than that is refused anyway. */
enum { MAX_KEY = 1024, MAX_TOKEN = 16 * 1024, MAX_FILE = 64 * 1024 };

/* More than file_read_all asks for before it refuses a file above MAX_FILE. */
enum { FILE_ROOM = 4 * MAX_FILE };

void
objstore_secret_free(const char *secret)
{
    union {
        const char *borrowed;
        char *owned;
    } same = {secret};
    if (same.owned != NULL)
        digest_cleanse(same.owned, strlen(same.owned));
    free(same.owned);
}

void
objstore_secret_buf_fini(struct buf *b)
{
    if (b->at != NULL)
        digest_cleanse(b->at, b->len);
    buf_fini(b);
}

/* Printable and in one piece: it goes into a header. */
static bool
check_secret(const char *name, const char *value, size_t limit, struct err *err)
{
    size_t len = strnlen(value, limit + 1);
    if (len > limit)
        return err_set(err, ERR_INVALID, "%s is longer than %zu bytes", name, limit);
    for (size_t i = 0; i < len; i++)
        if (value[i] <= ' ' || value[i] >= 0x7f)
            return err_set(err, ERR_INVALID,
                           "%s has a blank, a control character or one beyond ASCII",
                           name);
    return true;
}

bool
objstore_found_set(struct objstore_found *found, const char *access_key,
                   const char *secret_key, const char *session_token, struct err *err)
{
    if (*access_key == 0 || *secret_key == 0)
        return err_set(err, ERR_INVALID, "the %s key is empty",
                       *access_key == 0 ? "access" : "secret");
    if (!check_secret("the access key", access_key, MAX_KEY, err) ||
        !check_secret("the secret key", secret_key, MAX_KEY, err) ||
        !check_secret("the session token", session_token, MAX_TOKEN, err))
        return false;
    *found = (struct objstore_found){
        .access_key = xstrdup(access_key),
        .secret_key = xstrdup(secret_key),
        .session_token = xstrdup(session_token),
        .end_ns = CLOCK_NEVER,
        .change_ns = CLOCK_NEVER,
    };
    return true;
}

void
objstore_found_fini(struct objstore_found *found)
{
    objstore_secret_free(found->access_key);
    objstore_secret_free(found->secret_key);
    objstore_secret_free(found->session_token);
    *found = (struct objstore_found){0};
}

bool
objstore_secret_read(const char *path, struct buf *into, struct err *err)
{
    uint8_t *room = buf_reserve(into, FILE_ROOM);
    if (file_read_all(path, MAX_FILE, into, err))
        return true;
    digest_cleanse(room, FILE_ROOM);
    return false;
}

bool
objstore_token_read(const char *path, struct buf *into, struct err *err)
{
    size_t begin = 0;
    if (!objstore_secret_read(path, into, err))
        return false;
    while (into->len > 0 && isspace(into->at[into->len - 1]))
        into->len--;
    while (begin < into->len && isspace(into->at[begin]))
        begin++;
    into->len -= begin;
    if (into->len == 0)
        return err_set(err, ERR_INVALID, "%s is empty", path);
    memmove(into->at, into->at + begin, into->len);
    digest_cleanse(into->at + into->len, begin);
    const char *token = buf_text(into);
    if (strlen(token) != into->len)
        return err_set(err, ERR_INVALID, "%s has a control character", path);
    return check_secret(path, token, MAX_FILE, err);
}

void
objstore_answer_free(struct objstore_answer **answer)
{
    if (*answer != NULL)
        digest_cleanse(*answer, sizeof **answer);
    free(TAKE(*answer));
}

static bool
keep(void *arg, struct bytes piece, struct err *err)
{
    struct objstore_answer *answer = arg;
    if (piece.len >= sizeof answer->body - answer->len)
        return err_set(err, ERR_CORRUPT, "the answer has more than %d bytes",
                       OBJSTORE_ANSWER_MAX - 1);
    memcpy(answer->body + answer->len, piece.at, piece.len);
    answer->len += piece.len;
    return true;
}

bool
objstore_ask(struct net_http_client *http, const struct objstore_call *call,
             struct net_http_request request, struct objstore_answer **answer,
             struct err *err)
{
    CLEANUP(objstore_answer_free)
    struct objstore_answer *a = xcalloc(1, sizeof *a);
    request.sink = keep;
    request.sink_arg = a;
    request.deadline_ns = call->deadline_ns;
    request.cancel = call->cancel;
    if (!net_http_perform(http, &request, &a->response, err))
        return false;
    if (net_http_status_code(a->response.status) != ERR_NONE) {
        a->len = a->response.error_body_len;
        memcpy(a->body, a->response.error_body, a->len);
    }
    *answer = TAKE(a);
    return true;
}

/* What the clock of the server shows; ours, if it does not say. A machine whose clock
 * is wrong would take good keys for old ones, and old ones for good. The server shows
 * whole seconds: it may be as late as the end of that one. */
static int64_t
now_of(const struct objstore_answer *answer)
{
    enum { REST_OF_SECOND_MS = 999 };
    int64_t ms;
    if (net_http_date(net_http_response_header(&answer->response, "date"), &ms))
        return ms + REST_OF_SECOND_MS;
    return clock_wall_ns() / CLOCK_NS_PER_MS;
}

bool
objstore_found_ends(struct objstore_found *found, const char *expiration,
                    const struct objstore_answer *answer, struct err *err)
{
    int64_t end_ms, now_ms = now_of(answer);
    struct err ignored; /* its text may show what was read */
    if (!quantity_rfc3339(expiration, &end_ms, &ignored))
        return err_set(err, ERR_CORRUPT, "the time at which the keys end is none");
    if (end_ms <= now_ms)
        return err_set(err, ERR_UNAVAILABLE, "the keys have ended already");
    /* Years 0000 to 9999 fit into milliseconds, not into nanoseconds. */
    int64_t left_ms = end_ms - now_ms;
    found->end_ns = left_ms < INT64_MAX / CLOCK_NS_PER_MS
                        ? clock_deadline(left_ms * CLOCK_NS_PER_MS)
                        : CLOCK_NEVER;
    return true;
}

/* Set *out to a member that is a text; to "" without one. */
static bool
member(const struct json *j, const char *name, const char **out, struct err *err)
{
    const struct json *value = json_get(j, name);
    *out = "";
    if (value != NULL && !json_text(value, out))
        return err_set(err, ERR_CORRUPT, "%s is no text", name);
    return true;
}

static bool
read_members(struct objstore_found *found, const struct json *j,
             const struct objstore_answer *answer, struct err *err)
{
    const char *code, *access_key, *secret_key, *token, *expiration;
    if (!member(j, "Code", &code, err) || !member(j, "AccessKeyId", &access_key, err) ||
        !member(j, "SecretAccessKey", &secret_key, err) ||
        !member(j, "Token", &token, err) || !member(j, "Expiration", &expiration, err))
        return false;
    if (*code != 0 && strcmp(code, "Success") != 0)
        return err_set(err, ERR_DENIED, "the answer's Code is not Success");
    if (!objstore_found_set(found, access_key, secret_key, token, err)) {
        err->code = ERR_CORRUPT;
        return false;
    }
    return *expiration == 0 || objstore_found_ends(found, expiration, answer, err);
}

bool
objstore_found_json(struct objstore_found *found, const struct objstore_answer *answer,
                    struct err *err)
{
    CLEANUP(json_free) struct json *j = NULL;
    struct err ignored; /* its text may show what was read */
    if (!json_parse(bytes_of(answer->body, answer->len), OBJSTORE_ANSWER_MAX, &j,
                    &ignored) ||
        !json_is_object(j))
        return err_set(err, ERR_CORRUPT, "the answer is no JSON object");
    if (read_members(found, j, answer, err))
        return true;
    objstore_found_fini(found);
    return false;
}
