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

/* The built-in roles of this service, under the ids that Azure publishes; a test compares them with
 * those the service assigns. */
static const struct {
    const char *name, *id;
} roles[] = {
    { "AcrDelete", "c2f4ef07-c644-48eb-af81-4b1b4947fb11" },
    { "AcrImageSigner", "6cef56e8-d556-48e5-a04f-b8e64114680f" },
    { "AcrPull", "7f951dda-4ed3-4680-a7ca-43fe172d538d" },
    { "AcrPush", "8311e382-0749-4cb8-b61a-304f252e45ec" },
    { "AcrQuarantineReader", "cdda3590-29a3-44f6-95f2-9f980659eb04" },
    { "AcrQuarantineWriter", "c8d4ff99-41c3-41a8-9f60-21dfdad59608" },
    { "Container Registry Cache Rule Administrator", "df87f177-bb12-4db1-9793-a413691eff94" },
    { "Container Registry Cache Rule Reader", "c357b964-0002-4b64-a50d-7a28f02edc52" },
    { "Container Registry Configuration Reader and Data Access Configuration Reader",
      "69b07be0-09bf-439a-b9a6-e73de851bd59" },
    { "Container Registry Contributor and Data Access Configuration Administrator",
      "3bc748fc-213d-45c1-8d91-9da5725539b9" },
    { "Container Registry Credential Set Administrator", "f094fb07-0703-4400-ad6a-e16dd8000e14" },
    { "Container Registry Credential Set Reader", "29093635-9924-4f2c-913b-650a12949526" },
    { "Container Registry Data Importer and Data Reader", "577a9874-89fd-4f24-9dbd-b5034d0ad23a" },
    { "Container Registry Repository Catalog Lister", "bfdb9389-c9a5-478a-bb2f-ba9ca092c3c7" },
    { "Container Registry Repository Contributor", "2efddaa5-3f1f-4df3-97df-af3f13818f4c" },
    { "Container Registry Repository Reader", "b93aa761-3e63-49ed-ac28-beffa264f7ac" },
    { "Container Registry Repository Writer", "2a1e307c-b015-4ebd-883e-5b7698a07328" },
    { "Container Registry Tasks Contributor", "fb382eab-e894-4461-af04-94435c366c3f" },
    { "Container Registry Transfer Pipeline Contributor", "bf94e731-3a51-4a7c-8c54-a1ab9971dfc1" },
    { "Contributor", "b24988ac-6180-42a0-ab88-20f7382dd24c" },
    { "Key Vault Administrator", "00482a5a-887f-4fb3-b363-3b7fe8e74483" },
    { "Key Vault Contributor", "f25e0fa2-a7c8-4377-a976-54943a77a395" },
    { "Key Vault Crypto Officer", "14b46e9e-c2b7-41b4-b07b-48a6ebf60603" },
    { "Key Vault Crypto Service Encryption User", "e147488a-f6f5-4113-8e2d-b22465e65bf6" },
    { "Key Vault Crypto User", "12338af0-0e69-4776-bea7-57ae8d297424" },
    { "Key Vault Purge Operator", "a68e7c17-0ab2-4c09-9a58-125dae29748c" },
    { "Key Vault Reader", "21090545-7ca7-4776-b22c-e363652d74d2" },
    { "Key Vault Secrets Officer", "b86a8fe4-44ce-4948-aee5-eccb2c155cd7" },
    { "Key Vault Secrets User", "4633458b-17de-408a-b874-0445c86b69e6" },
    { "Managed Identity Operator", "f1a07417-d97a-45cb-824c-7a7467783830" },
    { "Owner", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635" },
    { "Reader", "acdd72a7-3385-48ef-bd42-f606fba81ae7" },
    { "Role Based Access Control Administrator", "f58310d9-a9f6-439a-9e8d-f62e7b41a168" },
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
