/* What clients read before they ask for a token: the OpenID configuration (OpenID Connect Discovery
 * 1.0 section 4), the keys, the instance metadata. Every URL is made from the configured login URL;
 * the Host header of the request plays no part. */
#include "controlplane/identity/login.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/control.h"
#include "controlplane/identity/directory.h"
#include "controlplane/identity/identity.h"
#include "controlplane/identity/openid_paths.h"
#include "controlplane/identity/signing_keys.h"

static struct json_object *texts(const char *const *items)
{
    struct json_object *list = json_new_array();
    for (; *items; items++)
        json_add_text(list, *items);
    return list;
}

/* The path's own way of naming the tenant, so that clients see their authority again. */
static const char *base_url(struct http_request *req, const struct openid_path *path,
                            const char *tenant_id)
{
    const struct control *control = req->app;
    const char *tenant = path->is_any_tenant ? path->tenant : tenant_id;
    return arena_printf(req->arena, "%s%s%s%s", control->login_url, path->style, tenant ? "/" : "",
                        tenant ? tenant : "");
}

void openid_configuration(struct http_request *req, const struct openid_path *path)
{
    static const char *const auth_methods[] = { "client_secret_post", "client_secret_basic",
                                                "private_key_jwt", NULL };
    static const char *const grants[] = {
        "client_credentials", "authorization_code", "refresh_token", "password",
        "urn:ietf:params:oauth:grant-type:device_code", NULL
    };
    static const char *const challenges[] = { "S256", NULL };
    static const char *const algorithms[] = { "ES256", NULL };
    static const char *const subjects[] = { "pairwise", NULL };
    static const char *const responses[] = { "code", NULL };
    static const char *const claims[] = { "aud", "iss", "iat", "nbf",   "exp",   "tid",
                                          "oid", "sub", "ver", "appid", "idtyp", NULL };

    const char *tenant_id = login_tenant(req, path);
    if (!tenant_id)
        return;
    const char *base = base_url(req, path, tenant_id), *v2 = path->is_v2 ? "/v2.0" : "";
    struct json_object *body = json_new_object();
    json_set_text(body, "issuer", directory_issuer(req->arena, req->app, tenant_id));
    json_set_text(body, "authorization_endpoint",
                  arena_printf(req->arena, "%s/oauth2%s/authorize", base, v2));
    json_set_text(body, "token_endpoint", arena_printf(req->arena, "%s/oauth2%s/token", base, v2));
    json_set_text(body, "device_authorization_endpoint",
                  arena_printf(req->arena, "%s/oauth2%s/devicecode", base, v2));
    json_set(body, "code_challenge_methods_supported", texts(challenges));
    json_set_text(body, "jwks_uri", arena_printf(req->arena, "%s/discovery%s/keys", base, v2));
    json_set(body, "token_endpoint_auth_methods_supported", texts(auth_methods));
    json_set(body, "grant_types_supported", texts(grants));
    json_set(body, "response_types_supported", texts(responses));
    json_set(body, "subject_types_supported", texts(subjects));
    json_set(body, "id_token_signing_alg_values_supported", texts(algorithms));
    json_set(body, "claims_supported", texts(claims));
    login_reply(req, 200, body);
}

void openid_keys(struct http_request *req, const struct openid_path *path)
{
    const struct control *control = req->app;
    const char *tenant_id = login_tenant(req, path);
    if (!tenant_id)
        return;
    struct key_set *set = NULL;
    struct error err;
    if (key_ring_get(control->directory->keys, req->arena, NULL, &set, &err) != 0) {
        login_fail_error(req, &err);
        return;
    }
    struct json_object *jwks =
        key_set_jwks(set, directory_issuer(req->arena, control, tenant_id), clock_wall_us());
    key_ring_put(control->directory->keys, set);
    login_reply(req, 200, jwks);
}

/* The only instance there is: this one. */
void openid_instance(struct http_request *req, const struct openid_path *path)
{
    const struct control *control = req->app;
    const char *tenant_id = login_tenant(req, path);
    if (!tenant_id)
        return;
    const char *host = strstr(control->login_url, "://");
    host = host ? host + 3 : control->login_url;
    struct json_object *body = json_new_object(), *list = json_new_array();
    struct json_object *own = json_new_object(), *aliases = json_new_array();
    json_set_text(body, "tenant_discovery_endpoint",
                  arena_printf(req->arena, "%s/v2.0/.well-known/openid-configuration",
                               base_url(req, path, tenant_id)));
    json_set_text(body, "api-version", "1.1");
    json_set_text(own, "preferred_network", host);
    json_set_text(own, "preferred_cache", host);
    json_add_text(aliases, host);
    json_set(own, "aliases", aliases);
    json_add(list, own);
    json_set(body, "metadata", list);
    login_reply(req, 200, body);
}

/* Where somebody's password is checked: here, whoever it is. Clients ask before they send it. */
void openid_user_realm(struct http_request *req, const struct openid_path *path)
{
    const struct control *control = req->app;
    const char *name = strrchr(req->path, '/') + 1, *at = strrchr(name, '@');
    const char *host = strstr(control->login_url, "://");
    struct json_object *body = json_new_object();
    (void)path;
    json_set_text(body, "ver", "1.0");
    json_set_text(body, "account_type", "Managed");
    json_set_text(body, "domain_name", at && at[1] ? at + 1 : control->settings->domain);
    json_set_text(body, "cloud_instance_name", host ? host + 3 : control->login_url);
    json_set_text(body, "cloud_audience_urn", control->login_url);
    login_reply(req, 200, body);
}
