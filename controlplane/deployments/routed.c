/* Types beside the tables: see the header. */
#include "controlplane/deployments/routed.h"

#include <string.h>
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/language/template.h"

#include "controlplane/api/local.h"

#define PROVIDERS "/providers/"
#define POLICIES "/accessPolicies/"

static const char *const types[] = {
    "Microsoft.Authorization/locks",
    "Microsoft.Authorization/roleAssignments",
    "Microsoft.Authorization/roleDefinitions",
    "Microsoft.Insights/diagnosticSettings",
    "Microsoft.KeyVault/vaults/accessPolicies",
    "Microsoft.Resources/tags",
};

static const char *last_provider(const char *id)
{
    const char *at = NULL;

    for (const char *p = id; (p = strcasestr(p, PROVIDERS)) != NULL; p++)
        at = p;
    return at;
}

const char *routed_node_type(struct arena *a, const struct plan_node *n)
{
    const char *at = last_provider(n->id);
    char **parts = NULL;
    struct str out;
    size_t count;
    char *type;

    if (!at || !strcasestr(n->type, PROVIDERS))
        return n->type;
    count = text_split(a, at + strlen(PROVIDERS), '/', &parts);
    str_init(&out, strlen(n->id) + 1);
    str_puts(&out, parts[0]);
    for (size_t i = 1; i < count; i += 2)
        str_printf(&out, "/%s", parts[i]);
    type = str_copy(&out, a);
    str_done(&out);
    return type;
}

bool routed_has(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (text_eq_nocase(types[i], type))
            return true;
    return false;
}

bool routed_has_namespace(const char *type)
{
    size_t len = strcspn(type, "/");

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcspn(types[i], "/") == len && strncasecmp(types[i], type, len) == 0)
            return true;
    return false;
}

/* A vault, of which a node changes the policies; NULL for any other node. */
static const char *vault_of(struct arena *a, const struct plan_node *n)
{
    const char *at = strcasestr(n->id, POLICIES);

    return at ? arena_strndup(a, n->id, (size_t)(at - n->id)) : NULL;
}

const char *routed_scope(struct arena *a, const struct plan_node *n)
{
    const char *vault = vault_of(a, n), *at = last_provider(n->id);

    return vault ? vault : arena_strndup(a, n->id, at ? (size_t)(at - n->id) : 0);
}

/* The part of `now` that `wanted` speaks of. */
struct part {
    const struct json_object *now;
    struct json_object *out;
};

static struct json_object *part_of(const struct json_object *now,
                                   const struct json_object *wanted);

static void take_part(void *ctx, const char *key, struct json_object *value)
{
    struct part *p = ctx;
    struct json_object *now = json_at(p->now, key), *out = p->out;

    if (now)
        json_set(out, key, part_of(now, value));
}

static struct json_object *part_of(const struct json_object *now,
                                   const struct json_object *wanted)
{
    struct part p = { .now = now };

    if (json_kind(now) == JSON_ARRAY && json_kind(wanted) == JSON_ARRAY) {
        p.out = json_new_array();
        for (size_t i = 0; i < json_count(now); i++)
            json_add(p.out, part_of(json_item(now, i), json_item(wanted, i)));
        return p.out;
    }
    if (json_kind(now) != JSON_OBJECT || json_kind(wanted) != JSON_OBJECT)
        return json_copy(now);
    p.out = json_new_object();
    json_each(wanted, take_part, &p);
    return p.out;
}

/* The enumerations among these, of locks and of role definitions, are taken without case. */
static void take_spelling(struct json_object *now, const struct json_object *wanted)
{
    static const char *const members[] = { "properties.level", "properties.type" };

    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const char *spelled = json_text(wanted, members[i]);

        if (spelled && text_eq_nocase(json_text(now, members[i]), spelled))
            json_put_at(now, members[i], json_new_text(spelled));
    }
}

/* Access policies ------------------------------------------------------------------------------ */

static bool lists(const struct json_object *list, const char *name)
{
    for (size_t i = 0; i < json_count(list); i++)
        if (text_eq_nocase(json_text(json_item(list, i), ""), name))
            return true;
    return false;
}

struct permissions {
    const struct json_object *has;
    bool all, any;
};

static void compare_kind(void *ctx, const char *kind, struct json_object *wanted)
{
    struct permissions *p = ctx;

    for (size_t i = 0; i < json_count(wanted); i++) {
        bool has = lists(json_at(p->has, kind), json_text(json_item(wanted, i), ""));

        p->all = p->all && has;
        p->any = p->any || has;
    }
}

static struct json_object *policy_of(const struct json_object *policies,
                                     const struct json_object *wanted)
{
    for (size_t i = 0; i < json_count(policies); i++)
        if (text_eq_nocase(json_text(json_item(policies, i), "objectId"),
                           json_text(wanted, "objectId")))
            return json_item(policies, i);
    return NULL;
}

/* As if the vault had been asked for these very policies: itself what is so already, else what the
 * vault has for the same principal. */
static struct json_object *policies_now(const struct json_object *vault, bool is_removal,
                                        const struct json_object *wanted)
{
    const struct json_object *policies = json_at(vault, "properties.accessPolicies");
    const struct json_object *list = json_at(wanted, "properties.accessPolicies");
    struct json_object *out = json_new_object(), *now = json_new_array();

    json_put_at(out, "properties.accessPolicies", now);
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json_object *one = json_item(list, i);
        struct json_object *has = policy_of(policies, one);
        struct permissions p = { .has = json_at(has, "permissions"), .all = has != NULL };

        json_each(json_at(one, "permissions"), compare_kind, &p);
        if (is_removal ? !p.any : p.all)
            json_add(now, json_copy(one));
        else if (has)
            json_add(now, json_copy(has));
    }
    return out;
}

int routed_read(struct arm_call *x, const struct plan_node *n, const struct json_object *wanted,
                struct json_object **ret, struct error *err)
{
    const char *vault = vault_of(x->arena, n);

    *ret = NULL;
    x->method = "GET";
    x->path = vault ? vault : n->id;
    if (arm_call(x, err))
        return -1;
    if (!arm_call_is_good(x))
        return 0;
    if (vault) {
        *ret = policies_now(x->answer, text_eq_nocase(strrchr(n->id, '/'), "/remove"), wanted);
    } else {
        *ret = part_of(x->answer, wanted);
        take_spelling(*ret, wanted);
    }
    (void)json_own(x->arena, *ret);
    return 0;
}
