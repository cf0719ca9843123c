/* What can be known before anything is made: rights, types, versions and bodies of every resource;
 * and what a deployment's answer tells of its plan. */
#include "controlplane/deployments/submission.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/language/template.h"

#include "controlplane/api/local.h"
#include "controlplane/control.h"
#include "controlplane/deployments/body.h"
#include "controlplane/deployments/endpoints.h"
#include "controlplane/deployments/failure.h"
#include "controlplane/deployments/linked.h"
#include "controlplane/deployments/routed.h"
#include "controlplane/identity/identity.h"

#define DEPLOYMENT_TYPE "Microsoft.Resources/deployments"
#define DETAILS_MAX 50
#define DEPENDENCIES_MAX 5000 /* that are told */

/* What is to be made by this very template cannot be there yet. */
static bool is_for_later(const char *code)
{
    return text_eq(code, "ResourceGroupNotFound") || text_eq(code, "ParentResourceNotFound") ||
           text_eq(code, "ResourceNotFound");
}

static void add_detail(struct submission *s, struct json_object *detail)
{
    if (!s->failure) {
        char tracking[UUID_TEXT_LEN + 1];

        uuid_new(tracking);
        s->failure = json_own(
            s->arena,
            failure_new("InvalidTemplateDeployment", NULL,
                        arena_printf(s->arena,
                                     "The template deployment '%s' is not valid according to the "
                                     "validation procedure. The tracking id is '%s'. See inner "
                                     "errors for details.",
                                     s->name, tracking)));
        s->failure_status = 400;
    }
    if (json_count(json_at(s->failure, "details")) < DETAILS_MAX)
        failure_add(s->failure, detail);
    else
        json_put(detail);
}

static void refuse_type(struct submission *s, const struct plan_node *n)
{
    struct arm_type type = arm_type_find(n->type);
    size_t len = strcspn(n->type, "/");
    const char *rest = n->type[len] ? n->type + len + 1 : "";
    const char *version = n->api_version ? n->api_version : "";

    if (type.is_namespace_known || routed_has_namespace(n->type))
        add_detail(s, failure_new("InvalidResourceType", n->id,
                                  arena_printf(s->arena,
                                               "The resource type '%s' could not be found in the "
                                               "namespace '%.*s' for api version '%s'.",
                                               rest, (int)len, n->type, version)));
    else
        add_detail(s, failure_new("NoRegisteredProviderFound", n->id,
                                  arena_printf(s->arena,
                                               "No registered resource provider found for location "
                                               "'%s' and API version '%s' for type '%s'. This "
                                               "service does not provide the namespace '%.*s'.",
                                               n->location ? n->location : "", version, rest,
                                               (int)len, n->type)));
}

bool submission_provides(struct arena *a, const struct plan_node *n)
{
    return routed_has(routed_node_type(a, n)) || arm_type_find(n->type).name;
}

/* Of these, rights on what they are attached to can be told. */
static int check_routed(struct submission *s, const struct plan_node *n, struct error *err)
{
    if (access_check(s->control, s->arena, s->caller,
                     arena_printf(s->arena, "%s/%s", routed_node_type(s->arena, n),
                                  n->is_existing ? "read" : "write"),
                     routed_scope(s->arena, n), err) == 0)
        return 0;
    if (err->code != &E_AUTHORIZATION_FAILED)
        return -1;
    add_detail(s, failure_of(err));
    return 0;
}

static int check_node(struct submission *s, const struct plan_node *n, struct error *err)
{
    struct arm_call call = {
        .arena = s->arena,
        .app = s->app,
        .caller = s->caller,
        .correlation_id = s->correlation_id,
        .peer_text = s->peer_text,
        .method = n->is_existing ? "GET" : "PUT",
        .path = n->id,
        .api_version = n->api_version,
        .depth = ARM_SHALLOW,
    };
    const char *code;

    if (routed_has(routed_node_type(s->arena, n)))
        return check_routed(s, n, err);
    if (!arm_type_find(n->type).name) {
        refuse_type(s, n);
        return 0;
    }
    if (!n->is_existing && !template_is_deferred(n->body)) {
        call.depth = ARM_CHECK;
        call.body = node_body(json_own(s->arena, template_json_final(n->body)));
    }
    if (arm_call(&call, err))
        return -1;
    if (!call.is_known || arm_call_is_good(&call))
        return 0;
    code = json_text(call.answer, "code");
    if (is_for_later(code))
        return 0;
    if (call.status >= 500)
        return fail(err, &E_UNAVAILABLE, "The resource '%s' could not be checked; try again.",
                    n->name);
    if (json_kind(call.answer) == JSON_OBJECT)
        add_detail(s, json_copy(call.answer));
    return 0;
}

static int check_plan(struct submission *s, const struct plan *p, struct error *err);

/* A deployment whose template is linked. */
static int check_linked(struct submission *s, const struct plan_node *n, struct error *err)
{
    struct submission *inner = NULL;
    struct error why = { 0 };
    int rc = linked_plan(s, n, &inner, &why);

    if (rc == 0)
        return 0;
    if (rc < 0 && why.code->status >= 500) {
        *err = why;
        return -1;
    }
    if (rc > 0 && check_plan(inner, inner->plan, err))
        return -1;
    if (rc < 0 || inner->failure)
        add_detail(s, inner->failure ? json_copy(secrets_scrub(&inner->secrets, s->arena,
                                                               inner->failure))
                                     : failure_of(&why));
    return 0;
}

static int check_plan(struct submission *s, const struct plan *p, struct error *err)
{
    for (size_t i = 0; i < p->node_count; i++) {
        const struct plan_node *n = &p->nodes[i];

        if (n->is_skipped)
            continue;
        if (!text_eq_nocase(n->type, DEPLOYMENT_TYPE)) {
            if (check_node(s, n, err))
                return -1;
            continue;
        }
        if (access_check(s->control, s->arena, s->caller, deployment_put_one.right, n->id, err)) {
            if (err->code != &E_AUTHORIZATION_FAILED)
                return -1;
            add_detail(s, failure_of(err));
            continue;
        }
        if (n->nested ? check_plan(s, n->nested, err) : check_linked(s, n, err))
            return -1;
    }
    return 0;
}

int submission_preflight(struct submission *s, struct error *err)
{
    if (text_eq_nocase(s->validation_level, "Template"))
        return 0;
    if (check_plan(s, s->plan, err))
        return -1;
    if (!s->failure)
        return 0;
    s->failure = secrets_scrub(&s->secrets, s->arena, s->failure);
    return fail(err, &E_INVALID, "%s", json_text(s->failure, "message"));
}

/* Shown ---------------------------------------------------------------------------------------- */

static struct json_object *parameters_json(struct submission *s)
{
    struct json_object *out = json_new_object();

    for (size_t i = 0; i < s->plan->parameter_count; i++) {
        const struct plan_parameter *p = &s->plan->parameters[i];
        struct json_object *one = json_new_object();
        char **paths = NULL;

        json_set_text(one, "type", p->type);
        if (json_has(s->references, p->name))
            json_set(one, "reference", json_copy(json_at(s->references, p->name)));
        else if (!p->is_secure && template_secure_paths(s->arena, p->value, &paths))
            json_set(one, "value", template_json(p->value, true));
        else if (!p->is_secure)
            json_set(one, "value", template_json_final(p->value));
        json_set(out, p->name, one);
    }
    return out;
}

static struct json_object *short_node(const struct plan_node *n)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "id", n->id);
    json_set_text(out, "resourceType", n->type);
    json_set_text(out, "resourceName", n->name);
    return out;
}

static struct json_object *dependencies_json(const struct plan *p)
{
    struct json_object *out = json_new_array();
    size_t told = 0;

    for (size_t i = 0; i < p->node_count; i++) {
        const struct plan_node *n = &p->nodes[i];
        struct json_object *one, *on;

        if (n->is_skipped || !n->edge_count)
            continue;
        told += n->edge_count;
        if (told > DEPENDENCIES_MAX)
            break;
        on = json_new_array();
        for (size_t k = 0; k < n->edge_count; k++)
            if (!p->nodes[n->edges[k].node].is_skipped)
                json_add(on, short_node(&p->nodes[n->edges[k].node]));
        one = json_new_object();
        json_set(one, "dependsOn", on);
        json_set_text(one, "id", n->id);
        json_set_text(one, "resourceType", n->type);
        json_set_text(one, "resourceName", n->name);
        json_add(out, one);
    }
    return out;
}

static struct json_object *provider_of(struct json_object *list, const char *name)
{
    struct json_object *one;

    for (size_t i = 0; i < json_count(list); i++)
        if (text_eq_nocase(json_text(json_item(list, i), "namespace"), name))
            return json_item(list, i);
    one = json_new_object();
    json_set_text(one, "namespace", name);
    json_set(one, "resourceTypes", json_new_array());
    json_add(list, one);
    return one;
}

static struct json_object *providers_json(struct submission *s)
{
    struct json_object *out = json_new_array();

    for (size_t i = 0; i < s->plan->node_count; i++) {
        const struct plan_node *n = &s->plan->nodes[i];
        size_t len = strcspn(n->type, "/");
        struct json_object *types, *one, *places;
        bool is_there = false;

        if (n->is_skipped || !n->type[len])
            continue;
        types = json_at(provider_of(out, arena_strndup(s->arena, n->type, len)), "resourceTypes");
        for (size_t k = 0; k < json_count(types) && !is_there; k++)
            is_there = text_eq_nocase(json_text(json_item(types, k), "resourceType"),
                                      n->type + len + 1);
        if (is_there)
            continue;
        one = json_new_object();
        places = json_new_array();
        json_add(places, json_new_text(n->location));
        json_set_text(one, "resourceType", n->type + len + 1);
        json_set(one, "locations", places);
        json_add(types, one);
    }
    return out;
}

struct json_object *submission_shown(struct submission *s)
{
    const struct json_object *properties = json_at(s->request, "properties");
    static const char *const echoed[] = { "templateLink", "parametersLink", "debugSetting",
                                          "onErrorDeployment", "validationLevel" };
    struct json_object *out = json_own(s->arena, json_new_object());

    json_set_text(out, "templateHash", s->plan->template_hash);
    for (size_t i = 0; i < ARRAY_LEN(echoed); i++)
        if (json_has(properties, echoed[i]))
            json_set(out, echoed[i], json_copy(json_at(properties, echoed[i])));
    /* A link's query may be a signature that opens it. */
    if (json_has(out, "templateLink"))
        json_unset(json_at(out, "templateLink"), "queryString");
    if (s->template_link && json_has(out, "templateLink"))
        json_set_text(json_at(out, "templateLink"), "uri",
                      arena_strndup(s->arena, s->template_link, strcspn(s->template_link, "?")));
    json_set(out, "parameters", parameters_json(s));
    json_set_text(out, "mode", s->mode);
    json_set(out, "providers", providers_json(s));
    json_set(out, "dependencies", dependencies_json(s->plan));
    return secrets_scrub(&s->secrets, s->arena, out);
}

static void add_resources(const struct plan *p, struct json_object *list)
{
    for (size_t i = 0; i < p->node_count; i++) {
        const struct plan_node *n = &p->nodes[i];
        struct json_object *one;

        if (n->is_skipped || n->is_existing)
            continue;
        if (n->nested) {
            add_resources(n->nested, list);
            continue;
        }
        one = json_new_object();
        json_set_text(one, "id", n->id);
        json_add(list, one);
    }
}

struct json_object *submission_resources(struct submission *s)
{
    struct json_object *list = json_own(s->arena, json_new_array());

    add_resources(s->plan, list);
    return list;
}
