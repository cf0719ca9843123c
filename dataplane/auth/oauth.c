/* Tokens are issued where images are served, from published credentials and grants, so they work
 * with the control plane down. What is asked for and not allowed is left out of the token; only a
 * wrong secret is an error. */
#include "dataplane/auth/oauth.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/http/server.h"
#include "common/json/json.h"
#include "dataplane/auth/bearer.h"
#include "dataplane/auth/gate.h"
#include "dataplane/call.h"
#include "dataplane/oci/reply.h"
#include "dataplane/plane.h"
#include "dataplane/store/snapshot.h"

/* Who asks for a token, and the scopes that bound what it may be given (of an access token that is
 * traded in); NULL: none. */
struct asker {
    struct identity identity;
    const struct scopes *bound;
};

static void refuse(struct http_request *req, const char *rule)
{
    call_of(req)->rule = rule;
    reply_error_detail(req, &E_UNAUTHORIZED,
                       "authentication required, visit https://aka.ms/acr/authorization for more "
                       "information.",
                       NULL);
}

static void refuse_grant(struct http_request *req)
{
    struct error err = { 0 };

    (void)fail(&err, &E_INVALID, "the grant_type is not supported");
    reply_error(req, &err);
}

static const char *registry_id(const struct http_request *req)
{
    return call_of(req)->plane->settings->registry_id;
}

/* A token of this registry that stands for its identity. kind TOKEN_KIND_MAX: either. 1, 0, or -1
 * when it has replied. */
static int ask_by_token(struct http_request *req, const char *token, enum token_kind kind,
                        struct asker *ret)
{
    struct call *call = call_of(req);
    struct authority who = gate_authority(call, false);
    struct error err = { 0 };

    call->bearer = bearer_find(call->plane->bearers, call->snapshot, token);
    if (!call->bearer && bearer_check(call->plane->bearers, &who, registry_id(req), token,
                                      &call->bearer, &err) != 0) {
        if (err.code != &E_UNAVAILABLE)
            return 0;
        reply_error(req, &err);
        return -1;
    }
    const struct token_facts *facts = &call->bearer->facts;
    if (kind != TOKEN_KIND_MAX && facts->kind != kind)
        return 0;
    ret->identity = facts->identity;
    ret->bound = facts->kind == TOKEN_ACCESS ? &facts->access : NULL;
    return 1;
}

static int ask_by_password(struct http_request *req, const char *user, const char *password,
                           struct asker *ret)
{
    if (!user || !password)
        return 0;
    if (user[0] == '\0' && password[0] == '\0') {
        ret->identity = (struct identity){ .kind = IDENTITY_ANONYMOUS, .name = "", .mark = "" };
        return 1;
    }
    if (text_eq_nocase(user, NULL_USER))
        return ask_by_token(req, password, TOKEN_KIND_MAX, ret);
    int known = gate_sign_in(req, user, password);
    if (known == 1)
        ret->identity = call_of(req)->identity;
    return known;
}

/* The access token: asked ∩ allowed now. */
static void answer(struct http_request *req, const struct asker *asker, const char *const *texts,
                   size_t count, const char *refresh_token)
{
    const struct snapshot *s = call_of(req)->snapshot;
    struct authority who = gate_authority(call_of(req), false);
    struct permissions now;
    struct scopes asked, access;
    struct error err = { 0 };
    char *token = NULL;

    call_of(req)->identity = asker->identity;
    if (identity_permissions(&who, req->arena, &asker->identity, &now, &err) != 0) {
        reply_error(req, &err);
        return;
    }
    if (!now.scopes) {
        refuse(req, "permission");
        return;
    }
    scopes_parse(req->arena, texts, count, &asked);
    scopes_intersect(req->arena, &asked, now.scopes, &access);
    if (asker->bound)
        scopes_intersect(req->arena, &access, asker->bound, &access);
    if (identity_token_issue(s, req->arena, registry_id(req), TOKEN_ACCESS, &asker->identity,
                             &access, &token, &err) != 0) {
        reply_error(req, &err);
        return;
    }
    struct json_object *body = json_new_object();
    json_set_text(body, "access_token", token);
    json_set_text(body, "token", token);
    json_set_int(body, "expires_in", ACCESS_TOKEN_S);
    json_set_text(body, "issued_at", clock_rfc3339(req->arena, clock_wall_us()));
    if (refresh_token)
        json_set_text(body, "refresh_token", refresh_token);
    http_reply_header(req, "Cache-Control", "no-store");
    reply_json(req, 200, body);
}

void oauth_exchange(struct http_request *req)
{
    const struct snapshot *s = call_of(req)->snapshot;
    struct authority who = gate_authority(call_of(req), false);
    const char *grant_type = http_form(req, "grant_type");
    const char *token = http_form(req, "access_token");
    struct identity identity = { 0 };
    struct error err = { 0 };
    char *refresh = NULL;

    if (!text_eq(grant_type, "access_token") &&
        !text_eq(grant_type, "access_token_refresh_token")) {
        refuse_grant(req);
        return;
    }
    if (!token || identity_from_directory(&who, req->arena, token, http_form(req, "tenant"),
                                          &identity, &err) != 0) {
        refuse(req, token ? arena_strdup(req->arena, err.message) : "no token");
        return;
    }
    call_of(req)->identity = identity;
    if (identity_token_issue(s, req->arena, registry_id(req), TOKEN_REFRESH, &identity, NULL,
                             &refresh, &err) != 0) {
        reply_error(req, &err);
        return;
    }
    struct json_object *body = json_new_object();
    json_set_text(body, "refresh_token", refresh);
    http_reply_header(req, "Cache-Control", "no-store");
    reply_json(req, 200, body);
}

void oauth_token_get(struct http_request *req)
{
    const char *user = "", *password = "", **scopes = NULL;
    struct asker asker = { 0 };
    bool has_header = http_header(req, "Authorization") != NULL;

    int known = has_header && !gate_basic(req, &user, &password)
                    ? 0
                    : ask_by_password(req, user, password, &asker);
    if (known <= 0) {
        if (known == 0)
            refuse(req, "password");
        return;
    }
    size_t count = http_query_all(req, "scope", &scopes);
    answer(req, &asker, scopes, count, NULL);
}

void oauth_token_post(struct http_request *req)
{
    const char *grant_type = http_form(req, "grant_type"), **scopes = NULL;
    const char *refresh = http_form(req, "refresh_token");
    const char *user = http_form(req, "username"), *password = http_form(req, "password");
    struct asker asker = { 0 };
    int known = 0;

    if (text_eq(grant_type, "refresh_token")) {
        known = refresh ? ask_by_token(req, refresh, TOKEN_REFRESH, &asker) : 0;
    } else if (text_eq(grant_type, "password")) {
        /* The SDKs ask anonymously with an empty refresh token and no name. */
        known = ask_by_password(req, user ? user : "", password ? password : "", &asker);
        refresh = NULL;
    } else {
        refuse_grant(req);
        return;
    }
    if (known <= 0) {
        if (known == 0)
            refuse(req, text_eq(grant_type, "password") ? "password" : "token");
        return;
    }
    size_t count = http_form_all(req, "scope", &scopes);
    answer(req, &asker, scopes, count, refresh);
}
