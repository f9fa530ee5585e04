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

/* struct digest_sha256_stream is never defined: it stands for an EVP_MD_CTX. */
static EVP_MD_CTX *
context_of(struct digest_sha256_stream *s)
{
    return (EVP_MD_CTX *)s;
}

struct digest_sha256_stream *
digest_sha256_new(void)
{
    pthread_once(&fetched, fetch_algorithms);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CHECK(context != NULL);
    CHECK(EVP_DigestInit_ex2(context, sha256, NULL) == 1);
    return (struct digest_sha256_stream *)context;
}

void
digest_sha256_add(struct digest_sha256_stream *s, struct bytes data)
{
    CHECK(EVP_DigestUpdate(context_of(s), data.at, data.len) == 1);
}

void
digest_sha256_finish(struct digest_sha256_stream **s, uint8_t out[DIGEST_SHA256_SIZE])
{
    CHECK(EVP_DigestFinal_ex(context_of(*s), out, NULL) == 1);
    digest_sha256_free(s);
}

void
digest_sha256_free(struct digest_sha256_stream **s)
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
digest_cleanse(void *at, size_t len)
{
    OPENSSL_cleanse(at, len);
}
