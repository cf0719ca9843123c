/* The life of a request on resources: authenticate → parse id, type, api-version → authorise → load →
 * decode and check → one transaction → encode. The engine knows struct resource_type, never a type. */
#include "controlplane/api/pipeline.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/http/route.h"

#include "controlplane/api/endpoint.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/extension.h"
#include "controlplane/api/list.h"
#include "controlplane/api/routes.h"
#include "controlplane/api/subscription_cache.h"
#include "controlplane/provision/region.h"
#include "controlplane/types/all.h"

/* How often a write is tried again when others change the same row at the same time: one of them wins
 * each round, so this is how many may. */
#define ATTEMPTS_MAX 32

const struct verb verbs[] = {
    { "GET", TARGET_ITEM, "read", "read", load_shown, NULL, NULL, encode_item },
    { "HEAD", TARGET_ITEM, "read", "read", load_item, NULL, NULL, encode_presence },
    { "PUT", TARGET_ITEM, "write", "write", load_item, decode_put, commit_write, encode_write },
    { "PATCH", TARGET_ITEM, "write", "write", load_known, decode_patch, commit_write,
      encode_write },
    { "DELETE", TARGET_ITEM, "delete", "delete", load_item, NULL, commit_delete, encode_delete },
    { "GET", TARGET_COLLECTION, "read", "read", load_above, NULL, NULL, encode_list },
    { "GET", TARGET_ACTION, NULL, "action", load_for_action, NULL, commit_action, encode_action },
    { "POST", TARGET_ACTION, NULL, "action", load_for_action, decode_action, commit_action,
      encode_action },
    { 0 },
};

int fail_group_missing(const struct call *c, struct error *err)
{
    return fail(err, &E_GROUP_NOT_FOUND, "Resource group '%s' could not be found.", c->id.group);
}

int fail_parent_missing(const struct call *c, struct error *err)
{
    const char *slash = strchr(c->type->name, '/');

    return fail(err, &E_PARENT_NOT_FOUND,
                "Failed to perform '%s' on resource(s) of type '%s', because the parent resource "
                "'%s' could not be found.",
                c->verb->does, slash + 1,
                arm_id_text(c->arena, &c->id, c->type->name, c->id.depth - 1));
}

static enum stage_result authenticate(struct call *c, struct error *err)
{
    return call_authenticate(c, err) || call_media_type(c, err) ? STAGE_FAILED : STAGE_NEXT;
}

static const struct action *find_action(const struct resource_type *type, const char *name,
                                        bool is_on_subscription)
{
    for (const struct action *x = type->actions; x && x->name; x++) {
        if (text_eq_nocase(x->name, name) && x->is_on_subscription == is_on_subscription)
            return x;
    }
    return NULL;
}

static bool is_of_provider(const struct resource_type *type, const char *provider)
{
    size_t len = strlen(provider);

    return text_starts_nocase(type->name, provider) && type->name[len] == '/';
}

/* A path that ends in a type segment is a collection, or an action on what stands before it. */
static void find_target(struct call *c)
{
    const struct arm_id *id = &c->id;
    const char *last = id->depth ? id->types[id->depth - 1] : NULL;

    c->type = type_find(arm_id_type(c->arena, id, id->depth));
    if (c->type || !last || !arm_id_is_collection(id))
        return;
    if (id->depth > 1) {
        c->type = type_find(arm_id_type(c->arena, id, id->depth - 1));
        c->action = c->type ? find_action(c->type, last, false) : NULL;
        return;
    }
    for (const struct resource_type *const *t = all_types; *t && !id->group; t++) {
        if (!is_of_provider(*t, id->provider))
            continue;
        c->action = find_action(*t, last, true);
        if (c->action) {
            c->type = *t;
            return;
        }
    }
}

static int fail_method(struct call *c, const char *allow, struct error *err)
{
    http_reply_header(c->req, "Allow", allow);
    return fail(err, &E_METHOD, "The method %s is not allowed here.", c->req->method);
}

/* What is no resource has come here by a method that its own rows do not have. */
static int fail_elsewhere(struct call *c, struct error *err)
{
    const char *allow = http_route_methods(c->arena, arm_routes, c->req->path, endpoint_run);

    if (allow)
        return fail_method(c, allow, err);
    return fail(err, &E_NO_ROUTE, "There is nothing at the path of the request.");
}

static int fail_unknown_type(struct call *c, struct error *err)
{
    if (http_route_methods(c->arena, arm_routes, c->req->path, endpoint_run))
        return fail_elsewhere(c, err);
    for (const struct resource_type *const *t = all_types; *t; t++) {
        if (is_of_provider(*t, c->id.provider))
            return fail(err, &E_INVALID_TYPE,
                        "The resource type '%.200s' could not be found in the namespace '%.100s'.",
                        arm_id_type(c->arena, &c->id, c->id.depth) + strlen(c->id.provider) +
                            (c->id.depth ? 1 : 0),
                        c->id.provider);
    }
    return fail(err, &E_INVALID_NAMESPACE, "The resource namespace '%.100s' is invalid.",
                c->id.provider);
}

static enum target target_of(const struct call *c)
{
    if (c->action)
        return TARGET_ACTION;
    return arm_id_is_collection(&c->id) ? TARGET_COLLECTION : TARGET_ITEM;
}

/* What the type does not answer, and any but its own method of an action, is not allowed. */
static bool is_allowed(const struct call *c, const struct verb *v)
{
    unsigned flag = text_eq(v->method, "PUT")      ? REFUSES_PUT
                    : text_eq(v->method, "PATCH")  ? REFUSES_PATCH
                    : text_eq(v->method, "DELETE") ? REFUSES_DELETE
                                                   : 0;

    return v->target == target_of(c) && !(c->type->refuses & flag) &&
           (!c->action || text_eq(c->action->method, v->method));
}

/* An item has a row of its own for HEAD; of anything else it is GET, whose body is not sent. */
static bool is_headed(const struct verb *v)
{
    return v->target != TARGET_ITEM && text_eq(v->method, "GET");
}

static bool is_asked(const struct call *c, const struct verb *v)
{
    return text_eq(v->method, c->req->method) ||
           (is_headed(v) && text_eq(c->req->method, "HEAD"));
}

static int find_verb(struct call *c, struct error *err)
{
    struct str allow;

    for (const struct verb *v = verbs; v->method; v++) {
        if (is_allowed(c, v) && is_asked(c, v)) {
            c->verb = v;
            return 0;
        }
    }
    str_init(&allow, 128);
    for (const struct verb *v = verbs; v->method; v++) {
        if (is_allowed(c, v))
            str_printf(&allow, "%s%s%s", allow.len ? ", " : "", v->method,
                       is_headed(v) ? ", HEAD" : "");
    }
    fail_method(c, str_copy(&allow, c->arena), err);
    str_done(&allow);
    return -1;
}

/* Where the type may be asked for: in a group, in a subscription (lists), below a parent. */
static bool is_at_home(const struct call *c)
{
    const struct arm_id *id = &c->id;

    if (!id->subscription || id->scope)
        return false;
    if (c->action && c->action->is_on_subscription)
        return true;
    if (c->type->scope == SCOPE_SUBSCRIPTION)
        return id->is_group && !c->action;
    if (id->is_group)
        return false;
    return id->group || (id->depth == 1 && target_of(c) == TARGET_COLLECTION);
}

static enum stage_result parse(struct call *c, struct error *err)
{
    size_t named;

    if (arm_id_parse(c->arena, c->req->path, &c->id, err))
        return STAGE_FAILED;
    if (!c->id.provider)
        return (enum stage_result)fail_elsewhere(c, err);
    find_target(c);
    /* An action on what its path does not fit is an unknown type to the client. */
    if (!c->type || (c->id.depth > 1 && !c->action && arm_id_is_collection(&c->id) &&
                     !text_eq_nocase(c->type->name, arm_id_type(c->arena, &c->id, c->id.depth))))
        return (enum stage_result)fail_unknown_type(c, err);
    if (!is_at_home(c))
        return fail(err, &E_NO_ROUTE, "There is nothing at the path of the request.");
    if (find_verb(c, err))
        return STAGE_FAILED;
    named = arm_id_is_collection(&c->id) ? c->id.depth - 1 : c->id.depth;
    if (named > 0) {
        c->resource_id = arm_id_text(c->arena, &c->id, c->type->name, named);
        c->key = text_lower(c->arena, c->resource_id);
    }
    return STAGE_NEXT;
}

static const char *const *versions_of(const struct call *c)
{
    return c->action && c->action->api_versions ? c->action->api_versions : c->type->api_versions;
}

static int fail_version(struct call *c, const char *version, struct error *err)
{
    struct str versions, places;
    int rc;

    str_init(&versions, 600);
    str_init(&places, 200);
    for (const char *const *v = versions_of(c); *v; v++)
        str_printf(&versions, "%s%s", versions.len ? ", " : "", *v);
    for (const struct region *r = c->control->regions; r && r->name; r++)
        str_printf(&places, "%s%s", places.len ? ", " : "", r->name);
    rc = fail(err, &E_NO_PROVIDER,
              "No registered resource provider found for location '' and API version '%.40s' for "
              "type '%.60s'. The supported api-versions are '%s'. The supported locations are "
              "'%s'.",
              version, strchr(c->type->name, '/') + 1, versions.data, places.data);
    str_done(&versions);
    str_done(&places);
    return rc;
}

/* Resource groups are the resource manager's own; other types answer for their provider. */
static enum stage_result check_version(struct call *c, struct error *err)
{
    const char *version = http_query_nocase(c->req, "api-version");

    if (version && version[0] && c->type->scope != SCOPE_SUBSCRIPTION &&
        !type_has_version(versions_of(c), version))
        return (enum stage_result)fail_version(c, version, err);
    return call_api_version(c, versions_of(c), err) ? STAGE_FAILED : STAGE_NEXT;
}

/* A subscription that unregistered the provider; asked again, since a cached answer may be old. */
static enum stage_result check_subscription(struct call *c, struct error *err)
{
    const char *slash = strchr(c->type->name, '/');
    char *provider = arena_strndup(c->arena, c->type->name, (size_t)(slash - c->type->name));

    if (call_subscription(c, c->id.subscription, err))
        return STAGE_FAILED;
    c->id.subscription = c->subscription.id;
    if (subscription_is_registered(&c->subscription, provider))
        return STAGE_NEXT;
    if (subscription_cache_get(c->arm->subscriptions, c->control->db, c->arena, c->subscription.id,
                               true, &c->subscription, err) < 0)
        return STAGE_FAILED;
    if (subscription_is_registered(&c->subscription, provider))
        return STAGE_NEXT;
    http_reply_header(c->req, "x-ms-failure-cause", "gateway");
    return fail(err, &E_NOT_REGISTERED,
                "The subscription is not registered to use namespace '%s'. See "
                "https://aka.ms/rps-not-found for how to register subscriptions.",
                provider);
}

const char *call_rbac(const struct call *c)
{
    const char *rbac = c->action ? c->action->rbac : c->verb->rbac;
    const char *slash = strchr(rbac, '/');
    const char *dot = strchr(rbac, '.');

    if (dot && slash && dot < slash)
        return rbac;
    return arena_printf(c->arena, "%s/%s", type_rbac(c->type), rbac);
}

/* What locks may stand in the way of. An action that lists secrets counts; one on the subscription
 * asks about names. */
static bool changes(const struct call *c)
{
    return !text_eq(c->verb->method, "GET") && !text_eq(c->verb->method, "HEAD") &&
           (!c->action || !c->action->is_on_subscription);
}

static enum stage_result authorise(struct call *c, struct error *err)
{
    const char *scope = c->resource_id, *action = call_rbac(c);

    if (!scope)
        scope = c->id.group ? arm_id_group(c->arena, &c->id) : arm_id_subscription(c->arena, &c->id);
    if (c->verb->target == TARGET_COLLECTION)
        return list_access(c, action, scope, err) ? STAGE_FAILED : STAGE_NEXT;
    if (access_check(c->control, c->arena, &c->caller, action, scope, err))
        return STAGE_FAILED;
    c->ahead.is_wanted = c->verb->load == load_item || c->verb->load == load_known;
    return changes(c) && lock_guard(c, scope, action, text_ends(action, "/delete"), err)
               ? STAGE_FAILED
               : STAGE_NEXT;
}

static enum stage_result load(struct call *c, struct error *err)
{
    return c->verb->load ? c->verb->load(c, err) : STAGE_NEXT;
}

static enum stage_result decode(struct call *c, struct error *err)
{
    return c->verb->decode ? c->verb->decode(c, err) : STAGE_NEXT;
}

static enum stage_result commit(struct call *c, struct error *err)
{
    return c->verb->commit ? c->verb->commit(c, err) : STAGE_NEXT;
}

static enum stage_result encode(struct call *c, struct error *err)
{
    return c->verb->encode(c, err);
}

static const struct stage {
    const char *name;
    enum stage_result (*run)(struct call *c, struct error *err);
} stages[] = {
    { "authenticate", authenticate },
    { "parse", parse },
    { "api-version", check_version },
    { "subscription", check_subscription },
    { "authorise", authorise },
    { "load", load }, /* where a write that lost a race starts again */
    { "decode", decode },
    { "commit", commit },
    { "encode", encode },
};
#define STAGE_LOAD 5

static int run(struct call *c, struct error *err)
{
    int attempts = 1;

    for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
        if (c->instead && stages[i].run == (c->is_shallow ? load : commit))
            return c->instead(c, err);
        c->is_at_provider = i >= STAGE_LOAD && c->type->scope != SCOPE_SUBSCRIPTION;
        switch (stages[i].run(c, err)) {
        case STAGE_NEXT:
            break;
        case STAGE_ANSWERED:
            return 0;
        case STAGE_AGAIN:
            if (attempts++ == ATTEMPTS_MAX)
                return fail(err, &E_BUSY, "The resource is being changed by others; try again.");
            i = STAGE_LOAD - 1;
            break;
        case STAGE_FAILED:
            return wrap(err, "%s", stages[i].name);
        }
    }
    return fail_cause(err, &E_INTERNAL, "no stage answered");
}

void pipeline_run(struct http_request *req)
{
    struct call *c = call_of(req);
    struct error err = { 0 };

    if (run(c, &err))
        reply_failure(req, &err);
}
