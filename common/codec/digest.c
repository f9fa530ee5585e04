/* SPDX-License-Identifier: Apache-2.0 */
/* Algorithms are fetched once: that halves the cost of a short digest. A failure here
 * means a libcrypto without SHA-256 or without memory: nothing to go on with. */
#include "common/codec/digest.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>

#include "common/base/check.h"
#include "common/base/compiler.h"

/* Fetched for the life of the process. */
static const EVP_MD *sha256;
static const EVP_MD *md5;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

/* MD5 is for integrity headers only, so a FIPS default must not refuse it. */
static void
fetch_algorithms(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    md5 = EVP_MD_fetch(NULL, "MD5", "-fips");
}

static void
digest_once(const EVP_MD *const *algorithm, struct bytes data, uint8_t *out)
{
    pthread_once(&fetched, fetch_algorithms);
    CHECK(*algorithm != NULL);
    CHECK(EVP_Digest(data.at, data.len, out, NULL, *algorithm, NULL) == 1);
}

void
digest_sha256(struct bytes data, uint8_t out[DIGEST_SHA256_SIZE])
{
    digest_once(&sha256, data, out);
}

void
digest_md5(struct bytes data, uint8_t out[DIGEST_MD5_SIZE])
{
    digest_once(&md5, data, out);
}

void
digest_hmac_sha256(struct bytes key, struct bytes data, uint8_t out[DIGEST_SHA256_SIZE])
{
    pthread_once(&fetched, fetch_algorithms);
    CHECK(key.len <= INT_MAX);
    /* A NULL key would mean "the key of the call before". */
    const void *key_at = key.len > 0 ? (const void *)key.at : "";
    CHECK(HMAC(sha256, key_at, (int)key.len, data.at, data.len, out, NULL) != NULL);
}

/* struct digest_stream is never defined: it stands for an EVP_MD_CTX. */
static EVP_MD_CTX *
context_of(struct digest_stream *s)
{
    return (EVP_MD_CTX *)s;
}

struct digest_stream *
digest_stream_new(enum digest_algorithm algorithm)
{
    pthread_once(&fetched, fetch_algorithms);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CHECK(context != NULL);
    CHECK(EVP_DigestInit_ex2(context, algorithm == DIGEST_MD5 ? md5 : sha256, NULL) ==
          1);
    return (struct digest_stream *)context;
}

void
digest_stream_add(struct digest_stream *s, struct bytes data)
{
    CHECK(EVP_DigestUpdate(context_of(s), data.at, data.len) == 1);
}

void
digest_stream_finish(struct digest_stream **s, uint8_t *out)
{
    CHECK(EVP_DigestFinal_ex(context_of(*s), out, NULL) == 1);
    digest_stream_free(s);
}

void
digest_stream_free(struct digest_stream **s)
{
    EVP_MD_CTX_free(context_of(TAKE(*s)));
}

void
digest_hex(struct bytes data, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < data.len; i++) {
        *text++ = digits[data.at[i] >> 4];
        *text++ = digits[data.at[i] & 15];
    }
    *text = 0;
}

void
digest_base64(struct bytes data, char *text)
{
    CHECK(data.len <= INT_MAX / 2);
    EVP_EncodeBlock((unsigned char *)text, data.at, (int)data.len);
}

bool
digest_base64_decode(struct bytes text, uint8_t *out, size_t room, size_t *len)
{
    size_t padding = 0;
    if (text.len == 0 || text.len % 4 != 0 || text.len / 4 * 3 > room ||
        text.len > INT_MAX)
        return false;
    while (padding < 2 && text.at[text.len - 1 - padding] == '=')
        padding++;
    if (memchr(text.at, '=', text.len - padding) != NULL)
        return false;
    int decoded = EVP_DecodeBlock(out, text.at, (int)text.len);
    if (decoded != (int)(text.len / 4 * 3))
        return false;
    *len = (size_t)decoded - padding;
    return true;
}

void
digest_cleanse(void *at, size_t len)
{
    OPENSSL_cleanse(at, len);
}
