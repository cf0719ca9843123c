/* Objects: making, merging, taking apart, and reading JSON text. Keys compare without case; of two
 * equal keys the spelling and the place of the first stay. */
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/json/json.h"
#include "templates/functions/collation.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"
#include "templates/language/evaluate.h"
#include "templates/language/faults.h"

#define MERGE_DEPTH_MAX 64

static int put(struct call *c, struct object_builder *b, const char *key, size_t key_len,
               const struct value *v, struct error *err)
{
    if (engine_steps(c->env->engine, b->count / 8 + 1, err) < 0 ||
        engine_bytes(c->env->engine, sizeof(struct member), err) < 0)
        return -1;
    object_put(b, key, key_len, v);
    return 0;
}

int fn_create_object(struct call *c, const struct value **ret, struct error *err)
{
    if (c->argc % 2)
        return call_fail(c, err, "the number of parameters must be even.");
    struct object_builder b;
    object_start(&b, c->arena, c->argc / 2);
    for (size_t i = 0; i < c->argc; i += 2) {
        const struct value *key;
        if (arg_text(c, i, &key, err) < 0 ||
            put(c, &b, key->text, key->count, c->args[i + 1], err) < 0)
            return -1;
    }
    *ret = object_end(&b);
    return 0;
}

/* All arguments must be of the kind of the first, arrays or objects. */
static int same_kind(struct call *c, struct error *err)
{
    uint8_t kind = c->args[0]->kind;
    if (kind != VALUE_ARRAY && kind != VALUE_OBJECT)
        return arg_wrong(c, 0, "an array or an object", err);
    for (size_t i = 1; i < c->argc; i++)
        if (c->args[i]->kind != kind)
            return arg_wrong(c, i, kind == VALUE_ARRAY ? "an array" : "an object", err);
    return 0;
}

static int merge(struct call *c, const struct value *x, const struct value *y, int depth,
                 const struct value **ret, struct error *err)
{
    if (x->kind != VALUE_OBJECT || y->kind != VALUE_OBJECT) {
        *ret = y;
        return 0;
    }
    if (depth == MERGE_DEPTH_MAX)
        return call_fail(c, err, "the objects are nested more than '%d' levels deep.", depth);
    struct object_builder b;
    object_start(&b, c->arena, x->count + y->count);
    memcpy(b.members, x->members, x->count * sizeof(*b.members));
    b.count = x->count;
    for (size_t i = 0; i < y->count; i++) {
        const struct member *m = &y->members[i];
        const struct member *old = value_member(x, m->key, m->key_len);
        const struct value *v = m->value;
        if (engine_steps(c->env->engine, x->count / 32, err) < 0)
            return -1;
        if (old && merge(c, old->value, m->value, depth + 1, &v, err) < 0)
            return -1;
        if (put(c, &b, m->key, m->key_len, v, err) < 0)
            return -1;
    }
    *ret = object_end(&b);
    return 0;
}

static int find_item(struct call *c, const struct value *const *items, size_t count,
                     const struct value *item, bool *ret, struct error *err)
{
    *ret = false;
    for (size_t i = 0; i < count && !*ret; i++)
        if (call_equal(c, items[i], item, ret, err) < 0)
            return -1;
    return 0;
}

static int union_arrays(struct call *c, const struct value **ret, struct error *err)
{
    size_t total = 0, count = 0;
    const struct value **items;
    for (size_t i = 0; i < c->argc; i++)
        total += c->args[i]->count;
    if (call_items(c, total, &items, err) < 0)
        return -1;
    for (size_t i = 0; i < c->argc; i++)
        for (size_t k = 0; k < c->args[i]->count; k++) {
            bool found;
            if (find_item(c, items, count, c->args[i]->items[k], &found, err) < 0)
                return -1;
            if (!found)
                items[count++] = c->args[i]->items[k];
        }
    *ret = value_array(c->arena, items, count);
    return 0;
}

int fn_union(struct call *c, const struct value **ret, struct error *err)
{
    if (same_kind(c, err) < 0)
        return -1;
    if (c->args[0]->kind == VALUE_ARRAY)
        return union_arrays(c, ret, err);
    *ret = c->args[0];
    for (size_t i = 1; i < c->argc; i++)
        if (merge(c, *ret, c->args[i], 0, ret, err) < 0)
            return -1;
    return 0;
}

static int intersect_arrays(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *first = c->args[0], **items;
    size_t count = 0;
    if (call_items(c, first->count, &items, err) < 0)
        return -1;
    for (size_t i = 0; i < first->count; i++) {
        bool in_all = true, is_double;
        for (size_t k = 1; k < c->argc && in_all; k++)
            if (find_item(c, c->args[k]->items, c->args[k]->count, first->items[i], &in_all, err) <
                0)
                return -1;
        if (find_item(c, items, count, first->items[i], &is_double, err) < 0)
            return -1;
        if (in_all && !is_double)
            items[count++] = first->items[i];
    }
    *ret = value_array(c->arena, items, count);
    return 0;
}

int fn_intersection(struct call *c, const struct value **ret, struct error *err)
{
    if (same_kind(c, err) < 0)
        return -1;
    if (c->args[0]->kind == VALUE_ARRAY)
        return intersect_arrays(c, ret, err);
    struct object_builder b;
    object_start(&b, c->arena, c->args[0]->count);
    for (size_t i = 0; i < c->args[0]->count; i++) {
        const struct member *m = &c->args[0]->members[i];
        bool in_all = true;
        for (size_t k = 1; k < c->argc && in_all; k++) {
            const struct member *other = value_member(c->args[k], m->key, m->key_len);
            in_all = false;
            if (engine_steps(c->env->engine, c->args[k]->count / 32, err) < 0)
                return -1;
            if (other && call_equal(c, m->value, other->value, &in_all, err) < 0)
                return -1;
        }
        if (in_all)
            object_push(&b, m->key, m->key_len, m->value);
    }
    *ret = object_end(&b);
    return 0;
}

int fn_shallow_merge(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *list;
    struct object_builder b;
    if (arg_array(c, 0, &list, err) < 0)
        return -1;
    object_start(&b, c->arena, 0);
    for (size_t i = 0; i < list->count; i++) {
        const struct value *o = list->items[i];
        if (o->kind != VALUE_OBJECT)
            return call_fail(c, err, "element '%zu' of the array must be an object.", i);
        for (size_t k = 0; k < o->count; k++)
            if (put(c, &b, o->members[k].key, o->members[k].key_len, o->members[k].value, err) < 0)
                return -1;
    }
    *ret = object_end(&b);
    return 0;
}

static int by_key(const void *x, const void *y)
{
    const struct member *a = *(const struct member *const *)x;
    const struct member *b = *(const struct member *const *)y;
    int order = collation_compare(a->key, a->key_len, b->key, b->key_len);
    return order ? order : (a > b) - (a < b);
}

static const struct member **sorted_members(struct call *c, const struct value *o)
{
    const struct member **list = arena_array(c->arena, o->count ? o->count : 1, sizeof(*list));
    for (size_t i = 0; i < o->count; i++)
        list[i] = &o->members[i];
    qsort(list, o->count, sizeof(*list), by_key);
    return list;
}

int fn_items(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *o, **items;
    if (arg_object(c, 0, &o, err) < 0 || call_items(c, o->count, &items, err) < 0 ||
        engine_bytes(c->env->engine, o->count * 200, err) < 0)
        return -1;
    const struct member **list = sorted_members(c, o);
    for (size_t i = 0; i < o->count; i++) {
        struct object_builder b;
        object_start(&b, c->arena, 2);
        object_puts(&b, "key", value_text_own(c->arena, list[i]->key, list[i]->key_len));
        object_puts(&b, "value", list[i]->value);
        items[i] = object_end(&b);
    }
    *ret = value_array(c->arena, items, o->count);
    return 0;
}

int fn_object_keys(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *o, **items;
    if (arg_object(c, 0, &o, err) < 0 || call_items(c, o->count, &items, err) < 0 ||
        engine_bytes(c->env->engine, o->count * sizeof(**items), err) < 0)
        return -1;
    const struct member **list = sorted_members(c, o);
    for (size_t i = 0; i < o->count; i++)
        items[i] = value_text_own(c->arena, list[i]->key, list[i]->key_len);
    *ret = value_array(c->arena, items, o->count);
    return 0;
}

/* A step of tryGet may be {value: n, fromEnd: true}. */
static int try_step(struct call *c, const struct value *base, const struct value *key, bool is_safe,
                    const struct value **ret, struct error *err)
{
    const struct value *place = value_get(key, "value");
    const struct value *from_end = value_get(key, "fromEnd");
    if (!place)
        return evaluate_access(c->env, base, key, is_safe, ret, err);
    if (value_is(from_end, VALUE_BOOL) && from_end->boolean && place->kind == VALUE_INT &&
        base->kind == VALUE_ARRAY)
        place = value_int(c->arena, (int64_t)base->count - place->integer);
    return evaluate_access(c->env, base, place, is_safe, ret, err);
}

int fn_try_get(struct call *c, const struct value **ret, struct error *err)
{
    *ret = c->args[0];
    for (size_t i = 1; i < c->argc; i++) {
        if (try_step(c, *ret, c->args[i], i == 1, ret, err) < 0)
            return -1;
        if (i == 1 && (*ret)->kind == VALUE_NULL)
            return 0;
    }
    return 0;
}

/* Single-quoted strings become double-quoted ones; all else stays. */
static void requote(struct str *out, const char *s, size_t len)
{
    char quote = 0;
    for (size_t i = 0; i < len; i++) {
        if (quote && s[i] == '\\' && i + 1 < len) {
            i++;
            if (s[i] == '\'')
                str_putc(out, '\'');
            else
                str_printf(out, "\\%c", s[i]);
        } else if (!quote && (s[i] == '\'' || s[i] == '"')) {
            quote = s[i];
            str_putc(out, '"');
        } else if (quote && s[i] == quote) {
            quote = 0;
            str_putc(out, '"');
        } else if (quote == '\'' && s[i] == '"') {
            str_puts(out, "\\\"");
        } else {
            str_putc(out, s[i]);
        }
    }
}

int fn_json(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *text;
    if (arg_text(c, 0, &text, err) < 0 ||
        engine_bytes(c->env->engine, (size_t)text->count * 12, err) < 0 ||
        engine_steps(c->env->engine, text->count / 16, err) < 0)
        return -1;
    struct str s;
    struct error why;
    _cleanup_(json_putp) struct json_object *json = NULL;
    str_init(&s, (size_t)text->count * 2 + 1);
    requote(&s, text->text, text->count);
    int rc = json_parse(s.data, s.len, ENGINE_TEXT_MAX * 2, JSON_TEMPLATE, &json, &why);
    str_done(&s);
    if (rc < 0)
        return call_fail(c, err, "the string is not valid JSON: %s", why.message);
    *ret = value_import(c->arena, json, NULL);
    return 0;
}
