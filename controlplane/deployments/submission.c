/* Reading and planning what somebody asks to deploy: see the header. */
#include "controlplane/deployments/submission.h"

#include <ctype.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/client/client.h"
#include "common/crypto/digest.h"
#include "common/json/json.h"
#include "common/pg/pg.h"
#include "templates/language/template.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/deployments/failure.h"
#include "controlplane/deployments/payload.h"
#include "controlplane/deployments/seal.h"
#include "controlplane/identity/identity.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/deployments.h"

#define NAME_MAX_LEN 64
#define LINK_TIMEOUT_MS 8000
#define WRITE_ACTION "Microsoft.Resources/deployments/write"

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
    if (text_eq(s->mode, "Complete") && (s->scope.level != LEVEL_GROUP || s->parent_uid))
        return fail_at(err, &E_INVALID_CONTENT, "properties.mode",
                       "Deployment mode 'Complete' is allowed only for deployments of a resource "
                       "group that are not nested.");
    s->validation_level = json_text(properties, "validationLevel");
    return 0;
}

/* RFC 3986 5.2 for what links are: a path beside the parent's. */
static char *relative_uri(struct arena *a, const char *base, const char *relative)
{
    const char *start = strstr(base, "://");
    const char *end = base + strcspn(base, "?#");
    const char *slash = end;

    start = start ? start + 3 + strcspn(start + 3, "/") : base;
    while (slash > start && slash[-1] != '/')
        slash--;
    while (text_starts(relative, "./") || text_starts(relative, "../")) {
        bool is_up = relative[1] == '.';

        relative += is_up ? 3 : 2;
        for (slash -= is_up && slash - 1 > start; is_up && slash > start + 1 && slash[-1] != '/';)
            slash--;
    }
    return arena_printf(a, "%.*s%s%s", (int)(slash - base), base,
                        slash > base && slash[-1] == '/' ? "" : "/", relative);
}

static int fetch(struct submission *s, const char *what, const char *uri, char **ret,
                 struct error *err)
{
    const struct client_config config = { .reach = CLIENT_PUBLIC };
    const struct client_request request = { .url = uri,
                                            .timeout_ms = LINK_TIMEOUT_MS,
                                            .max_body_bytes = TEMPLATE_BYTES_MAX,
                                            .max_redirects = 3 };
    struct client_response response = { 0 };
    struct client *client = NULL;
    struct error reason = { 0 };
    int rc;

    if (!text_starts_nocase(uri, "https://"))
        return fail(err, &E_CONTENT_LINK, "Invalid %s uri '%.300s': it must begin with https://.",
                    what, uri);
    if (client_new(&config, &client, err))
        return -1;
    rc = client_send(client, s->arena, &request, &response, &reason);
    client_free(client);
    if (rc == 0 && response.status == 200) {
        *ret = response.body;
        return 0;
    }
    return fail(err, &E_CONTENT_LINK,
                "Unable to download deployment content from '%.300s'. %.300s", uri,
                rc ? reason.message : "The answer was not 200 OK.");
}

static int read_linked(struct submission *s, const struct json_object *link, struct error *err)
{
    const char *uri = json_text(link, "uri");
    const char *relative = json_text(link, "relativePath");
    const char *query = json_text(link, "queryString");
    char *text = NULL;

    if (!uri && relative && s->parent_link)
        uri = relative_uri(s->arena, s->parent_link, relative);
    if (!uri)
        return fail(err, &E_CONTENT_LINK,
                    "The templateLink needs a 'uri'%s; template specs are not provided.",
                    relative ? " (there is no linked template that the relativePath starts from)"
                             : "");
    s->template_link = uri;
    if (query && query[0])
        uri = arena_printf(s->arena, "%s%s%s", uri, strchr(uri, '?') ? "&" : "?",
                           query[0] == '?' ? query + 1 : query);
    if (fetch(s, "templateLink", uri, &text, err))
        return -1;
    s->template_text = text;
    return 0;
}

static int read_template(struct submission *s, const struct json_object *properties,
                         struct error *err)
{
    struct json_object *template = json_at(properties, "template");
    struct json_object *link = json_at(properties, "templateLink");

    if (template && link)
        return fail(err, &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: 'Only one of "
                    "'template' and 'templateLink' may be given.'.");
    if (json_kind(link) == JSON_OBJECT)
        return read_linked(s, link, err);
    if (s->is_replay && json_kind(template) == JSON_TEXT) {
        s->template_text = json_text(template, "");
        return 0;
    }
    if (json_kind(template) != JSON_OBJECT)
        return fail(err, &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: 'The property "
                    "'template' must be an object.'.");
    s->template_text = json_print(s->arena, template);
    return 0;
}

struct parameters {
    struct json_object *out;
    const char *reference; /* a parameter that names a key vault */
};

static void read_parameter(void *ctx, const char *key, struct json_object *value)
{
    struct parameters *p = ctx;

    if (json_has(value, "reference"))
        p->reference = key;
    json_set(p->out, key, json_get(value));
}

/* Of the request, or of the file its parametersLink names. */
static int read_parameters(struct submission *s, const struct json_object *properties,
                           struct json_object **ret, struct error *err)
{
    const struct json_object *given = json_at(properties, "parameters");
    const char *uri = json_text(properties, "parametersLink.uri");
    struct parameters p = { .out = json_own(s->arena, json_new_object()) };
    struct json_object *file = NULL;
    char *text = NULL;
    struct error reason;

    if (uri && json_count(given))
        return fail(err, &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: 'Only one of "
                    "'parameters' and 'parametersLink' may be given.'.");
    if (uri) {
        if (fetch(s, "parametersLink", uri, &text, err))
            return -1;
        if (json_parse(text, strlen(text), TEMPLATE_BYTES_MAX, JSON_TEMPLATE, &file, &reason))
            return fail(err, &E_CONTENT_LINK, "The parameter file at '%.300s' is not valid: %.300s",
                        uri, reason.message);
        given = json_at(json_own(s->arena, file), "parameters");
    }
    json_each(given, read_parameter, &p);
    if (p.reference)
        return fail_at(err, &E_KEY_VAULT_REFERENCE, p.reference,
                       "The parameter '%.100s' refers to a secret of a key vault, and there is no "
                       "such vault in this subscription.",
                       p.reference);
    *ret = p.out;
    return 0;
}

static struct template_context *make_context(struct submission *s)
{
    static const enum template_scope scopes[LEVEL_MAX] = {
        [LEVEL_GROUP] = SCOPE_RESOURCE_GROUP,
        [LEVEL_SUBSCRIPTION] = SCOPE_SUBSCRIPTION,
        [LEVEL_MANAGEMENT_GROUP] = SCOPE_MANAGEMENT_GROUP,
        [LEVEL_TENANT] = SCOPE_TENANT,
    };
    struct template_context *x = ARENA_NEW(s->arena, struct template_context);

    *x = (struct template_context){
        .scope = scopes[s->scope.level],
        .tenant_id = s->caller->tenant_id,
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
        .now_us = clock_wall_us(),
        .seed = random_text(s->arena, 32),
    };
    return x;
}

/* Texts that must not be shown: secure parameters, and what a parent passed on. */
static void gather_secrets(struct submission *s)
{
    s->secrets = (struct secrets){ .arena = s->arena };
    if (s->inherited_secrets)
        secrets_add(&s->secrets, s->inherited_secrets);
    for (size_t i = 0; s->plan && i < s->plan->parameter_count; i++) {
        const struct plan_parameter *p = &s->plan->parameters[i];

        if (p->is_secure && p->value)
            secrets_add(&s->secrets, json_own(s->arena, template_json_final(p->value)));
    }
}

/* A refusal may quote a value it was given before the plan knows which are secure: then all given
 * ones are masked. */
static void tell_failure(struct submission *s, const struct error *err, int line, int column)
{
    struct secrets all = { .arena = s->arena };

    if (s->inherited_secrets)
        secrets_add(&all, s->inherited_secrets);
    if (strcasestr(s->template_text, "\"secure"))
        secrets_add(&all, json_at(s->payload, "parameters"));
    s->failure = secrets_scrub(&all, s->arena, json_own(s->arena, failure_at(err, line, column)));
    s->failure_status = err->code->status;
}

static int plan(struct submission *s, struct json_object *parameters, struct error *err)
{
    struct template_context *context = make_context(s);
    int line = 0, column = 0;

    s->context = context;
    s->payload = json_own(s->arena, json_new_object());
    json_set_text(s->payload, "template", s->template_text);
    json_set(s->payload, "parameters", json_get(parameters));
    json_set(s->payload, "context", context_json(context));
    if (s->template_link)
        json_set_text(s->payload, "link", s->template_link);
    if (payload_plan(s->arena, s->payload, context, &s->plan, &line, &column, err)) {
        tell_failure(s, err, line, column);
        return -1;
    }
    gather_secrets(s);
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
    if (access_check(s->control, s->arena, s->caller, WRITE_ACTION, s->id, err))
        return -1;
    if (json_kind(properties) != JSON_OBJECT)
        return fail(err, &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: 'Required "
                    "property 'properties' not found.'.");
    if (check_location(s, err) || read_mode(s, properties, err) ||
        read_template(s, properties, err) || read_parameters(s, properties, &parameters, err))
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
    return x->found < 0 ? -1 : 0;
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
