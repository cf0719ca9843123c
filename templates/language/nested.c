/* Nested deployments. Inner scope: the template inside is opened with its own parameters. Outer
 * scope: every expression inside is first evaluated in the parent, except what only makes sense
 * when the nested deployment runs (its own loops, reference, list*); the result is then inner. */
#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "templates/language/evaluate.h"
#include "templates/language/expand.h"
#include "templates/language/expression.h"
#include "templates/language/faults.h"
#include "templates/language/file.h"

static const struct value *code_text(struct arena *a, const char *text, size_t len, uint32_t at,
                                     unsigned marks)
{
    struct value *v = arena_alloc(a, sizeof(*v));
    v->kind = VALUE_TEXT;
    v->text = text;
    v->count = (uint32_t)len;
    v->size = (uint32_t)(sizeof(*v) + len);
    v->at = at;
    v->marks = (uint8_t)(marks | MARK_CODE);
    v->cell = ARENA_NEW(a, struct expr_cell);
    return v;
}

/* An evaluated value as template text again: what is left are expressions, literals are escaped. */
static const struct value *to_template(struct arena *a, const struct value *v);

static struct member to_template_member(struct arena *a, struct member m)
{
    m.value = to_template(a, m.value);
    bool is_code = m.is_code;
    m.is_code = false;
    if (!is_code && m.key_len >= 2 && m.key[0] == '[' && m.key[m.key_len - 1] == ']') {
        m.key = arena_printf(a, "[%s", m.key);
        m.key_len++;
    }
    return m;
}

static const struct value *to_template(struct arena *a, const struct value *v)
{
    if (v->kind == VALUE_DEFERRED) {
        char *text = arena_printf(a, "[%s]", v->text);
        return code_text(a, text, (size_t)v->count + 2, v->at, v->marks & MARK_SECURE);
    }
    if (v->kind == VALUE_TEXT && v->count >= 2 && v->text[0] == '[' &&
        v->text[v->count - 1] == ']') {
        char *text = arena_printf(a, "[%s", v->text);
        return code_text(a, text, (size_t)v->count + 1, v->at, v->marks & MARK_SECURE);
    }
    if (v->kind == VALUE_ARRAY && v->count) {
        const struct value **items = arena_array(a, v->count, sizeof(*items));
        for (size_t i = 0; i < v->count; i++)
            items[i] = to_template(a, v->items[i]);
        return value_at(a, value_array(a, items, v->count), v->at);
    }
    if (v->kind == VALUE_OBJECT && v->count) {
        struct member *members = arena_memdup(a, v->members, v->count * sizeof(*members));
        for (size_t i = 0; i < v->count; i++)
            members[i] = to_template_member(a, members[i]);
        return value_at(a, value_object(a, members, v->count), v->at);
    }
    return v;
}

/* How a kind of object treats its members. */
struct member_rule {
    int (*apply)(struct env *env, const struct value *object, const struct member *m,
                 const struct value **ret, struct error *err);
    bool (*drops)(const struct member *m);
};

static int substitute(struct env *env, const struct value *v, const struct value **ret,
                      struct error *err);
static int substitute_template(struct env *env, const struct value *v, const struct value **ret,
                               struct error *err);

static bool is_named(const struct member *m, const char *name)
{
    return text_same_nocase(m->key, m->key_len, name, strlen(name));
}

static int substitute_key(struct env *env, const struct member *m, struct member *ret,
                          struct error *err)
{
    const struct value *key;
    *ret = *m;
    if (evaluate_key(env, m, &key, err) < 0)
        return -1;
    if (!key)
        return 0;
    key = to_template(env->engine->arena, key);
    ret->key = key->text;
    ret->key_len = key->count;
    return 0;
}

static int substitute_members(struct env *env, const struct value *v,
                              const struct member_rule *rule, const struct value **ret,
                              struct error *err)
{
    struct arena *a = env->engine->arena;
    struct member *members = arena_array(a, v->count ? v->count : 1, sizeof(*members));
    size_t count = 0;
    if (engine_steps(env->engine, 1 + v->count, err) < 0)
        return -1;
    if (env->engine->depth >= ENGINE_DEPTH_MAX)
        return fail(err, &E_TEMPLATE_BUDGET, "The template is nested too deeply.");
    env->engine->depth++;
    for (size_t i = 0; i < v->count; i++) {
        struct member *m = &members[count];
        if (rule->drops && rule->drops(&v->members[i]))
            continue;
        if (substitute_key(env, &v->members[i], m, err) < 0 ||
            rule->apply(env, v, &v->members[i], &m->value, err) < 0)
            return -1;
        count++;
    }
    env->engine->depth--;
    *ret = value_at(a, value_object(a, members, count), v->at);
    return 0;
}

static int substitute_items(struct env *env, const struct value *v,
                            int (*each)(struct env *env, const struct value *v,
                                        const struct value **ret, struct error *err),
                            const struct value **ret, struct error *err)
{
    struct arena *a = env->engine->arena;
    const struct value **items = arena_array(a, v->count ? v->count : 1, sizeof(*items));
    for (size_t i = 0; i < v->count; i++)
        if (each(env, v->items[i], &items[i], err) < 0)
            return -1;
    *ret = value_at(a, value_array(a, items, v->count), v->at);
    return 0;
}

/* {name, count, input} of a property: its index stays. */
static int substitute_copy(struct env *env, const struct value *v, const struct value **ret,
                           struct error *err)
{
    const char *name = value_string(value_get(v, "name"));
    struct copy_frame frame = { .name = name ? name : "", .is_open = true, .outer = env->copy };
    env->copy = &frame;
    int rc = substitute(env, v, ret, err);
    env->copy = frame.outer;
    return rc;
}

static int apply_plain(struct env *env, const struct value *object, const struct member *m,
                       const struct value **ret, struct error *err)
{
    (void)object;
    if (is_named(m, "copy") && m->value->kind == VALUE_ARRAY)
        return substitute_items(env, m->value, substitute_copy, ret, err);
    return substitute(env, m->value, ret, err);
}

static int substitute(struct env *env, const struct value *v, const struct value **ret,
                      struct error *err)
{
    static const struct member_rule plain = { .apply = apply_plain };
    struct arena *a = env->engine->arena;
    if (v->kind == VALUE_OBJECT)
        return substitute_members(env, v, &plain, ret, err);
    if (v->kind == VALUE_ARRAY)
        return substitute_items(env, v, substitute, ret, err);
    if (evaluate_deep(env, v, ret, err) < 0 || engine_bytes(env->engine, (*ret)->size, err) < 0)
        return -1;
    *ret = value_at(a, to_template(a, *ret), v->at);
    return 0;
}

/* properties of a deployment inside: outer again, unless it says inner. */
static int apply_deployment(struct env *env, const struct value *object, const struct member *m,
                            const struct value **ret, struct error *err)
{
    if (!is_named(m, "template") || m->value->kind != VALUE_OBJECT)
        return substitute(env, m->value, ret, err);
    const struct value *scope =
        value_get(value_get(object, "expressionEvaluationOptions"), "scope");
    if (!text_eq_nocase(value_string(scope), "inner"))
        return substitute_template(env, m->value, ret, err);
    *ret = m->value;
    return 0;
}

static int substitute_resource(struct env *env, const struct value *v, const struct value **ret,
                               struct error *err);

static int apply_resource(struct env *env, const struct value *object, const struct member *m,
                          const struct value **ret, struct error *err)
{
    static const struct member_rule deployment = { .apply = apply_deployment };
    bool is_deployment =
        text_eq_nocase(value_string(value_get(object, "type")), "Microsoft.Resources/deployments");
    if (is_named(m, "resources") && m->value->kind == VALUE_ARRAY)
        return substitute_items(env, m->value, substitute_resource, ret, err);
    if (is_deployment && is_named(m, "properties") && m->value->kind == VALUE_OBJECT)
        return substitute_members(env, m->value, &deployment, ret, err);
    return substitute(env, m->value, ret, err);
}

/* A resource with a loop: its copyIndex() stays. */
static int substitute_resource(struct env *env, const struct value *v, const struct value **ret,
                               struct error *err)
{
    static const struct member_rule resource = { .apply = apply_resource };
    const struct value *copy = value_get(v, "copy"), *name = value_get(copy, "name");
    const struct value *known = NULL;
    struct copy_frame frame = { .is_target = true, .is_open = true, .outer = env->copy };
    if (v->kind != VALUE_OBJECT)
        return substitute(env, v, ret, err);
    if (name && evaluate_value(env, name, &known, err) < 0)
        return -1;
    frame.name = value_string(known) ? value_string(known) : "";
    if (value_is(copy, VALUE_OBJECT))
        env->copy = &frame;
    int rc = substitute_members(env, v, &resource, ret, err);
    env->copy = frame.outer;
    return rc;
}

static int apply_template(struct env *env, const struct value *object, const struct member *m,
                          const struct value **ret, struct error *err)
{
    (void)object;
    if (is_named(m, "resources") && m->value->kind == VALUE_ARRAY)
        return substitute_items(env, m->value, substitute_resource, ret, err);
    if (is_named(m, "outputs") && m->value->kind == VALUE_OBJECT) {
        /* copyIndex() of an output loop has no name */
        struct copy_frame frame = {
            .name = "", .is_target = true, .is_open = true, .outer = env->copy
        };
        env->copy = &frame;
        int rc = substitute(env, m->value, ret, err);
        env->copy = frame.outer;
        return rc;
    }
    return substitute(env, m->value, ret, err);
}

/* What belongs to the parent in outer scope. */
static bool is_parents(const struct member *m)
{
    return is_named(m, "parameters") || is_named(m, "variables") || is_named(m, "functions") ||
           is_named(m, "definitions");
}

static int substitute_template(struct env *env, const struct value *v, const struct value **ret,
                               struct error *err)
{
    static const struct member_rule template = { .apply = apply_template, .drops = is_parents };
    return substitute_members(env, v, &template, ret, err);
}

static struct template_context *nested_context(struct plan_builder *b, size_t node)
{
    struct arena *a = b->file->home.engine->arena;
    const struct plan_node *n = b->builds[node].node;
    struct template_context *x = arena_memdup(a, b->file->home.scope, sizeof(*x));
    char **parts;
    size_t count = text_split(a, n->id, '/', &parts);
    bool same_group = false;
    x->deployment_name = n->name;
    x->deployment_location = n->location ? n->location : x->deployment_location;
    x->template_link = NULL;
    x->scope = SCOPE_TENANT;
    if (count > 2 && text_eq_nocase(parts[1], "subscriptions")) {
        x->scope = SCOPE_SUBSCRIPTION;
        x->subscription_id = parts[2];
    }
    if (count > 4 && text_eq_nocase(parts[3], "resourceGroups")) {
        x->scope = SCOPE_RESOURCE_GROUP;
        same_group = text_eq_nocase(parts[4], b->file->home.scope->resource_group);
        x->resource_group = same_group ? b->file->home.scope->resource_group : parts[4];
    } else if (count > 4 && text_eq_nocase(parts[3], "managementGroups")) {
        x->scope = SCOPE_MANAGEMENT_GROUP;
        x->management_group = parts[4];
    }
    if (x->scope == SCOPE_RESOURCE_GROUP && !same_group) {
        x->resource_group_location = n->location ? n->location : x->deployment_location;
        x->resource_group_tags = NULL;
        x->resource_group_managed_by = NULL;
    }
    return x;
}

/* Opens and expands the template inside; why it cannot be done yet goes to nested_error. */
static int expand_inside(struct plan_builder *b, size_t node, const struct value *template,
                         const struct value *parameters, bool inner_scope, struct error *err)
{
    struct engine *g = b->file->home.engine;
    struct plan_node *n = b->builds[node].node;
    struct template_file *inner;
    if (b->level + 1 >= TEMPLATE_NESTED_MAX)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "Deployments are nested more than '%d' levels deep." USAGE("arm-template"),
                    TEMPLATE_NESTED_MAX);
    struct template_context *x = nested_context(b, node);
    int rc = file_open(g, template, b->file->source, x, &inner, err);
    if (rc == 0)
        rc = file_give_parameters(inner, parameters, err);
    if (rc < 0)
        return file_blame(inner, NULL, n->name, template->at, err);
    inner->outer = inner_scope ? NULL : b;
    inner->outer_node = node;
    rc = plan_expand(inner, b->level + 1, &n->nested, err);
    if (rc < 0 && g->is_not_yet && (parameters->marks & MARK_DEFERRED)) {
        g->is_not_yet = false;
        g->fault_at = 0;
        n->nested = NULL;
        n->nested_error = arena_strdup(g->arena, err->message);
        return 0;
    }
    return rc;
}

/* A template that an expression makes has its own scope whatever is said. */
static bool is_inner(struct plan_builder *b, const struct value *properties)
{
    if (value_is(value_get(properties, "template"), VALUE_TEXT))
        return true;
    const struct value *scope =
        value_get(value_get(properties, "expressionEvaluationOptions"), "scope");
    const char *text = value_string(scope);
    if (text_eq_nocase(text, "inner"))
        return true;
    return !text_eq_nocase(text, "outer") && b->file->is_v2;
}

static int read_template(struct env *env, const struct value *v, bool inner,
                         const struct value **ret, struct error *err)
{
    struct arena *a = env->engine->arena;
    if (v->kind == VALUE_TEXT) { /* a whole template from a variable */
        const struct value *made;
        if (evaluate_value(env, v, &made, err) < 0)
            return -1;
        *ret = value_at(a, made, v->at);
        return 0;
    }
    *ret = v;
    if (inner)
        return 0;
    struct env outer = *env;
    outer.is_substituting = true;
    outer.plan = NULL;
    if (v->kind != VALUE_OBJECT)
        return evaluate_deep(env, v, ret, err);
    return substitute_template(&outer, v, ret, err);
}

/* A template that came through an expression has texts without cells; it is code again. */
static const struct value *as_code(struct arena *a, const struct value *v)
{
    if (v->kind == VALUE_TEXT && !v->cell && v->count && v->text[0] == '[')
        return code_text(a, v->text, v->count, v->at, v->marks);
    if (v->kind == VALUE_ARRAY && v->count) {
        const struct value **items = arena_array(a, v->count, sizeof(*items));
        for (size_t i = 0; i < v->count; i++)
            items[i] = as_code(a, v->items[i]);
        return value_at(a, value_array(a, items, v->count), v->at);
    }
    if (v->kind == VALUE_OBJECT && v->count) {
        struct member *members = arena_memdup(a, v->members, v->count * sizeof(*members));
        for (size_t i = 0; i < v->count; i++)
            members[i].value = as_code(a, members[i].value);
        return value_at(a, value_object(a, members, v->count), v->at);
    }
    return v;
}

int expand_nested(struct plan_builder *b, struct env *env, size_t node,
                  const struct value *properties, const struct value **ret, struct error *err)
{
    struct arena *a = env->engine->arena;
    struct plan_node *n = b->builds[node].node;
    if (properties->kind != VALUE_OBJECT)
        return evaluate_deep(env, properties, ret, err);
    const struct value *template = value_get(properties, "template");
    const struct value *parameters = &value_empty_object;
    bool inner = is_inner(b, properties);
    if (!inner && b->file->is_v2)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The expression evaluation scope 'outer' is not supported in language version "
                    "2.0." USAGE("arm-template"));
    struct object_builder body;
    object_start(&body, a, properties->count);
    for (size_t i = 0; i < properties->count; i++) {
        const struct member *m = &properties->members[i];
        const struct value *v;
        bool is_template = m->value == template;
        bool is_parameters = text_same_nocase(m->key, m->key_len, "parameters", 10);
        if (is_parameters && !inner && template)
            continue; /* the parent's parameters count */
        int rc = is_template ? read_template(env, m->value, inner, &v, err)
                             : evaluate_deep(env, m->value, &v, err);
        if (rc < 0)
            return -1;
        if (is_template)
            template = v;
        if (is_parameters && v->kind == VALUE_OBJECT)
            parameters = v;
        object_push(&body, m->key, m->key_len, v);
    }
    *ret = object_end(&body);
    n->nested_parameters = parameters;
    if (!template) {
        n->nested_error = "The template is linked and is read when the deployment runs.";
        return 0;
    }
    if (template->kind != VALUE_OBJECT) {
        n->nested_error = "The template is known when the deployment runs.";
        return template->kind == VALUE_DEFERRED
                   ? 0
                   : fail(
                         err, &E_TEMPLATE_EXPRESSION,
                         "The property 'template' is not valid. Expected 'Object'. Actual '%s'." USAGE(
                             "arm-template"),
                         value_kind_name(template));
    }
    if (engine_bytes(env->engine, template->size, err) < 0)
        return -1;
    return expand_inside(b, node, as_code(a, template), parameters, inner, err);
}
