/* Opening a template: its schema, its sections, and the members each may have. */
#include "templates/language/file.h"

#include <strings.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "templates/functions/function.h"
#include "templates/language/evaluate.h"
#include "templates/language/expression.h"
#include "templates/language/faults.h"
#include "templates/language/path.h"
#include "templates/language/types.h"

static const char schema_list[] = "2014-04-01-preview,2015-01-01,2018-05-01,2019-04-01,2019-08-01";

static const struct {
    const char *kind;
    enum template_scope scope;
} schema_kinds[] = {
    { "deploymentTemplate.json", SCOPE_RESOURCE_GROUP },
    { "subscriptionDeploymentTemplate.json", SCOPE_SUBSCRIPTION },
    { "managementGroupDeploymentTemplate.json", SCOPE_MANAGEMENT_GROUP },
    { "tenantDeploymentTemplate.json", SCOPE_TENANT },
};

static const char *const top_members[] = { "$schema",    "contentVersion", "languageVersion",
                                           "apiProfile", "definitions",    "parameters",
                                           "variables",  "functions",      "resources",
                                           "outputs",    "metadata",       "extensions",
                                           "imports",    "asserts",        NULL };
static const char *const parameter_members[] = {
    "type",          "defaultValue", "allowedValues",
    "minValue",      "maxValue",     "minLength",
    "maxLength",     "metadata",     "nullable",
    "$ref",          "properties",   "additionalProperties",
    "discriminator", "prefixItems",  "items",
    "pattern",       "sealed",       NULL
};
static const char *const output_members[] = { "type",
                                              "value",
                                              "copy",
                                              "condition",
                                              "metadata",
                                              "nullable",
                                              "$ref",
                                              "properties",
                                              "additionalProperties",
                                              "discriminator",
                                              "prefixItems",
                                              "items",
                                              "allowedValues",
                                              "minValue",
                                              "maxValue",
                                              "minLength",
                                              "maxLength",
                                              "sealed",
                                              NULL };

static int bad_content(struct engine *e, const struct source *s, uint32_t at, struct error *err,
                       const char *fmt, ...) PRINTF_LIKE(5, 6);
static int bad_content(struct engine *e, const struct source *s, uint32_t at, struct error *err,
                       const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = arena_vprintf(e->arena, fmt, ap);
    va_end(ap);
    engine_blame(e, s, at);
    return fail(err, &E_INVALID_REQUEST_CONTENT,
                "The request content was invalid and could not be deserialized: '%s'.", text);
}

int file_check_members(struct template_file *f, const struct value *o, const char *const *known,
                       const char *type, struct error *err)
{
    struct engine *e = f->home.engine;
    for (size_t i = 0; i < o->count; i++) {
        const struct member *m = &o->members[i];
        const char *const *k = known;
        while (*k && strcasecmp(*k, m->key) != 0)
            k++;
        if (*k)
            continue;
        struct place p = source_place(f->source, m->key_at);
        return bad_content(e, f->source, m->key_at, err,
                           "Could not find member '%s' on object of type '%s'. Path '%s', "
                           "line %d, position %d.",
                           m->key, type, path_at(e->arena, f->root, m->key_at), p.line,
                           p.column + (int)m->key_len + 2);
    }
    return 0;
}

static int read_schema(struct engine *e, struct template_file *f, struct error *err)
{
    const struct value *v = value_get(f->root, "$schema");
    const char *schema = value_string(v);
    if (!schema) {
        struct place p = source_place(f->source, f->root->at);
        return bad_content(e, f->source, f->root->at, err,
                           "Required property '$schema' not found in JSON. Path '', line %d, "
                           "position %d.",
                           p.line, p.column);
    }
    f->schema = schema;
    const char *rest = schema;
    rest += text_starts_nocase(rest, "https://") ? 8 : text_starts_nocase(rest, "http://") ? 7 : 0;
    const char *name = strrchr(rest, '/');
    size_t len = name ? strcspn(name + 1, "#?") : 0;
    bool known_host = text_starts_nocase(rest, "schema.management.azure.com/schemas/") ||
                      text_starts_nocase(rest, "schemas.management.azure.com/");
    for (size_t i = 0; known_host && name && i < ARRAY_LEN(schema_kinds); i++)
        if (text_same_nocase(name + 1, len, schema_kinds[i].kind, strlen(schema_kinds[i].kind))) {
            f->scope = schema_kinds[i].scope;
            return 0;
        }
    /* the oldest spelling: …/deploymentTemplate?api-version=2014-04-01-preview */
    if (known_host && name && text_same_nocase(name + 1, len, "deploymentTemplate", 18))
        return 0;
    engine_blame(e, f->source, v->at);
    return fail(
        err, &E_TEMPLATE_EXPRESSION,
        "Template schema '%s' is not supported. Supported versions are '%s'." USAGE("arm-template"),
        schema, schema_list);
}

static bool is_version(const char *s)
{
    int parts = 0;
    while (*s >= '0' && *s <= '9') {
        s += strspn(s, "0123456789");
        if (++parts == 4)
            return !*s;
        if (*s++ != '.')
            return false;
    }
    return false;
}

static int read_versions(struct engine *e, struct template_file *f, struct error *err)
{
    const struct value *content = value_get(f->root, "contentVersion");
    const struct value *language = value_get(f->root, "languageVersion");
    if (content && content->kind != VALUE_NULL) {
        f->content_version = value_string(content);
        if (!f->content_version || !is_version(f->content_version)) {
            engine_blame(e, f->source, content->at);
            return fail(err, &E_TEMPLATE_EXPRESSION,
                        "The template content version '%s' is not valid. It must have the form "
                        "'1.0.0.0'." USAGE("arm-template"),
                        f->content_version ? f->content_version : "");
        }
    }
    if (!language || language->kind == VALUE_NULL)
        return 0;
    const char *version = value_string(language);
    f->is_v2 = version && (text_starts(version, "2.") || text_starts(version, "1.9") ||
                           text_starts(version, "1.10"));
    if (f->is_v2 || (version && text_starts(version, "1.0")))
        return 0;
    engine_blame(e, f->source, language->at);
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The template language version '%s' is not supported. Supported versions are "
                "'1.0,2.0'." USAGE("arm-template"),
                version ? version : "");
}

/* The section as an object (or the other kind); absent and null give the empty one. */
static int section(struct engine *e, struct template_file *f, const char *name,
                   const struct value *empty, bool may_be_other, const struct value **ret,
                   struct error *err)
{
    const struct value *v = value_get(f->root, name);
    *ret = empty;
    if (!v || v->kind == VALUE_NULL)
        return 0;
    *ret = v;
    bool is_list = v->kind == VALUE_ARRAY || v->kind == VALUE_OBJECT;
    if (v->kind == empty->kind || (may_be_other && is_list))
        return 0;
    engine_blame(e, f->source, v->at);
    return fail(
        err, &E_TEMPLATE_EXPRESSION,
        "The template section '%s' is not valid. Expected '%s'. Actual '%s'." USAGE("arm-template"),
        name, value_kind_name(empty), value_kind_name(v));
}

static int over_limit(const char *what, size_t limit, size_t actual, struct error *err)
{
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The number of template %s limit exceeded. Limit: '%zu' and actual: '%zu'." USAGE(
                    "arm-template"),
                what, limit, actual);
}

static void bind(struct binding *b, const struct member *m)
{
    b->name = m->key;
    b->name_len = m->key_len;
    b->decl = m->value;
}

static int open_parameters(struct engine *e, struct template_file *f, struct error *err)
{
    const struct value *list;
    if (section(e, f, "parameters", &value_empty_object, false, &list, err) < 0)
        return -1;
    if (list->count > TEMPLATE_PARAMETERS_MAX)
        return over_limit("parameters", TEMPLATE_PARAMETERS_MAX, list->count, err);
    f->parameters = arena_array(e->arena, list->count ? list->count : 1, sizeof(*f->parameters));
    f->parameter_count = list->count;
    for (size_t i = 0; i < list->count; i++) {
        const struct member *m = &list->members[i];
        bind(&f->parameters[i], m);
        if (m->value->kind != VALUE_OBJECT) {
            engine_blame(e, f->source, m->value->at);
            return fail(
                err, &E_TEMPLATE_EXPRESSION,
                "The template parameter '%s' is not valid. Expected 'Object'. Actual '%s'." USAGE(
                    "arm-template/#parameters"),
                m->key, value_kind_name(m->value));
        }
        if (file_check_members(f, m->value, parameter_members, "TemplateInputParameter", err) < 0)
            return -1;
        if (!types_name(m->value) && !(f->is_v2 && value_get(m->value, "$ref"))) {
            const char *type = value_string(value_get(m->value, "type"));
            engine_blame(e, f->source, m->value->at);
            return fail(err, &E_TEMPLATE_EXPRESSION,
                        "The template parameter '%s' has an invalid type '%s'. The supported types "
                        "are 'string, securestring, int, bool, object, secureObject, array'." USAGE(
                            "arm-template/#parameters"),
                        m->key, type ? type : "");
        }
    }
    return 0;
}

static int open_variables(struct engine *e, struct template_file *f, struct error *err)
{
    const struct value *list;
    if (section(e, f, "variables", &value_empty_object, false, &list, err) < 0)
        return -1;
    const struct value *copies = value_get(list, "copy");
    size_t extra = value_is(copies, VALUE_ARRAY) ? copies->count : 0;
    if (list->count + extra > TEMPLATE_VARIABLES_MAX + 1)
        return over_limit("variables", TEMPLATE_VARIABLES_MAX, list->count + extra, err);
    f->variables = arena_array(e->arena, list->count + extra + 1, sizeof(*f->variables));
    for (size_t i = 0; i < list->count; i++)
        if (!(extra && list->members[i].value == copies))
            bind(&f->variables[f->variable_count++], &list->members[i]);
    for (size_t i = 0; i < extra; i++) {
        const char *name = value_string(value_get(copies->items[i], "name"));
        if (!name) {
            engine_blame(e, f->source, copies->items[i]->at);
            return fail(
                err, &E_TEMPLATE_EXPRESSION,
                "The copy definition must have a non-empty property 'name'." USAGE("arm-copy"));
        }
        struct binding *b = &f->variables[f->variable_count++];
        b->name = name;
        b->name_len = strlen(name);
        b->decl = copies->items[i];
        b->is_copy = true;
    }
    return 0;
}

struct forbidden {
    const char *name;
    uint32_t at;
};

/* In language version 1.0 a user function calls no other user function. */
static bool find_user_call(void *ctx, const struct expr *e)
{
    struct forbidden *f = ctx;
    if (e->kind != EXPR_CALL || e->function || !memchr(e->name, '.', e->name_len))
        return true;
    f->name = e->name;
    f->at = e->at;
    return false;
}

static int check_function_body(struct engine *e, struct template_file *f, const char *name,
                               const struct value *v, struct error *err)
{
    for (size_t i = 0; v->kind == VALUE_ARRAY && i < v->count; i++)
        if (check_function_body(e, f, name, v->items[i], err) < 0)
            return -1;
    for (size_t i = 0; v->kind == VALUE_OBJECT && i < v->count; i++)
        if (check_function_body(e, f, name, v->members[i].value, err) < 0)
            return -1;
    const struct expr *expr;
    struct forbidden found = { 0 };
    struct error *ignored = engine_scratch(e);
    if (v->kind != VALUE_TEXT || !expr_is_code(v->text, v->count) ||
        expr_parse(e->arena, v->text + 1, v->count - 2, &expr, NULL, ignored) < 0 ||
        expr_walk(expr, find_user_call, &found))
        return 0;
    struct place p = source_place(f->source, v->at);
    engine_blame(e, f->source, v->at);
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The template function '%s' at line '%d' and column '%d' is not valid. These "
                "function calls are not supported in a function definition: '%s'." USAGE(
                    "arm-template/#functions"),
                name, p.line, p.column, found.name);
}

static int open_function(struct engine *e, struct template_file *f, const char *space,
                         const struct member *m, struct error *err)
{
    struct user_function *fn = &f->functions[f->function_count++];
    fn->name = arena_printf(e->arena, "%s.%s", space, m->key);
    fn->name_len = strlen(fn->name);
    fn->output = value_get(m->value, "output");
    fn->parameters = value_get(m->value, "parameters");
    if (!value_is(fn->parameters, VALUE_ARRAY))
        fn->parameters = &value_empty_array;
    if (!value_is(fn->output, VALUE_OBJECT)) {
        engine_blame(e, f->source, m->value->at);
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The template function '%s' is not valid: it has no output." USAGE(
                        "arm-template/#functions"),
                    fn->name);
    }
    const struct value **names = arena_array(e->arena, fn->parameters->count + 1, sizeof(*names));
    for (size_t i = 0; i < fn->parameters->count; i++) {
        names[i] = value_get(fn->parameters->items[i], "name");
        if (!value_is(names[i], VALUE_TEXT))
            names[i] = &value_empty_text;
    }
    fn->names = value_array(e->arena, names, fn->parameters->count);
    return f->is_v2 ? 0 : check_function_body(e, f, m->key, fn->output, err);
}

static int open_functions(struct engine *e, struct template_file *f, struct error *err)
{
    const struct value *list;
    size_t total = 0;
    if (section(e, f, "functions", &value_empty_array, false, &list, err) < 0)
        return -1;
    for (size_t i = 0; i < list->count; i++) {
        const struct value *members = value_get(list->items[i], "members");
        total += value_is(members, VALUE_OBJECT) ? members->count : 0;
    }
    f->functions = arena_array(e->arena, total + 1, sizeof(*f->functions));
    for (size_t i = 0; i < list->count; i++) {
        const char *space = value_string(value_get(list->items[i], "namespace"));
        const struct value *members = value_get(list->items[i], "members");
        if (!space || !*space) {
            engine_blame(e, f->source, list->items[i]->at);
            return fail(
                err, &E_TEMPLATE_EXPRESSION,
                "A template function namespace must have a non-empty property 'namespace'." USAGE(
                    "arm-template/#functions"));
        }
        for (size_t k = 0; value_is(members, VALUE_OBJECT) && k < members->count; k++)
            if (open_function(e, f, space, &members->members[k], err) < 0)
                return -1;
    }
    return 0;
}

static int open_outputs(struct engine *e, struct template_file *f, struct error *err)
{
    if (section(e, f, "outputs", &value_empty_object, false, &f->outputs, err) < 0)
        return -1;
    if (f->outputs->count > TEMPLATE_OUTPUTS_MAX)
        return over_limit("outputs", TEMPLATE_OUTPUTS_MAX, f->outputs->count, err);
    for (size_t i = 0; i < f->outputs->count; i++) {
        const struct member *m = &f->outputs->members[i];
        if (m->value->kind != VALUE_OBJECT) {
            struct place p = source_place(f->source, m->value->at);
            return bad_content(e, f->source, m->value->at, err,
                               "Error converting value to type 'TemplateOutputParameter'. Path "
                               "'%s', line %d, position %d.",
                               path_at(e->arena, f->root, m->value->at), p.line, p.column);
        }
        if (file_check_members(f, m->value, output_members, "TemplateOutputParameter", err) < 0)
            return -1;
    }
    return 0;
}

static int open_resources(struct engine *e, struct template_file *f, struct error *err)
{
    if (!value_get(f->root, "resources")) {
        struct place p = source_place(f->source, f->root->at);
        return bad_content(e, f->source, f->root->at, err,
                           "Required property 'resources' not found in JSON. Path '', line %d, "
                           "position %d.",
                           p.line, p.column);
    }
    return section(e, f, "resources", &value_empty_array, f->is_v2, &f->resources, err);
}

int file_open(struct engine *e, const struct value *root, const struct source *source,
              const struct template_context *scope, struct template_file **ret, struct error *err)
{
    struct template_file *f = ARENA_NEW(e->arena, struct template_file);
    f->source = source;
    f->root = root;
    f->home = (struct env){ .engine = e, .file = f, .scope = scope, .node = SIZE_MAX };
    *ret = f;
    if (root->kind != VALUE_OBJECT)
        return fail(err, &E_TEMPLATE_EXPRESSION, "The template is not a JSON object.");
    if (file_check_members(f, root, top_members, "Template", err) < 0 ||
        read_schema(e, f, err) < 0 || read_versions(e, f, err) < 0 ||
        section(e, f, "definitions", &value_empty_object, false, &f->definitions, err) < 0 ||
        open_parameters(e, f, err) < 0 || open_variables(e, f, err) < 0 ||
        open_functions(e, f, err) < 0 || open_resources(e, f, err) < 0)
        return -1;
    return open_outputs(e, f, err);
}

const struct user_function *file_function(const struct template_file *f, const char *name,
                                          size_t len)
{
    for (size_t i = 0; i < f->function_count; i++)
        if (text_same_nocase(f->functions[i].name, f->functions[i].name_len, name, len))
            return &f->functions[i];
    return NULL;
}
