/* The bodies of resources: every member evaluated, what only steers the template left out. */
#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "templates/language/evaluate.h"
#include "templates/language/expand.h"
#include "templates/language/faults.h"
#include "templates/language/file.h"
#include "templates/language/loop.h"
#include "templates/language/types.h"

/* In memory; the limit of a resource as JSON is a quarter of it. */
#define BODY_MAX ((size_t)4 * 1024 * 1024)

/* Not part of what is PUT, or already in the node. */
static const char *const steering[] = {
    "condition", "copy",    "dependsOn",      "resources",    "comments",   "metadata",
    "existing",  "scope",   "type",           "name",         "apiVersion", "import",
    "extension", "asserts", "subscriptionId", "resourceGroup"
};

static bool is_steering(const struct member *m)
{
    for (size_t i = 0; i < ARRAY_LEN(steering); i++)
        if (text_same_nocase(m->key, m->key_len, steering[i], strlen(steering[i])))
            return true;
    return false;
}

static void put_text(struct object_builder *b, const char *key, const char *s)
{
    if (s)
        object_puts(b, key, value_text(b->arena, s));
}

static int body_member(struct plan_builder *b, size_t node, const struct member *m,
                       const struct value **ret, struct error *err)
{
    struct env env = builder_env(b, node, ALLOW_RUNTIME | ALLOW_SCOPE | ALLOW_COPY_LISTS);
    bool is_properties = text_same_nocase(m->key, m->key_len, "properties", 10);
    bool is_location = text_same_nocase(m->key, m->key_len, "location", 8);
    const char *location = b->builds[node].node->location;
    if (is_location && location) {
        *ret = value_text(env.engine->arena, location);
        return 0;
    }
    if (is_properties &&
        text_eq_nocase(b->builds[node].node->type, "Microsoft.Resources/deployments"))
        return expand_nested(b, &env, node, m->value, ret, err);
    return evaluate_deep(&env, m->value, ret, err);
}

static int expand_body(struct plan_builder *b, size_t node, struct error *err)
{
    struct plan_node *n = b->builds[node].node;
    const struct value *decl = b->builds[node].decl;
    struct object_builder body;
    object_start(&body, b->file->home.engine->arena, decl->count);
    put_text(&body, "type", n->type);
    put_text(&body, "apiVersion", n->api_version);
    put_text(&body, "name", n->name);
    for (size_t i = 0; i < decl->count; i++) {
        const struct member *m = &decl->members[i];
        const struct value *v;
        if (is_steering(m) || (n->is_existing && m->value->kind != VALUE_TEXT))
            continue;
        if (body_member(b, node, m, &v, err) < 0)
            return -1;
        object_push(&body, m->key, m->key_len, v);
    }
    n->body = object_end(&body);
    if (n->body->size > BODY_MAX)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The resource is larger than '%zu' bytes." USAGE("arm-template"), BODY_MAX);
    return engine_bytes(b->file->home.engine, n->body->size, err);
}

int expand_bodies(struct plan_builder *b, struct error *err)
{
    for (size_t i = 0; i < b->count; i++) {
        struct plan_node *n = b->builds[i].node;
        n->body = &value_empty_object;
        if (n->is_skipped)
            continue;
        if (expand_body(b, i, err) < 0)
            return builder_blame(b, n->name, b->builds[i].decl->at, err);
    }
    return 0;
}

static int output_value(struct env *env, const struct value *decl, const struct value **ret,
                        struct error *err)
{
    const struct value *copy = value_get(decl, "copy");
    const struct value *v = value_get(decl, "value");
    struct loop loop;
    if (v)
        return evaluate_deep(env, v, ret, err);
    if (!copy)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The output must have a property 'value' or 'copy'." USAGE("arm-template"));
    if (loop_read(env, copy, LOOP_OUTPUT, &loop, err) < 0)
        return -1;
    return loop_values(env, &loop, ret, err);
}

/* 1 made, 0 its condition is false, -1. */
static int expand_output(struct plan_builder *b, const struct member *m, struct plan_output *out,
                         struct error *err)
{
    struct template_file *f = b->file;
    struct env env = builder_env(b, SIZE_MAX, ALLOW_SCOPE);
    const struct value *condition = value_get(m->value, "condition");
    const struct value *resolved;
    int is_wanted = 1;
    if (condition &&
        evaluate_bool_now(&env, condition, "the property 'condition'", &is_wanted, err) < 0)
        return -1;
    if (!is_wanted)
        return 0;
    env.allow |= ALLOW_RUNTIME;
    if (types_resolve(f, m->value, &resolved, err) < 0 ||
        output_value(&env, m->value, &out->value, err) < 0)
        return -1;
    char *what = arena_printf(env.engine->arena, "template output '%s'", m->key);
    if (out->value->kind != VALUE_NULL && types_accept(f, resolved, out->value, what, err) < 0)
        return -1;
    out->name = m->key;
    out->type = types_name(resolved);
    out->value = types_mark(f, resolved, out->value);
    out->is_secure = (out->value->marks & MARK_SECURE) || types_is_secure(f, m->value);
    return 1;
}

int expand_outputs(struct plan_builder *b, struct error *err)
{
    const struct value *list = b->file->outputs;
    struct plan *p = b->plan;
    p->outputs = arena_array(b->file->home.engine->arena, list->count + 1, sizeof(*p->outputs));
    for (size_t i = 0; i < list->count; i++) {
        const struct member *m = &list->members[i];
        int rc = expand_output(b, m, &p->outputs[p->output_count], err);
        if (rc < 0)
            return file_blame(b->file, "output", m->key, m->value->at, err);
        p->output_count += (size_t)rc;
    }
    return 0;
}
