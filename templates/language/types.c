/* Type checks of parameters, outputs and user functions. */
#include "templates/language/types.h"

#include <inttypes.h>
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "templates/functions/collation.h"
#include "templates/language/engine.h"
#include "templates/language/faults.h"
#include "templates/language/file.h"

#define REF_DEPTH_MAX   32
#define CHECK_DEPTH_MAX 64

static const struct type_row {
    const char *name; /* as responses spell it */
    enum value_kind kind;
    bool is_secure;
    const char *expected; /* as errors name it */
} type_rows[] = {
    { "String", VALUE_TEXT, false, "String, Uri" },
    { "SecureString", VALUE_TEXT, true, "String, Uri" },
    { "Int", VALUE_INT, false, "Integer" },
    { "Bool", VALUE_BOOL, false, "Boolean" },
    { "Object", VALUE_OBJECT, false, "Object" },
    { "SecureObject", VALUE_OBJECT, true, "Object" },
    { "Array", VALUE_ARRAY, false, "Array" },
};

static const struct type_row *type_row(const struct value *schema)
{
    const char *name = value_string(value_get(schema, "type"));
    for (size_t i = 0; name && i < ARRAY_LEN(type_rows); i++)
        if (!strcasecmp(name, type_rows[i].name))
            return &type_rows[i];
    return NULL;
}

const char *types_name(const struct value *schema)
{
    const struct type_row *row = type_row(schema);
    return row ? row->name : NULL;
}

bool types_is_nullable(const struct value *schema)
{
    const struct value *v = value_get(schema, "nullable");
    return value_is(v, VALUE_BOOL) && v->boolean;
}

static const struct value *definition(struct template_file *f, const char *ref)
{
    static const char prefix[] = "#/definitions/";
    if (!ref || strncmp(ref, prefix, sizeof(prefix) - 1) != 0)
        return NULL;
    char *name = text_percent_decode(f->home.engine->arena, ref + sizeof(prefix) - 1,
                                     strlen(ref) - sizeof(prefix) + 1, false);
    if (!name)
        return NULL;
    char *out = name; /* JSON pointer: ~1 is /, ~0 is ~ */
    for (const char *p = name; *p; p++) {
        bool is_escape = *p == '~' && (p[1] == '0' || p[1] == '1');
        *out++ = is_escape ? (p[1] == '1' ? '/' : '~') : *p;
        p += is_escape;
    }
    *out = '\0';
    return value_get(f->definitions, name);
}

/* Members of `own` beside $ref over those of the definition. */
static const struct value *overlay(struct arena *a, const struct value *base,
                                   const struct value *own)
{
    struct object_builder b;
    object_start(&b, a, base->count + own->count);
    for (size_t i = 0; i < base->count; i++)
        object_push(&b, base->members[i].key, base->members[i].key_len, base->members[i].value);
    for (size_t i = 0; i < own->count; i++)
        if (!text_same_nocase(own->members[i].key, own->members[i].key_len, "$ref", 4))
            object_put(&b, own->members[i].key, own->members[i].key_len, own->members[i].value);
    return value_at(a, object_end(&b), own->at);
}

int types_resolve(struct template_file *f, const struct value *schema, const struct value **ret,
                  struct error *err)
{
    *ret = schema;
    for (int depth = 0;; depth++) {
        const struct value *ref = value_get(*ret, "$ref");
        if (!ref)
            return 0;
        const struct value *base = definition(f, value_string(ref));
        if (!value_is(base, VALUE_OBJECT))
            return fail(err, &E_TEMPLATE_EXPRESSION,
                        "The type reference '%s' is not valid: it does not name a definition of "
                        "the template." USAGE("arm-template"),
                        value_string(ref) ? value_string(ref) : "");
        if (depth == REF_DEPTH_MAX)
            return fail(
                err, &E_TEMPLATE_EXPRESSION,
                "The type reference '%s' is not valid: it refers to itself." USAGE("arm-template"),
                value_string(ref));
        *ret = overlay(f->home.engine->arena, base, *ret);
    }
}

bool types_is_secure(struct template_file *f, const struct value *schema)
{
    const struct value *resolved;
    if (types_resolve(f, schema, &resolved, engine_scratch(f->home.engine)) < 0)
        return false;
    const struct type_row *row = type_row(resolved);
    return row && row->is_secure;
}

struct check {
    struct template_file *file;
    const char *what;
    struct error *err;
    int depth;
    bool is_secret;
};

static int check(struct check *k, const struct value *schema, const struct value *v,
                 const char *path);

/* The value for an error text: cut, and hidden when it is secret. */
static const char *shown(struct check *k, const struct value *v)
{
    if (k->is_secret || (v->marks & (MARK_SECURE | MARK_SECURE_INSIDE)))
        return "*****";
    struct str s;
    str_init(&s, 200);
    if (v->kind == VALUE_TEXT)
        str_append(&s, v->text, v->count);
    else
        value_print(&s, v, '"');
    char *copy = str_copy(&s, k->file->home.engine->arena);
    str_done(&s);
    return copy;
}

static int not_allowed(struct check *k, const struct value *v, const char *path, const char *fmt,
                       ...) PRINTF_LIKE(4, 5);
static int not_allowed(struct check *k, const struct value *v, const char *path, const char *fmt,
                       ...)
{
    struct arena *a = k->file->home.engine->arena;
    va_list ap;
    va_start(ap, fmt);
    char *why = arena_vprintf(a, fmt, ap);
    va_end(ap);
    char *place = *path ? arena_printf(a, " at '%s'", path) : "";
    return fail(k->err, &E_TEMPLATE_EXPRESSION,
                "The provided value '%s'%s for the %s is not "
                "valid. %s",
                shown(k, v), place, k->what, why);
}

static bool in_list(const struct value *list, const struct value *v, size_t *budget)
{
    for (size_t i = 0; i < list->count; i++)
        if (value_equal(list->items[i], v, budget))
            return true;
    return false;
}

static int check_allowed(struct check *k, const struct value *schema, const struct value *v,
                         const char *path)
{
    const struct value *list = value_get(schema, "allowedValues");
    if (!value_is(list, VALUE_ARRAY) || (v->marks & MARK_DEFERRED))
        return 0;
    bool holds_arrays = list->count && list->items[0]->kind == VALUE_ARRAY;
    bool allowed = true;
    struct engine *g = k->file->home.engine;
    size_t before = g->steps_left, left = before;
    if (v->kind == VALUE_ARRAY && !holds_arrays)
        for (size_t i = 0; i < v->count; i++)
            allowed = allowed && in_list(list, v->items[i], &left);
    else
        allowed = in_list(list, v, &left);
    if (engine_steps(g, left ? before - left : before + 1, k->err) < 0)
        return -1;
    if (allowed)
        return 0;
    struct str s;
    str_init(&s, 400);
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            str_putc(&s, ',');
        if (list->items[i]->kind == VALUE_TEXT)
            str_append(&s, list->items[i]->text, list->items[i]->count);
        else
            value_print(&s, list->items[i], '"');
    }
    int rc = not_allowed(k, v, path,
                         "The parameter value is not part of the allowed value(s): '%s'.", s.data);
    str_done(&s);
    return rc;
}

static int check_range(struct check *k, const struct value *schema, const struct value *v,
                       const char *path)
{
    bool is_int = v->kind == VALUE_INT;
    const struct value *min = value_get(schema, is_int ? "minValue" : "minLength");
    const struct value *max = value_get(schema, is_int ? "maxValue" : "maxLength");
    const char *subject = is_int ? "The value" : "Length of the value";
    int64_t n = is_int ? v->integer : (int64_t)v->count;
    if (v->kind == VALUE_TEXT)
        n = (int64_t)utf16_length(v->text, v->count);
    else if (!is_int && v->kind != VALUE_ARRAY)
        return 0;
    if (value_is(min, VALUE_INT) && n < min->integer)
        return not_allowed(k, v, path, "%s should be greater than or equal to '%" PRId64 "'.",
                           subject, min->integer);
    if (value_is(max, VALUE_INT) && n > max->integer)
        return not_allowed(k, v, path, "%s should be less than or equal to '%" PRId64 "'.", subject,
                           max->integer);
    return 0;
}

static int check_items(struct check *k, const struct value *schema, const struct value *v,
                       const char *path)
{
    const struct value *prefix = value_get(schema, "prefixItems");
    const struct value *items = value_get(schema, "items");
    size_t fixed = value_is(prefix, VALUE_ARRAY) ? prefix->count : 0;
    for (size_t i = 0; i < v->count; i++) {
        const struct value *each = i < fixed ? prefix->items[i] : items;
        char *below = arena_printf(k->file->home.engine->arena, "%s[%zu]", path, i);
        if (value_is(each, VALUE_BOOL) && !each->boolean)
            return not_allowed(k, v->items[i], below, "The array may not have this element.");
        if (value_is(each, VALUE_OBJECT) && check(k, each, v->items[i], below) < 0)
            return -1;
    }
    return 0;
}

/* The schema that the discriminator picks for v; NULL when the schema has none. */
static int pick_variant(struct check *k, const struct value *schema, const struct value *v,
                        const char *path, const struct value **ret)
{
    const struct value *discriminator = value_get(schema, "discriminator");
    const char *property = value_string(value_get(discriminator, "propertyName"));
    *ret = NULL;
    if (!property)
        return 0;
    const char *tag = value_string(value_get(v, property));
    *ret = tag ? value_get(value_get(discriminator, "mapping"), tag) : NULL;
    if (*ret || (v->marks & MARK_DEFERRED))
        return 0;
    return not_allowed(k, v, path, "The property '%s' does not name one of the known types.",
                       property);
}

static int check_members(struct check *k, const struct value *schema, const struct value *v,
                         const char *path)
{
    struct arena *a = k->file->home.engine->arena;
    const struct value *properties = value_get(schema, "properties");
    const struct value *others = value_get(schema, "additionalProperties");
    for (size_t i = 0; value_is(properties, VALUE_OBJECT) && i < properties->count; i++) {
        const struct member *p = &properties->members[i];
        const struct member *m = value_member(v, p->key, p->key_len);
        const struct value *resolved;
        if (engine_steps(k->file->home.engine, v->count / 32, k->err) < 0 ||
            types_resolve(k->file, p->value, &resolved, k->err) < 0)
            return -1;
        if (!m && !types_is_nullable(resolved))
            return not_allowed(k, v, path, "The required property '%s' is missing.", p->key);
        char *below = *path ? arena_printf(a, "%s.%s", path, p->key) : arena_strdup(a, p->key);
        if (m && check(k, resolved, m->value, below) < 0)
            return -1;
    }
    for (size_t i = 0; others && i < v->count; i++) {
        const struct member *m = &v->members[i];
        if (engine_steps(k->file->home.engine, 1, k->err) < 0)
            return -1;
        if (value_is(properties, VALUE_OBJECT) && value_member(properties, m->key, m->key_len))
            continue;
        if (value_is(others, VALUE_BOOL) && !others->boolean)
            return not_allowed(k, v, path, "The property '%s' is not allowed.", m->key);
        char *below = arena_printf(a, "%s%s%s", path, *path ? "." : "", m->key);
        if (value_is(others, VALUE_OBJECT) && check(k, others, m->value, below) < 0)
            return -1;
    }
    return 0;
}

static int check_object(struct check *k, const struct value *schema, const struct value *v,
                        const char *path)
{
    const struct value *variant;
    if (pick_variant(k, schema, v, path, &variant) < 0)
        return -1;
    if (variant)
        return check(k, variant, v, path);
    return check_members(k, schema, v, path);
}

static int check_kind(struct check *k, const struct type_row *row, const struct value *v)
{
    bool fits = v->kind == (uint8_t)row->kind;
    if (row->kind == VALUE_INT && v->kind == VALUE_FLOAT)
        fits = strtod(v->text, NULL) == (double)(int64_t)strtod(v->text, NULL);
    if (fits)
        return 0;
    return fail(k->err, &E_TEMPLATE_EXPRESSION,
                "Template %s JToken type is not valid. Expected '%s'. Actual '%s'." USAGE(
                    "arm-deploy/#parameter-file"),
                strstr(k->what, "output") ? "output" : "parameter", row->expected,
                value_kind_name(v));
}

static int check(struct check *k, const struct value *schema, const struct value *v,
                 const char *path)
{
    const struct value *resolved;
    if (engine_steps(k->file->home.engine, 1, k->err) < 0 ||
        types_resolve(k->file, schema, &resolved, k->err) < 0)
        return -1;
    if (v->kind == VALUE_DEFERRED || (v->kind == VALUE_NULL && types_is_nullable(resolved)))
        return 0;
    if (++k->depth > CHECK_DEPTH_MAX)
        return fail(k->err, &E_TEMPLATE_BUDGET, "A type of the template is nested too deeply.");
    const struct type_row *row = type_row(resolved);
    bool was_secret = k->is_secret;
    k->is_secret = was_secret || (row && row->is_secure);
    int rc = row ? check_kind(k, row, v) : 0;
    if (rc == 0)
        rc = check_allowed(k, resolved, v, path);
    if (rc == 0)
        rc = check_range(k, resolved, v, path);
    if (rc == 0 && v->kind == VALUE_ARRAY)
        rc = check_items(k, resolved, v, path);
    if (rc == 0 && v->kind == VALUE_OBJECT)
        rc = check_object(k, resolved, v, path);
    k->is_secret = was_secret;
    k->depth--;
    return rc;
}

int types_accept(struct template_file *f, const struct value *schema, const struct value *v,
                const char *what, struct error *err)
{
    struct check k = { .file = f, .what = what, .err = err };
    return check(&k, schema, v, "");
}

static const struct value *mark(struct template_file *f, const struct value *schema,
                                const struct value *v, int depth);

static const struct value *mark_items(struct template_file *f, const struct value *schema,
                                      const struct value *v, int depth)
{
    struct arena *a = f->home.engine->arena;
    const struct value *prefix = value_get(schema, "prefixItems");
    const struct value *items = value_get(schema, "items");
    size_t fixed = value_is(prefix, VALUE_ARRAY) ? prefix->count : 0;
    if (!fixed && !value_is(items, VALUE_OBJECT))
        return v;
    const struct value **list = arena_array(a, v->count ? v->count : 1, sizeof(*list));
    for (size_t i = 0; i < v->count; i++) {
        const struct value *each = i < fixed ? prefix->items[i] : items;
        list[i] = value_is(each, VALUE_OBJECT) ? mark(f, each, v->items[i], depth) : v->items[i];
    }
    return value_at(a, value_array(a, list, v->count), v->at);
}

static const struct value *mark_members(struct template_file *f, const struct value *schema,
                                        const struct value *v, int depth)
{
    struct arena *a = f->home.engine->arena;
    const struct value *discriminator = value_get(schema, "discriminator");
    const char *property = value_string(value_get(discriminator, "propertyName"));
    const char *tag = property ? value_string(value_get(v, property)) : NULL;
    const struct value *variant = tag ? value_get(value_get(discriminator, "mapping"), tag) : NULL;
    const struct value *properties = value_get(schema, "properties");
    const struct value *others = value_get(schema, "additionalProperties");
    if (variant)
        return mark(f, variant, v, depth);
    if (!value_is(properties, VALUE_OBJECT))
        properties = &value_empty_object;
    if (!properties->count && !value_is(others, VALUE_OBJECT))
        return v;
    struct object_builder b;
    object_start(&b, a, v->count);
    for (size_t i = 0; i < v->count; i++) {
        const struct member *m = &v->members[i];
        const struct member *p = value_member(properties, m->key, m->key_len);
        const struct value *each = p ? p->value : others;
        object_push(&b, m->key, m->key_len,
                    value_is(each, VALUE_OBJECT) ? mark(f, each, m->value, depth) : m->value);
    }
    return value_at(a, object_end(&b), v->at);
}

static const struct value *mark(struct template_file *f, const struct value *schema,
                                const struct value *v, int depth)
{
    const struct value *resolved;
    struct error *ignored = engine_scratch(f->home.engine);
    if (depth > CHECK_DEPTH_MAX || types_resolve(f, schema, &resolved, ignored) < 0)
        return v;
    const struct type_row *row = type_row(resolved);
    if (row && row->is_secure)
        return value_mark(f->home.engine->arena, v, MARK_SECURE);
    if (v->kind == VALUE_OBJECT)
        return mark_members(f, resolved, v, depth + 1);
    return v->kind == VALUE_ARRAY ? mark_items(f, resolved, v, depth + 1) : v;
}

const struct value *types_mark(struct template_file *f, const struct value *schema,
                               const struct value *v)
{
    return mark(f, schema, v, 0);
}
