/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP library makes a session for a connection and would give it the credentials
 * of its start. A hook of the session runs before the first message of the client is
 * looked at, and gives it those of now. */
#include "common/net/web_tls.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/num.h"
#include "common/base/xmalloc.h"

struct net_web_tls {
    const struct net_web_config *config;
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
    int64_t not_after_s;
};

static gnutls_datum_t
datum_of(struct bytes b)
{
    /* GnuTLS does not write to it. */
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)b.at, (unsigned)b.len};
}

static const char *
name_of(const struct net_web_pem *pem)
{
    return pem->path != NULL ? pem->path : "in the configuration";
}

static bool
load_pair(struct net_web_tls *t, const struct net_web_tls_files *files, struct err *err)
{
    const struct net_web_config *c = t->config;
    gnutls_datum_t cert = datum_of(files->cert), key = datum_of(files->key);
    int code = gnutls_certificate_set_x509_key_mem2(t->credentials, &cert, &key,
                                                    GNUTLS_X509_FMT_PEM, NULL, 0);
    if (code >= 0)
        return true;
    return err_set(err, ERR_INVALID, "cert_file %s with key_file %s: %s",
                   name_of(&c->cert), name_of(&c->key), gnutls_strerror(code));
}

static bool
load_client_ca(struct net_web_tls *t, const struct net_web_tls_files *files,
               struct err *err)
{
    if (files->client_ca.len == 0 && t->config->client_ca.path == NULL)
        return true;
    gnutls_datum_t ca = datum_of(files->client_ca);
    int count =
        gnutls_certificate_set_x509_trust_mem(t->credentials, &ca, GNUTLS_X509_FMT_PEM);
    return count > 0 || err_set(err, ERR_INVALID, "client_ca_file %s: %s",
                                name_of(&t->config->client_ca),
                                count == 0 ? "there is no certificate in it"
                                           : gnutls_strerror(count));
}

static int64_t
find_end(gnutls_certificate_credentials_t credentials)
{
    gnutls_x509_crt_t *chain = NULL;
    unsigned count = 0;
    int64_t end = 0;
    if (gnutls_certificate_get_x509_crt(credentials, 0, &chain, &count) < 0)
        return 0;
    for (unsigned i = 0; i < count; i++) {
        if (i == 0)
            end = gnutls_x509_crt_get_expiration_time(chain[i]);
        gnutls_x509_crt_deinit(chain[i]);
    }
    gnutls_free(chain);
    return end;
}

bool
net_web_tls_new(struct net_web_tls **out, const struct net_web_config *config,
                const struct net_web_tls_files *files, struct err *err)
{
    CLEANUP(net_web_tls_free) struct net_web_tls *t = xcalloc(1, sizeof *t);
    const char *at = NULL;
    t->config = config;
    if (gnutls_certificate_allocate_credentials(&t->credentials) < 0)
        return err_set(err, ERR_NOMEM, "no memory for TLS");
    if (!load_pair(t, files, err) || !load_client_ca(t, files, err))
        return false;
    int code = gnutls_priority_init(&t->priority, config->priority, &at);
    if (code < 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "tls_server_config: GnuTLS does not take %s: %s", at,
                       gnutls_strerror(code));
    t->not_after_s = find_end(t->credentials);
    *out = TAKE(t);
    return true;
}

void
net_web_tls_free(struct net_web_tls **out)
{
    struct net_web_tls *t = TAKE(*out);
    if (t == NULL)
        return;
    if (t->credentials != NULL)
        gnutls_certificate_free_credentials(t->credentials);
    if (t->priority != NULL)
        gnutls_priority_deinit(t->priority);
    free(t);
}

int64_t
net_web_tls_not_after_s(const struct net_web_tls *tls)
{
    return tls->not_after_s;
}

/* An alternative name as Go prints it; *text is the name itself but for addresses. */
static bool
print_san(int type, const uint8_t *value, size_t len, char *text, size_t room)
{
    if (type == GNUTLS_SAN_IPADDRESS)
        return (len == 4 || len == 16) &&
               inet_ntop(len == 4 ? AF_INET : AF_INET6, value, text, (socklen_t)room) !=
                   NULL;
    if ((type != GNUTLS_SAN_DNSNAME && type != GNUTLS_SAN_RFC822NAME &&
         type != GNUTLS_SAN_URI) ||
        len >= room || memchr(value, 0, len) != NULL)
        return false;
    memcpy(text, value, len);
    text[len] = 0;
    return true;
}

static bool
is_listed(const struct yaml *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->children[i].text, name) == 0)
            return true;
    return false;
}

/* Whether the certificate of the client has one of the names. */
static bool
has_allowed_san(const struct yaml *allowed, const gnutls_datum_t *der)
{
    gnutls_x509_crt_t crt;
    bool found = false;
    if (gnutls_x509_crt_init(&crt) < 0)
        return false;
    int code = gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER);
    for (unsigned i = 0; code >= 0 && !found; i++) {
        uint8_t value[1024];
        char text[sizeof value + 1];
        size_t len = sizeof value;
        code = gnutls_x509_crt_get_subject_alt_name(crt, i, value, &len, NULL);
        if (code == GNUTLS_E_SHORT_MEMORY_BUFFER)
            code = GNUTLS_SAN_OTHERNAME; /* longer than any that can be listed */
        else if (code >= 0)
            found = print_san(code, value, len, text, sizeof text) &&
                    is_listed(allowed, text);
    }
    gnutls_x509_crt_deinit(crt);
    return found;
}

/* The library that runs the handshake just closes the connection when it fails: the
 * client is told why here. */
static int
refuse_client(gnutls_session_t session, gnutls_alert_description_t alert,
              const char *why)
{
    LOG_WARN("refused the certificate of a client", LOG_STR("err", why));
    gnutls_alert_send(session, GNUTLS_AL_FATAL, alert);
    return GNUTLS_E_CERTIFICATE_ERROR;
}

/* Whether the authority signed it for clients, as of now. */
static int
verify_by_authority(gnutls_session_t session)
{
    gnutls_typed_vdata_st purpose = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT,
    };
    unsigned status = 0;
    gnutls_datum_t text = {0};
    if (gnutls_certificate_verify_peers(session, &purpose, 1, &status) < 0)
        return refuse_client(session, GNUTLS_A_BAD_CERTIFICATE,
                             "it cannot be verified");
    if (status == 0)
        return 0;
    if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text,
                                                     0) < 0)
        return refuse_client(session, GNUTLS_A_BAD_CERTIFICATE, "it is not trusted");
    int code =
        refuse_client(session, GNUTLS_A_BAD_CERTIFICATE, (const char *)text.data);
    gnutls_free(text.data);
    return code;
}

/* Called when the client has sent its certificate, or has sent none. */
static int
on_client_certificate(gnutls_session_t session)
{
    const struct net_web_tls_hook *hook = gnutls_db_get_ptr(session);
    const struct net_web_config *c = hook->chosen->config;
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    if (chain == NULL || count == 0)
        return c->client_auth >= NET_WEB_REQUIRE_ANY_CLIENT_CERT
                   ? refuse_client(session, GNUTLS_A_CERTIFICATE_REQUIRED,
                                   "there is none")
                   : 0;
    bool verifies = c->client_auth == NET_WEB_VERIFY_CLIENT_CERT_IF_GIVEN ||
                    c->client_auth == NET_WEB_REQUIRE_AND_VERIFY_CLIENT_CERT;
    int code = verifies ? verify_by_authority(session) : 0;
    if (code == 0 && c->allowed_sans != NULL &&
        !has_allowed_san(c->allowed_sans, &chain[0]))
        code = refuse_client(session, GNUTLS_A_BAD_CERTIFICATE,
                             "it has none of client_allowed_sans");
    return code;
}

static int
on_client_hello(gnutls_session_t session, unsigned type, unsigned when,
                unsigned incoming, const gnutls_datum_t *message)
{
    struct net_web_tls_hook *hook = gnutls_db_get_ptr(session);
    (void)type, (void)when, (void)message;
    /* A second one, after a retry, goes by the same. */
    if (!incoming || hook->chosen != NULL)
        return 0;
    const struct net_web_tls *t = hook->choose(hook->arg);
    hook->chosen = t;
    gnutls_priority_set(session, t->priority);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, t->credentials);
    enum net_web_client_auth auth = t->config->client_auth;
    gnutls_certificate_server_set_request(
        session, auth == NET_WEB_NO_CLIENT_CERT            ? GNUTLS_CERT_IGNORE
                 : auth >= NET_WEB_REQUIRE_ANY_CLIENT_CERT ? GNUTLS_CERT_REQUIRE
                                                           : GNUTLS_CERT_REQUEST);
    if (auth != NET_WEB_NO_CLIENT_CERT)
        gnutls_session_set_verify_function(session, on_client_certificate);
    /* So that a client may choose by any certificate that it has. */
    if (auth == NET_WEB_REQUEST_CLIENT_CERT || auth == NET_WEB_REQUIRE_ANY_CLIENT_CERT)
        gnutls_certificate_send_x509_rdn_sequence(session, 1);
    return 0;
}

/* Never called: on_client_hello comes before it, and takes its credentials away. */
static int
no_certificate(void)
{
    return -1;
}

void *
net_web_tls_no_certificate(void)
{
    return (void *)(uintptr_t)no_certificate;
}

/* The place for the data of a session cache: a server without one has no other use for
 * it. */
void
net_web_tls_attach(void *session, struct net_web_tls_hook *hook)
{
    gnutls_db_set_ptr(session, hook);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_CLIENT_HELLO,
                                       GNUTLS_HOOK_PRE, on_client_hello);
}
