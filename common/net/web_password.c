/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/web_password.h"

#include <crypt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"
#include "common/codec/digest.h"

enum {
    KNOWN_MAX = 64, /* more than a server has users that come often */
    KEY_SIZE = 32,
    /* Basic authentication has no use for longer ones, bcrypt for more than 72 bytes.
     */
    LOGIN_MAX = 1024,
    BCRYPT_SIZE = 60,
    COST_AT = 4,
    SETTING_SIZE = 32
};

/* From the last use. Much more than the time between two scrapes, so that who comes
 * often never waits for the hashes of those who guess; a password that is changed has
 * another hash, and what is known of the old one is worth nothing then. */
static const int64_t KNOWN_NS = 10 * 60 * CLOCK_NS_PER_S;

struct known {
    uint8_t digest[DIGEST_SHA256_SIZE];
    int64_t until_ns; /* 0: free */
};

struct net_web_password {
    uint8_t key[KEY_SIZE];
    atomic_bool stopping;
    struct mutex slow;
    /* guarded by slow */
    struct crypt_data scratch;
    struct mutex lock;
    /* guarded by lock */
    struct known known[KNOWN_MAX];
    size_t next;
    unsigned slow_count;
    unsigned queued; /* for slow, or holding it */
};

/* What a client sent, decoded: name, NUL, password, NUL. */
struct login {
    char text[LOGIN_MAX + 1];
    size_t len;
    const char *password;
    bool has_nul; /* which would end the password early */
};

bool
net_web_password_new(struct net_web_password **out, struct err *err)
{
    struct net_web_password *p = xcalloc(1, sizeof *p);
    if (getrandom(p->key, sizeof p->key, 0) != sizeof p->key) {
        free(p);
        return err_set(err, ERR_IO, "get random bytes");
    }
    mutex_init(&p->slow, LOCK_WEB_SLOW);
    mutex_init(&p->lock, LOCK_WEB_KNOWN);
    *out = p;
    return true;
}

void
net_web_password_free(struct net_web_password **out)
{
    struct net_web_password *p = TAKE(*out);
    if (p == NULL)
        return;
    mutex_fini(&p->lock);
    mutex_fini(&p->slow);
    digest_cleanse(p, sizeof *p);
    free(p);
}

static bool
parse_login(const char *authorization, struct login *l)
{
    static const char SCHEME[] = "Basic ";
    size_t scheme_len = sizeof SCHEME - 1;
    if (authorization == NULL || strncasecmp(authorization, SCHEME, scheme_len) != 0)
        return false;
    const char *text = authorization + scheme_len;
    text += strspn(text, " ");
    uint8_t *into = (uint8_t *)l->text;
    if (!digest_base64_decode(bytes_of_str(text), into, LOGIN_MAX, &l->len))
        return false;
    char *colon = memchr(l->text, ':', l->len);
    if (colon == NULL)
        return false;
    l->has_nul = memchr(l->text, 0, l->len) != NULL;
    l->text[l->len] = 0;
    *colon = 0;
    l->password = colon + 1;
    return true;
}

static int
cost_of(const char *hash)
{
    return atoi(hash + COST_AT);
}

/* The hash of a name, NULL if there is no such user. */
static const char *
find_hash(const struct yaml *users, const char *name)
{
    const char *hash = NULL;
    for (size_t i = 0; i < users->count; i++)
        if (strcmp(users->keys[i], name) == 0)
            hash = users->children[i].text;
    return hash;
}

static void
digest_login(const struct net_web_password *p, const struct login *l, const char *hash,
             uint8_t digest[DIGEST_SHA256_SIZE])
{
    uint8_t text[LOGIN_MAX + BCRYPT_SIZE];
    memcpy(text, hash, BCRYPT_SIZE);
    memcpy(text + BCRYPT_SIZE, l->text, l->len);
    digest_hmac_sha256(bytes_of(p->key, sizeof p->key),
                       bytes_of(text, BCRYPT_SIZE + l->len), digest);
    digest_cleanse(text, sizeof text);
}

static bool
is_known(struct net_web_password *p, const uint8_t *digest)
{
    int64_t now_ns = clock_mono_ns();
    bool found = false;
    MUTEX_SCOPE(&p->lock);
    for (size_t i = 0; i < KNOWN_MAX && !found; i++) {
        struct known *k = &p->known[i];
        found =
            k->until_ns > now_ns && memcmp(k->digest, digest, DIGEST_SHA256_SIZE) == 0;
        if (found)
            k->until_ns = clock_deadline(KNOWN_NS);
    }
    return found;
}

static void
remember(struct net_web_password *p, const uint8_t *digest)
{
    MUTEX_SCOPE(&p->lock);
    struct known *k = &p->known[p->next++ % KNOWN_MAX];
    memcpy(k->digest, digest, DIGEST_SHA256_SIZE);
    k->until_ns = clock_deadline(KNOWN_NS);
}

/* In the same time whatever the password is. */
static bool
compare(struct net_web_password *p, const char *password, const char *setting)
{
    mutex_check_held(&p->slow);
    const char *hash = crypt_r(password, setting, &p->scratch);
    unsigned difference =
        hash == NULL || strlen(hash) != BCRYPT_SIZE || strlen(setting) != BCRYPT_SIZE;
    for (size_t i = 0; i < BCRYPT_SIZE && !difference; i++)
        difference |= (unsigned)(hash[i] ^ setting[i]);
    digest_cleanse(&p->scratch, sizeof p->scratch);
    MUTEX_SCOPE(&p->lock);
    p->slow_count++;
    return difference == 0;
}

/* Take the time of a hash, 2 to the power of its cost, without one. */
static void
spend(struct net_web_password *p, const char *password, int cost)
{
    char setting[SETTING_SIZE];
    snprintf(setting, sizeof setting, "$2y$%02d$......................", cost);
    (void)compare(p, password, setting);
}

/* A comparison that fails takes 2^most in all: 2^c for the hash, then 2^c + 2^(c+1) +
 * ... + 2^(most-1). */
static bool
compare_slowly(struct net_web_password *p, const struct login *l, const char *hash,
               int most)
{
    mutex_check_held(&p->slow);
    if (hash == NULL) {
        spend(p, l->password, most);
        return false;
    }
    if (compare(p, l->password, hash) && !l->has_nul)
        return true;
    for (int cost = cost_of(hash); cost < most; cost++)
        spend(p, l->password, cost);
    return false;
}

static bool
queue_up(struct net_web_password *p)
{
    MUTEX_SCOPE(&p->lock);
    if (p->queued > NET_WEB_PASSWORD_WAITING_MAX)
        return false;
    p->queued++;
    return true;
}

static void
leave_queue(struct net_web_password *p)
{
    MUTEX_SCOPE(&p->lock);
    p->queued--;
}

static enum net_web_verdict
compare_in_turn(struct net_web_password *p, const struct login *l, const char *hash,
                int most, const uint8_t *digest)
{
    MUTEX_SCOPE(&p->slow);
    /* Who waited may have come with the one before. */
    if (is_known(p, digest))
        return NET_WEB_ADMITTED;
    if (atomic_load(&p->stopping))
        return NET_WEB_BUSY;
    if (!compare_slowly(p, l, hash, most))
        return NET_WEB_REFUSED;
    remember(p, digest);
    return NET_WEB_ADMITTED;
}

static enum net_web_verdict
check_login(struct net_web_password *p, const struct yaml *users, const struct login *l)
{
    static const char NOBODY[BCRYPT_SIZE] = {0};
    uint8_t digest[DIGEST_SHA256_SIZE];
    int most = 0;
    const char *hash = find_hash(users, l->text);
    for (size_t i = 0; i < users->count; i++)
        most = NUM_MAX(most, cost_of(users->children[i].text));
    digest_login(p, l, hash != NULL ? hash : NOBODY, digest);
    if (is_known(p, digest))
        return NET_WEB_ADMITTED;
    if (!queue_up(p))
        return NET_WEB_BUSY;
    enum net_web_verdict verdict = compare_in_turn(p, l, hash, most, digest);
    leave_queue(p);
    return verdict;
}

enum net_web_verdict
net_web_password_check(struct net_web_password *p, const struct yaml *users,
                       const char *authorization)
{
    struct login l = {0};
    enum net_web_verdict verdict =
        parse_login(authorization, &l) ? check_login(p, users, &l) : NET_WEB_REFUSED;
    digest_cleanse(&l, sizeof l);
    return verdict;
}

void
net_web_password_stop(struct net_web_password *p)
{
    atomic_store(&p->stopping, true);
}

unsigned
net_web_password_slow_count(struct net_web_password *p)
{
    MUTEX_SCOPE(&p->lock);
    return p->slow_count;
}
