/* SPDX-License-Identifier: Apache-2.0 */
/* Strict JSON trees for small documents (metadata, API answers), over jansson.
 *
 * A tree is owned by its root: struct json * from parse or new is released with
 * json_free; what getters return is borrowed from it. Duplicate keys, trailing text,
 * bad UTF-8 and numbers out of range are refused; unknown keys are kept, so that
 * parse, change, print loses nothing. Answers hold keys at times: memory is overwritten
 * before it is given back. One thread at a time per tree. */
#ifndef COMMON_CODEC_JSON_H
#define COMMON_CODEC_JSON_H

#include "common/base/buf.h"

struct json;

/* Parse text of at most limit bytes: an object or an array.
 * Errors ERR_INVALID with line and column; also above 64 levels. */
NODISCARD bool json_parse(struct bytes text, size_t limit, struct json **out,
                          struct err *err);

struct json *json_new_object(void);
struct json *json_new_array(void);

/* CLEANUP handler; accepts NULL inside. */
void json_free(struct json **j);

/* Append the text. indent is a number of blanks, 0 for one line, -1 for one tab a
 * level, as Prometheus writes its metadata. */
void json_print(const struct json *j, int indent, struct buf *out);

/* Member of an object, or NULL when absent, null, or j is not an object. */
struct json *json_get(const struct json *j, const char *key);

NODISCARD bool json_is_object(const struct json *j);
NODISCARD bool json_is_array(const struct json *j);

size_t json_array_len(const struct json *j);
struct json *json_array_at(const struct json *j, size_t i);

/* Values. False when j is NULL or of another type; *out is then untouched. The text is
 * NUL-terminated and holds no NUL inside. */
NODISCARD bool json_text(const struct json *j, const char **out);
NODISCARD bool json_i64(const struct json *j, int64_t *out);
NODISCARD bool json_bool(const struct json *j, bool *out);

/* Call fn for each member of an object in the order of the text; value is NULL for
 * null. fn returns false, with err filled, to stop. */
typedef bool json_member_fn(void *arg, const char *key, const struct json *value,
                            struct err *err);
NODISCARD bool json_each(const struct json *j, json_member_fn *fn, void *arg,
                         struct err *err);

/* Set a member, replacing what was there. Of a text that is not UTF-8 each byte above
 * 0x7f becomes "?"; keys are UTF-8. The last takes ownership of *value, which
 * becomes NULL. */
void json_set_text(struct json *j, const char *key, const char *value);
void json_set_i64(struct json *j, const char *key, int64_t value);
void json_set_bool(struct json *j, const char *key, bool value);
void json_set(struct json *j, const char *key, struct json **value);
void json_remove(struct json *j, const char *key);

void json_append_text(struct json *array, const char *value);
void json_append(struct json *array, struct json **value);

#endif
