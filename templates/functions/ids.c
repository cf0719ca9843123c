/* Resource ids by scope. Names and types keep the case they were given in. */
#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"
#include "templates/language/faults.h"
#include "templates/language/template.h"

/* The index of the first argument with a '/', the type; all arguments must be strings. */
static int find_type(struct call *c, size_t first, size_t *ret, struct error *err)
{
    *ret = c->argc;
    for (size_t i = c->argc; i-- > 0;) {
        const struct value *s;
        if (arg_text(c, i, &s, err) < 0)
            return -1;
        if (i >= first && strchr(s->text, '/'))
            *ret = i;
    }
    if (*ret < c->argc)
        return 0;
    return call_fail(c, err,
                     "function requires a fully qualified resource type 'namespace/type' "
                     "before the resource names.");
}

/* /providers/ns/t1/n1/t2/n2 of the type at index `at` and the names after it. */
static int put_provider_path(struct call *c, struct str *out, size_t at, struct error *err)
{
    const char *type = c->args[at]->text;
    char **segments;
    size_t count = text_split(c->arena, type, '/', &segments);
    while (count && !*segments[count - 1])
        count--; /* a trailing slash */
    size_t names = c->argc - at - 1;
    if (count < 2 || count - 1 != names)
        return fail(
            err, &E_TEMPLATE_EXPRESSION,
            "Unable to evaluate template language function '%s': the type '%s' requires "
            "'%zu' resource name argument(s)." USAGE("arm-template-expressions/#resourceid"),
            c->fn->name, type, count ? count - 1 : 0);
    str_printf(out, "/providers/%s", segments[0]);
    for (size_t i = 1; i < count; i++)
        str_printf(out, "/%s/%s", segments[i], c->args[at + i]->text);
    return 0;
}

static int finish(struct call *c, struct str *prefix, size_t at, const struct value **ret,
                  struct error *err)
{
    int rc = put_provider_path(c, prefix, at, err);
    if (rc == 0)
        rc = call_str(c, prefix, ret, err);
    str_done(prefix);
    return rc;
}

static int check_subscription(const char *s, struct error *err)
{
    if (uuid_is_valid(s))
        return 0;
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The provided value '%s' is not valid subscription identifier." USAGE(
                    "arm-template-expressions/#resourceid"),
                s);
}

/* Which subscription and group an id is in: what the leading arguments say, else the scope's. */
static int leading(struct call *c, size_t count, const char **subscription, const char **group,
                   struct error *err)
{
    const struct template_context *x = c->env->scope;
    *subscription = x->scope <= SCOPE_SUBSCRIPTION ? x->subscription_id : NULL;
    *group = x->scope == SCOPE_RESOURCE_GROUP ? x->resource_group : NULL;
    if (count > 2)
        return call_fail(c, err,
                         "at most a subscription id and a resource group name may stand "
                         "before the resource type.");
    const char *first = count ? c->args[0]->text : NULL;
    if (count == 2) {
        *subscription = first;
        *group = c->args[1]->text;
    } else if (count == 1 && x->scope == SCOPE_RESOURCE_GROUP) {
        *group = first;
    } else if (count == 1) {
        *subscription = first;
    }
    bool given = count == 2 || (count == 1 && x->scope != SCOPE_RESOURCE_GROUP);
    return given ? check_subscription(*subscription, err) : 0;
}

int fn_resource_id(struct call *c, const struct value **ret, struct error *err)
{
    const char *subscription, *group;
    size_t at;
    if (find_type(c, 0, &at, err) < 0 || leading(c, at, &subscription, &group, err) < 0)
        return -1;
    struct str s;
    str_init(&s, ENGINE_TEXT_MAX);
    if (subscription)
        str_printf(&s, "/subscriptions/%s", subscription);
    if (subscription && group)
        str_printf(&s, "/resourceGroups/%s", group);
    return finish(c, &s, at, ret, err);
}

int fn_subscription_resource_id(struct call *c, const struct value **ret, struct error *err)
{
    size_t at;
    if (find_type(c, 0, &at, err) < 0)
        return -1;
    if (at > 1)
        return call_fail(c, err, "at most a subscription id may stand before the resource type.");
    const char *subscription = at ? c->args[0]->text : c->env->scope->subscription_id;
    if (at && check_subscription(subscription, err) < 0)
        return -1;
    if (!subscription)
        return call_fail(c, err, "the deployment has no subscription; give one.");
    struct str s;
    str_init(&s, ENGINE_TEXT_MAX);
    str_printf(&s, "/subscriptions/%s", subscription);
    return finish(c, &s, at, ret, err);
}

int fn_tenant_resource_id(struct call *c, const struct value **ret, struct error *err)
{
    size_t at;
    if (find_type(c, 0, &at, err) < 0)
        return -1;
    if (at)
        return call_fail(c, err, "nothing may stand before the resource type.");
    struct str s;
    str_init(&s, ENGINE_TEXT_MAX);
    return finish(c, &s, at, ret, err);
}

int fn_management_group_resource_id(struct call *c, const struct value **ret, struct error *err)
{
    size_t at;
    if (find_type(c, 0, &at, err) < 0)
        return -1;
    if (at > 1)
        return call_fail(c, err, "at most a management group may stand before the resource type.");
    const char *group = at ? c->args[0]->text : c->env->scope->management_group;
    struct str s;
    str_init(&s, ENGINE_TEXT_MAX);
    if (group)
        str_printf(&s, "/providers/Microsoft.Management/managementGroups/%s", group);
    return finish(c, &s, at, ret, err);
}

int fn_extension_resource_id(struct call *c, const struct value **ret, struct error *err)
{
    size_t at;
    if (find_type(c, 1, &at, err) < 0)
        return -1;
    if (at != 1)
        return call_fail(c, err, "the resource type must be the second parameter.");
    struct str s;
    str_init(&s, ENGINE_TEXT_MAX);
    const struct value *base = c->args[0];
    size_t len = base->count;
    while (len && base->text[len - 1] == '/')
        len--;
    str_append(&s, base->text, len);
    return finish(c, &s, at, ret, err);
}

/* Built-in roles that templates of this service name. */
static const struct {
    const char *name, *id;
} roles[] = {
    { "AcrDelete", "c2f4ef07-c644-48eb-af81-4b1b4947fb11" },
    { "AcrImageSigner", "6cef56e8-d556-48e5-a04f-b8e64114680f" },
    { "AcrPull", "7f951dda-4ed3-4680-a7ca-43fe172d538d" },
    { "AcrPush", "8311e382-0749-4cb8-b61a-304f252e45ec" },
    { "AcrQuarantineReader", "cdda3590-29a3-44f6-95f2-9f980659eb04" },
    { "AcrQuarantineWriter", "c8d4ff99-41c3-41a8-9f60-21dfdad59608" },
    { "Contributor", "b24988ac-6180-42a0-ab88-20f7382dd24c" },
    { "Owner", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635" },
    { "Reader", "acdd72a7-3385-48ef-bd42-f606fba81ae7" },
    { "User Access Administrator", "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9" },
};

int fn_role_definitions(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *name;
    if (arg_text(c, 0, &name, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (!text_eq_nocase(name->text, roles[i].name))
            continue;
        char *id = arena_printf(c->arena, "/providers/Microsoft.Authorization/roleDefinitions/%s",
                                roles[i].id);
        struct object_builder b;
        object_start(&b, c->arena, 2);
        object_puts(&b, "id", value_text(c->arena, id));
        object_puts(&b, "roleDefinitionId", value_text(c->arena, roles[i].id));
        *ret = object_end(&b);
        return 0;
    }
    return call_fail(c, err, "the built-in role '%s' is not known.", name->text);
}
