/* The canonical form behind templateHash: known members first in a fixed order on the two upper
 * levels, file order below. */
#include "templates/language/canonical.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "templates/functions/casing.h"
#include "templates/functions/hashes.h"
#include "templates/language/engine.h"
#include "templates/language/template.h"

static const char *const top_first[] = { "$schema", "languageVersion", "contentVersion", NULL };
static const char *const top_last[] = { "parameters", "functions", "variables", "resources",
                                        "outputs",    "metadata",  NULL };
static const char *const parameter_order[] = { "defaultValue", "allowedValues", "minValue",
                                               "maxValue",     "minLength",     "maxLength",
                                               "type",         "metadata",      NULL };
static const char *const output_order[] = { "copy", "type", "value", "metadata", NULL };
static const char *const resource_order[] = {
    "import",        "extension",  "type",      "apiVersion", "name",
    "existing",      "location",   "dependsOn", "tags",       "extendedLocation",
    "sku",           "zones",      "plan",      "kind",       "managedBy",
    "identity",      "properties", "scope",     "metadata",   "subscriptionId",
    "resourceGroup", "copy",       "condition", NULL
};
static const char *const none[] = { NULL };

static bool named(const char *const *list, const struct member *m)
{
    for (; *list; list++)
        if (text_same_nocase(*list, strlen(*list), m->key, m->key_len))
            return true;
    return false;
}

static void push(struct object_builder *b, const struct member *m)
{
    object_push(b, m->key, m->key_len, m->value);
}

static void push_listed(struct object_builder *b, const struct value *o, const char *const *list)
{
    for (; *list; list++) {
        const struct member *m = value_member(o, *list, strlen(*list));
        if (m)
            push(b, m);
    }
}

/* first…, the others in file order, last… */
static const struct value *ordered(struct arena *a, const struct value *o, const char *const *first,
                                   const char *const *last)
{
    if (o->kind != VALUE_OBJECT)
        return o;
    struct object_builder b;
    object_start(&b, a, o->count);
    push_listed(&b, o, first);
    for (size_t i = 0; i < o->count; i++)
        if (!named(first, &o->members[i]) && !named(last, &o->members[i]))
            push(&b, &o->members[i]);
    push_listed(&b, o, last);
    return object_end(&b);
}

/* Every member (or item) of a section in an order of its own. */
static const struct value *section(struct arena *a, const struct value *v, const char *const *order)
{
    if (v->kind == VALUE_ARRAY) {
        const struct value **items = arena_array(a, v->count ? v->count : 1, sizeof(*items));
        for (size_t i = 0; i < v->count; i++)
            items[i] = ordered(a, v->items[i], order, none);
        return value_array(a, items, v->count);
    }
    if (v->kind != VALUE_OBJECT)
        return v;
    struct object_builder b;
    object_start(&b, a, v->count);
    for (size_t i = 0; i < v->count; i++)
        object_push(&b, v->members[i].key, v->members[i].key_len,
                    ordered(a, v->members[i].value, order, none));
    return object_end(&b);
}

/* o without the member `key`. */
static const struct value *without(struct arena *a, const struct value *o, const char *key)
{
    struct object_builder b;
    object_start(&b, a, o->count);
    for (size_t i = 0; i < o->count; i++)
        if (!text_same_nocase(o->members[i].key, o->members[i].key_len, key, strlen(key)))
            push(&b, &o->members[i]);
    return object_end(&b);
}

static const struct value *metadata(struct arena *a, const struct value *v)
{
    const struct value *generator = value_get(v, "_generator");
    if (!generator || !value_get(generator, "templateHash"))
        return v;
    struct object_builder b;
    object_start(&b, a, v->count);
    for (size_t i = 0; i < v->count; i++) {
        struct member m = v->members[i];
        if (m.value == generator)
            m.value = without(a, generator, "templateHash");
        push(&b, &m);
    }
    return object_end(&b);
}

static const struct value *canonical_member(struct arena *a, const struct member *m)
{
    if (text_same_nocase(m->key, m->key_len, "parameters", 10))
        return section(a, m->value, parameter_order);
    if (text_same_nocase(m->key, m->key_len, "outputs", 7))
        return section(a, m->value, output_order);
    if (text_same_nocase(m->key, m->key_len, "metadata", 8))
        return metadata(a, m->value);
    if (!text_same_nocase(m->key, m->key_len, "resources", 9))
        return m->value;
    bool is_empty = m->value->kind == VALUE_OBJECT && !m->value->count;
    return is_empty ? &value_empty_array : section(a, m->value, resource_order);
}

const char *canonical_hash(struct engine *e, const struct value *root, const char **ret_minified)
{
    struct arena *a = e->arena;
    const struct value *top = ordered(a, root, top_first, top_last);
    struct object_builder b;
    object_start(&b, a, top->count);
    for (size_t i = 0; i < top->count; i++)
        object_push(&b, top->members[i].key, top->members[i].key_len,
                    canonical_member(a, &top->members[i]));
    struct str s;
    str_init(&s, TEMPLATE_BYTES_MAX * 6);
    value_print(&s, object_end(&b), '"');
    size_t len;
    const char *upper = casing_convert(e, s.data, s.len, true, &len);
    str_done(&s);
    if (ret_minified)
        *ret_minified = upper;
    return arena_printf(a, "%" PRIu64, hash_template(upper, len));
}
