/* Checks of a template that need no parameter values: every expression parses and calls functions
 * that exist with the right number of arguments; names are defined; and findings that are no errors
 * but worth a look: what nobody uses, and secrets that would be seen. */
#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "templates/functions/function.h"
#include "templates/language/expand.h"
#include "templates/language/expression.h"
#include "templates/language/faults.h"
#include "templates/language/file.h"
#include "templates/language/types.h"

#define FINDINGS_MAX 1000

struct linter {
    struct engine *engine;
    struct template_file *file;
    bool *parameter_used, *variable_used;
    struct template_finding *findings;
    size_t finding_count;
    const struct value *text;       /* being looked at */
    const struct value *call;       /* parameters of the user function the text is in, or NULL */
    const struct value *deployment; /* properties of the deployment resource being looked at */
    bool holds_secret;              /* the text reads a secure parameter or a list function */
    struct error *err;
};

static void insert(struct linter *l, struct template_finding *f)
{
    struct template_finding **to = &l->findings;
    while (*to && ((*to)->line < f->line || ((*to)->line == f->line && (*to)->column <= f->column)))
        to = &(*to)->next;
    f->next = *to;
    *to = f;
}

static void add(struct linter *l, uint32_t at, const char *code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
static void add(struct linter *l, uint32_t at, const char *code, const char *fmt, ...)
{
    if (l->finding_count++ >= FINDINGS_MAX)
        return;
    struct template_finding *f = ARENA_NEW(l->engine->arena, struct template_finding);
    struct place p = source_place(l->file->source, at);
    va_list ap;
    va_start(ap, fmt);
    f->message = arena_vprintf(l->engine->arena, fmt, ap);
    va_end(ap);
    f->line = p.line;
    f->column = p.column;
    f->code = code;
    insert(l, f);
}

static int complain(struct linter *l, const struct expr *e, const char *text)
{
    uint32_t at = l->text->at ? l->text->at + 2 + e->at : 0;
    struct place p = source_place(l->file->source, at);
    engine_blame(l->engine, l->file->source, at);
    return fail(l->err, &E_INVALID_TEMPLATE,
                "Deployment template validation failed: '%s at line '%d' and column '%d'.'.", text,
                p.line, p.column);
}

static int wrong_call(struct linter *l, const struct expr *e, const char *what)
{
    return complain(l, e,
                    arena_printf(l->engine->arena, "The template function '%s' %s", e->name, what));
}

static int undefined(struct linter *l, const struct expr *e, const char *kind, const char *name)
{
    return complain(
        l, e, arena_printf(l->engine->arena, "The template %s '%s' is not found", kind, name));
}

static bool in_call(const struct linter *l, const struct value *name)
{
    for (size_t i = 0; l->call && i < l->call->count; i++)
        if (text_eq_nocase(value_string(value_get(l->call->items[i], "name")), name->text))
            return true;
    return false;
}

/* parameters('x') or variables('x') with a literal name. */
static int look_up(struct linter *l, const struct expr *e, bool is_parameter)
{
    const struct value *name = e->argc ? e->args[0]->literal : NULL;
    if (!value_is(name, VALUE_TEXT) || (is_parameter && in_call(l, name)))
        return 0;
    struct binding *list = is_parameter ? l->file->parameters : l->file->variables;
    size_t count = is_parameter ? l->file->parameter_count : l->file->variable_count;
    for (size_t i = 0; i < count; i++) {
        if (!text_same_nocase(list[i].name, list[i].name_len, name->text, name->count))
            continue;
        (is_parameter ? l->parameter_used : l->variable_used)[i] = true;
        if (is_parameter && types_is_secure(l->file, list[i].decl))
            l->holds_secret = true;
        return 0;
    }
    return undefined(l, e, is_parameter ? "parameter" : "variable", name->text);
}

static bool look_at_call(void *ctx, const struct expr *e)
{
    struct linter *l = ctx;
    if (e->kind != EXPR_CALL)
        return true;
    const struct function *f = e->function;
    if (!f && !file_function(l->file, e->name, e->name_len))
        return wrong_call(l, e, "is not valid") == 0;
    if (!f)
        return true;
    int argc = (int)e->argc;
    if (argc < f->min || (f->max >= 0 && argc > f->max))
        return wrong_call(l, e, "has the wrong number of parameters") == 0;
    if (!strcmp(f->name, "list*"))
        l->holds_secret = true;
    if (!strcmp(f->name, "parameters"))
        return look_up(l, e, true) == 0;
    return strcmp(f->name, "variables") != 0 || look_up(l, e, false) == 0;
}

static int look_at_text(struct linter *l, const struct value *v)
{
    const struct expr *e;
    size_t at = 0;
    if (!expr_is_code(v->text, v->count))
        return 0;
    l->text = v;
    if (engine_bytes(l->engine, (size_t)v->count * 8, l->err) < 0)
        return -1;
    if (expr_parse(l->engine->arena, v->text + 1, v->count - 2, &e, &at, l->err) < 0) {
        engine_blame(l->engine, l->file->source, v->at ? v->at + 2 + (uint32_t)at : 0);
        return file_blame(l->file, NULL, "", v->at, l->err);
    }
    return expr_walk(e, look_at_call, l) ? 0 : -1;
}

static int look_at_file(struct linter *l, const struct value *root);
static int look_at_value(struct linter *l, const struct value *v);

/* A nested template of inner scope is a file of its own. */
static bool is_inner_template(const struct linter *l, const struct value *properties,
                              const struct member *m)
{
    if (properties != l->deployment || m->value->kind != VALUE_OBJECT ||
        !text_same_nocase(m->key, m->key_len, "template", 8))
        return false;
    const char *scope =
        value_string(value_get(value_get(properties, "expressionEvaluationOptions"), "scope"));
    return text_eq_nocase(scope, "inner") || (l->file->is_v2 && !text_eq_nocase(scope, "outer"));
}

static int look_at_inner(struct linter *l, const struct value *root)
{
    struct linter inner = { .engine = l->engine, .err = l->err };
    if (file_open(l->engine, root, l->file->source, l->file->home.scope, &inner.file, l->err) < 0)
        return file_blame(inner.file, NULL, "", root->at, l->err);
    if (look_at_file(&inner, root) < 0)
        return -1;
    for (struct template_finding *f = inner.findings, *next; f; f = next) {
        next = f->next;
        if (l->finding_count++ < FINDINGS_MAX)
            insert(l, f);
    }
    return 0;
}

static int look_at_value(struct linter *l, const struct value *v)
{
    if (v->kind == VALUE_TEXT)
        return look_at_text(l, v);
    for (size_t i = 0; v->kind == VALUE_ARRAY && i < v->count; i++)
        if (look_at_value(l, v->items[i]) < 0)
            return -1;
    if (text_eq_nocase(value_string(value_get(v, "type")), "Microsoft.Resources/deployments"))
        l->deployment = value_get(v, "properties");
    for (size_t i = 0; v->kind == VALUE_OBJECT && i < v->count; i++) {
        const struct member *m = &v->members[i];
        struct value key = {
            .kind = VALUE_TEXT, .text = m->key, .count = m->key_len, .at = m->key_at
        };
        if (text_same_nocase(m->key, m->key_len, "metadata", 8))
            continue;
        int rc =
            is_inner_template(l, v, m) ? look_at_inner(l, m->value) : look_at_value(l, m->value);
        if (rc < 0 || look_at_text(l, &key) < 0)
            return -1;
    }
    return 0;
}

/* A nested template of outer scope is read as part of this file, without its own sections. */
static int look_at_outputs(struct linter *l)
{
    for (size_t i = 0; i < l->file->outputs->count; i++) {
        const struct member *m = &l->file->outputs->members[i];
        l->holds_secret = false;
        if (look_at_value(l, m->value) < 0)
            return -1;
        if (l->holds_secret && !types_is_secure(l->file, m->value))
            add(l, m->key_at, "SecretInOutput",
                "The output '%s' shows a secure parameter or the answer of a list function.",
                m->key);
    }
    return 0;
}

static int look_at_functions(struct linter *l)
{
    for (size_t i = 0; i < l->file->function_count; i++) {
        l->call = l->file->functions[i].parameters;
        if (look_at_value(l, l->file->functions[i].output) < 0)
            return -1;
    }
    l->call = NULL;
    return 0;
}

static void look_for_unused(struct linter *l)
{
    for (size_t i = 0; i < l->file->parameter_count; i++) {
        const struct binding *b = &l->file->parameters[i];
        const struct value *def = value_get(b->decl, "defaultValue");
        if (!l->parameter_used[i])
            add(l, b->decl->at, "UnusedParameter", "The parameter '%s' is not used.", b->name);
        if (types_is_secure(l->file, b->decl) && value_is(def, VALUE_TEXT) && def->count &&
            !expr_is_code(def->text, def->count))
            add(l, def->at, "SecretDefault",
                "The secure parameter '%s' has a default that everybody can read.", b->name);
    }
    for (size_t i = 0; i < l->file->variable_count; i++)
        if (!l->variable_used[i])
            add(l, l->file->variables[i].decl->at, "UnusedVariable",
                "The variable '%s' is not used.", l->file->variables[i].name);
}

static int look_at_file(struct linter *l, const struct value *root)
{
    static const char *const sections[] = { "parameters", "variables", "resources", "definitions" };
    struct template_file *f = l->file;
    l->parameter_used = arena_array(l->engine->arena, f->parameter_count + 1, sizeof(bool));
    l->variable_used = arena_array(l->engine->arena, f->variable_count + 1, sizeof(bool));
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        const struct value *v = value_get(root, sections[i]);
        if (v && look_at_value(l, v) < 0)
            return -1;
    }
    if (look_at_outputs(l) < 0 || look_at_functions(l) < 0)
        return -1;
    look_for_unused(l);
    return 0;
}

int lint_file(struct template_file *f, struct template_finding **ret, struct error *err)
{
    struct linter l = { .engine = f->home.engine, .file = f, .err = err };
    int rc = look_at_file(&l, f->root);
    *ret = l.findings;
    return rc;
}
