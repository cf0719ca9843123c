/* Signing what the token endpoint hands out: access tokens, and for people id tokens. */
#include "controlplane/identity/token_endpoint.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/token.h"
#include "common/http/server.h"
#include "common/json/json.h"
#include "common/network/rules.h"

#include "controlplane/control.h"
#include "controlplane/identity/directory.h"
#include "controlplane/identity/identity.h"
#include "controlplane/identity/signing_keys.h"
#include "controlplane/store/identity.h"

static struct json_object *claims_of(const struct control *control, struct arena *a,
                                     const char *tenant_id, const char *object_id,
                                     const char *audience, int64_t now_s)
{
    struct json_object *claims = json_own(a, json_new_object());
    json_set_text(claims, "aud", audience);
    json_set_text(claims, "iss", directory_issuer(a, control, tenant_id));
    json_set_int(claims, "iat", now_s);
    json_set_int(claims, "nbf", now_s);
    json_set_int(claims, "exp", now_s + TOKEN_LIFE_S);
    json_set_text(claims, "tid", tenant_id);
    json_set_text(claims, "oid", object_id);
    json_set_text(claims, "sub", object_id);
    return claims;
}

static struct json_object *access_claims(struct http_request *req, const struct token_issue *i,
                                         int64_t now_s)
{
    struct json_object *claims = claims_of(req->app, req->arena, i->principal->tenant_id,
                                           i->principal->object_id, i->audience, now_s);
    json_set_text(claims, "appid", i->client_id);
    json_set_text(claims, "appidacr", i->upn ? "0" : "1");
    json_set_text(claims, "idtyp", i->upn ? "user" : "app");
    json_set_text(claims, "ver", "1.0");
    if (i->upn) {
        json_set_text(claims, "upn", i->upn);
        json_set_text(claims, "unique_name", i->upn);
        json_set_text(claims, "name", i->principal->display_name);
        json_set_text(claims, "scp", "user_impersonation");
    }
    return claims;
}

/* OpenID Connect Core 1.0 section 2. */
static struct json_object *id_claims(struct http_request *req, const struct token_issue *i,
                                     int64_t now_s)
{
    struct json_object *claims = claims_of(req->app, req->arena, i->principal->tenant_id,
                                           i->principal->object_id, i->client_id, now_s);
    json_set_text(claims, "name", i->principal->display_name);
    json_set_text(claims, "preferred_username", i->upn);
    json_set_text(claims, "upn", i->upn);
    json_set_text(claims, "ver", "2.0");
    if (i->nonce)
        json_set_text(claims, "nonce", i->nonce);
    return claims;
}

static int sign(const struct control *control, struct arena *a, const struct json_object *claims,
                char **ret, struct error *err)
{
    struct key_ring *ring = control->directory->keys;
    struct key_set *set = NULL;
    if (key_ring_get(ring, a, NULL, &set, err) != 0)
        return -1;
    const struct token_key *key = key_set_signer(set, clock_wall_us());
    int rc = key ? token_sign(a, key, json_print(a, claims), ret, err)
                 : fail_cause(err, &E_UNAVAILABLE, "no key signs at this time");
    key_ring_put(ring, set);
    return rc;
}

static int add_user_members(struct http_request *req, const struct token_issue *i, int64_t now_s,
                            struct json_object *body, struct error *err)
{
    struct arena *a = req->arena;
    char *id_token = NULL;
    const char *info = arena_printf(a, "{\"uid\":\"%s\",\"utid\":\"%s\"}",
                                    i->principal->object_id, i->principal->tenant_id);
    if (sign(req->app, a, id_claims(req, i, now_s), &id_token, err) != 0)
        return -1;
    json_set_text(body, "id_token", id_token);
    json_set_text(body, "client_info", text_base64url(a, info, strlen(info)));
    json_set_text(body, "scope",
                  i->scope ? i->scope : arena_printf(a, "%s/user_impersonation", i->audience));
    if (i->refresh_token)
        json_set_text(body, "refresh_token", i->refresh_token);
    return 0;
}

void login_issue(struct http_request *req, const struct token_issue *i)
{
    int64_t now_s = clock_wall_s();
    char *token = NULL;
    struct error err;
    struct json_object *body = json_own(req->arena, json_new_object());
    if (sign(req->app, req->arena, access_claims(req, i, now_s), &token, &err) != 0 ||
        (i->upn && add_user_members(req, i, now_s, body, &err) != 0)) {
        login_fail_error(req, &err);
        return;
    }
    json_set_text(body, "token_type", "Bearer");
    /* A second less than the token lives, so that rounding never makes a client late. */
    json_set_int(body, "expires_in", TOKEN_LIFE_S - 1);
    json_set_int(body, "ext_expires_in", TOKEN_LIFE_S - 1);
    if (i->resource) {
        json_set_text(body, "expires_on",
                      arena_printf(req->arena, "%lld", (long long)(now_s + TOKEN_LIFE_S - 1)));
        json_set_text(body, "not_before", arena_printf(req->arena, "%lld", (long long)now_s));
        json_set_text(body, "resource", i->resource);
    }
    json_set_text(body, "access_token", token);
    login_reply(req, 200, json_get(body));
}

int identity_import_token(const struct control *control, struct arena *a,
                          const struct caller *caller, const char *registry_uid, char **ret,
                          struct error *err)
{
    const char *audience = directory_audience_names(a, control, AUDIENCE_REGISTRY)[0];
    struct json_object *claims = claims_of(control, a, caller->tenant_id, caller->object_id,
                                           audience, clock_wall_s());
    if (caller->app_id)
        json_set_text(claims, "appid", caller->app_id);
    json_set_text(claims, "ver", "1.0");
    json_set_text(claims, NETWORK_IMPORT_CLAIM, registry_uid);
    return sign(control, a, claims, ret, err);
}
