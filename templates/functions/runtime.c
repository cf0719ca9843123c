/* reference(), references() and list*(): answered by the runtime, or left as expressions that name
 * full ids, so that they need nothing of this template later. Each use of a resource of the
 * template is an edge of the graph. */
#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"
#include "templates/language/faults.h"
#include "templates/language/file.h"
#include "templates/language/plan_builder.h"
#include "templates/language/template.h"

/* Must the call stay as it is written? */
static bool any_deferred(const struct call *c)
{
    if (c->env->is_substituting)
        return true;
    for (size_t i = 0; i < c->argc; i++)
        if (c->args[i]->marks & MARK_DEFERRED)
            return true;
    return false;
}

/* name('id', 'version', …) of literals. */
static int leave(struct call *c, const char *name, const struct value *const *args, size_t argc,
                 const struct value **ret, struct error *err)
{
    struct str s;
    str_init(&s, ENGINE_TEXT_MAX);
    str_printf(&s, "%s(", name);
    int rc = 0;
    for (size_t i = 0; i < argc && rc == 0; i++) {
        if (i)
            str_puts(&s, ", ");
        rc = engine_walk(c->env->engine, args[i], err);
        if (rc == 0)
            value_print_literal(&s, args[i]);
    }
    str_putc(&s, ')');
    if (rc == 0)
        rc = str_check(&s, err);
    if (rc == 0)
        rc = engine_bytes(c->env->engine, s.len, err);
    if (rc == 0)
        *ret = value_deferred(c->arena, s.data, s.len);
    str_done(&s);
    return rc;
}

/* Looks in this template, then, in outer scope, in those around it. The edge goes from the resource
 * (or the deployment around it) to what it names. 1 found, 0, -1. */
static int find_resource(struct env *env, const char *name, const struct plan_node **ret,
                         struct error *err)
{
    struct plan_builder *b = env->plan;
    size_t node = env->node, other;
    while (b) {
        if (engine_steps(env->engine, b->count / 16, err) < 0)
            return -1;
        int rc = builder_find(b, env, name, &other, err);
        if (rc < 0)
            return -1;
        if (rc > 0) {
            if (node != SIZE_MAX)
                builder_edge(b, node, other, name[0] == '/');
            *ret = b->builds[other].node;
            return 1;
        }
        node = b->file->outer_node;
        b = b->file->outer;
    }
    return 0;
}

/* The id that argument 0 means, and the api version its resource has in this template. */
static int target(struct call *c, const char **ret_id, const char **ret_version, struct error *err)
{
    const struct value *name;
    const struct plan_node *n;
    *ret_version = NULL;
    if (arg_text(c, 0, &name, err) < 0)
        return -1;
    *ret_id = name->text;
    int rc = find_resource(c->env, name->text, &n, err);
    if (rc < 0)
        return -1;
    if (rc == 0 && name->text[0] != '/')
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The template reference '%s' is not valid: could not find template resource or "
                    "resource copy with this name." USAGE("arm-template-expressions/#reference"),
                    name->text);
    if (rc == 0)
        return 0;
    *ret_id = n->id;
    *ret_version = n->api_version;
    return 0;
}

static int is_full(struct call *c, size_t i, bool *ret, struct error *err)
{
    const struct value *s;
    *ret = false;
    if (c->argc <= i)
        return 0;
    if (arg_text(c, i, &s, err) < 0)
        return -1;
    *ret = text_eq_nocase(s->text, "full");
    if (*ret || text_eq_nocase(s->text, "properties"))
        return 0;
    return call_fail(c, err, "the last parameter must be 'Full'; it is '%s'.", s->text);
}

static int ask(struct call *c, const char *id, const char *version, bool full,
               const struct value **ret, struct error *err)
{
    const struct template_runtime *r = c->env->scope->runtime;
    if (!r) {
        const struct value *args[] = { value_text(c->arena, id),
                                       version ? value_text(c->arena, version) : &value_null,
                                       value_text(c->arena, "Full") };
        size_t argc = full ? 3 : version ? 2 : 1;
        return leave(c, "reference", args, argc, ret, err);
    }
    _cleanup_(json_putp) struct json_object *json = NULL;
    if (r->reference(r->ctx, id, version, full, &json, err) < 0)
        return -1;
    *ret = value_import(c->arena, json, NULL);
    return 0;
}

int fn_reference(struct call *c, const struct value **ret, struct error *err)
{
    const char *id, *own_version;
    const struct value *version = NULL;
    bool full;
    if (any_deferred(c))
        return leave(c, "reference", c->args, c->argc, ret, err);
    if (target(c, &id, &own_version, err) < 0)
        return -1;
    if (c->argc > 1 && c->args[1]->kind != VALUE_NULL && arg_text(c, 1, &version, err) < 0)
        return -1;
    if (c->argc == 2 && version && text_eq_nocase(version->text, "full")) {
        full = true;
        version = NULL;
    } else if (is_full(c, 2, &full, err) < 0) {
        return -1;
    }
    if (!version && !own_version && !c->env->scope->runtime)
        return call_fail(c, err,
                         "an api version is required: the resource '%s' is not defined in "
                         "the template.",
                         id);
    return ask(c, id, version ? version->text : own_version, full, ret, err);
}

int fn_references(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *name, **items;
    bool full;
    size_t *nodes = NULL, kept = 0;
    if (any_deferred(c))
        return leave(c, "references", c->args, c->argc, ret, err);
    if (arg_text(c, 0, &name, err) < 0 || is_full(c, 1, &full, err) < 0)
        return -1;
    struct plan_builder *b = c->env->plan;
    if (b && engine_steps(c->env->engine, b->count, err) < 0)
        return -1;
    size_t count = b ? builder_loop(b, name->text, &nodes) : 0;
    if (!b || !nodes)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The template reference '%s' is not valid: could not find template resource or "
                    "resource copy with this name." USAGE("arm-template-expressions/#reference"),
                    name->text);
    if (call_items(c, count, &items, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct plan_node *n = b->builds[nodes[i]].node;
        if (c->env->node != SIZE_MAX)
            builder_edge(b, c->env->node, nodes[i], false);
        if (n->is_skipped)
            continue;
        if (ask(c, n->id, n->api_version, full, &items[kept++], err) < 0)
            return -1;
    }
    *ret = value_array(c->arena, items, kept);
    return 0;
}

int fn_list(struct call *c, const struct value **ret, struct error *err)
{
    const char *id, *own_version;
    const struct value *version;
    if (any_deferred(c)) {
        if (leave(c, c->name, c->args, c->argc, ret, err) < 0)
            return -1;
        *ret = value_mark(c->arena, *ret, MARK_SECURE);
        return 0;
    }
    if (target(c, &id, &own_version, err) < 0)
        return -1;
    if (c->argc > 1 && arg_text(c, 1, &version, err) < 0)
        return -1;
    const char *v = c->argc > 1 ? c->args[1]->text : own_version;
    if (!v)
        return call_fail(c, err, "an api version is required.");
    const struct template_runtime *r = c->env->scope->runtime;
    if (!r) {
        const struct value *args[] = { value_text(c->arena, id), value_text(c->arena, v),
                                       c->argc > 2 ? c->args[2] : &value_null };
        if (leave(c, c->name, args, c->argc > 2 ? 3 : 2, ret, err) < 0)
            return -1;
    } else {
        _cleanup_(json_putp) struct json_object *json = NULL;
        _cleanup_(json_putp) struct json_object *body = NULL;
        if (c->argc > 2)
            body = value_export(c->args[2], EXPORT_FINAL);
        if (r->list(r->ctx, c->name, id, v, body, &json, err) < 0)
            return -1;
        *ret = value_import(c->arena, json, NULL);
    }
    *ret = value_mark(c->arena, *ret, MARK_SECURE);
    return 0;
}
