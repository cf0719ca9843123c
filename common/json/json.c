/* Parsing, building and reading of JSON values. json-c's parser only ever sees text that
 * json_scan() accepted. A value that cannot be allocated ends the program, as with arenas. */
#include "common/json/json.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/json/json_c.h"
#include "common/json/json_scan.h"

#define KEY_SHORT 128

static struct json_object *must(struct json_object *value)
{
    if (value)
        return value;
    log_note(LOG_ERROR, "out-of-memory", "cannot allocate a JSON value");
    abort();
}

/* A tokener takes 6 KiB for the levels it may meet, and a small text is read faster than it is made: each
 * thread keeps one, without the room it has taken for long texts. */
#define KEPT_MAX_BYTES 65536

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t kept;

static void free_kept(void *tokener)
{
    json_tokener_free(tokener);
}

static void make_key(void)
{
    if (pthread_key_create(&kept, free_kept) != 0)
        abort();
}

static struct json_tokener *take_tokener(void)
{
    struct json_tokener *tokener;

    (void)pthread_once(&once, make_key);
    tokener = pthread_getspecific(kept);
    if (tokener) {
        json_tokener_reset(tokener);
        return tokener;
    }
    /* json-c counts a level for the scalars in the innermost container. */
    tokener = json_tokener_new_ex(JSON_TEMPLATE_DEPTH_MAX + 2);
    if (!tokener || pthread_setspecific(kept, tokener) != 0)
        abort();
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    return tokener;
}

static void leave_tokener(struct json_tokener *tokener, size_t len)
{
    if (len <= KEPT_MAX_BYTES)
        return;
    (void)pthread_setspecific(kept, NULL);
    json_tokener_free(tokener);
}

/* json-c reads text that has been found good. */
static int parse_checked(const char *text, size_t len, struct json_object **ret, struct error *err)
{
    struct json_tokener *tokener = take_tokener();
    enum json_tokener_error reason;
    struct json_object *value;

    value = json_tokener_parse_ex(tokener, text, (int)len);
    /* A number at the top ends only with the text: one NUL tells json-c so. */
    if (json_tokener_get_error(tokener) == json_tokener_continue)
        value = json_tokener_parse_ex(tokener, "", 1);
    reason = json_tokener_get_error(tokener);
    leave_tokener(tokener, len);
    if (reason != json_tokener_success) {
        json_object_put(value);
        return fail_cause(err, &E_INTERNAL, "json-c refused checked text: %s",
                          json_tokener_error_desc(reason));
    }
    *ret = value;
    return 0;
}

int json_parse(const char *text, size_t len, size_t max_bytes, enum json_mode mode,
               struct json_object **ret, struct error *err)
{
    _cleanup_(str_done) struct str strict;

    str_init(&strict, 0);
    if (len > max_bytes || len > INT_MAX / 4)
        return fail(err, &E_TOO_LARGE, "The JSON text is larger than %zu bytes.",
                    max_bytes < INT_MAX / 4 ? max_bytes : (size_t)INT_MAX / 4);
    if (mode == JSON_TEMPLATE)
        str_init(&strict, 2 * len + 16);
    if (json_scan(text, len, mode, &strict, err) < 0)
        return -1;
    if (mode == JSON_TEMPLATE)
        return parse_checked(strict.data, strict.len, ret, err);
    return parse_checked(text, len, ret, err);
}

int json_parse_object(const char *text, size_t len, size_t max_bytes, struct json_object **ret,
                      struct error *err)
{
    _cleanup_(json_putp) struct json_object *value = NULL;

    if (json_parse(text, len, max_bytes, JSON_STRICT, &value, err) < 0)
        return -1;
    if (json_kind(value) != JSON_OBJECT)
        return fail(err, &E_INVALID, "The JSON text is not an object.");
    *ret = take(value);
    return 0;
}

struct json_object *json_get(struct json_object *value)
{
    return json_object_get(value);
}

void json_put(struct json_object *value)
{
    (void)json_object_put(value);
}

void json_putp(struct json_object **value)
{
    json_put(*value);
    *value = NULL;
}

void json_release(void *value)
{
    json_put(value);
}

struct json_object *json_own(struct arena *a, struct json_object *value)
{
    if (value)
        arena_defer(a, json_release, value);
    return value;
}

struct json_object *json_copy(const struct json_object *value)
{
    struct json_object *copy = NULL;

    if (!value)
        return NULL;
    if (json_object_deep_copy((struct json_object *)value, &copy, NULL) < 0)
        copy = NULL;
    return must(copy);
}

bool json_equal(const struct json_object *x, const struct json_object *y)
{
    return json_object_equal((struct json_object *)x, (struct json_object *)y) != 0;
}

struct json_object *json_new_object(void)
{
    return must(json_object_new_object());
}

struct json_object *json_new_array(void)
{
    return must(json_object_new_array());
}

struct json_object *json_new_text(const char *s)
{
    return s ? json_new_text_len(s, strlen(s)) : NULL;
}

struct json_object *json_new_text_len(const char *s, size_t len)
{
    return must(len > INT_MAX / 4 ? NULL : json_object_new_string_len(s, (int)len));
}

struct json_object *json_new_int(int64_t n)
{
    return must(json_object_new_int64(n));
}

struct json_object *json_new_bool(bool b)
{
    return must(json_object_new_boolean(b));
}

void json_set(struct json_object *object, const char *key, struct json_object *child)
{
    if (json_object_object_add(object, key, child) < 0)
        (void)must(NULL);
}

void json_set_text(struct json_object *object, const char *key, const char *s)
{
    json_set(object, key, json_new_text(s));
}

void json_set_int(struct json_object *object, const char *key, int64_t n)
{
    json_set(object, key, json_new_int(n));
}

void json_set_bool(struct json_object *object, const char *key, bool b)
{
    json_set(object, key, json_new_bool(b));
}

void json_unset(struct json_object *object, const char *key)
{
    if (json_kind(object) == JSON_OBJECT)
        json_object_object_del(object, key);
}

void json_add(struct json_object *array, struct json_object *child)
{
    if (json_object_array_add(array, child) < 0)
        (void)must(NULL);
}

void json_add_text(struct json_object *array, const char *s)
{
    json_add(array, json_new_text(s));
}

enum json_kind json_kind(const struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        return JSON_NULL;
    case json_type_boolean:
        return JSON_BOOL;
    case json_type_double:
        return JSON_DOUBLE;
    case json_type_int:
        return JSON_INT;
    case json_type_object:
        return JSON_OBJECT;
    case json_type_array:
        return JSON_ARRAY;
    case json_type_string:
        return JSON_TEXT;
    }
    return JSON_NULL;
}

static bool find_member(const struct json_object *object, const char *key, struct json_object **ret)
{
    return json_kind(object) == JSON_OBJECT && json_object_object_get_ex(object, key, ret);
}

/* Looks up the first `len` bytes of name. */
static bool find_part(const struct json_object *object, const char *name, size_t len,
                      struct json_object **ret)
{
    char shorter[KEY_SHORT];

    if (name[len] == '\0')
        return find_member(object, name, ret);
    if (len < sizeof(shorter)) {
        memcpy(shorter, name, len);
        shorter[len] = '\0';
        return find_member(object, shorter, ret);
    }
    _cleanup_(freep) char *longer = strndup(name, len);
    if (!longer)
        (void)must(NULL);
    return find_member(object, longer, ret);
}

static bool find(const struct json_object *value, const char *path, struct json_object **ret)
{
    struct json_object *at = (struct json_object *)value;

    while (*path) {
        size_t len = strcspn(path, ".");
        if (!find_part(at, path, len, &at))
            return false;
        path += len;
        path += *path == '.';
    }
    *ret = at;
    return true;
}

bool json_has(const struct json_object *value, const char *path)
{
    struct json_object *at;

    return find(value, path, &at);
}

struct json_object *json_at(const struct json_object *value, const char *path)
{
    struct json_object *at;

    return find(value, path, &at) ? at : NULL;
}

const char *json_text(const struct json_object *value, const char *path)
{
    struct json_object *at = json_at(value, path);

    return json_kind(at) == JSON_TEXT ? json_object_get_string(at) : NULL;
}

int64_t json_int(const struct json_object *value, const char *path, int64_t fallback)
{
    const struct json_object *at = json_at(value, path);

    return json_kind(at) == JSON_INT ? json_object_get_int64(at) : fallback;
}

bool json_bool(const struct json_object *value, const char *path, bool fallback)
{
    const struct json_object *at = json_at(value, path);

    return json_kind(at) == JSON_BOOL ? json_object_get_boolean(at) != 0 : fallback;
}

double json_double(const struct json_object *value, const char *path, double fallback)
{
    const struct json_object *at = json_at(value, path);

    /* A whole number is a number too: JSON has one kind of them. */
    if (json_kind(at) != JSON_DOUBLE && json_kind(at) != JSON_INT)
        return fallback;
    return json_object_get_double(at);
}

size_t json_count(const struct json_object *value)
{
    if (json_kind(value) == JSON_ARRAY)
        return json_object_array_length(value);
    return json_kind(value) == JSON_OBJECT ? (size_t)json_object_object_length(value) : 0;
}

struct json_object *json_item(const struct json_object *array, size_t index)
{
    return json_kind(array) == JSON_ARRAY ? json_object_array_get_idx(array, index) : NULL;
}

void json_put_at(struct json_object *object, const char *path, struct json_object *child)
{
    const char *dot = strchr(path, '.');

    while (dot) {
        struct json_object *next;
        _cleanup_(freep) char *key = strndup(path, (size_t)(dot - path));
        if (!key)
            (void)must(NULL);
        if (!find_member(object, key, &next) || json_kind(next) != JSON_OBJECT) {
            next = json_new_object();
            json_set(object, key, next);
        }
        object = next;
        path = dot + 1;
        dot = strchr(path, '.');
    }
    json_set(object, path, child);
}

void json_each(const struct json_object *object,
               void (*fn)(void *ctx, const char *key, struct json_object *value), void *ctx)
{
    if (json_kind(object) != JSON_OBJECT)
        return;
    const struct lh_entry *e = json_object_get_object(object)->head;
    while (e) {
        const struct lh_entry *next = e->next; /* fn may remove the member it is given */
        fn(ctx, lh_entry_k(e), lh_entry_v(e));
        e = next;
    }
}

static void merge_member(void *ctx, const char *key, struct json_object *value)
{
    struct json_object *target = ctx;
    struct json_object *was;

    if (!value) {
        json_unset(target, key);
        return;
    }
    if (json_kind(value) != JSON_OBJECT) {
        json_set(target, key, json_copy(value));
        return;
    }
    if (!find_member(target, key, &was) || json_kind(was) != JSON_OBJECT) {
        was = json_new_object();
        json_set(target, key, was);
    }
    json_merge_patch(was, value);
}

void json_merge_patch(struct json_object *target, const struct json_object *patch)
{
    json_each(patch, merge_member, target);
}
