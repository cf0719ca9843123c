/* From resource declarations to the nodes of a plan: loops, conditions, types, names and ids. */
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "templates/language/evaluate.h"
#include "templates/language/expand.h"
#include "templates/language/faults.h"
#include "templates/language/file.h"
#include "templates/language/loop.h"

#define CHILD_DEPTH_MAX 16

static const char *const resource_members[] = { "type",
                                                "apiVersion",
                                                "name",
                                                "condition",
                                                "location",
                                                "dependsOn",
                                                "tags",
                                                "sku",
                                                "kind",
                                                "plan",
                                                "identity",
                                                "zones",
                                                "extendedLocation",
                                                "managedBy",
                                                "managedByExtended",
                                                "scale",
                                                "etag",
                                                "properties",
                                                "comments",
                                                "metadata",
                                                "copy",
                                                "scope",
                                                "existing",
                                                "resources",
                                                "resourceGroup",
                                                "subscriptionId",
                                                "import",
                                                "extension",
                                                "asserts",
                                                "placement",
                                                NULL };

/* A declaration on its way to one node. */
struct declared {
    const struct value *decl;
    const char *symbol;
    const struct plan_node *parent;
    const char *parent_prefix; /* of the parent's id */
    const struct copy_frame *copy;
    const struct loop *loop;
    int64_t index;
    bool parent_is_skipped;
    int depth;
};

static int expand_list(struct plan_builder *b, const struct value *list,
                       const struct declared *outer, struct error *err);

static struct env declared_env(struct plan_builder *b, const struct declared *d)
{
    struct env env = b->file->home;
    env.allow = ALLOW_SCOPE;
    env.copy = d->copy;
    return env;
}

static int text_member(struct env *env, const struct value *decl, const char *key, const char *what,
                       const char **ret, struct error *err)
{
    const struct value *v = value_get(decl, key);
    *ret = NULL;
    if (!v || v->kind == VALUE_NULL)
        return 0;
    return evaluate_text_now(env, v, what, ret, err);
}

static size_t segments(const char *s)
{
    size_t n = 1;
    for (; *s; s++)
        n += *s == '/';
    return n;
}

static const char *trim_slash(struct arena *a, const char *s)
{
    size_t len = strlen(s);
    while (len && s[len - 1] == '/')
        len--;
    return arena_strndup(a, s, len);
}

static int check_segments(struct plan_builder *b, const struct declared *d, const char *type,
                          const char *name, struct error *err)
{
    size_t wanted = d->parent ? segments(name) : segments(name) + 1;
    if (segments(type) == wanted)
        return 0;
    const struct value *v = value_get(d->decl, "type");
    struct place p = source_place(b->file->source, v->at);
    engine_blame(b->file->home.engine, b->file->source, v->at);
    return fail(
        err, &E_INVALID_TEMPLATE,
        "Deployment template validation failed: 'The template resource '%s' for type '%s' "
        "at line '%d' and column '%d' has incorrect segment lengths. A nested resource type "
        "must have identical number of segments as its resource name. A root resource type "
        "must have segment length one greater than its resource name." USAGE(
            "arm-template/#resources") "'.",
        name, type, p.line, p.column);
}

static const char *deployment_prefix(struct arena *a, const struct template_context *x)
{
    switch (x->scope) {
    case SCOPE_RESOURCE_GROUP:
        return arena_printf(a, "/subscriptions/%s/resourceGroups/%s",
                            x->subscription_id ? x->subscription_id : "",
                            x->resource_group ? x->resource_group : "");
    case SCOPE_SUBSCRIPTION:
        return arena_printf(a, "/subscriptions/%s", x->subscription_id ? x->subscription_id : "");
    case SCOPE_MANAGEMENT_GROUP:
    case SCOPE_TENANT:
    case SCOPE_MAX:
        break;
    }
    return "";
}

/* What stands before /providers/ in the id. */
static int id_prefix(struct plan_builder *b, struct env *env, const struct declared *d,
                     const char *type, const char **ret, struct error *err)
{
    struct arena *a = env->engine->arena;
    const struct template_context *x = env->scope;
    const char *scope, *subscription, *group;
    if (text_member(env, d->decl, "scope", "the property 'scope'", &scope, err) < 0 ||
        text_member(env, d->decl, "subscriptionId", "the property 'subscriptionId'", &subscription,
                    err) < 0 ||
        text_member(env, d->decl, "resourceGroup", "the property 'resourceGroup'", &group, err) < 0)
        return -1;
    (void)b;
    *ret = deployment_prefix(a, x);
    if (scope && scope[0] == '/') {
        *ret = trim_slash(a, scope);
    } else if (scope && *scope) {
        bool is_tenant = text_starts_nocase(scope, "Microsoft.Management/") ||
                         text_starts_nocase(scope, "Microsoft.Subscription/");
        *ret = arena_printf(a, "%s/providers/%s", is_tenant ? "" : *ret, scope);
    } else if (subscription || group) {
        const char *sub = subscription ? subscription : x->subscription_id;
        *ret = group ? arena_printf(a, "/subscriptions/%s/resourceGroups/%s", sub ? sub : "", group)
                     : arena_printf(a, "/subscriptions/%s", sub ? sub : "");
    } else if (x->scope == SCOPE_MANAGEMENT_GROUP && x->management_group &&
               strncasecmp(type, "Microsoft.Management/managementGroups", 37) != 0) {
        *ret = arena_printf(a, "/providers/Microsoft.Management/managementGroups/%s",
                            x->management_group);
    }
    return 0;
}

static const char *join_id(struct arena *a, const char *prefix, const char *type, const char *name)
{
    char **types, **names;
    size_t type_count = text_split(a, type, '/', &types);
    size_t name_count = text_split(a, name, '/', &names);
    if (text_eq_nocase(type, "Microsoft.Resources/resourceGroups"))
        return arena_printf(a, "%s/resourceGroups/%s", prefix, name);
    struct str s;
    str_init(&s, 65536);
    str_printf(&s, "%s/providers/%s", prefix, types[0]);
    for (size_t i = 1; i < type_count && i <= name_count; i++)
        str_printf(&s, "/%s/%s", types[i], names[i - 1]);
    char *id = str_copy(&s, a);
    str_done(&s);
    return id;
}

static struct plan_node *add_node(struct plan_builder *b, const struct declared *d)
{
    struct arena *a = b->file->home.engine->arena;
    if (b->count == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 16;
        struct build_node *bigger = arena_array(a, cap, sizeof(*bigger));
        if (b->count)
            memcpy(bigger, b->builds, b->count * sizeof(*bigger));
        b->builds = bigger;
        b->cap = cap;
    }
    struct build_node *n = &b->builds[b->count++];
    n->node = ARENA_NEW(a, struct plan_node);
    n->decl = d->decl;
    n->depends_on = value_get(d->decl, "dependsOn");
    n->copy = d->copy;
    return n->node;
}

static int too_many(struct error *err, size_t actual)
{
    return fail(
        err, &E_TEMPLATE_EXPRESSION,
        "The number of template resources limit exceeded. Limit: '%d' and actual: '%zu'." USAGE(
            "arm-template"),
        TEMPLATE_RESOURCES_MAX, actual);
}

/* name and type, both appended to the parent's. */
static int read_names(struct plan_builder *b, struct env *env, const struct declared *d,
                      const char **ret_type, const char **ret_name, struct error *err)
{
    struct arena *a = env->engine->arena;
    const char *type, *name;
    if (text_member(env, d->decl, "name", "the property 'name'", &name, err) < 0 ||
        text_member(env, d->decl, "type", "the property 'type'", &type, err) < 0)
        return -1;
    const char *missing = !name || !*name ? "name" : !type || !*type ? "type" : NULL;
    if (missing) {
        struct place p = source_place(b->file->source, d->decl->at);
        engine_blame(env->engine, b->file->source, d->decl->at);
        return fail(
            err, &E_INVALID_TEMPLATE,
            "Deployment template validation failed: 'The template resource '%s' at line "
            "'%d' and column '%d' is not valid. The %s property cannot be null or empty." USAGE(
                "arm-template/#resources") "'.",
            name ? name : "", p.line, p.column, missing);
    }
    type = trim_slash(a, type);
    name = trim_slash(a, name);
    if (check_segments(b, d, type, name, err) < 0)
        return -1;
    *ret_type = d->parent ? arena_printf(a, "%s/%s", d->parent->type, type) : type;
    *ret_name = d->parent ? arena_printf(a, "%s/%s", d->parent->name, name) : name;
    return 0;
}

static const char *node_symbol(struct arena *a, const struct declared *d)
{
    if (!d->symbol || !d->loop)
        return d->symbol;
    return arena_printf(a, "%s[%lld]", d->symbol, (long long)d->index);
}

struct identity {
    const char *type, *name, *version, *location, *prefix;
};

static int read_identity(struct plan_builder *b, struct env *env, const struct declared *d,
                         struct identity *ret, struct error *err)
{
    if (read_names(b, env, d, &ret->type, &ret->name, err) < 0 ||
        text_member(env, d->decl, "apiVersion", "the property 'apiVersion'", &ret->version, err) <
            0 ||
        text_member(env, d->decl, "location", "the property 'location'", &ret->location, err) < 0)
        return -1;
    if (!ret->version && env->scope->profile_version && value_get(b->file->root, "apiProfile"))
        ret->version = env->scope->profile_version(ret->type);
    return id_prefix(b, env, d, ret->type, &ret->prefix, err);
}

/* A resource whose condition is false may have a name that cannot be made. */
static int skipped_identity(struct plan_builder *b, struct env *env, const struct declared *d,
                            struct identity *ret, struct error *err)
{
    struct engine *g = env->engine;
    uint32_t at = g->fault_at;
    if (read_identity(b, env, d, ret, engine_scratch(g)) == 0)
        return 0;
    if (!g->steps_left || !g->bytes_left)
        return engine_steps(g, ENGINE_STEPS_MAX, err);
    g->fault_at = at;
    g->is_not_yet = false;
    const char *type = value_string(value_get(d->decl, "type"));
    *ret = (struct identity){ .type = type ? type : "", .name = "", .prefix = "" };
    return 0;
}

static int expand_children(struct plan_builder *b, const struct declared *d,
                           const struct plan_node *n, const char *prefix, struct error *err)
{
    const struct value *children = value_get(d->decl, "resources");
    if (!children || children->kind == VALUE_NULL)
        return 0;
    struct declared inner = *d;
    inner.parent = n;
    inner.parent_prefix = d->parent_prefix ? d->parent_prefix : prefix;
    inner.loop = NULL;
    inner.symbol = n->symbol;
    inner.parent_is_skipped = n->is_skipped;
    inner.depth++;
    return expand_list(b, children, &inner, err);
}

static int expand_one(struct plan_builder *b, const struct declared *d, struct error *err)
{
    struct env env = declared_env(b, d);
    struct arena *a = env.engine->arena;
    const struct value *condition = value_get(d->decl, "condition");
    const struct value *existing = value_get(d->decl, "existing");
    struct identity id = { 0 };
    int is_wanted = 1;
    if (condition &&
        evaluate_bool_now(&env, condition, "the property 'condition'", &is_wanted, err) < 0)
        return -1;
    is_wanted = is_wanted && !d->parent_is_skipped;
    int rc =
        is_wanted ? read_identity(b, &env, d, &id, err) : skipped_identity(b, &env, d, &id, err);
    if (rc < 0)
        return -1;
    if (b->count == TEMPLATE_RESOURCES_MAX)
        return too_many(err, b->count + 1);
    struct plan_node *n = add_node(b, d);
    struct place p = source_place(b->file->source, d->decl->at);
    n->symbol = node_symbol(a, d);
    n->type = id.type;
    n->name = id.name;
    n->api_version = id.version;
    n->location = id.location;
    n->is_existing = value_is(existing, VALUE_BOOL) && existing->boolean;
    n->is_skipped = !is_wanted;
    n->line = p.line;
    n->column = p.column;
    if (d->loop) {
        n->loop = d->symbol ? d->symbol : d->loop->name;
        n->loop_index = d->index;
        b->builds[b->count - 1].batch = d->loop->is_serial ? d->loop->batch : 0;
    }
    n->id = *n->name ? join_id(a, d->parent_prefix ? d->parent_prefix : id.prefix, id.type, id.name)
                     : "";
    return expand_children(b, d, n, id.prefix, err);
}

static int expand_loop(struct plan_builder *b, const struct declared *d, const struct value *copy,
                       struct error *err)
{
    struct env env = declared_env(b, d);
    struct arena *a = env.engine->arena;
    struct loop *loop = ARENA_NEW(a, struct loop);
    if (loop_read(&env, copy, LOOP_RESOURCE, loop, err) < 0)
        return -1;
    struct template_file *f = b->file;
    if (b->count + (size_t)loop->count > TEMPLATE_RESOURCES_MAX)
        return too_many(err, b->count + (size_t)loop->count);
    f->loops[f->loop_count++] = d->symbol ? d->symbol : loop->name;
    for (int64_t i = 0; i < loop->count; i++) {
        struct declared one = *d;
        struct copy_frame *frame = ARENA_NEW(a, struct copy_frame);
        frame->name = loop->name;
        frame->index = i;
        frame->is_target = true;
        frame->outer = d->copy;
        one.copy = frame;
        one.loop = loop;
        one.index = i;
        if (expand_one(b, &one, err) < 0)
            return -1;
    }
    return 0;
}

/* The name for an error text: as far as it can be known. */
static const char *shown_name(struct plan_builder *b, const struct declared *d)
{
    struct env env = declared_env(b, d);
    struct error *ignored = engine_scratch(env.engine);
    const char *name = NULL;
    uint32_t at = env.engine->fault_at;
    const struct source *source = env.engine->fault_source;
    if (text_member(&env, d->decl, "name", "the property 'name'", &name, ignored) < 0)
        name = value_string(value_get(d->decl, "name"));
    env.engine->fault_at = at;
    env.engine->fault_source = source;
    return name ? name : "";
}

/* Loops make resources of the top level, not children. */
static int copied_child(struct plan_builder *b, const struct declared *d, struct error *err)
{
    struct template_file *f = b->file;
    struct place p = source_place(f->source, d->decl->at);
    engine_blame(f->home.engine, f->source, d->decl->at);
    return fail(err, &E_INVALID_TEMPLATE,
                "Deployment template validation failed: 'The template resource '%s' at line '%d' "
                "and column '%d' is not valid. Copying nested resources is not supported." USAGE(
                    "arm-copy") "'.",
                shown_name(b, d), p.line, p.column);
}

static int expand_declared(struct plan_builder *b, const struct declared *d, struct error *err)
{
    struct template_file *f = b->file;
    if (d->decl->kind != VALUE_OBJECT || d->depth > CHILD_DEPTH_MAX) {
        struct place p = source_place(f->source, d->decl->at);
        engine_blame(f->home.engine, f->source, d->decl->at);
        return fail(err, &E_INVALID_TEMPLATE,
                    "Deployment template validation failed: 'The template resource '' at line '%d' "
                    "and column '%d' is not valid. Expected 'Object'. Actual '%s'." USAGE(
                        "arm-template/#resources") "'.",
                    p.line, p.column, value_kind_name(d->decl));
    }
    if (file_check_members(f, d->decl, resource_members, "TemplateResource", err) < 0)
        return -1;
    const struct value *copy = value_get(d->decl, "copy");
    if (copy && copy->kind != VALUE_NULL && d->parent)
        return copied_child(b, d, err);
    int rc =
        copy && copy->kind != VALUE_NULL ? expand_loop(b, d, copy, err) : expand_one(b, d, err);
    return rc < 0 ? builder_blame(b, shown_name(b, d), d->decl->at, err) : 0;
}

static int expand_list(struct plan_builder *b, const struct value *list,
                       const struct declared *outer, struct error *err)
{
    struct template_file *f = b->file;
    struct arena *a = f->home.engine->arena;
    const char **loops = arena_array(a, f->loop_count + list->count + 1, sizeof(*loops));
    if (f->loop_count)
        memcpy(loops, f->loops, f->loop_count * sizeof(*loops));
    f->loops = loops;
    for (size_t i = 0; i < list->count; i++) {
        struct declared d = *outer;
        if (list->kind == VALUE_OBJECT) {
            d.decl = list->members[i].value;
            d.symbol = outer->symbol
                           ? arena_printf(a, "%s::%s", outer->symbol, list->members[i].key)
                           : list->members[i].key;
        } else if (list->kind == VALUE_ARRAY) {
            d.decl = list->items[i];
            d.symbol = NULL;
        } else {
            return fail(err, &E_TEMPLATE_EXPRESSION,
                        "The property 'resources' is not valid. Expected 'Array'. Actual '%s'.",
                        value_kind_name(list));
        }
        if (engine_steps(f->home.engine, 1, err) < 0 || expand_declared(b, &d, err) < 0)
            return -1;
    }
    return 0;
}

/* No two resources that are deployed may be one. */
static int check_doubles(struct plan_builder *b, struct error *err)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct plan_node *n = b->builds[i].node;
        size_t other = i;
        struct error ignored;
        if (n->is_skipped || n->is_existing ||
            builder_find(b, NULL, n->id, &other, &ignored) <= 0 || other >= i)
            continue;
        if (b->builds[other].node->is_existing)
            continue;
        engine_blame(b->file->home.engine, b->file->source, b->builds[i].decl->at);
        return fail(err, &E_INVALID_TEMPLATE,
                    "Deployment template validation failed: 'The resource '%s' at line '%d' and "
                    "column '%d' is defined multiple times in a template." USAGE(
                        "arm-template/#resources") "'.",
                    n->id, n->line, n->column);
    }
    return 0;
}

int expand_resources(struct plan_builder *b, struct error *err)
{
    struct declared top = { 0 };
    if (expand_list(b, b->file->resources, &top, err) < 0)
        return -1;
    builder_index(b);
    return check_doubles(b, err);
}
