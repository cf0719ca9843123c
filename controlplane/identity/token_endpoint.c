/* The token endpoint. Applications sign in with a secret, in the form or by HTTP Basic, or with an
 * assertion (RFC 6749 section 4.4, RFC 7523) and get a token for one audience, named by `resource`
 * (v1) or `scope=<audience>/.default` (v2). Grants of people are user_grants.c's. */
#include "controlplane/identity/token_endpoint.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/crypto/secret.h"
#include "common/crypto/token.h"
#include "common/http/server.h"
#include "common/json/json.h"
#include "common/network/throttle.h"

#include "controlplane/control.h"
#include "controlplane/identity/assertion.h"
#include "controlplane/identity/directory.h"
#include "controlplane/identity/openid_paths.h"
#include "controlplane/identity/signing_keys.h"
#include "controlplane/store/identity.h"

static const struct login_error unsupported_grant = { "unsupported_grant_type", 70003, 400 };
static const struct login_error invalid_resource = { "invalid_resource", 500011, 400 };
static const struct login_error invalid_scope = { "invalid_scope", 70011, 400 };
static const struct login_error no_credential = { "invalid_client", 7000218, 401 };
static const struct login_error bad_assertion = { "invalid_client", 700027, 401 };
static const struct login_error bad_basic = { "invalid_client", 7000216, 401 };
static const struct login_error no_client = { "unauthorized_client", 700016, 400 };
static const struct login_error wrong_secret = { "invalid_client", 7000215, 401 };
static const struct login_error expired_secret = { "invalid_client", 7000222, 401 };
static const struct login_error disabled_client = { "unauthorized_client", 7000112, 401 };
static const struct login_error too_many = { "temporarily_unavailable", 50196, 429 };

/* A parameter that may occur once. false: it was answered. */
bool login_form(struct http_request *req, const char *name, const char **ret)
{
    const char **values = NULL;
    size_t count = http_form_all(req, name, &values);
    if (count > 1) {
        login_fail(req, &LOGIN_BAD_REQUEST, "The parameter '%s' occurs more than once.", name);
        return false;
    }
    *ret = count == 1 && values[0][0] != '\0' ? values[0] : NULL;
    return true;
}

/* RFC 6749 section 2.3.1: id and secret are form-encoded before they are joined. */
static bool read_basic(struct http_request *req, const char *header, struct token_request *ret)
{
    size_t len = 0;
    const char *encoded = header + strlen("Basic ");
    encoded += strspn(encoded, " ");
    char *text = (char *)text_unbase64(req->arena, encoded, strlen(encoded), &len);
    char *colon = text && strlen(text) == len ? strchr(text, ':') : NULL;
    if (!colon)
        return false;
    ret->client_id = text_percent_decode(req->arena, text, (size_t)(colon - text), true);
    ret->secret = text_percent_decode(req->arena, colon + 1, strlen(colon + 1), true);
    ret->is_basic = true;
    return ret->client_id && ret->secret;
}

/* false: it was answered. */
static bool read_credential(struct http_request *req, struct token_request *ret)
{
    const char *form_id = NULL, *form_secret = NULL, *assertion = NULL;
    if (!login_form(req, "client_id", &form_id) ||
        !login_form(req, "client_secret", &form_secret) ||
        !login_form(req, "client_assertion", &assertion))
        return false;
    const char *header = http_header(req, "Authorization");
    if (header && text_starts_nocase(header, "Basic ")) {
        if (http_header_repeats(req, "Authorization") || !read_basic(req, header, ret)) {
            http_reply_header(req, "WWW-Authenticate", "Basic realm=\"login\"");
            login_fail(req, &bad_basic, "The Authorization header cannot be read.");
            return false;
        }
        /* RFC 6749 section 2.3: one way of authenticating in a request. */
        if (form_secret || (form_id && !text_eq_nocase(form_id, ret->client_id))) {
            login_fail(req, &LOGIN_BAD_REQUEST, "The request holds two client credentials.");
            return false;
        }
        return true;
    }
    if (!form_id) {
        login_fail(req, &LOGIN_MISSING_PARAMETER,
                   "The request body must contain the following parameter: 'client_id'.");
        return false;
    }
    if (assertion && form_secret) {
        login_fail(req, &LOGIN_BAD_REQUEST, "The request holds two client credentials.");
        return false;
    }
    if (!form_secret && !assertion) {
        login_fail(req, &no_credential,
                   "The request body must contain the following parameter: 'client_secret'.");
        return false;
    }
    ret->client_id = form_id;
    ret->secret = form_secret;
    ret->assertion = assertion;
    return true;
}

/* The audience of `scope`: one "<audience>/.default"; OpenID's own scopes beside it are ignored. An
 * audience that ends with a slash gives "//.default". NULL when there is not exactly one. */
static const char *scope_resource(struct arena *a, const char *scope)
{
    static const char *const ignored[] = { "openid", "profile", "offline_access", "email", "" };
    static const char suffix[] = "/.default";
    char **parts = NULL;
    const char *resource = NULL;
    size_t count = text_split(a, scope, ' ', &parts);
    for (size_t i = 0; i < count; i++) {
        bool is_ignored = false;
        for (size_t n = 0; n < ARRAY_LEN(ignored); n++)
            is_ignored = is_ignored || text_eq(parts[i], ignored[n]);
        if (is_ignored)
            continue;
        size_t len = strlen(parts[i]);
        /* People's clients also name the one permission there is. */
        const char *end =
            text_ends(parts[i], "/user_impersonation") ? "/user_impersonation" : suffix;
        if (resource || !text_ends(parts[i], end) || len == strlen(end))
            return NULL;
        resource = arena_strndup(a, parts[i], len - strlen(end));
    }
    return resource;
}

const char *login_scope_audience(struct http_request *req, const char *scope)
{
    const char *asked = scope_resource(req->arena, scope);
    return asked ? directory_audience(req->arena, req->app, asked) : NULL;
}

bool login_audience(struct http_request *req, struct token_request *ret)
{
    const char *scope = NULL, *resource = NULL;
    if (!login_form(req, "scope", &scope) || !login_form(req, "resource", &resource))
        return false;
    if (!scope && !resource) {
        login_fail(req, &LOGIN_MISSING_PARAMETER,
                   "The request body must contain the following parameter: 'scope'.");
        return false;
    }
    const char *asked = scope ? scope_resource(req->arena, scope) : resource;
    if (!asked) {
        login_fail(req, &invalid_scope, "The scope must be one resource followed by '/.default'.");
        return false;
    }
    ret->audience = directory_audience(req->arena, req->app, asked);
    if (!ret->audience) {
        login_fail(req, &invalid_resource,
                   "The resource principal was not found in the tenant. The application asked for "
                   "a token for a resource that does not exist here.");
        return false;
    }
    ret->resource = scope ? NULL : resource;
    ret->scope = scope;
    return true;
}

static bool read_request(struct http_request *req, struct token_request *ret)
{
    const char *grant = NULL, *type = http_header(req, "Content-Type");
    if (!type || !text_starts_nocase(type, "application/x-www-form-urlencoded")) {
        login_fail(req, &LOGIN_BAD_REQUEST,
                   "The request body must be of type application/x-www-form-urlencoded.");
        return false;
    }
    if (!login_form(req, "grant_type", &grant))
        return false;
    if (!grant) {
        login_fail(req, &LOGIN_MISSING_PARAMETER,
                   "The request body must contain the following parameter: 'grant_type'.");
        return false;
    }
    ret->grant = grant;
    if (!text_eq(grant, "client_credentials"))
        return true;
    return read_credential(req, ret) && login_audience(req, ret);
}

static void refuse(struct http_request *req, const struct token_request *r, enum sign_in verdict)
{
    if (r->is_basic) /* RFC 6749 section 5.2 */
        http_reply_header(req, "WWW-Authenticate", "Basic realm=\"login\"");
    switch (verdict) {
    case SIGN_IN_NO_CLIENT:
        login_fail(req, &no_client,
                   "Application with identifier '%s' was not found in the "
                   "directory.",
                   uuid_is_valid(r->client_id) ? r->client_id : "(not a guid)");
        return;
    case SIGN_IN_WRONG_SECRET:
        login_fail(req, &wrong_secret, "Invalid client secret provided.");
        return;
    case SIGN_IN_EXPIRED_SECRET:
        login_fail(req, &expired_secret, "The provided client secret keys are expired.");
        return;
    case SIGN_IN_DISABLED:
        login_fail(req, &disabled_client, "The application is disabled.");
        return;
    case SIGN_IN_OK:
    case SIGN_IN_MAX:
        break;
    }
    abort();
}

/* Fills *ret_principal; false: it was answered. Every outcome but success costs one try. */
static bool sign_in(struct http_request *req, const char *tenant_id, const struct token_request *r,
                    struct principal_row *ret_principal)
{
    struct control *control = req->app;
    struct throttle *throttle = control->directory->throttle;
    if (!uuid_is_valid(r->client_id)) {
        (void)secret_verify_nothing(r->secret ? r->secret : "");
        refuse(req, r, SIGN_IN_NO_CLIENT);
        return false;
    }
    int64_t retry_ms = 0;
    if (!throttle_try(throttle, r->client_id, &req->peer, clock_mono_ms(), &retry_ms)) {
        http_reply_headerf(req, "Retry-After", "%lld", (long long)(retry_ms / 1000 + 1));
        login_fail(req, &too_many, "Too many wrong secrets from this address; try again later.");
        return false;
    }
    enum sign_in verdict = SIGN_IN_WRONG_SECRET;
    struct error err;
    int rc = r->assertion ? assertion_sign_in(control, req->arena, tenant_id, r->client_id,
                                              r->assertion, &verdict, ret_principal, &err)
                          : directory_sign_in(control, req->arena, tenant_id, r->client_id,
                                              r->secret, &verdict, ret_principal, &err);
    if (rc != 0 && (err.code == &E_UNAUTHENTICATED || err.code == &E_TOKEN_EXPIRED)) {
        login_fail(req, &bad_assertion, "Client assertion failed: %s", err.message);
        return false;
    }
    if (rc != 0) {
        throttle_return(throttle, r->client_id, &req->peer);
        login_fail_error(req, &err);
        return false;
    }
    if (verdict != SIGN_IN_OK) {
        refuse(req, r, verdict);
        return false;
    }
    throttle_return(throttle, r->client_id, &req->peer);
    return true;
}

bool login_client(struct http_request *req, const char *tenant_id, const struct token_request *r)
{
    struct principal_row ignored;
    return sign_in(req, tenant_id, r, &ignored);
}

void token_endpoint(struct http_request *req, const struct openid_path *path)
{
    struct token_request r = { 0 };
    struct principal_row principal = { 0 };
    const char *tenant_id = login_tenant(req, path);
    if (!tenant_id || !read_request(req, &r))
        return;
    if (user_grant(req, path->is_any_tenant ? NULL : tenant_id, &r))
        return;
    if (!text_eq(r.grant, "client_credentials")) {
        login_fail(req, &unsupported_grant,
                   "The grant type is not supported; use 'client_credentials'.");
        return;
    }
    if (!sign_in(req, path->is_any_tenant ? NULL : tenant_id, &r, &principal))
        return;
    const struct token_issue issue = { .principal = &principal,
                                       .client_id = principal.app_id,
                                       .audience = r.audience,
                                       .resource = r.resource };
    login_issue(req, &issue);
}
