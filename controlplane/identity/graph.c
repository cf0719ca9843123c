/* The graph host: routes, sign-in, errors in Graph's form, filters, pages, how entries look. */
#include "controlplane/identity/graph.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/identity/directory.h"
#include "controlplane/provision/publish_grants.h"

#define BODY_MAX 262144
#define PAGE_DEFAULT 100
#define PAGE_MAX 999
#define FILTER_TEXT_MAX 1024

const struct error_code E_GRAPH_REQUEST = { "Request_BadRequest", 400 };
const struct error_code E_GRAPH_MISSING = { "Request_ResourceNotFound", 404 };
const struct error_code E_GRAPH_CONFLICT = { "Request_MultipleObjectsWithSameKeyValue", 409 };
static const struct error_code E_GRAPH_METHOD = { "Request_BadRequest", 405 };

static void reply_error(struct http_request *req, const struct error *err)
{
    struct json_object *body = json_own(req->arena, json_new_object());
    struct json_object *error = json_new_object(), *inner = json_new_object();
    const char *code = err->code->name;
    size_t len = 0;

    if (err->code->status == 401)
        code = "InvalidAuthenticationToken";
    else if (err->code->status == 403)
        code = "Authorization_RequestDenied";
    /* All that is kept with a request of this host: why it was refused, for the log. */
    if (err->code->status == 401 || err->code->status == 403)
        req->plane = arena_printf(req->arena, "%s: %.400s", err->code->name, err->message);
    if (err->code->status >= 500)
        log_failure(LOG_ERROR, "graph.failed", err);
    json_set_text(error, "code", code);
    json_set_text(error, "message", err->message);
    json_set_text(inner, "date", clock_rfc3339(req->arena, clock_wall_us()));
    json_set_text(inner, "request-id", req->id);
    json_set(error, "innerError", inner);
    json_set(body, "error", error);
    if (err->code->status == 503 || err->code->status == 429)
        http_reply_header(req, "Retry-After", "1");
    const char *text = json_print_len(req->arena, body, &len);
    http_reply_bytes(req, err->code->status, "application/json", text, len);
}

void graph_reply(struct graph_call *g, int status, struct json_object *value)
{
    size_t len = 0;
    struct json_object *own = json_own(g->arena, value);
    const char *text = json_print_len(g->arena, own, &len);

    http_reply_header(g->req, "request-id", g->req->id);
    http_reply_header(g->req, "Cache-Control", "no-store");
    http_reply_bytes(g->req, status, "application/json;odata.metadata=minimal", text, len);
}

int64_t graph_page(struct graph_call *g)
{
    const char *top = http_query_nocase(g->req, "$top");
    int64_t size = PAGE_DEFAULT;

    if (top && (!text_parse_i64(top, &size) || size < 1))
        size = PAGE_DEFAULT;
    return size > PAGE_MAX ? PAGE_MAX : size;
}

static void add_next_link(struct graph_call *g, const char *last, struct json_object *body)
{
    static const char *const kept[] = { "$filter", "$top", "$select" };
    const char *url = arena_printf(g->arena, "%s%s?$skiptoken=%s", g->control->graph_url,
                                   g->req->path, last);

    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        const char *value = http_query_nocase(g->req, kept[i]);

        if (value)
            url = arena_printf(g->arena, "%s&%s=%s", url, kept[i],
                               text_percent_encode(g->arena, value));
    }
    json_set_text(body, "@odata.nextLink", url);
}

void graph_reply_list(struct graph_call *g, const struct entry *entries, size_t count)
{
    struct json_object *body = json_new_object(), *value = json_new_array();
    size_t page = (size_t)graph_page(g);

    for (size_t i = 0; i < count && i < page; i++)
        json_add(value, graph_show(g, &entries[i]));
    json_set(body, "value", value);
    if (count > page)
        add_next_link(g, entries[page - 1].id, body);
    graph_reply(g, 200, body);
}

/* The text in quotes after `term`; '' is a quote. NULL: not there. */
static const char *quoted_after(struct graph_call *g, const char *filter, const char *term)
{
    const char *at = strcasestr(filter, term);
    char *text, *out;

    at = at ? strchr(at + strlen(term), '\'') : NULL;
    if (!at)
        return NULL;
    text = out = arena_strdup(g->arena, at + 1);
    for (const char *p = at + 1; *p; p++) {
        if (*p == '\'' && p[1] != '\'')
            break;
        p += *p == '\'';
        *out++ = *p;
    }
    *out = '\0';
    return text;
}

static int read_terms(struct graph_call *g, const char *filter, struct entry_filter *f,
                      struct error *err)
{
    const char *names = quoted_after(g, filter, "servicePrincipalNames/any(");
    const char *uris = quoted_after(g, filter, "identifierUris/any(");

    f->name_prefix = quoted_after(g, filter, "startswith(displayName");
    f->name = quoted_after(g, filter, "displayName eq");
    f->upn = quoted_after(g, filter, "userPrincipalName eq");
    f->app_id = quoted_after(g, filter, "appId eq");
    if (names && uuid_is_valid(names))
        f->app_id = names;
    else if (names)
        f->uri = names;
    if (uris)
        f->uri = uris;
    if (!f->upn)
        f->upn = quoted_after(g, filter, "mail eq");
    if (!f->name_prefix && !f->name && !f->upn && !f->app_id && !f->uri)
        return fail(err, &E_GRAPH_REQUEST, "Invalid filter clause: '%.200s'.", filter);
    if (f->app_id && !uuid_is_valid(f->app_id))
        return fail(err, &E_GRAPH_REQUEST, "Invalid filter clause: '%.60s' is not a guid.",
                    f->app_id);
    return 0;
}

int graph_filter(struct graph_call *g, struct entry_filter *f, struct error *err)
{
    const char *filter = http_query_nocase(g->req, "$filter");
    const char *after = http_query_nocase(g->req, "$skiptoken");

    f->tenant_id = g->caller.tenant_id;
    f->limit = graph_page(g) + 1;
    if (after && !uuid_is_valid(after))
        return fail(err, &E_GRAPH_REQUEST, "The $skiptoken is not one of this service's.");
    f->after_id = after;
    if (!filter || !filter[0])
        return 0;
    if (strlen(filter) > FILTER_TEXT_MAX)
        return fail(err, &E_GRAPH_REQUEST, "The filter is too long.");
    return read_terms(g, filter, f, err);
}

static struct json_object *texts(const char *const *items, size_t count)
{
    struct json_object *list = json_new_array();

    for (size_t i = 0; i < count; i++)
        json_add_text(list, items[i]);
    return list;
}

static void show_application(struct json_object *out, const struct entry *e)
{
    struct json_object *web = json_new_object();

    json_set_text(out, "appId", e->app_id);
    json_set(out, "identifierUris", texts(e->identifier_uris, e->identifier_count));
    json_set_text(out, "signInAudience", "AzureADMyOrg");
    json_set(web, "redirectUris", texts(e->redirect_uris, e->redirect_count));
    json_set(out, "web", web);
    json_set(out, "passwordCredentials", json_new_array());
    json_set(out, "keyCredentials", json_new_array());
}

static void show_service_principal(struct graph_call *g, struct json_object *out,
                                   const struct entry *e)
{
    struct json_object *names = texts(e->identifier_uris, e->identifier_count);

    json_add_text(names, e->app_id);
    json_set_text(out, "appId", e->app_id);
    json_set_text(out, "appDisplayName", e->display_name);
    json_set_text(out, "appOwnerOrganizationId", g->caller.tenant_id);
    json_set(out, "servicePrincipalNames", names);
    json_set_text(out, "servicePrincipalType",
                  text_eq(e->kind, "ManagedIdentity") ? "ManagedIdentity" : "Application");
    json_set_bool(out, "accountEnabled", e->is_enabled);
    json_set(out, "passwordCredentials", json_new_array());
    json_set(out, "keyCredentials", json_new_array());
}

struct json_object *graph_show(struct graph_call *g, const struct entry *e)
{
    struct json_object *out = json_new_object();
    const char *type = text_eq(e->kind, "User")          ? "user"
                       : text_eq(e->kind, "Group")       ? "group"
                       : text_eq(e->kind, "Application") ? "application"
                                                         : "servicePrincipal";

    json_set_text(out, "@odata.type", arena_printf(g->arena, "#microsoft.graph.%s", type));
    json_set_text(out, "id", e->id);
    json_set_text(out, "displayName", e->display_name);
    json_set_text(out, "createdDateTime", e->created_at);
    if (text_eq(type, "user")) {
        json_set_text(out, "userPrincipalName", e->upn);
        json_set_text(out, "mail", NULL);
        json_set_text(out, "userType", "Member");
        json_set_bool(out, "accountEnabled", e->is_enabled);
    } else if (text_eq(type, "group")) {
        json_set_text(out, "description", e->description);
        json_set_text(out, "mailNickname", e->upn ? e->upn : e->display_name);
        json_set_bool(out, "securityEnabled", true);
        json_set_bool(out, "mailEnabled", false);
        json_set(out, "groupTypes", json_new_array());
    } else if (text_eq(type, "application")) {
        show_application(out, e);
    } else {
        show_service_principal(g, out, e);
    }
    return out;
}

struct json_object *graph_show_full(struct graph_call *g, const struct entry *e,
                                    const struct credential *credentials, size_t count)
{
    struct json_object *out = graph_show(g, e);

    for (size_t i = 0; i < count; i++) {
        const struct credential *c = &credentials[i];
        struct json_object *one = json_new_object();

        json_set_text(one, "keyId", c->id);
        json_set_text(one, "displayName", c->display_name);
        json_set_text(one, "startDateTime", c->starts_at);
        json_set_text(one, "endDateTime", c->expires_at);
        if (text_eq(c->kind, "Secret")) {
            json_set_text(one, "hint", c->hint);
            json_set_text(one, "secretText", NULL);
            json_add(json_at(out, "passwordCredentials"), one);
        } else if (text_eq(c->kind, "Certificate")) {
            json_set_text(one, "type", "AsymmetricX509Cert");
            json_set_text(one, "usage", "Verify");
            json_set_text(one, "customKeyIdentifier", c->thumbprint);
            json_set_text(one, "key", NULL);
            json_add(json_at(out, "keyCredentials"), one);
        } else {
            json_put(one);
        }
    }
    return out;
}

int graph_transact(struct graph_call *g, pg_work *fn, void *ctx, struct error *err)
{
    if (pg_transact(g->control->db, g->arena, fn, ctx, err) == 0)
        return 0;
    if (err->code == &E_CONFLICT)
        return fail(err, &E_GRAPH_CONFLICT,
                    "Another object with the same value for a property that must be unique "
                    "already exists.");
    return -1;
}

int graph_tell(struct graph_call *g, const struct graph_scopes *scopes, struct error *err)
{
    for (size_t i = 0; i < scopes->count; i++) {
        if (publish_grants_changed(g->control, g->arena, scopes->keys[i], err))
            return -1;
    }
    return 0;
}

char *graph_uuid(struct arena *a)
{
    char id[UUID_TEXT_LEN + 1];

    uuid_new(id);
    return arena_strdup(a, id);
}

/* The stages ---------------------------------------------------------------------------------- */

static int read_body(struct graph_call *g, struct error *err)
{
    struct error reason;

    if (json_parse_object(g->req->body, g->req->body_len, BODY_MAX, &g->body, &reason))
        return fail(err, &E_GRAPH_REQUEST, "Unable to read JSON request payload: %.300s",
                    reason.message);
    json_own(g->arena, g->body);
    return 0;
}

static int authorise(struct graph_call *g, const struct graph_endpoint *e, struct error *err)
{
    struct error why;

    if (!e->writes)
        return 0;
    if (access_check(g->control, g->arena, &g->caller,
                     arena_printf(g->arena, "Microsoft.Directory/%s/write", e->writes), "/",
                     &why) == 0)
        return 0;
    if (why.code != &E_AUTHORIZATION_FAILED) {
        *err = why;
        return -1;
    }
    return fail(err, &E_AUTHORIZATION_FAILED,
                "Insufficient privileges to complete the operation: it needs a role over the whole "
                "directory.");
}

static int run(struct graph_call *g, struct error *err)
{
    const struct graph_endpoint *e = g->req->route->plane;
    const char *challenge = NULL;

    if (identity_authenticate_for(g->control, g->req, AUDIENCE_GRAPH, &g->caller, &challenge,
                                  err)) {
        if (challenge)
            http_reply_header(g->req, "WWW-Authenticate", challenge);
        return -1;
    }
    if (authorise(g, e, err) || (e->needs_body && read_body(g, err)))
        return -1;
    return e->run(g, err);
}

static void serve(struct http_request *req)
{
    struct graph_call *g = ARENA_NEW(req->arena, struct graph_call);
    struct error err = { 0 };

    *g = (struct graph_call){ .req = req, .arena = req->arena, .control = req->app };
    if (run(g, &err))
        reply_error(req, &err);
}

#define READ(p, e)                                                                                 \
    { .method = "GET", .pattern = "/v1.0/" p, .body = HTTP_BODY_NONE, .run = serve,                \
      .plane = &(e), .is_nocase = true }
#define DROP(p, e)                                                                                 \
    { .method = "DELETE", .pattern = "/v1.0/" p, .body = HTTP_BODY_NONE, .run = serve,             \
      .plane = &(e), .is_nocase = true }
#define SEND(m, p, e)                                                                              \
    { .method = m, .pattern = "/v1.0/" p, .body = HTTP_BODY_BUFFER, .max_body = BODY_MAX,          \
      .run = serve, .plane = &(e), .is_nocase = true }

static const struct http_route routes[] = {
    READ("me", graph_me),
    READ("users", graph_users),
    SEND("POST", "users", graph_user_make),
    READ("users/{id}", graph_user),
    SEND("PATCH", "users/{id}", graph_user_change),
    DROP("users/{id}", graph_user_drop),
    READ("users/{id}/memberOf", graph_member_of),
    READ("users/{id}/transitiveMemberOf", graph_member_of),
    SEND("POST", "users/{id}/getMemberGroups", graph_member_groups),
    READ("groups", graph_groups),
    SEND("POST", "groups", graph_group_make),
    READ("groups/{id}", graph_group),
    SEND("PATCH", "groups/{id}", graph_group_change),
    DROP("groups/{id}", graph_group_drop),
    READ("groups/{id}/members", graph_members),
    READ("groups/{id}/owners", graph_owners),
    READ("groups/{id}/memberOf", graph_member_of),
    SEND("POST", "groups/{id}/members/$ref", graph_member_add),
    DROP("groups/{id}/members/{member}/$ref", graph_member_drop),
    SEND("POST", "groups/{id}/getMemberGroups", graph_member_groups),
    SEND("POST", "directoryObjects/getByIds", graph_by_ids),
    READ("directoryObjects/{id}", graph_object),
    SEND("POST", "directoryObjects/{id}/checkMemberGroups", graph_check_groups),
    SEND("POST", "directoryObjects/{id}/getMemberGroups", graph_member_groups),
    READ("applications", graph_apps),
    SEND("POST", "applications", graph_app_make),
    READ("applications/{id}", graph_application),
    SEND("PATCH", "applications/{id}", graph_app_change),
    DROP("applications/{id}", graph_app_drop),
    READ("applications/{id}/owners", graph_owners),
    SEND("POST", "applications/{id}/addPassword", graph_app_secret),
    SEND("POST", "applications/{id}/removePassword", graph_app_secret_drop),
    READ("applications/{id}/federatedIdentityCredentials", graph_federated),
    SEND("POST", "applications/{id}/federatedIdentityCredentials", graph_federated_make),
    DROP("applications/{id}/federatedIdentityCredentials/{credential}", graph_federated_drop),
    READ("servicePrincipals", graph_sps),
    SEND("POST", "servicePrincipals", graph_sp_make),
    READ("servicePrincipals/{id}", graph_sp),
    SEND("PATCH", "servicePrincipals/{id}", graph_sp_change),
    DROP("servicePrincipals/{id}", graph_sp_drop),
    READ("servicePrincipals/{id}/owners", graph_owners),
    READ("servicePrincipals/{id}/memberOf", graph_member_of),
    SEND("POST", "servicePrincipals/{id}/addPassword", graph_sp_secret),
    SEND("POST", "servicePrincipals/{id}/removePassword", graph_sp_secret_drop),
    SEND("POST", "servicePrincipals/{id}/getMemberGroups", graph_member_groups),
    READ("identity/identityProviders", graph_providers),
    SEND("POST", "identity/identityProviders", graph_provider_make),
    READ("identity/identityProviders/{id}", graph_provider),
    SEND("PATCH", "identity/identityProviders/{id}", graph_provider_change),
    DROP("identity/identityProviders/{id}", graph_provider_drop),
    { 0 },
};

static void missing(struct http_request *req, bool is_method_wrong)
{
    struct error err;

    (void)fail(&err, is_method_wrong ? &E_GRAPH_METHOD : &E_GRAPH_MISSING,
               "There is nothing at the path of the request.");
    reply_error(req, &err);
}

static void done(struct http_request *req)
{
    struct log_line l;

    http_log_start(&l, "graph.request", req);
    log_text(&l, "rule", req->plane);
    log_end(&l);
}

void graph_app(struct control *control, struct http_app *ret)
{
    *ret = (struct http_app){
        .routes = routes, .missing = missing, .fault = reply_error, .done = done, .ctx = control
    };
}
