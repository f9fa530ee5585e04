/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/web_priority.h"

#include <string.h>

enum key_exchange { KX_TLS13, KX_RSA, KX_ECDSA, KX_COUNT };
enum cipher {
    AES_128_GCM,
    AES_256_GCM,
    CHACHA20,
    AES_128_CBC,
    AES_256_CBC,
    CIPHER_COUNT
};

static const char *const key_exchanges[KX_COUNT] = {
    [KX_RSA] = "ECDHE-RSA",
    [KX_ECDSA] = "ECDHE-ECDSA",
};

static const char *const ciphers[CIPHER_COUNT] = {
    [AES_128_GCM] = "AES-128-GCM:+AEAD",    [AES_256_GCM] = "AES-256-GCM:+AEAD",
    [CHACHA20] = "CHACHA20-POLY1305:+AEAD", [AES_128_CBC] = "AES-128-CBC:+SHA1",
    [AES_256_CBC] = "AES-256-CBC:+SHA1",
};

/* The suites that Go has and holds for secure. */
static const struct {
    const char *name;
    enum key_exchange kx;
    enum cipher cipher;
} suites[] = {
    {"TLS_AES_128_GCM_SHA256", KX_TLS13, AES_128_GCM},
    {"TLS_AES_256_GCM_SHA384", KX_TLS13, AES_256_GCM},
    {"TLS_CHACHA20_POLY1305_SHA256", KX_TLS13, CHACHA20},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", KX_RSA, AES_128_GCM},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", KX_RSA, AES_256_GCM},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", KX_RSA, CHACHA20},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", KX_RSA, AES_128_CBC},
    {"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", KX_RSA, AES_256_CBC},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", KX_ECDSA, AES_128_GCM},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", KX_ECDSA, AES_256_GCM},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", KX_ECDSA, CHACHA20},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", KX_ECDSA, AES_128_CBC},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", KX_ECDSA, AES_256_CBC},
};

/* Of Go, of GnuTLS. */
struct name {
    const char *go;
    const char *gnutls;
};

static const struct name versions[] = {
    {"TLS10", "VERS-TLS1.0"},
    {"TLS11", "VERS-TLS1.1"},
    {"TLS12", "VERS-TLS1.2"},
    {"TLS13", "VERS-TLS1.3"},
};

static const struct name curves[] = {
    {"CurveP256", "GROUP-SECP256R1"},
    {"CurveP384", "GROUP-SECP384R1"},
    {"CurveP521", "GROUP-SECP521R1"},
    {"X25519", "GROUP-X25519"},
};

enum { TLS12 = 2, TLS13 = 3 };

static bool
find_name(const struct name *names, size_t count, const char *text, size_t *at)
{
    for (*at = 0; *at < count; ++*at)
        if (strcmp(names[*at].go, text) == 0)
            return true;
    return false;
}

static bool
read_version(const struct yaml *tls, const char *key, size_t *at, struct err *err)
{
    const char *text = versions[*at].go;
    return yaml_get_text(tls, key, &text, err) &&
           (find_name(versions, ARRAY_LEN(versions), text, at) ||
            yaml_refuse(tls, key, err,
                        "unknown version \"%s\"; there are TLS10, TLS11, TLS12, TLS13",
                        text));
}

/* A list of texts, or nothing: *list is then NULL. */
static bool
read_list(const struct yaml *tls, const char *key, const struct yaml **list,
          struct err *err)
{
    *list = yaml_get(tls, key);
    if (*list == NULL || (*list)->kind == YAML_NULL) {
        *list = NULL;
        return true;
    }
    if ((*list)->kind != YAML_LIST)
        return yaml_refuse(tls, key, err, "want a list of names");
    for (size_t i = 0; i < (*list)->count; i++)
        if ((*list)->children[i].kind != YAML_SCALAR)
            return yaml_refuse(tls, key, err, "want a list of names");
    if ((*list)->count == 0)
        *list = NULL;
    return true;
}

/* What is wanted of the suites. */
struct wanted {
    bool suites[ARRAY_LEN(suites)];
    bool kx[KX_COUNT];
    bool ciphers[CIPHER_COUNT];
};

static bool
want_suite(struct wanted *w, const struct yaml *item, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
        if (strcmp(suites[i].name, item->text) != 0)
            continue;
        w->suites[i] = true;
        w->kx[suites[i].kx] = true;
        w->ciphers[suites[i].cipher] = true;
        return true;
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "line %d: cipher_suites: no cipher suite \"%s\" here; there are "
                   "those of Go that are not insecure, such as %s",
                   item->line, item->text, suites[3].name);
}

/* Whether what GnuTLS would make of the list is the list. */
static bool
check_closed(const struct yaml *tls, const struct wanted *w, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(suites); i++)
        if (suites[i].kx != KX_TLS13 && w->kx[suites[i].kx] &&
            w->ciphers[suites[i].cipher] && !w->suites[i])
            return (void)err_set(err, ERR_UNSUPPORTED,
                                 "GnuTLS, which knows key exchanges and ciphers only, "
                                 "would take %s with the others: list it, too, or "
                                 "leave out what has its key exchange or its cipher",
                                 suites[i].name),
                   yaml_blame(tls, "cipher_suites", err);
    return true;
}

static bool
check_versions(const struct yaml *tls, const struct wanted *w, size_t least,
               size_t most, struct err *err)
{
    bool has_aead =
        w->ciphers[AES_128_GCM] || w->ciphers[AES_256_GCM] || w->ciphers[CHACHA20];
    bool has_12 = w->kx[KX_RSA] || w->kx[KX_ECDSA];
    if (most == TLS13 && !has_aead)
        return (void)err_set(err, ERR_UNSUPPORTED,
                             "no suite has a cipher of TLS 1.3, whose ciphers GnuTLS "
                             "takes from the same list: add one with GCM or CHACHA20, "
                             "or set max_version: TLS12"),
               yaml_blame(tls, "cipher_suites", err);
    if (least < TLS13 && !has_12 && most < TLS13)
        return yaml_refuse(tls, "cipher_suites", err,
                           "no suite is of a version up to max_version");
    return true;
}

static bool
print_suites(const struct yaml *tls, const struct yaml *list, size_t least, size_t most,
             struct buf *out, struct err *err)
{
    struct wanted w = {0};
    if (list == NULL) {
        buf_put_str(out, ":-RSA:-DHE-RSA");
        return true;
    }
    for (size_t i = 0; i < list->count; i++)
        if (!want_suite(&w, &list->children[i], err))
            return false;
    if (!check_closed(tls, &w, err) || !check_versions(tls, &w, least, most, err))
        return false;
    buf_put_str(out, ":-CIPHER-ALL:-MAC-ALL:-KX-ALL");
    for (size_t i = KX_RSA; i < KX_COUNT; i++)
        if (w.kx[i])
            buf_printf(out, ":+%s", key_exchanges[i]);
    for (size_t i = 0; i < CIPHER_COUNT; i++)
        if (w.ciphers[i])
            buf_printf(out, ":+%s", ciphers[i]);
    return true;
}

static bool
print_curves(const struct yaml *list, struct buf *out, struct err *err)
{
    if (list == NULL)
        return true;
    buf_put_str(out, ":-GROUP-ALL");
    for (size_t i = 0; i < list->count; i++) {
        const struct yaml *item = &list->children[i];
        size_t at;
        if (!find_name(curves, ARRAY_LEN(curves), item->text, &at))
            return err_set(err, ERR_UNSUPPORTED,
                           "line %d: curve_preferences: no curve \"%s\" here; there "
                           "are CurveP256, CurveP384, CurveP521, X25519",
                           item->line, item->text);
        buf_printf(out, ":+%s", curves[at].gnutls);
    }
    return true;
}

bool
net_web_priority_print(const struct yaml *tls, struct buf *out, struct err *err)
{
    const struct yaml *suite_list, *curve_list;
    size_t least = TLS12, most = TLS13;
    bool prefer = true;
    if (!read_version(tls, "min_version", &least, err) ||
        !read_version(tls, "max_version", &most, err) ||
        !yaml_get_bool(tls, "prefer_server_cipher_suites", &prefer, err) ||
        !read_list(tls, "cipher_suites", &suite_list, err) ||
        !read_list(tls, "curve_preferences", &curve_list, err))
        return false;
    if (least > most)
        return yaml_refuse(tls, "min_version", err, "%s is above max_version, %s",
                           versions[least].go, versions[most].go);
    buf_put_str(out, "NORMAL:-VERS-ALL");
    for (size_t i = most + 1; i-- > least;)
        buf_printf(out, ":+%s", versions[i].gnutls);
    if (!print_suites(tls, suite_list, least, most, out, err) ||
        !print_curves(curve_list, out, err))
        return false;
    if (prefer)
        buf_put_str(out, ":%SERVER_PRECEDENCE");
    return true;
}
