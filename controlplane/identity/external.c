/* A browser goes to a provider and comes back; see the header. It keeps one secret, in a cookie,
 * for that time. State, nonce and code verifier are made of it, and of its hash the row is found
 * that remembers the page: so an answer is worth nothing in another browser, and the database holds
 * nothing that could be used. Who somebody is here is said by the link of his subject at that
 * issuer alone. */
#include "controlplane/identity/external.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "common/crypto/token.h"
#include "common/http/server.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/identity/issuer.h"
#include "controlplane/identity/login.h"
#include "controlplane/identity/pages.h"
#include "controlplane/identity/people.h"
#include "controlplane/store/providers.h"

#define COOKIE       "__Host-sign-in"
#define SECRET_CHARS 64
#define TARGET_MAX   8192
#define LIFE_S       600
#define TITLE        "Sign in"

struct visit {
    struct control *control;
    const char *tenant_id;
    struct provider *providers;
    size_t count;
    const char *provider_id;
    struct external_sign_in row;
    struct user_identity who;
    const char *principal_id;
    int found;
};

static int read_providers(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct visit *v = ctx;

    return provider_list(conn, a, v->tenant_id, v->provider_id, &v->providers, &v->count, err);
}

int external_providers(struct control *control, struct arena *a, struct provider **ret,
                       size_t *ret_count, struct error *err)
{
    struct visit v = { .tenant_id = control->tenant_id };

    if (pg_with(control->db, a, read_providers, &v, err))
        return -1;
    *ret = v.providers;
    *ret_count = v.count;
    return 0;
}

/* One of the texts that are made of the browser's secret; 43 characters, as PKCE asks for. */
static const char *made_of(struct arena *a, const char *secret, const char *what)
{
    uint8_t mac[SHA256_LEN];

    hmac_sha256(secret, strlen(secret), what, strlen(what), mac);
    return text_base64url(a, mac, sizeof(mac));
}

/* RFC 6265 section 4.2.1. NULL: none, or none of ours. */
static const char *browser_secret(struct http_request *req)
{
    const char *header = http_header(req, "Cookie");
    char **pairs = NULL;
    size_t count =
        header && strlen(header) <= TARGET_MAX ? text_split(req->arena, header, ';', &pairs) : 0;

    for (size_t i = 0; i < count; i++) {
        const char *pair = pairs[i] + strspn(pairs[i], " ");

        if (text_starts(pair, COOKIE "=") && strlen(pair) == strlen(COOKIE "=") + SECRET_CHARS)
            return pair + strlen(COOKIE "=");
    }
    return NULL;
}

static void set_cookie(struct http_request *req, const char *secret, int life_s)
{
    http_reply_headerf(req, "Set-Cookie",
                       COOKIE "=%s; Path=/; Max-Age=%d; Secure; HttpOnly; SameSite=Lax", secret,
                       life_s);
}

static void send_to(struct http_request *req, const char *url)
{
    http_reply_header(req, "Cache-Control", "no-store");
    http_reply_header(req, "Referrer-Policy", "no-referrer");
    http_reply_header(req, "Location", url);
    http_reply_empty(req, 303);
}

static void note_failure(struct http_request *req, const struct error *err)
{
    log_failure(LOG_WARN, "login.provider", err);
    if (err->code == &E_UNAUTHENTICATED || err->code == &E_TOKEN_EXPIRED)
        page_note(req, 401, TITLE,
                  arena_printf(req->arena,
                               "The sign-in at the other provider did "
                               "not succeed. %s",
                               err->message));
    else
        page_note(req, 503, TITLE, "The directory cannot be reached right now.");
}

static const char *redirect_uri(struct http_request *req)
{
    const struct control *control = req->app;

    return arena_printf(req->arena, "%s/external", control->login_url);
}

/* The page of the request, as a browser asks for it. */
static const char *target_of(struct http_request *req)
{
    return arena_printf(req->arena, "%s%s%s", req->path, req->query[0] ? "?" : "", req->query);
}

/* A press of our own button: another site could make use of somebody's being signed in over there.
 */
static bool is_ours(struct http_request *req)
{
    const struct control *control = req->app;
    const char *origin = http_header(req, "Origin"), *site = http_header(req, "Sec-Fetch-Site");

    return (!origin || text_eq_nocase(origin, control->login_url)) &&
           (!site || text_eq(site, "same-origin"));
}

static int remember(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct visit *v = ctx;

    return external_add(conn, a, &v->row, LIFE_S, err);
}

static int find_provider(struct http_request *req, struct visit *v, struct error *err)
{
    v->control = req->app;
    v->tenant_id = v->control->tenant_id;
    if (!uuid_is_valid(v->provider_id))
        return fail(err, &E_UNAUTHENTICATED, "There is no such provider.");
    if (pg_with(v->control->db, req->arena, read_providers, v, err))
        return -1;
    return v->count == 1 ? 0 : fail(err, &E_UNAUTHENTICATED, "There is no such provider.");
}

static const char *authorization_url(struct http_request *req, const struct provider *p,
                                     const char *endpoint, const char *secret)
{
    struct arena *a = req->arena;
    const char *verifier = made_of(a, secret, "verifier");
    struct digest d;

    digest_of(DIGEST_SHA256, verifier, strlen(verifier), &d);
    return arena_printf(a,
                        "%s%cresponse_type=code&client_id=%s&redirect_uri=%s&scope=%s&state=%s"
                        "&nonce=%s&code_challenge=%s&code_challenge_method=S256",
                        endpoint, strchr(endpoint, '?') ? '&' : '?',
                        text_percent_encode(a, p->client_id),
                        text_percent_encode(a, redirect_uri(req)), text_percent_encode(a, p->scope),
                        made_of(a, secret, "state"), made_of(a, secret, "nonce"),
                        text_base64url(a, d.bytes, SHA256_LEN));
}

void external_begin(struct http_request *req, const char *provider_id, const char *user_code)
{
    struct arena *a = req->arena;
    const char *secret = random_text(a, SECRET_CHARS), *endpoint;
    struct visit v = { .provider_id = provider_id };
    struct json_object *about = NULL;
    struct error err;

    if (!is_ours(req)) {
        page_note(req, 403, TITLE, "The form was sent by another site.");
        return;
    }
    if (strlen(target_of(req)) > TARGET_MAX || (user_code && strlen(user_code) > SECRET_CHARS)) {
        page_note(req, 400, TITLE, "The request is too long.");
        return;
    }
    v.row = (struct external_sign_in){ .hash = people_hash(a, secret),
                                       .provider_id = provider_id,
                                       .target = target_of(req),
                                       .user_code = user_code };
    if (find_provider(req, &v, &err) ||
        issuer_about(v.control, a, v.providers->issuer, &about, &err)) {
        note_failure(req, &err);
        return;
    }
    endpoint = json_text(about, "authorization_endpoint");
    if (!endpoint || !text_starts(endpoint, "https://")) {
        page_note(req, 401, TITLE, "The provider has no sign-in page.");
        return;
    }
    if (pg_transact(v.control->db, a, remember, &v, &err)) {
        note_failure(req, &err);
        return;
    }
    set_cookie(req, secret, LIFE_S);
    send_to(req, authorization_url(req, v.providers, endpoint, secret));
}

/* Coming back ---------------------------------------------------------------------------------- */

/* RFC 6749 section 2.3.1, where the provider does not ask for something else. */
static int redeem(struct http_request *req, const struct visit *v, const struct json_object *about,
                  const char *code, const char *secret, struct json_object **ret, struct error *err)
{
    struct arena *a = req->arena;
    const struct provider *p = v->providers;
    const struct json_object *methods = json_at(about, "token_endpoint_auth_methods_supported");
    bool is_basic = json_count(methods) == 0;
    uint8_t *client_secret = NULL;
    size_t len = 0;

    if (secret_unwrap(a, &v->control->service_key, provider_context(a, p->id), p->wrapped_secret,
                      &client_secret, &len, err))
        return wrap(err, "provider %s", p->id);
    for (size_t i = 0; i < json_count(methods); i++)
        is_basic = is_basic || text_eq(json_text(json_item(methods, i), ""), "client_secret_basic");
    const char *id = text_percent_encode(a, p->client_id);
    const char *password =
        text_percent_encode(a, arena_strndup(a, (const char *)client_secret, len));
    const char *pair = arena_printf(a, "%s:%s", id, password);
    const char *form =
        arena_printf(a, "grant_type=authorization_code&code=%s&redirect_uri=%s&code_verifier=%s",
                     text_percent_encode(a, code), text_percent_encode(a, redirect_uri(req)),
                     made_of(a, secret, "verifier"));

    if (!is_basic)
        form = arena_printf(a, "%s&client_id=%s&client_secret=%s", form, id, password);
    return issuer_redeem(v->control, a, about, form,
                         is_basic ? arena_printf(a, "Basic %s", text_base64(a, pair, strlen(pair)))
                                  : NULL,
                         ret, err);
}

/* OpenID Connect Core 1.0 section 3.1.3.7. */
static int check_claims(struct http_request *req, const struct provider *p,
                        const struct json_object *claims, const char *secret, struct error *err)
{
    const char *azp = json_text(claims, "azp"), *nonce = json_text(claims, "nonce");

    if (!text_eq(json_text(claims, "iss"), p->issuer) || !json_text(claims, "sub") ||
        !issuer_has_audience(claims, p->client_id) || (azp && !text_eq(azp, p->client_id)))
        return fail(err, &E_UNAUTHENTICATED, "The provider's token is for somebody else.");
    if (!nonce || !secret_equal_text(nonce, made_of(req->arena, secret, "nonce")))
        return fail(err, &E_UNAUTHENTICATED, "The provider's token is of another sign-in.");
    return 0;
}

/* Fills v->who. */
static int find_out(struct http_request *req, struct visit *v, const char *code, const char *secret,
                    struct error *err)
{
    struct arena *a = req->arena;
    struct json_object *about = NULL, *answer = NULL, *claims = NULL;
    const char *issuer = http_query(req, "iss"); /* RFC 9207 */

    if (find_provider(req, v, err))
        return -1;
    if (issuer && !text_eq(issuer, v->providers->issuer))
        return fail(err, &E_UNAUTHENTICATED, "The answer is another provider's.");
    if (issuer_about(v->control, a, v->providers->issuer, &about, err) ||
        redeem(req, v, about, code, secret, &answer, err))
        return -1;
    if (!json_text(answer, "id_token"))
        return fail(err, &E_UNAUTHENTICATED, "The provider does not say who signed in.");
    if (issuer_verify(v->control, a, about, json_text(answer, "id_token"), &claims, err) ||
        check_claims(req, v->providers, claims, secret, err))
        return -1;
    v->who = (struct user_identity){ v->providers->issuer, json_text(claims, "sub") };
    return 0;
}

static int look_up(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct visit *v = ctx;

    v->found = external_get(conn, a, v->row.hash, &v->row, err);
    return v->found < 0 ? -1 : 0;
}

/* Who it is here; in the same transaction the answer is used up. */
static int link_up(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct visit *v = ctx;

    v->found = user_by_identity(conn, a, v->tenant_id, &v->who, &v->principal_id, err);
    if (v->found <= 0)
        return v->found;
    v->found = external_known(conn, a, v->row.hash, v->principal_id, err);
    return v->found < 0 ? -1 : 0;
}

static void welcome(struct http_request *req, struct visit *v)
{
    struct person person;
    struct error err;
    int found = 0;

    if (pg_transact(v->control->db, req->arena, link_up, v, &err) ||
        (v->found &&
         (found = people_find(v->control, req->arena, v->principal_id, &person, &err)) < 0)) {
        note_failure(req, &err);
        return;
    }
    if (!found) {
        page_note(req, 403, TITLE,
                  arena_printf(req->arena,
                               "Nobody here is known as '%.200s' at %s. An administrator of this "
                               "directory can link that identity to a person.",
                               v->who.subject, v->who.issuer));
        return;
    }
    if (v->row.user_code) {
        set_cookie(req, "", 0);
        device_decide(req, v->row.user_code, &person, true);
        return;
    }
    send_to(req, arena_printf(req->arena, "%s%s", v->control->login_url, v->row.target));
}

void external_page(struct http_request *req)
{
    const char *secret = browser_secret(req), *state = http_query(req, "state");
    const char *code = http_query(req, "code");
    struct visit v = { .control = req->app };
    struct error err;

    if (secret)
        v.row.hash = people_hash(req->arena, secret);
    if (secret && pg_with(v.control->db, req->arena, look_up, &v, &err)) {
        note_failure(req, &err);
        return;
    }
    if (!v.found || !state || !secret_equal_text(state, made_of(req->arena, secret, "state"))) {
        page_note(req, 400, TITLE,
                  "This sign-in has ended. Go back to the application and begin again.");
        return;
    }
    v.provider_id = v.row.provider_id;
    if (!code) {
        page_note(req, 401, TITLE, "The other provider did not sign you in.");
        return;
    }
    if (find_out(req, &v, code, secret, &err))
        note_failure(req, &err);
    else
        welcome(req, &v);
}

static int spend(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct visit *v = ctx;

    v->found = external_spend(conn, a, v->row.hash, v->row.target, &v->principal_id, err);
    return v->found < 0 ? -1 : 0;
}

int external_person(struct http_request *req, struct person *ret, struct error *err)
{
    const char *secret = browser_secret(req);
    struct visit v = { .control = req->app };

    if (!secret)
        return 0;
    v.row.hash = people_hash(req->arena, secret);
    v.row.target = target_of(req);
    if (pg_transact(v.control->db, req->arena, spend, &v, err))
        return -1;
    if (!v.found)
        return 0;
    set_cookie(req, "", 0);
    return people_find(v.control, req->arena, v.principal_id, ret, err);
}
