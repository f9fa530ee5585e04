/* SPDX-License-Identifier: Apache-2.0 */
#include "common/objstore/sts_xml.h"

#include <ctype.h>

#include "common/base/xmalloc.h"
#include "common/objstore/credentials_priv.h"
#include "common/objstore/xml.h"

struct keys_parser {
    struct objstore_xml xml; /* first: handlers get it and mean the whole */
    struct objstore_sts_answer *answer;
    bool in_result;
    bool in_credentials;
};

static bool
is(const char *name, const char *expected)
{
    return strcmp(name, expected) == 0;
}

static void
keys_start(struct objstore_xml *xml, const char *name)
{
    struct keys_parser *p = (struct keys_parser *)xml;
    if (xml->depth == 1 && !is(name, "AssumeRoleWithWebIdentityResponse"))
        objstore_xml_stop(xml, "it is no answer of STS");
    else if (xml->depth == 2)
        p->in_result = is(name, "AssumeRoleWithWebIdentityResult");
    else if (xml->depth == 3)
        p->in_credentials = p->in_result && is(name, "Credentials");
}

static void
keys_end(struct objstore_xml *xml, const char *name, struct bytes text)
{
    struct keys_parser *p = (struct keys_parser *)xml;
    const struct {
        const char *name;
        char **text;
    } fields[] = {
        {"AccessKeyId", &p->answer->access_key},
        {"SecretAccessKey", &p->answer->secret_key},
        {"SessionToken", &p->answer->session_token},
        {"Expiration", &p->answer->expiration},
    };
    if (xml->depth != 4 || !p->in_credentials)
        return;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!is(name, fields[i].name))
            continue;
        if (*fields[i].text != NULL)
            objstore_xml_stop(xml, "a field is there twice");
        else
            *fields[i].text = xstrdup((const char *)text.at);
    }
}

bool
objstore_sts_parse(struct bytes body, struct objstore_sts_answer *answer,
                   struct err *err)
{
    struct keys_parser p = {.answer = answer};
    *answer = (struct objstore_sts_answer){0};
    objstore_xml_init(&p.xml, keys_start, keys_end);
    bool ok = objstore_xml_feed(&p.xml, body, true, err);
    objstore_xml_fini(&p.xml);
    if (ok && (!answer->access_key || !answer->secret_key || !answer->session_token ||
               !answer->expiration))
        ok = err_set(err, ERR_CORRUPT,
                     "the answer of STS has no access key, secret, token or end");
    if (!ok)
        objstore_sts_answer_fini(answer);
    return ok;
}

void
objstore_sts_answer_fini(struct objstore_sts_answer *answer)
{
    objstore_secret_free(answer->access_key);
    objstore_secret_free(answer->secret_key);
    objstore_secret_free(answer->session_token);
    objstore_secret_free(answer->expiration);
    *answer = (struct objstore_sts_answer){0};
}

struct error_parser {
    struct objstore_xml xml; /* first: handlers get it and mean the whole */
    char *code;
    bool in_error;
};

/* AWS wraps the error in an ErrorResponse; some servers do not. */
static void
error_start(struct objstore_xml *xml, const char *name)
{
    struct error_parser *p = (struct error_parser *)xml;
    if (is(name, "Error"))
        p->in_error = true;
}

static bool
is_word(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum(text.at[i]) && text.at[i] != '.')
            return false;
    return text.len > 0;
}

static void
error_end(struct objstore_xml *xml, const char *name, struct bytes text)
{
    const struct error_parser *p = (const struct error_parser *)xml;
    if (p->in_error && is(name, "Code") && text.len < OBJSTORE_STS_CODE_SIZE &&
        is_word(text))
        memcpy(p->code, text.at, text.len + 1);
}

void
objstore_sts_error_parse(struct bytes body, char code[OBJSTORE_STS_CODE_SIZE])
{
    struct error_parser p = {.code = code};
    struct err ignored;
    code[0] = 0;
    objstore_xml_init(&p.xml, error_start, error_end);
    /* What came before a cut is good enough for a message. */
    bool whole = objstore_xml_feed(&p.xml, body, true, &ignored);
    (void)whole;
    objstore_xml_fini(&p.xml);
}
