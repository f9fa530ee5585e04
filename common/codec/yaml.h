/* SPDX-License-Identifier: Apache-2.0 */
/* Strict YAML trees for configuration, over libyaml events.
 *
 * Anchors, aliases, tags, second documents, repeated keys, depth above 16 and texts
 * above the limit are refused, each with its line. All scalars are texts; the typed
 * getters are strict (a duration of "30" without a unit is an error). */
#ifndef COMMON_CODEC_YAML_H
#define COMMON_CODEC_YAML_H

#include "common/base/buf.h"

enum yaml_kind { YAML_NULL, YAML_SCALAR, YAML_LIST, YAML_MAP };

/* Transparent for reading. Owned by the root. */
struct yaml {
    enum yaml_kind kind;
    bool quoted;  /* scalar in quotes: a text even if it looks like a number */
    int line;     /* 1-based; of its key for a member of a map */
    char *text;   /* scalar */
    size_t count; /* children of a list or map */
    char **keys;  /* map */
    struct yaml *children;
};

/* Parse one document. An empty one yields YAML_NULL. Release with yaml_tree_free.
 * Errors ERR_INVALID: "line 3: ...". */
NODISCARD bool yaml_parse(struct bytes text, size_t limit, struct yaml **out,
                          struct err *err);

/* CLEANUP handler; accepts NULL inside. Texts may be secrets and are overwritten. The
 * name yaml_free is libyaml's own. */
void yaml_tree_free(struct yaml **y);

/* Member of a map, NULL if absent or y is not a map. */
const struct yaml *yaml_get(const struct yaml *y, const char *key);

/* Error unless y is a map (or null) whose keys are all in known (NULL-terminated).
 * what names the section in errors: "line 3: unknown key "buckt" in S3 config; known
 * keys are ...". */
NODISCARD bool yaml_check_keys(const struct yaml *y, const char *const known[],
                               const char *what, struct err *err);

/* Typed values of a map's member. Absent or null leaves *out untouched and succeeds, so
 * that the caller puts the default there first. *out of text is borrowed. Durations
 * are as in Go and Prometheus ("1m30s", "500ms", "2h"), in nanoseconds; sizes have
 * units of base 2 ("250MB", "2GiB"). */
NODISCARD bool yaml_get_text(const struct yaml *y, const char *key, const char **out,
                             struct err *err);
NODISCARD bool yaml_get_bool(const struct yaml *y, const char *key, bool *out,
                             struct err *err);
NODISCARD bool yaml_get_i64(const struct yaml *y, const char *key, int64_t *out,
                            struct err *err);
NODISCARD bool yaml_get_duration(const struct yaml *y, const char *key, int64_t *out_ns,
                                 struct err *err);
NODISCARD bool yaml_get_size(const struct yaml *y, const char *key, uint64_t *out_bytes,
                             struct err *err);

/* Say why a member of a map will not do: fill err with "line 3: key: " and the text.
 * Yields false. */
#define yaml_refuse(map, key, err, ...) \
    ((void)err_set((err), ERR_INVALID, __VA_ARGS__), yaml_blame((map), (key), (err)))

/* Put "line 3: key: " in front of err's text; line 1 when the member is absent. Yields
 * false. */
bool yaml_blame(const struct yaml *map, const char *key, struct err *err);

/* Replace each $(NAME), NAME of [a-zA-Z0-9_]+, by the environment variable; append the
 * result to out. Errors ERR_INVALID naming a variable that is not set. */
NODISCARD bool yaml_expand_env(struct bytes text, struct buf *out, struct err *err);

#endif
