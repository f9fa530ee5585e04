/* SPDX-License-Identifier: Apache-2.0 */
/* Keys in files that people and operators rotate. A file is read again once a second:
 * it is small, its time stamps are too coarse to tell one rotation from the next, and a
 * mounted secret changes by a link far above it. */
#include <stdlib.h>

#include "common/base/xmalloc.h"
#include "common/objstore/credentials_priv.h"
#include "common/objstore/ini.h"

#define READ_AGAIN_NS CLOCK_NS_PER_S

/* A profile: its section in up to two files, the first of which counts where both set
 * a key. */
struct profile {
    const char *name;
    struct buf texts[2];
    const char *sections[2];
    char *paths[2];
    char *config_section;
};

static void
profile_fini(struct profile *p)
{
    for (size_t i = 0; i < ARRAY_LEN(p->texts); i++) {
        objstore_secret_buf_fini(&p->texts[i]);
        free(p->paths[i]);
    }
    free(p->config_section);
}

static const char *
profile_name(const struct objstore_sources *s)
{
    const char *name = s->env[OBJSTORE_ENV_PROFILE];
    return *name != 0 ? name : "default";
}

/* The file that variable names, or the one in the home directory; NULL without. */
static char *
path_of(const struct objstore_sources *s, enum objstore_variable variable,
        const char *at_home)
{
    const char *home = s->env[OBJSTORE_ENV_HOME];
    if (*s->env[variable] != 0)
        return xstrdup(s->env[variable]);
    return *home != 0 ? xasprintf("%s/.aws/%s", home, at_home) : NULL;
}

/* A missing file is an empty one, unless it was named. */
static bool
load(const char *path, bool is_named, struct buf *text, struct err *err)
{
    return path == NULL || objstore_secret_read(path, text, err) ||
           (err->code == ERR_NOT_FOUND && !is_named);
}

static bool
load_credentials(struct profile *p, const struct objstore_sources *s, struct err *err)
{
    const char *named = s->env[OBJSTORE_ENV_SHARED_CREDENTIALS_FILE];
    p->name = profile_name(s);
    p->sections[0] = p->name;
    p->paths[0] = path_of(s, OBJSTORE_ENV_SHARED_CREDENTIALS_FILE, "credentials");
    return load(p->paths[0], *named != 0, &p->texts[0], err);
}

/* The config file calls all profiles but one "profile name". */
static bool
load_config(struct profile *p, const struct objstore_sources *s, struct err *err)
{
    const char *named = s->env[OBJSTORE_ENV_CONFIG_FILE];
    bool is_default = strcmp(p->name, "default") == 0;
    p->config_section = xasprintf("%s%s", is_default ? "" : "profile ", p->name);
    p->sections[1] = p->config_section;
    p->paths[1] = path_of(s, OBJSTORE_ENV_CONFIG_FILE, "config");
    return load(p->paths[1], *named != 0, &p->texts[1], err);
}

/* The value in one of the files. */
static bool
get_of(const struct profile *p, size_t i, const char *key, struct bytes *value,
       struct err *err)
{
    *value = (struct bytes){0};
    if (p->sections[i] != NULL &&
        !objstore_ini_get(buf_bytes(&p->texts[i]), p->sections[i], key, value, err))
        return err_wrap(err, "%s", p->paths[i]);
    return true;
}

static bool
get(const struct profile *p, const char *key, struct bytes *value, struct err *err)
{
    *value = (struct bytes){0};
    for (size_t i = 0; i < ARRAY_LEN(p->texts) && value->len == 0; i++)
        if (!get_of(p, i, key, value, err))
            return false;
    return true;
}

static bool
is_there(const struct profile *p)
{
    for (size_t i = 0; i < ARRAY_LEN(p->texts); i++)
        if (p->sections[i] != NULL &&
            objstore_ini_has(buf_bytes(&p->texts[i]), p->sections[i]))
            return true;
    return false;
}

/* Heap copy; release with objstore_secret_free. */
static char *
copy_of(struct bytes value)
{
    return xasprintf("%.*s", BYTES_FMT(value));
}

static void
free_copy(char **copy)
{
    objstore_secret_free(*copy);
}

static bool
take_keys(const struct profile *p, const struct bytes parts[3],
          struct objstore_found *found, struct err *err)
{
    CLEANUP(free_copy) char *access_key = copy_of(parts[0]);
    CLEANUP(free_copy) char *secret_key = copy_of(parts[1]);
    CLEANUP(free_copy) char *session_token = copy_of(parts[2]);
    if (!objstore_found_set(found, access_key, secret_key, session_token, err))
        return err_wrap(err, "profile %s", p->name);
    found->change_ns = clock_deadline(READ_AGAIN_NS);
    return true;
}

/* Keys of the profile, if it has some. All parts are of one file: the token of another
 * would not fit. */
static bool
find_keys(const struct profile *p, struct objstore_found *found, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(p->texts); i++) {
        struct bytes parts[3];
        if (!get_of(p, i, "aws_access_key_id", &parts[0], err) ||
            !get_of(p, i, "aws_secret_access_key", &parts[1], err) ||
            !get_of(p, i, "aws_session_token", &parts[2], err))
            return false;
        if (parts[0].len > 0 || parts[1].len > 0)
            return take_keys(p, parts, found, err);
    }
    return true;
}

/* What a profile may ask for and this program does not do. The keys of the profile go
 * before the others, but are those of another role where there is a source_profile. */
static bool
refuse_others(const struct profile *p, const struct objstore_found *found,
              struct err *err)
{
    static const struct {
        const char *key;
        const char *what;
    } OTHERS[] = {
        {"source_profile", "assuming a role with the keys of another profile"},
        {"credential_source", "assuming a role with the keys of the machine"},
        {"credential_process", "running a program for keys"},
        {"sso_session", "single sign-on"},
        {"sso_start_url", "single sign-on"},
    };
    size_t count = found->access_key != NULL ? 1 : ARRAY_LEN(OTHERS);
    struct bytes value;
    for (size_t i = 0; i < count; i++) {
        if (!get(p, OTHERS[i].key, &value, err))
            return false;
        if (value.len > 0)
            return err_set(
                err, ERR_UNSUPPORTED,
                "profile %s has %s, and %s is not done here: use keys, a web "
                "identity token or the role of the machine",
                p->name, OTHERS[i].key, OTHERS[i].what);
    }
    return true;
}

/* Whoever names a profile or a file means it: others are no substitute. */
static bool
check_named(const struct objstore_sources *s, const struct profile *p,
            const struct objstore_found *found, struct err *err)
{
    bool is_named = *s->env[OBJSTORE_ENV_PROFILE] != 0 ||
                    *s->env[OBJSTORE_ENV_SHARED_CREDENTIALS_FILE] != 0;
    if (found->access_key != NULL || !is_named)
        return true;
    return err_set(err, ERR_INVALID,
                   "profile %s with aws_access_key_id and aws_secret_access_key is not "
                   "in %s (see AWS_PROFILE and AWS_SHARED_CREDENTIALS_FILE)",
                   p->name, p->paths[0] != NULL ? p->paths[0] : "~/.aws/credentials");
}

bool
objstore_provide_file(const struct objstore_sources *sources,
                      const struct objstore_call *call, struct objstore_found *found,
                      struct err *err)
{
    (void)call;
    CLEANUP(profile_fini) struct profile p = {0};
    return load_credentials(&p, sources, err) && find_keys(&p, found, err) &&
           refuse_others(&p, found, err) && check_named(sources, &p, found, err);
}

static bool
assume_role(const struct objstore_sources *sources, const struct objstore_call *call,
            const struct profile *p, struct objstore_found *found, struct err *err)
{
    struct bytes token, role, session;
    if (!get(p, "web_identity_token_file", &token, err) ||
        !get(p, "role_arn", &role, err) || !get(p, "role_session_name", &session, err))
        return false;
    if (token.len == 0 && role.len == 0)
        return true;
    if (token.len == 0 || role.len == 0)
        return err_set(err, ERR_INVALID,
                       "profile %s: role_arn and web_identity_token_file go together",
                       p->name);
    CLEANUP(xfree) char *token_path = copy_of(token);
    CLEANUP(xfree) char *role_arn = copy_of(role);
    CLEANUP(xfree) char *session_name = copy_of(session);
    return objstore_assume_role(sources, call,
                                &(struct objstore_web_identity){
                                    .token_path = token_path,
                                    .role_arn = role_arn,
                                    .session_name = session_name,
                                },
                                found, err);
}

bool
objstore_provide_profile(const struct objstore_sources *sources,
                         const struct objstore_call *call, struct objstore_found *found,
                         struct err *err)
{
    CLEANUP(profile_fini) struct profile p = {0};
    if (!load_credentials(&p, sources, err) || !load_config(&p, sources, err))
        return false;
    if (!is_there(&p) && *sources->env[OBJSTORE_ENV_PROFILE] != 0)
        return err_set(err, ERR_INVALID,
                       "there is no profile %s in the shared credentials or config "
                       "file (see AWS_PROFILE)",
                       p.name);
    if (!find_keys(&p, found, err) || !refuse_others(&p, found, err))
        return false;
    return found->access_key != NULL || assume_role(sources, call, &p, found, err);
}
