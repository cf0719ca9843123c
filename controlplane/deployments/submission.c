/* Reading and planning what somebody asks to deploy: see the header. */
#include "controlplane/deployments/submission.h"

#include <ctype.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/json/json.h"
#include "common/pg/pg.h"
#include "templates/language/template.h"

#include "controlplane/api/errors.h"
#include "controlplane/api/providers.h"
#include "controlplane/control.h"
#include "controlplane/deployments/content.h"
#include "controlplane/deployments/endpoints.h"
#include "controlplane/deployments/failure.h"
#include "controlplane/deployments/journal.h"
#include "controlplane/deployments/payload.h"
#include "controlplane/deployments/seal.h"
#include "controlplane/identity/identity.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/deployments.h"
#include "controlplane/store/subscriptions.h"

#define NAME_MAX_LEN 64

static int check_name(const struct submission *s, struct error *err)
{
    size_t len = s->name ? strlen(s->name) : 0;
    bool is_good = len >= 1 && len <= NAME_MAX_LEN;

    for (size_t i = 0; i < len && is_good; i++) {
        unsigned char ch = (unsigned char)s->name[i];

        is_good = isalnum(ch) || strchr("-_.()", ch) || ch >= 0x80; /* letters of any script */
    }
    if (is_good)
        return 0;
    return fail(err, &E_DEPLOYMENT_NAME,
                "The deployment name '%.70s' is invalid. The name may have 1 to 64 letters, "
                "digits, '-', '_', '(', ')' and '.'.",
                s->name ? s->name : "");
}

static int check_location(struct submission *s, struct error *err)
{
    const char *location = json_text(s->request, "location");
    const struct region *region;

    if (s->scope.level == LEVEL_GROUP)
        return 0; /* a deployment in a group has the group's */
    if (!location || !location[0])
        return fail_at(err, &E_LOCATION_REQUIRED, "location",
                       "The 'location' property must be specified for '%s'.", s->name);
    region = strlen(location) > 64 ? NULL : region_find(s->control->regions, location);
    if (!region)
        return fail_at(err, &E_LOCATION_NOT_AVAILABLE, "location",
                       "The provided location '%.60s' is not available for deployment '%s'.",
                       location, s->name);
    s->location = region->name;
    return 0;
}

/* A template that links to itself must end somewhere. */
static int check_level(const struct submission *s, struct error *err)
{
    if (s->level < TEMPLATE_NESTED_MAX)
        return 0;
    return fail(err, &E_DEPLOYMENT_DEPTH, "Deployments are nested more than '%d' levels deep.",
                TEMPLATE_NESTED_MAX);
}

static int read_mode(struct submission *s, const struct json_object *properties, struct error *err)
{
    const char *mode = json_text(properties, "mode");

    if (text_eq_nocase(mode, "Incremental"))
        s->mode = "Incremental";
    else if (text_eq_nocase(mode, "Complete"))
        s->mode = "Complete";
    else
        return fail_at(err, &E_INVALID_CONTENT, "properties.mode",
                       "The request content was invalid and could not be deserialized: 'Required "
                       "property 'mode' must be 'Incremental' or 'Complete'.'.");
    if (text_eq(s->mode, "Complete") && (s->scope.level != LEVEL_GROUP || s->level))
        return fail_at(err, &E_INVALID_CONTENT, "properties.mode",
                       "Deployment mode 'Complete' is allowed only for deployments of a resource "
                       "group that are not nested.");
    s->validation_level = json_text(properties, "validationLevel");
    return 0;
}

static int read_tenant(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct tenant *tenant = ctx;

    return tenant_get(conn, a, tenant->id, tenant, err) < 0 ? -1 : 0;
}

/* The catalogue is large and the function deprecated: only who may call it gets it. */
static struct json_object *catalogue_for(struct submission *s)
{
    static const char function[] = "providers";

    for (const char *at = s->template_text; (at = strcasestr(at, function)) != NULL;) {
        at += strlen(function);
        if (at[strspn(at, " \t\r\n")] == '(')
            return json_own(s->arena, providers_catalogue(s->arena, s->control));
    }
    return NULL;
}

static int make_context(struct submission *s, struct template_context **ret, struct error *err)
{
    static const enum template_scope scopes[LEVEL_MAX] = {
        [LEVEL_GROUP] = SCOPE_RESOURCE_GROUP,
        [LEVEL_SUBSCRIPTION] = SCOPE_SUBSCRIPTION,
        [LEVEL_MANAGEMENT_GROUP] = SCOPE_MANAGEMENT_GROUP,
        [LEVEL_TENANT] = SCOPE_TENANT,
    };
    struct template_context *x = ARENA_NEW(s->arena, struct template_context);
    struct tenant tenant = { .id = s->caller->tenant_id };

    if (pg_with(s->control->db, s->arena, read_tenant, &tenant, err))
        return -1;
    *x = (struct template_context){
        .scope = scopes[s->scope.level],
        .tenant_id = s->caller->tenant_id,
        .tenant_name = tenant.display_name,
        .subscription_id = s->scope.subscription_id,
        .subscription_name = s->scope.subscription_name,
        .resource_group = s->scope.group,
        .resource_group_location = s->scope.group_location,
        .resource_group_managed_by = s->scope.group_managed_by,
        .resource_group_tags = s->scope.group_tags,
        .management_group = s->scope.management_group,
        .deployment_name = s->name,
        .deployment_location = s->location,
        .deployment_mode = s->mode,
        .template_link = s->template_link,
        .deployer_object_id = s->caller->object_id,
        .deployer_name = s->caller->name,
        .environment = environment_json(s->arena, s->control),
        .providers = catalogue_for(s),
        .external_inputs = json_at(s->request, "properties.externalInputs"),
        .now_us = clock_wall_us(),
        .seed = random_text(s->arena, 32),
    };
    *ret = x;
    return 0;
}

/* What the template makes of its secrets is secret as well. */
static void gather_made(struct secrets *secrets, const struct plan *p)
{
    for (size_t i = 0; i < p->node_count; i++) {
        secrets_add_marked(secrets, p->nodes[i].body);
        if (p->nodes[i].nested)
            gather_made(secrets, p->nodes[i].nested);
    }
}

/* Texts that must not be shown: secure parameters, and what a parent passed on. */
static void gather_secrets(struct submission *s)
{
    s->secrets = (struct secrets){ .arena = s->arena };
    secrets_add(&s->secrets, s->fetched);
    if (s->inherited_secrets)
        secrets_add(&s->secrets, s->inherited_secrets);
    for (size_t i = 0; s->plan && i < s->plan->parameter_count; i++) {
        const struct plan_parameter *p = &s->plan->parameters[i];

        if (p->is_secure && p->value)
            secrets_add(&s->secrets, json_own(s->arena, template_json_final(p->value)));
    }
    if (s->plan)
        gather_made(&s->secrets, s->plan);
}

/* A refusal may quote a value it was given before the plan knows which are secure: then all given
 * ones are masked. */
static void tell_failure(struct submission *s, const struct error *err,
                         const struct template_fault *fault)
{
    struct json_object *failure = json_own(s->arena, failure_at(err, fault));
    struct secrets all = { .arena = s->arena };

    secrets_add(&all, s->fetched);
    if (s->inherited_secrets)
        secrets_add(&all, s->inherited_secrets);
    if (strcasestr(s->template_text, "\"secure") || strstr(s->template_text, "\\u")) {
        secrets_add(&all, json_at(s->payload, "parameters"));
        secrets_add(&all, s->context->external_inputs);
    }
    s->failure = secrets_scrub(&all, s->arena, failure);
    json_set_text(s->failure, "code", json_text(failure, "code"));
    s->failure_status = err->code->status;
}

static int plan(struct submission *s, struct json_object *parameters, struct error *err)
{
    struct template_context *context;
    struct template_fault fault = { 0 };

    if (make_context(s, &context, err))
        return -1;
    s->context = context;
    s->payload = json_own(s->arena, json_new_object());
    json_set_text(s->payload, "template", s->template_text);
    json_set(s->payload, "parameters", json_get(parameters));
    json_set(s->payload, "context", context_json(context));
    json_set_int(s->payload, "level", s->level);
    if (s->template_link)
        json_set_text(s->payload, "link", s->template_link);
    if (payload_plan(s->arena, s->payload, context, &s->plan, &fault, err)) {
        tell_failure(s, err, &fault);
        return -1;
    }
    gather_secrets(s);
    if (s->secrets.is_full)
        return fail(err, &E_INVALID_CONTENT,
                    "The deployment has more secret texts than can be kept from being shown. Put "
                    "them into fewer parameters, or into a key vault.");
    json_set(s->payload, "secrets", secrets_json(&s->secrets));
    return 0;
}

int submission_plan(struct submission *s, struct error *err)
{
    const struct json_object *properties = json_at(s->request, "properties");
    struct json_object *parameters = NULL;

    if (scope_load(s->control, s->arena, s->caller->tenant_id, s->scope_id, &s->scope, err) ||
        check_name(s, err))
        return -1;
    s->id = scope_deployment_id(s->arena, &s->scope, s->name);
    s->key = text_lower(s->arena, s->id);
    if (access_check(s->control, s->arena, s->caller, deployment_put_one.right, s->id, err))
        return -1;
    if (json_kind(properties) != JSON_OBJECT)
        return fail(err, &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: 'Required "
                    "property 'properties' not found.'.");
    if (check_level(s, err) || check_location(s, err) || read_mode(s, properties, err) ||
        content_template(s, properties, err) ||
        content_parameters(s, properties, &parameters, err))
        return -1;
    return plan(s, parameters, err);
}

struct accept {
    struct submission *s;
    struct deployment row;
    struct deployment *active, *was;
    bool is_replaced;
    int found;
};

static int accept_row(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct accept *x = ctx;

    if (x->s->scope.level != LEVEL_GROUP || x->s->parent_uid) {
        x->found = deployment_get(conn, a, x->row.key, true, &x->was, err);
        if (x->found < 0)
            return -1;
        /* What a run before this one had submitted, over or not. */
        if (x->found && x->s->parent_uid && text_eq(x->was->parent_uid, x->s->parent_uid)) {
            x->active = x->was;
            x->found = 0;
            return 0;
        }
        if (x->found && x->s->scope.level != LEVEL_GROUP &&
            !text_eq(x->was->location, x->row.location))
            return fail(err, &E_DEPLOYMENT_LOCATION,
                        "Invalid deployment location '%s'. The deployment '%s' already exists in "
                        "location '%s'.",
                        x->row.location, x->row.name, x->was->location);
    }
    if (x->s->beside && x->s->beside(conn, a, x->s->beside_ctx, &x->row, err))
        return -1;
    x->found = deployment_put(conn, a, &x->row, &x->is_replaced, &x->active, err);
    if (x->found == DEPLOYMENT_NO_ROOM)
        return fail(err, &E_DEPLOYMENT_QUOTA,
                    "Creating the deployment '%s' would exceed the quota of '%d'. A lock keeps "
                    "older ones from being removed. Please delete some deployments before creating "
                    "a new one.",
                    x->row.name, DEPLOYMENT_HISTORY_MAX);
    if (x->found <= 0)
        return x->found;
    return journal_add(conn, a,
                       &(struct journal){ .caller = x->s->caller,
                                          .id = x->row.id,
                                          .subscription_id = x->row.subscription_id,
                                          .action = deployment_put_one.right,
                                          .status = "Accepted",
                                          .correlation_id = x->row.correlation_id,
                                          .address = x->s->peer_text },
                       err);
}

static struct json_object *caller_json(const struct submission *s)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "tenantId", s->caller->tenant_id);
    json_set_text(out, "objectId", s->caller->object_id);
    if (s->caller->app_id)
        json_set_text(out, "appId", s->caller->app_id);
    json_set_text(out, "name", s->caller->name);
    json_set_text(out, "kind", s->caller->kind);
    if (s->peer_text)
        json_set_text(out, "address", s->peer_text);
    return json_own(s->arena, out);
}

static int fail_active(const struct submission *s, struct error *err)
{
    return fail(err, &E_DEPLOYMENT_ACTIVE,
                "Unable to edit or replace deployment '%s': previous deployment is still active. "
                "Please see https://aka.ms/arm-deploy for usage details.",
                s->name);
}

int submission_accept(struct submission *s, struct deployment **ret, bool *ret_replaced,
                      struct error *err)
{
    char uid[UUID_TEXT_LEN + 1], operation[UUID_TEXT_LEN + 1];
    struct accept x = { .s = s };
    const char *text = s->shown_template ? s->shown_template : s->template_text;

    uuid_new(uid);
    uuid_new(operation);
    x.row = (struct deployment){
        .uid = arena_strdup(s->arena, uid),
        .key = s->key,
        .id = s->id,
        .name = s->name,
        .scope_key = s->scope.key,
        .tenant_id = s->caller->tenant_id,
        .subscription_id = s->scope.subscription_id,
        .group_uid = s->scope.group_uid,
        .parent_uid = s->parent_uid,
        .stack_uid = s->stack_uid,
        .operation_id = arena_strdup(s->arena, operation),
        .correlation_id = s->correlation_id,
        .caller = caller_json(s),
        .location = s->location,
        .mode = s->mode,
        .state = "Accepted",
        .tags = json_at(s->request, "tags"),
        .shown = submission_shown(s),
        .accepted_us = clock_wall_us(),
    };
    if (!deployment_json_fits(s->arena, x.row.shown) ||
        !deployment_json_fits(s->arena, x.row.tags) || !deployment_json_fits(s->arena, s->payload))
        return fail(err, &E_INVALID_CONTENT,
                    "The deployment has more parameter values or tags than can be kept.");
    x.row.template_sealed = seal_text(s->arena, s->control, uid, SEAL_TEMPLATE, text);
    x.row.sealed = seal_text(s->arena, s->control, uid, SEAL_RUN, json_print(s->arena, s->payload));
    if (pg_transact(s->control->db, s->arena, accept_row, &x, err)) {
        if (err->code == &E_CONFLICT && text_eq(err->target, "deployments_key_key"))
            return fail_active(s, err);
        return -1;
    }
    if (x.found == 0) {
        if (s->parent_uid && text_eq(x.active->parent_uid, s->parent_uid)) {
            *ret = x.active;
            *ret_replaced = true;
            return 0;
        }
        return fail_active(s, err);
    }
    *ret = arena_memdup(s->arena, &x.row, sizeof(x.row));
    *ret_replaced = x.is_replaced;
    return 0;
}
