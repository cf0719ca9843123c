/* The public calls of the template engine. */
#include "templates/language/template.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "templates/language/canonical.h"
#include "templates/language/evaluate.h"
#include "templates/language/expand.h"
#include "templates/language/expression.h"
#include "templates/language/faults.h"
#include "templates/language/file.h"
#include "templates/language/path.h"
#include "templates/language/types.h"

static struct engine engine_new(struct arena *a, const struct template_context *context)
{
    return (struct engine){ .arena = a,
                            .context = context,
                            .steps_left = ENGINE_STEPS_MAX,
                            .bytes_left = ENGINE_BYTES_MAX };
}

static void tell_fault(const struct engine *e, const struct value *root,
                       struct template_fault *ret)
{
    if (!ret)
        return;
    struct place p = source_place(e->fault_source, e->fault_at);
    ret->line = p.line;
    ret->column = p.column;
    ret->path = path_at(e->arena, root, e->fault_at);
}

/* The parser's message says where; ARM's code and frame around it. */
static int bad_json(struct engine *e, struct template_fault *fault, struct error *err)
{
    const char *place = strstr(err->message, "line ");
    if (fault && place)
        (void)sscanf(place, "line %d, column %d", &fault->line, &fault->column);
    if (err->code != &E_INVALID)
        return -1;
    const char *text = arena_strdup(e->arena, err->message);
    return fail(err, &E_INVALID_REQUEST_CONTENT,
                "The request content was invalid and could not be deserialized: '%s'.", text);
}

/* Text to values; a byte order mark is skipped. */
static int read_text(struct engine *e, const char *text, size_t len, struct source **ret_source,
                     const struct value **ret, struct template_fault *fault, struct error *err)
{
    if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
        text += 3;
        len -= 3;
    }
    _cleanup_(json_putp) struct json_object *json = NULL;
    if (fault)
        *fault = (struct template_fault){ 0 };
    if (json_parse(text, len, TEMPLATE_BYTES_MAX, JSON_TEMPLATE, &json, err) < 0)
        return bad_json(e, fault, err);
    *ret_source = source_new(e->arena, text, len);
    *ret = value_import(e->arena, json, *ret_source);
    return 0;
}

static void tell_parameters(struct template_file *f, struct plan *p)
{
    p->parameters =
        arena_array(f->home.engine->arena, f->parameter_count + 1, sizeof(*p->parameters));
    p->parameter_count = f->parameter_count;
    for (size_t i = 0; i < f->parameter_count; i++) {
        const struct binding *b = &f->parameters[i];
        const struct value *resolved;
        struct error ignored;
        bool known = types_resolve(f, b->decl, &resolved, &ignored) == 0;
        p->parameters[i] = (struct plan_parameter){
            .name = b->name,
            .type = known ? types_name(resolved) : NULL,
            .value = b->value,
            .is_secure = b->value->marks & MARK_SECURE,
        };
    }
}

int plan_expand(struct template_file *f, int level, struct plan **ret, struct error *err)
{
    struct arena *a = f->home.engine->arena;
    struct plan *p = ARENA_NEW(a, struct plan);
    struct plan_builder b = { .file = f, .plan = p, .level = level };
    p->scope = f->scope;
    p->is_v2 = f->is_v2;
    p->content_version = f->content_version;
    p->context = *f->home.scope;
    if (file_check_parameters(f, err) < 0)
        return -1;
    tell_parameters(f, p);
    if (expand_resources(&b, err) < 0 || expand_bodies(&b, err) < 0 || expand_graph(&b, err) < 0 ||
        expand_outputs(&b, err) < 0)
        return -1;
    p->nodes = arena_array(a, b.count + 1, sizeof(*p->nodes));
    for (size_t i = 0; i < b.count; i++)
        p->nodes[i] = *b.builds[i].node;
    p->node_count = b.count;
    p->template_hash = canonical_hash(f->home.engine, f->root, NULL);
    *ret = p;
    return 0;
}

int template_plan(struct arena *a, const char *text, size_t len,
                  const struct json_object *parameters, const struct template_context *context,
                  struct plan **ret, struct template_fault *fault, struct error *err)
{
    struct engine *e = ARENA_NEW(a, struct engine);
    *e = engine_new(a, context);
    struct source *source;
    const struct value *root;
    struct template_file *f;
    if (read_text(e, text, len, &source, &root, fault, err) < 0)
        return -1;
    int rc = file_open(e, root, source, context, &f, err);
    if (rc == 0 && parameters)
        rc = file_give_parameters(f, value_import(a, parameters, NULL), err);
    if (rc < 0)
        (void)file_blame(f, NULL, "", root->at, err);
    if (rc == 0)
        rc = plan_expand(f, 0, ret, err);
    if (rc < 0)
        tell_fault(e, root, fault);
    return rc;
}

int template_eval(struct arena *a, const char *expression, const struct template_context *context,
                  struct json_object **ret, size_t *ret_at, struct error *err)
{
    struct engine *e = ARENA_NEW(a, struct engine);
    *e = engine_new(a, context);
    struct env env = { .engine = e,
                       .scope = context,
                       .node = SIZE_MAX,
                       .allow = ALLOW_DEFAULTS | ALLOW_SCOPE | ALLOW_RUNTIME };
    size_t len = strlen(expression), skip = 0;
    if (expr_is_code(expression, len)) {
        expression++;
        len -= 2;
        skip = 1;
    }
    const struct expr *expr;
    const struct value *v;
    size_t at = 0;
    int rc = expr_parse(a, expression, len, &expr, &at, err);
    if (rc == 0) {
        at = 0;
        rc = evaluate_expr(&env, expr, &v, err);
    }
    if (ret_at)
        *ret_at = at + skip;
    if (rc < 0)
        return -1;
    *ret = value_export(v, EXPORT_FINAL);
    return 0;
}

struct path_list {
    struct arena *arena;
    char **paths;
    size_t count, cap;
};

static void collect_secure(struct path_list *l, const struct value *v, const char *path)
{
    if (v->marks & MARK_SECURE) {
        if (l->count == l->cap) {
            size_t cap = l->cap ? l->cap * 2 : 8;
            char **bigger = arena_array(l->arena, cap, sizeof(*bigger));
            if (l->count)
                memcpy(bigger, l->paths, l->count * sizeof(*bigger));
            l->paths = bigger;
            l->cap = cap;
        }
        l->paths[l->count++] = arena_strdup(l->arena, path);
        return;
    }
    if (!(v->marks & MARK_SECURE_INSIDE))
        return;
    for (size_t i = 0; i < v->count; i++) {
        bool is_array = v->kind == VALUE_ARRAY;
        const struct value *child = is_array ? v->items[i] : v->members[i].value;
        char *below =
            is_array ? arena_printf(l->arena, "%s[%zu]", path, i)
                     : arena_printf(l->arena, "%s%s%s", path, *path ? "." : "", v->members[i].key);
        collect_secure(l, child, below);
    }
}

size_t template_secure_paths(struct arena *a, const struct value *v, char ***ret_paths)
{
    struct path_list l = { .arena = a };
    collect_secure(&l, v, "");
    *ret_paths = l.paths;
    return l.count;
}

int template_resolve_value(struct arena *a, const struct json_object *json,
                           const struct template_context *context, const struct value **ret,
                           struct error *err)
{
    struct engine *e = ARENA_NEW(a, struct engine);
    *e = engine_new(a, context);
    struct env env = {
        .engine = e, .scope = context, .node = SIZE_MAX, .allow = ALLOW_SCOPE | ALLOW_RUNTIME
    };
    if (evaluate_deep(&env, value_import(a, json, NULL), ret, err) == 0)
        return 0;
    if (err->code == &E_TEMPLATE_EXPRESSION || err->code == &E_TEMPLATE_BUDGET)
        err->code = &E_INVALID_TEMPLATE;
    return -1;
}

int template_resolve(struct arena *a, const struct json_object *json,
                     const struct template_context *context, struct json_object **ret,
                     char ***ret_secure, size_t *ret_secure_count, struct error *err)
{
    const struct value *v;
    if (template_resolve_value(a, json, context, &v, err) < 0)
        return -1;
    if (ret_secure)
        *ret_secure_count = template_secure_paths(a, v, ret_secure);
    *ret = value_export(v, EXPORT_FINAL);
    return 0;
}

struct json_object *template_json(const struct value *v, bool is_redacted)
{
    return value_export(v, is_redacted ? EXPORT_REDACT : EXPORT_PLAN);
}

struct json_object *template_json_final(const struct value *v)
{
    return value_export(v, EXPORT_FINAL);
}

bool template_is_deferred(const struct value *v)
{
    return v->marks & MARK_DEFERRED;
}

int template_hash(struct arena *a, const char *text, size_t len, const char **ret_hash,
                  const char **ret_minified, struct error *err)
{
    struct engine *e = ARENA_NEW(a, struct engine);
    struct template_context none = { 0 };
    *e = engine_new(a, &none);
    struct source *source;
    const struct value *root;
    if (read_text(e, text, len, &source, &root, NULL, err) < 0)
        return -1;
    if (root->kind != VALUE_OBJECT)
        return fail(err, &E_INVALID_TEMPLATE, "The template is not a JSON object.");
    *ret_hash = canonical_hash(e, root, ret_minified);
    return 0;
}

int template_lint(struct arena *a, const char *text, size_t len, struct template_finding **ret,
                  struct template_fault *fault, struct error *err)
{
    struct engine *e = ARENA_NEW(a, struct engine);
    struct template_context *none = ARENA_NEW(a, struct template_context);
    *e = engine_new(a, none);
    struct source *source;
    const struct value *root;
    struct template_file *f;
    *ret = NULL;
    if (read_text(e, text, len, &source, &root, fault, err) < 0)
        return -1;
    int rc = file_open(e, root, source, none, &f, err);
    if (rc < 0)
        (void)file_blame(f, NULL, "", root->at, err);
    else
        rc = lint_file(f, ret, err);
    if (rc < 0)
        tell_fault(e, root, fault);
    return rc;
}
