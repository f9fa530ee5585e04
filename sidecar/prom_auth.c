/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/prom_auth.h"

#include "common/base/file.h"
#include "common/codec/digest.h"

/* What fits into a header. Room for all is made before a secret goes in, so that no
 * copy stays behind in memory that a growing buffer has left. */
enum { SECRET_MAX_BYTES = 16 * 1024, HEADER_MAX_BYTES = 64 * 1024 };

void
sidecar_prom_auth_cleanse(struct buf *secret)
{
    if (secret->len > 0)
        digest_cleanse(secret->at, secret->len);
    buf_fini(secret);
}

static bool
is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct bytes
trimmed(struct bytes text)
{
    while (text.len > 0 && is_blank(text.at[0]))
        bytes_skip(&text, 1);
    while (text.len > 0 && is_blank(text.at[text.len - 1]))
        text.len--;
    return text;
}

/* The secret itself, or what its file holds, which *content then keeps. */
static bool
read_secret(const char *text, const char *path, struct buf *content,
            struct bytes *secret, struct err *err)
{
    *secret = text != NULL ? bytes_of_str(text) : (struct bytes){0};
    if (path == NULL)
        return true;
    if (!file_read_all(path, SECRET_MAX_BYTES, content, err))
        return err_wrap(err, "--prometheus.http-client");
    *secret = trimmed(buf_bytes(content));
    return secret->len > 0 ||
           err_set(err, ERR_INVALID, "--prometheus.http-client: %s is empty", path);
}

static bool
put_bearer(const struct sidecar_prom_auth *a, struct buf *out, struct err *err)
{
    CLEANUP(sidecar_prom_auth_cleanse) struct buf content = {0};
    struct bytes token;
    if (!read_secret(a->bearer_token, a->bearer_token_file, &content, &token, err))
        return false;
    for (size_t i = 0; i < token.len; i++)
        if (token.at[i] < ' ' || token.at[i] > '~')
            return err_set(
                err, ERR_INVALID, "%s has a character that a header must not",
                a->bearer_token_file != NULL ? a->bearer_token_file : "bearer_token");
    buf_put_str(out, "Bearer ");
    buf_put(out, token);
    return true;
}

static bool
put_basic(const struct sidecar_prom_auth *a, struct buf *out, struct err *err)
{
    CLEANUP(sidecar_prom_auth_cleanse) struct buf content = {0};
    CLEANUP(sidecar_prom_auth_cleanse) struct buf pair = {0};
    struct bytes password;
    if (!read_secret(a->password, a->password_file, &content, &password, err))
        return false;
    buf_reserve(&pair, HEADER_MAX_BYTES);
    buf_put_str(&pair, a->username != NULL ? a->username : "");
    buf_put_u8(&pair, ':');
    buf_put(&pair, password);
    buf_put_str(out, "Basic ");
    size_t size = DIGEST_BASE64_SIZE(pair.len);
    digest_base64(buf_bytes(&pair), (char *)buf_reserve(out, size));
    out->len += size - 1;
    return true;
}

bool
sidecar_prom_auth_header(const struct sidecar_prom_auth *a, struct buf *out,
                         struct err *err)
{
    bool bearer = a->bearer_token != NULL || a->bearer_token_file != NULL;
    bool basic = a->username != NULL || a->password != NULL || a->password_file != NULL;
    if (!bearer && !basic)
        return true;
    buf_reserve(out, HEADER_MAX_BYTES);
    buf_put_str(out, "Authorization: ");
    if (!(bearer ? put_bearer(a, out, err) : put_basic(a, out, err)))
        return false;
    buf_put_u8(out, 0);
    return true;
}
