/* The one door for JSON. json-c's own parser lets duplicate keys, single quotes, NaN, NUL escapes
 * and saturated integers through; json_parse() refuses them first (RFC 8259, I-JSON RFC 7493).
 * json-c values may be passed around everywhere; they are parsed, printed, read and built only
 * through this folder. Values are reference counted; `_cleanup_(json_putp)` releases one. */
#ifndef PORTOLAN_JSON_JSON_H
#define PORTOLAN_JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;

enum json_mode {
    JSON_STRICT,
    /* What `az deployment` sends: comments, raw newlines in strings and one unquoted member name
     * are accepted as well. For deployment bodies and template files only. */
    JSON_TEMPLATE,
    JSON_MODE_MAX
};

/* Some names below are jansson's too, which libjwt brings along: they must not leave the program. */
#pragma GCC visibility push(hidden)

#define JSON_DEPTH_MAX 32
#define JSON_MEMBERS_MAX 100000 /* of all objects and arrays of one text together */

/* Parses text (need not be NUL-terminated) of at most max_bytes. Errors are E_INVALID (E_TOO_LARGE
 * past max_bytes) with line and column in the message. Every value kind may be at the top; a top
 * `null` gives *ret == NULL and success. */
MUST_CHECK int json_parse(const char *text, size_t len, size_t max_bytes, enum json_mode mode,
                          struct json_object **ret, struct error *err);
/* The same; E_INVALID unless the top is an object. */
MUST_CHECK int json_parse_object(const char *text, size_t len, size_t max_bytes,
                                 struct json_object **ret, struct error *err);
/* Minified, slashes not escaped, in the arena. */
char *json_print(struct arena *a, const struct json_object *value);
char *json_print_len(struct arena *a, const struct json_object *value, size_t *ret_len);
char *json_print_pretty(struct arena *a, const struct json_object *value);

struct json_object *json_get(struct json_object *value); /* one more reference */
void json_put(struct json_object *value);                /* NULL is accepted */
void json_putp(struct json_object **value);
void json_release(void *value); /* for arena_defer */
/* Gives the reference to the arena: the value lives as long as it. Returns value. */
struct json_object *json_own(struct arena *a, struct json_object *value);
struct json_object *json_copy(const struct json_object *value); /* deep */
bool json_equal(const struct json_object *x, const struct json_object *y); /* deep, key order free */

/* Building. A child's reference moves into the parent. */
struct json_object *json_new_object(void);
struct json_object *json_new_array(void);
struct json_object *json_new_text(const char *s); /* NULL gives JSON null */
struct json_object *json_new_text_len(const char *s, size_t len);
struct json_object *json_new_int(int64_t n);
struct json_object *json_new_bool(bool b);
void json_set(struct json_object *object, const char *key, struct json_object *child);
void json_set_text(struct json_object *object, const char *key, const char *s);
void json_set_int(struct json_object *object, const char *key, int64_t n);
void json_set_bool(struct json_object *object, const char *key, bool b);
void json_unset(struct json_object *object, const char *key);
void json_add(struct json_object *array, struct json_object *child);
void json_add_text(struct json_object *array, const char *s);

/* Reading. `path` is member names joined by dots ("properties.sku.name"); "" is the value itself.
 * Member names compare exactly. Borrowed results; NULL or the fallback when absent or of another
 * kind. */
enum json_kind { JSON_NULL, JSON_BOOL, JSON_INT, JSON_DOUBLE, JSON_TEXT, JSON_ARRAY, JSON_OBJECT,
                 JSON_KIND_MAX };
enum json_kind json_kind(const struct json_object *value);
bool json_has(const struct json_object *value, const char *path); /* also when it is null */
struct json_object *json_at(const struct json_object *value, const char *path);
const char *json_text(const struct json_object *value, const char *path);
int64_t json_int(const struct json_object *value, const char *path, int64_t fallback);
bool json_bool(const struct json_object *value, const char *path, bool fallback);
double json_double(const struct json_object *value, const char *path, double fallback);
size_t json_count(const struct json_object *value); /* of an array or object; else 0 */
struct json_object *json_item(const struct json_object *array, size_t index);

/* Makes the objects on the way and puts child at path. */
void json_put_at(struct json_object *object, const char *path, struct json_object *child);
/* Calls fn for each member in order. */
void json_each(const struct json_object *object,
               void (*fn)(void *ctx, const char *key, struct json_object *value), void *ctx);

/* RFC 7396: changes target in place. */
void json_merge_patch(struct json_object *target, const struct json_object *patch);

#pragma GCC visibility pop

#endif
