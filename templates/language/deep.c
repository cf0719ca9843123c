/* Evaluation of whole values: every text below, object keys, and property copies. Parts without
 * expressions are shared, not copied. */
#include "common/base/arena.h"
#include "common/base/error.h"
#include "templates/language/engine.h"
#include "templates/language/evaluate.h"
#include "templates/language/expression.h"
#include "templates/language/faults.h"
#include "templates/language/file.h"
#include "templates/language/loop.h"

static int deep_array(struct env *env, const struct value *v, const struct value **ret,
                      struct error *err)
{
    struct arena *a = env->engine->arena;
    const struct value **items = NULL;
    for (size_t i = 0; i < v->count; i++) {
        const struct value *r;
        if (evaluate_deep(env, v->items[i], &r, err) < 0)
            return -1;
        if (!items && r == v->items[i])
            continue;
        if (!items) {
            items = arena_array(a, v->count, sizeof(*items));
            memcpy(items, v->items, i * sizeof(*items));
        }
        items[i] = r;
    }
    *ret = items ? value_at(a, value_array(a, items, v->count), v->at) : v;
    return 0;
}

/* A key may be an expression too (userAssignedIdentities). */
static int deep_key(struct env *env, const struct member *m, const char **ret, size_t *ret_len,
                    struct error *err)
{
    *ret = m->key;
    *ret_len = m->key_len;
    if (m->key[0] != '[' || m->key[m->key_len - 1] != ']')
        return 0;
    struct expr_cell cell = { 0 };
    struct value text = { .kind = VALUE_TEXT, .text = m->key, .count = m->key_len, .at = m->key_at,
                          .cell = &cell };
    const struct value *r;
    if (evaluate_value(env, &text, &r, err) < 0)
        return -1;
    if (r == &text)
        return 0;
    if (r->kind == VALUE_DEFERRED) { /* stays an expression */
        *ret = arena_printf(env->engine->arena, "[%s]", r->text);
        *ret_len = r->count + 2;
        return 0;
    }
    if (r->kind != VALUE_TEXT)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The property name '%s' is not valid. Expected 'String'. Actual '%s'."
                    SEE_EXPRESSIONS, m->key, value_kind_name(r));
    *ret = r->text;
    *ret_len = r->count;
    return 0;
}

static bool is_copy_list(const struct env *env, const struct member *m)
{
    return (env->allow & ALLOW_COPY_LISTS) && m->value->kind == VALUE_ARRAY &&
           text_same_nocase(m->key, m->key_len, "copy", 4);
}

static int expand_copies(struct env *env, const struct value *list, struct object_builder *b,
                         struct error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct value *entry = list->items[i];
        const struct value *made;
        struct loop loop;
        if (loop_read(env, entry, LOOP_PROPERTY, &loop, err) < 0 ||
            loop_values(env, &loop, &made, err) < 0)
            return -1;
        object_put(b, loop.name, strlen(loop.name), made);
    }
    return 0;
}

static int deep_object(struct env *env, const struct value *v, const struct value **ret,
                       struct error *err)
{
    struct arena *a = env->engine->arena;
    struct object_builder b = { 0 };
    bool is_changed = false;
    for (size_t i = 0; i < v->count; i++) {
        const struct member *m = &v->members[i];
        const struct value *r = m->value;
        const char *key = m->key;
        size_t key_len = m->key_len;
        bool is_copy = is_copy_list(env, m);
        if (!is_copy && (deep_key(env, m, &key, &key_len, err) < 0 ||
                         evaluate_deep(env, m->value, &r, err) < 0))
            return -1;
        if (!is_changed && !is_copy && r == m->value && key == m->key)
            continue;
        if (!is_changed) {
            object_start(&b, a, v->count);
            memcpy(b.members, v->members, i * sizeof(*b.members));
            b.count = i;
            is_changed = true;
        }
        if (is_copy && expand_copies(env, m->value, &b, err) < 0)
            return -1;
        if (!is_copy) {
            object_push(&b, key, key_len, r);
            b.members[b.count - 1].key_at = m->key_at;
        }
    }
    *ret = is_changed ? value_at(a, object_end(&b), v->at) : v;
    return 0;
}

int evaluate_deep(struct env *env, const struct value *v, const struct value **ret,
                  struct error *err)
{
    struct engine *g = env->engine;
    if (engine_steps(g, 1, err) < 0 || engine_bytes(g, sizeof(struct value), err) < 0)
        return -1;
    if (v->kind == VALUE_TEXT) {
        if (evaluate_value(env, v, ret, err) < 0)
            return -1;
        if (*ret != v)
            *ret = value_at(g->arena, *ret, v->at);
        return 0;
    }
    if (v->kind != VALUE_ARRAY && v->kind != VALUE_OBJECT) {
        *ret = v;
        return 0;
    }
    if (g->depth >= ENGINE_DEPTH_MAX)
        return fail(err, &E_TEMPLATE_BUDGET, "The template is nested too deeply.");
    g->depth++;
    int rc = v->kind == VALUE_ARRAY ? deep_array(env, v, ret, err) : deep_object(env, v, ret, err);
    g->depth--;
    return rc;
}
