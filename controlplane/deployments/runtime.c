/* reference() and list*() at run time: see the header. */
#include "controlplane/deployments/runtime.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/language/template.h"
#include "templates/language/value.h"

#include "controlplane/api/local.h"
#include "controlplane/deployments/failure.h"
#include "controlplane/deployments/secrets.h"

#define DEPLOYMENT_TYPE "Microsoft.Resources/deployments"
#define DEPLOYMENTS_VERSION "2021-04-01"

static int ask(struct asker *x, const char *method, const char *path, const char *version,
               const struct json_object *body, struct json_object **ret, struct error *err)
{
    struct arm_call call = {
        .arena = x->arena,
        .app = x->app,
        .caller = x->caller,
        .correlation_id = x->correlation_id,
        .peer_text = x->peer_text,
        .method = method,
        .path = path,
        .api_version = version ? version : DEPLOYMENTS_VERSION,
        .body = body,
    };
    const char *message;

    if (arm_call(&call, err))
        return -1;
    if (arm_call_is_good(&call)) {
        *ret = call.answer;
        return 0;
    }
    if (call.status >= 500)
        return fail(err, &E_UNAVAILABLE, "The resource '%.300s' could not be read; try again.",
                    path);
    x->failure = call.answer;
    message = json_text(call.answer, "message");
    return fail(err, &E_DEPLOYMENT_REFERENCE, "%.900s",
                message ? message : "The resource could not be read.");
}

static void move(const struct json_object *from, const char *name, struct json_object *to)
{
    if (json_has(from, name))
        json_set(to, name, json_get(json_at(from, name)));
}

/* "NS/type/name" and the group's name, from an id. */
static void put_place(struct asker *x, const char *id, struct json_object *out)
{
    const char *provider = NULL;
    char **parts = NULL;
    size_t count = text_split(x->arena, id, '/', &parts);

    for (const char *p = id; (p = strcasestr(p, "/providers/")) != NULL; p++)
        provider = p;
    if (count > 2 && text_eq_nocase(parts[1], "subscriptions"))
        json_set_text(out, "subscriptionId", parts[2]);
    if (count > 4 && text_eq_nocase(parts[3], "resourceGroups"))
        json_set_text(out, "resourceGroupName", parts[4]);
    if (provider)
        json_set_text(out, "resourceId", provider + strlen("/providers/"));
}

static struct json_object *full(struct asker *x, const char *id, const char *version,
                                const struct json_object *answer)
{
    static const char *const members[] = { "location", "sku",      "tags",  "kind",
                                           "identity", "zones",    "plan",  "properties" };
    struct json_object *out = json_new_object();

    if (version)
        json_set_text(out, "apiVersion", version);
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        move(answer, members[i], out);
    put_place(x, id, out);
    if (version)
        json_set_text(out, "referenceApiVersion", version);
    json_set_bool(out, "condition", true);
    json_set_bool(out, "isConditionTrue", true);
    json_set_bool(out, "isTemplateResource", false);
    json_set_bool(out, "isAction", false);
    json_set_text(out, "provisioningOperation", "Read");
    return out;
}

static int reference(void *ctx, const char *id, const char *api_version, bool is_full,
                     struct json_object **ret, struct error *err)
{
    struct asker *x = ctx;
    struct json_object *answer = NULL;

    if (ask(x, "GET", id, api_version, NULL, &answer, err))
        return -1;
    if (is_full)
        *ret = full(x, id, api_version, answer);
    else
        *ret = json_has(answer, "properties") ? json_get(json_at(answer, "properties"))
                                              : json_new_object();
    return 0;
}

static int list(void *ctx, const char *function, const char *id, const char *api_version,
                const struct json_object *body, struct json_object **ret, struct error *err)
{
    struct asker *x = ctx;
    struct json_object *answer = NULL;

    if (ask(x, "POST", arena_printf(x->arena, "%s/%s", id, function), api_version, body, &answer,
            err))
        return -1;
    x->asked = arena_printf(x->arena, "%s\n%s", x->asked ? x->asked : "", id);
    /* Here names and the like would mask ordinary words; only what is called secret is masked. */
    if (x->secrets && json_has(answer, "passwords"))
        for (size_t i = 0; i < json_count(json_at(answer, "passwords")); i++)
            secrets_add(x->secrets,
                        json_at(json_item(json_at(answer, "passwords"), i), "value"));
    *ret = answer ? json_get(answer) : NULL;
    return 0;
}

/* What list*() put into a body: an error that quotes the body must not show it. Parts of the ids
 * that were asked, such as a registry's name, are no secrets. */
static void keep_secret(struct asker *x, const struct value *v)
{
    struct secrets made = { .arena = x->arena };

    secrets_add_marked(&made, v);
    for (size_t i = 0; i < made.count; i++)
        if (!x->asked || !strcasestr(x->asked, made.items[i]))
            secrets_add(x->secrets, json_own(x->arena, json_new_text(made.items[i])));
}

static int resolve(struct asker *x, const struct template_context *context,
                   const struct json_object *json, struct json_object **ret, char ***ret_paths,
                   size_t *ret_secure, struct error *err)
{
    const struct template_runtime runtime = { .ctx = x, .reference = reference, .list = list };
    struct template_context with = *context;
    const struct value *v;

    with.runtime = &runtime;
    x->failure = NULL;
    x->asked = NULL;
    if (template_resolve_value(x->arena, json, &with, &v, err))
        return -1;
    if (ret_paths)
        *ret_secure = template_secure_paths(x->arena, v, ret_paths);
    else if (x->secrets)
        keep_secret(x, v);
    *ret = json_own(x->arena, template_json_final(v));
    return 0;
}

int runtime_value(struct asker *x, const struct template_context *context,
                  const struct value *value, struct json_object **ret, char ***ret_paths,
                  size_t *ret_secure, struct error *err)
{
    *ret_secure = 0;
    if (!template_is_deferred(value)) {
        *ret = json_own(x->arena, template_json_final(value));
        *ret_secure = template_secure_paths(x->arena, value, ret_paths);
        return 0;
    }
    return resolve(x, context, json_own(x->arena, template_json(value, false)), ret, ret_paths,
                   ret_secure, err);
}

/* The template inside a deployment, as text: its expressions are its own. */
static int inner_template(struct asker *x, const struct template_context *context,
                          const struct value *template, struct json_object **ret,
                          struct error *err)
{
    if (template->kind == VALUE_DEFERRED)
        return resolve(x, context, json_own(x->arena, template_json(template, false)), ret, NULL,
                       NULL, err);
    *ret = json_own(x->arena, template_json_final(template));
    return 0;
}

int runtime_body(struct asker *x, const struct template_context *context,
                 const struct value *body, struct json_object **ret, struct error *err)
{
    bool is_deployment = text_eq_nocase(value_string(value_get(body, "type")), DEPLOYMENT_TYPE);
    const struct value *properties = is_deployment ? value_get(body, "properties") : NULL;
    const struct value *template =
        value_is(properties, VALUE_OBJECT) ? value_get(properties, "template") : NULL;
    struct json_object *json, *inner = NULL;

    if (!template) {
        if (!template_is_deferred(body)) {
            *ret = json_own(x->arena, template_json_final(body));
            return 0;
        }
        return resolve(x, context, json_own(x->arena, template_json(body, false)), ret, NULL, NULL,
                       err);
    }
    json = json_own(x->arena, template_json(body, false));
    json_unset(json_at(json, "properties"), "template");
    if (resolve(x, context, json, ret, NULL, NULL, err) ||
        inner_template(x, context, template, &inner, err))
        return -1;
    json_set(json_at(*ret, "properties"), "template", json_get(inner));
    return 0;
}
