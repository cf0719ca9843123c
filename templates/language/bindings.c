/* Parameters and variables of an opened template: looked up, evaluated once, checked. */
#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "templates/language/evaluate.h"
#include "templates/language/faults.h"
#include "templates/language/file.h"
#include "templates/language/loop.h"
#include "templates/language/types.h"

static struct binding *find(struct binding *list, size_t count, const char *name, size_t len)
{
    for (size_t i = 0; i < count; i++)
        if (text_same_nocase(list[i].name, list[i].name_len, name, len))
            return &list[i];
    return NULL;
}

struct binding *file_parameter(struct template_file *f, const char *name, size_t len)
{
    return find(f->parameters, f->parameter_count, name, len);
}

static int circular(const char *kind, const struct binding *b, struct error *err)
{
    return fail(
        err, &E_TEMPLATE_EXPRESSION,
        "The template %s '%s' is not valid: it depends on its own value." USAGE("arm-template"),
        kind, b->name);
}

static int not_provided(struct template_file *f, const struct binding *b, struct error *err)
{
    struct place p = source_place(f->source, b->decl->at);
    engine_blame(f->home.engine, f->source, b->decl->at);
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The value for the template parameter '%s' at line '%d' and column '%d' is not "
                "provided." USAGE("arm-create-parameter-file"),
                b->name, p.line, p.column);
}

static int evaluate_parameter(struct template_file *f, struct binding *b, const struct value **ret,
                              struct error *err)
{
    const struct value *resolved;
    const struct value *def = value_get(b->decl, "defaultValue");
    if (types_resolve(f, b->decl, &resolved, err) < 0)
        return -1;
    if (b->is_expression) {
        struct env env = f->home;
        env.allow = ALLOW_INPUTS;
        if (evaluate_value(&env, b->given, ret, err) < 0)
            return -1;
    } else if (b->given && b->given->kind != VALUE_NULL) {
        *ret = b->given;
    } else if (def) {
        struct env env = f->home;
        env.allow = ALLOW_DEFAULTS | ALLOW_SCOPE;
        if (evaluate_deep(&env, def, ret, err) < 0)
            return -1;
    } else if (f->is_v2 && types_is_nullable(resolved)) {
        *ret = &value_null;
        return 0;
    } else {
        return not_provided(f, b, err);
    }
    struct place p = source_place(f->source, b->decl->at);
    char *what =
        arena_printf(f->home.engine->arena, "template parameter '%s' at line '%d' and column '%d'",
                     b->name, p.line, p.column);
    if ((*ret)->kind != VALUE_NULL && types_accept(f, resolved, *ret, what, err) < 0) {
        engine_blame(f->home.engine, f->source, b->decl->at);
        return -1;
    }
    *ret = types_mark(f, resolved, *ret);
    return 0;
}

int file_parameter_value(struct template_file *f, const char *name, size_t len,
                         const struct value **ret, struct error *err)
{
    struct binding *b = file_parameter(f, name, len);
    if (!b)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The template parameter '%.*s' is not found." USAGE("arm-template/#parameters"),
                    (int)len, name);
    if (b->state == BINDING_BUSY)
        return circular("parameter", b, err);
    if (b->state == BINDING_UNSEEN) {
        b->state = BINDING_BUSY;
        if (evaluate_parameter(f, b, &b->value, err) < 0) {
            b->state = BINDING_UNSEEN;
            return -1;
        }
        b->state = BINDING_DONE;
    }
    *ret = b->value;
    return 0;
}

static int evaluate_variable(struct template_file *f, struct binding *b, const struct value **ret,
                             struct error *err)
{
    struct env env = f->home;
    struct loop loop;
    env.allow = ALLOW_SCOPE | ALLOW_COPY_LISTS;
    if (!b->is_copy)
        return evaluate_deep(&env, b->decl, ret, err);
    if (loop_read(&env, b->decl, LOOP_VARIABLE, &loop, err) < 0)
        return -1;
    return loop_values(&env, &loop, ret, err);
}

int file_variable_value(struct template_file *f, const char *name, size_t len,
                        const struct value **ret, struct error *err)
{
    struct binding *b = find(f->variables, f->variable_count, name, len);
    if (!b)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The template variable '%.*s' is not found." USAGE("arm-template/#variables"),
                    (int)len, name);
    if (b->state == BINDING_BUSY)
        return circular("variable", b, err);
    if (b->state == BINDING_UNSEEN) {
        b->state = BINDING_BUSY;
        if (evaluate_variable(f, b, &b->value, err) < 0) {
            b->state = BINDING_UNSEEN;
            return -1;
        }
        b->state = BINDING_DONE;
    }
    *ret = b->value;
    return 0;
}

static void list_names(struct str *s, const char *name)
{
    str_printf(s, "%s%s", s->len ? ", " : "", name);
}

static int unknown_given(struct template_file *f, const struct value *given, struct error *err)
{
    struct str unknown, known;
    str_init(&unknown, 300);
    str_init(&known, 500);
    for (size_t i = 0; i < given->count; i++)
        if (!file_parameter(f, given->members[i].key, given->members[i].key_len))
            list_names(&unknown, given->members[i].key);
    for (size_t i = 0; i < f->parameter_count; i++)
        list_names(&known, f->parameters[i].name);
    int rc = 0;
    if (unknown.len)
        rc = fail(err, &E_TEMPLATE_EXPRESSION,
                  "The template parameters '%s' are not valid; they are not present in the "
                  "original template and can therefore not be provided at deployment time. The "
                  "only supported parameters for this template are '%s'." USAGE(
                      "arm-deploy/#parameter-file"),
                  unknown.data, known.data);
    str_done(&unknown);
    str_done(&known);
    return rc;
}

/* A value that comes from elsewhere (a key vault) is known only to whoever runs the plan. */
static const struct value *elsewhere(struct template_file *f, const struct binding *b)
{
    struct arena *a = f->home.engine->arena;
    char *text = arena_printf(a, "parameters('%s')", b->name);
    return value_mark(a, value_deferred(a, text, strlen(text)), MARK_SECURE);
}

int file_give_parameters(struct template_file *f, const struct value *given, struct error *err)
{
    if (given->kind != VALUE_OBJECT)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The template parameters are not valid. Expected 'Object'. Actual '%s'." USAGE(
                        "arm-deploy/#parameter-file"),
                    value_kind_name(given));
    if (unknown_given(f, given, err) < 0)
        return -1;
    for (size_t i = 0; i < given->count; i++) {
        const struct member *m = &given->members[i];
        struct binding *b = file_parameter(f, m->key, m->key_len);
        const struct value *v = value_get(m->value, "value");
        if (v) {
            b->given = v;
        } else if (value_get(m->value, "reference")) {
            b->given = elsewhere(f, b);
        } else if (value_get(m->value, "expression")) {
            b->given = value_get(m->value, "expression");
            b->is_expression = true;
        } else {
            return fail(err, &E_TEMPLATE_EXPRESSION,
                        "The template parameter '%s' is not valid: it must have a property "
                        "'value', 'reference' or 'expression'." USAGE("arm-deploy/#parameter-file"),
                        m->key);
        }
        if (types_is_secure(f, b->decl))
            b->given = value_mark(f->home.engine->arena, b->given, MARK_SECURE);
    }
    return 0;
}

int file_check_parameters(struct template_file *f, struct error *err)
{
    for (size_t i = 0; i < f->parameter_count; i++) {
        const struct value *v;
        struct binding *b = &f->parameters[i];
        if (file_parameter_value(f, b->name, b->name_len, &v, err) < 0)
            return file_blame(f, NULL, b->name, b->decl->at, err);
    }
    return 0;
}

int file_blame(struct template_file *f, const char *kind, const char *name, uint32_t at,
               struct error *err)
{
    if (err->code != &E_TEMPLATE_EXPRESSION && err->code != &E_TEMPLATE_BUDGET)
        return -1;
    struct arena *a = f->home.engine->arena;
    const char *text = arena_strdup(a, err->message);
    engine_blame(f->home.engine, f->source, at);
    if (kind && err->code == &E_TEMPLATE_EXPRESSION) {
        struct place p = source_place(f->source, at);
        text = arena_printf(a,
                            "The template %s '%s' at line '%d' and column '%d' is not valid: "
                            "%s." SEE_EXPRESSIONS,
                            kind, name, p.line, p.column, text);
    }
    return fail(err, &E_INVALID_TEMPLATE, "Deployment template validation failed: '%s'.", text);
}
