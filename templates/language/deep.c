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

int evaluate_key(struct env *env, const struct member *m, const struct value **ret,
                 struct error *err)
{
    *ret = NULL;
    if (m->key[0] != '[' || m->key[m->key_len - 1] != ']')
        return 0;
    struct expr_cell cell = { 0 };
    struct value text = {
        .kind = VALUE_TEXT, .text = m->key, .count = m->key_len, .at = m->key_at, .cell = &cell
    };
    if (evaluate_value(env, &text, ret, err) < 0)
        return -1;
    if (*ret == &text) {
        *ret = NULL;
        return 0;
    }
    if ((*ret)->kind == VALUE_TEXT || (*ret)->kind == VALUE_DEFERRED)
        return 0;
    engine_blame(env->engine, env->file ? env->file->source : NULL, m->key_at);
    return fail(
        err, &E_TEMPLATE_EXPRESSION,
        "The property name '%s' is not valid. Expected 'String'. Actual '%s'." SEE_EXPRESSIONS,
        m->key, value_kind_name(*ret));
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

/* m with a new value, and with what its key became. */
static void push_member(struct object_builder *b, const struct member *m, const struct value *key,
                        const struct value *v)
{
    bool is_code = key && key->kind == VALUE_DEFERRED;
    const char *text = !key ? m->key : key->text;
    size_t len = !key ? m->key_len : key->count;
    if (is_code) {
        text = arena_printf(b->arena, "[%s]", key->text);
        len += 2;
    }
    object_push(b, text, len, v);
    b->members[b->count - 1].key_at = m->key_at;
    b->members[b->count - 1].is_code = is_code || (!key && m->is_code);
}

static int deep_object(struct env *env, const struct value *v, const struct value **ret,
                       struct error *err)
{
    struct arena *a = env->engine->arena;
    struct object_builder b = { 0 };
    bool is_changed = false;
    for (size_t i = 0; i < v->count; i++) {
        const struct member *m = &v->members[i];
        const struct value *r = m->value, *key = NULL;
        bool is_copy = is_copy_list(env, m);
        if (!is_copy &&
            (evaluate_key(env, m, &key, err) < 0 || evaluate_deep(env, m->value, &r, err) < 0))
            return -1;
        if (!is_changed && !is_copy && r == m->value && !key)
            continue;
        if (!is_changed) {
            object_start(&b, a, v->count);
            memcpy(b.members, v->members, i * sizeof(*b.members));
            b.count = i;
            is_changed = true;
        }
        if (is_copy && expand_copies(env, m->value, &b, err) < 0)
            return -1;
        if (!is_copy)
            push_member(&b, m, key, r);
    }
    *ret = is_changed ? value_at(a, object_end(&b), v->at) : v;
    return 0;
}

int evaluate_deep(struct env *env, const struct value *v, const struct value **ret,
                  struct error *err)
{
    struct engine *g = env->engine;
    if (!(v->marks & MARK_CODE)) {
        *ret = v;
        return 0;
    }
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
    return rc < 0 ? -1 : engine_size(g, *ret, err);
}
