/* Grants of people: password, authorization code with PKCE (RFC 7636), device code (RFC 8628), and
 * refresh. Codes and refresh tokens are random texts of which only hashes are kept; a code is good
 * once, a refresh token as long as its owner is enabled and keeps his password. */
#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/http/server.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/identity/directory.h"
#include "controlplane/identity/openid_paths.h"
#include "controlplane/identity/people.h"
#include "controlplane/identity/token_endpoint.h"
#include "controlplane/store/directory.h"

#define REFRESH_LIFE_S (30 * 86400)
#define DEVICE_LIFE_S  900
#define DEVICE_POLL_S  5
#define SECRET_CHARS   64
#define DEVICE_GRANT   "urn:ietf:params:oauth:grant-type:device_code"

static const struct login_error wrong_password = { "invalid_grant", 50126, 400 };
static const struct login_error too_many = { "temporarily_unavailable", 50196, 429 };
static const struct login_error bad_grant = { "invalid_grant", 70008, 400 };
static const struct login_error no_client = { "unauthorized_client", 700016, 400 };
static const struct login_error no_passwords = { "unauthorized_client", 7000218, 400 };
static const struct login_error pending = { "authorization_pending", 70016, 400 };
static const struct login_error declined = { "authorization_declined", 70000, 400 };
static const struct login_error expired_device = { "expired_token", 70020, 400 };

struct use {
    struct login_grant grant;
    const char *kind, *hash;
    const char *client_id, *redirect_uri, *verifier;
    struct login_grant added;
    bool is_good;
    const struct login_error *why;
};

/* The client is known, and its secret right if it sent one. */
static bool check_client(struct http_request *req, const char *tenant_id, struct token_request *r)
{
    bool ignored = false;
    struct error err;
    if (!login_form(req, "client_id", &r->client_id) ||
        !login_form(req, "client_secret", &r->secret))
        return false;
    if (!r->client_id) {
        login_fail(req, &LOGIN_MISSING_PARAMETER,
                   "The request body must contain the following parameter: 'client_id'.");
        return false;
    }
    int found = people_client(req->app, req->arena, r->client_id, NULL, &ignored, &err);
    if (found < 0) {
        login_fail_error(req, &err);
        return false;
    }
    if (!found) {
        login_fail(req, &no_client,
                   "Application with identifier '%s' was not found in the "
                   "directory.",
                   uuid_is_valid(r->client_id) ? r->client_id : "(not a guid)");
        return false;
    }
    return !r->secret || login_client(req, tenant_id, r);
}

static int add_refresh(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct use *u = ctx;
    if (login_grant_prune(conn, a, err) != 0)
        return -1;
    return login_grant_add(conn, a, &u->added, err);
}

/* Tokens for a person who has just shown who he is; refresh: the one he came with, or NULL. */
static void reply_tokens(struct http_request *req, const struct person *person,
                         const struct token_request *r, const char *refresh, const char *nonce)
{
    struct control *control = req->app;
    struct error err;
    if (!refresh) {
        refresh = random_text(req->arena, SECRET_CHARS);
        struct use u = { .added = { .hash = people_hash(req->arena, refresh),
                                    .kind = "refresh",
                                    .client_id = r->client_id,
                                    .tenant_id = person->principal.tenant_id,
                                    .principal_id = person->principal.object_id,
                                    .audience = r->audience,
                                    .state = "granted",
                                    .life_s = REFRESH_LIFE_S } };
        if (pg_transact(control->db, req->arena, add_refresh, &u, &err) != 0) {
            login_fail_error(req, &err);
            return;
        }
    }
    const struct token_issue issue = { .principal = &person->principal,
                                       .client_id = r->client_id,
                                       .audience = r->audience,
                                       .resource = r->resource,
                                       .scope = r->scope,
                                       .upn = person->upn,
                                       .refresh_token = refresh,
                                       .nonce = nonce };
    login_issue(req, &issue);
}

static void password_grant(struct http_request *req, const char *tenant_id, struct token_request *r)
{
    struct control *control = req->app;
    const char *name = NULL, *password = NULL;
    enum people_verdict verdict = PEOPLE_WRONG;
    struct person person;
    struct error err;
    if (!control->settings->password_grant) {
        login_fail(req, &no_passwords,
                   "Passwords are not accepted at this endpoint; use a sign-in "
                   "page or a device code.");
        return;
    }
    if (!login_form(req, "username", &name) || !login_form(req, "password", &password) ||
        !login_audience(req, r))
        return;
    if (!name || !password) {
        login_fail(req, &LOGIN_MISSING_PARAMETER,
                   "The request body must contain the following parameter: '%s'.",
                   name ? "password" : "username");
        return;
    }
    if (people_sign_in(control, req, tenant_id, name, password, &verdict, &person, &err) != 0) {
        login_fail_error(req, &err);
        return;
    }
    if (verdict == PEOPLE_TOO_MANY)
        login_fail(req, &too_many, "Too many wrong passwords from this address; try again later.");
    else if (verdict != PEOPLE_OK)
        login_fail(req, &wrong_password,
                   "Error validating credentials due to invalid username or password.");
    else
        reply_tokens(req, &person, r, NULL, NULL);
}

/* What is granted, spent in the same transaction unless it is a refresh token. */
static int use_grant(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct use *u = ctx;
    int found = login_grant_get(conn, a, u->kind, u->hash, &u->grant, err);
    u->is_good = false;
    u->why = &bad_grant;
    if (found < 0)
        return -1;
    if (!found || !text_eq_nocase(u->grant.client_id, u->client_id))
        return 0;
    if (u->grant.is_expired) {
        u->why = text_eq(u->kind, "device") ? &expired_device : &bad_grant;
        return 0;
    }
    if (!text_eq(u->grant.state, "granted")) {
        u->why = text_eq(u->grant.state, "pending")  ? &pending
                 : text_eq(u->grant.state, "denied") ? &declined
                                                     : &bad_grant;
        return 0;
    }
    if (text_eq(u->kind, "refresh")) {
        u->is_good = true;
        return 0;
    }
    int moved = login_grant_move(conn, a, u->hash, "granted", "used", err);
    u->is_good = moved == 1;
    return moved < 0 ? -1 : 0;
}

/* RFC 7636 section 4.6, S256. */
static bool is_challenge_met(struct arena *a, const struct use *u)
{
    struct digest d;
    if (!u->verifier || strlen(u->verifier) > 256)
        return false;
    digest_of(DIGEST_SHA256, u->verifier, strlen(u->verifier), &d);
    return u->grant.challenge &&
           secret_equal_text(u->grant.challenge, text_base64url(a, d.bytes, SHA256_LEN));
}

/* A scope in the request names another audience than the grant's; without one, the grant's it is.
 */
static bool decide_audience(struct http_request *req, const struct use *u, struct token_request *r)
{
    const char *scope = NULL, *resource = NULL;
    if (!login_form(req, "scope", &scope) || !login_form(req, "resource", &resource))
        return false;
    if (scope || resource)
        return login_audience(req, r);
    r->audience = u->grant.audience;
    return true;
}

static void exchange(struct http_request *req, struct token_request *r, struct use *u,
                     const char *secret)
{
    struct control *control = req->app;
    struct person person;
    struct error err;
    u->client_id = r->client_id;
    u->hash = people_hash(req->arena, secret);
    if (pg_transact(control->db, req->arena, use_grant, u, &err) != 0) {
        login_fail_error(req, &err);
        return;
    }
    if (!u->is_good) {
        login_fail(req, u->why, "The %s is %s.",
                   text_eq(u->kind, "refresh") ? "refresh token" : "code",
                   u->why == &pending    ? "waiting for the person to sign in"
                   : u->why == &declined ? "declined"
                                         : "invalid, expired or used");
        return;
    }
    bool is_code = text_eq(u->kind, "code");
    if (is_code &&
        (!text_eq(u->grant.redirect_uri, u->redirect_uri) || !is_challenge_met(req->arena, u))) {
        login_fail(req, &bad_grant,
                   "The redirect_uri or the code_verifier is another than the "
                   "code was made for.");
        return;
    }
    int found = people_find(control, req->arena, u->grant.principal_id, &person, &err);
    if (found < 0) {
        login_fail_error(req, &err);
        return;
    }
    if (!found) {
        login_fail(req, &bad_grant, "The person is disabled or does not exist.");
        return;
    }
    if (decide_audience(req, u, r))
        reply_tokens(req, &person, r, text_eq(u->kind, "refresh") ? secret : NULL, u->grant.nonce);
}

bool user_grant(struct http_request *req, const char *tenant_id, const struct token_request *given)
{
    /* "device_code" is the grant's name of old; its code came as either. */
    static const struct {
        const char *grant, *kind, *parameter, *other;
    } kinds[] = { { "authorization_code", "code", "code", NULL },
                  { DEVICE_GRANT, "device", "device_code", NULL },
                  { "device_code", "device", "device_code", "code" },
                  { "refresh_token", "refresh", "refresh_token", NULL } };
    struct token_request r = *given;
    struct use u = { 0 };
    const char *secret = NULL;
    if (text_eq(r.grant, "password")) {
        if (check_client(req, tenant_id, &r))
            password_grant(req, tenant_id, &r);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!text_eq(r.grant, kinds[i].grant))
            continue;
        u.kind = kinds[i].kind;
        if (!check_client(req, tenant_id, &r) || !login_form(req, kinds[i].parameter, &secret) ||
            (!secret && kinds[i].other && !login_form(req, kinds[i].other, &secret)) ||
            !login_form(req, "redirect_uri", &u.redirect_uri) ||
            !login_form(req, "code_verifier", &u.verifier))
            return true;
        if (secret)
            exchange(req, &r, &u, secret);
        else
            login_fail(req, &LOGIN_MISSING_PARAMETER,
                       "The request body must contain the following parameter: '%s'.",
                       kinds[i].parameter);
        return true;
    }
    return false;
}

/* Devices ------------------------------------------------------------------------------------- */

/* "BCDF-GHJK": no vowels, so no words, and nothing that looks like something else. */
static const char *new_user_code(struct arena *a)
{
    static const char letters[] = "BCDFGHJKLMNPQRSTVWXZ";
    char code[10];
    for (size_t i = 0; i < 9; i++) {
        uint8_t byte = 255;
        if (i == 4) {
            code[i] = '-';
            continue;
        }
        while (byte >= 240) /* the largest multiple of 20 */
            random_bytes(&byte, 1);
        code[i] = letters[byte % 20];
    }
    code[9] = '\0';
    return arena_strdup(a, code);
}

void device_code_endpoint(struct http_request *req, const struct openid_path *path)
{
    struct control *control = req->app;
    struct token_request r = { 0 };
    struct error err;
    const char *tenant_id = login_tenant(req, path);
    if (!tenant_id || !check_client(req, tenant_id, &r) || !login_audience(req, &r))
        return;
    const char *secret = random_text(req->arena, SECRET_CHARS);
    struct use u = { .added = { .hash = people_hash(req->arena, secret),
                                .kind = "device",
                                .client_id = r.client_id,
                                .tenant_id = tenant_id,
                                .user_code = new_user_code(req->arena),
                                .audience = r.audience,
                                .state = "pending",
                                .life_s = DEVICE_LIFE_S } };
    if (pg_transact(control->db, req->arena, add_refresh, &u, &err) != 0) {
        login_fail_error(req, &err);
        return;
    }
    const char *page = arena_printf(req->arena, "%s/device", control->login_url);
    struct json_object *body = json_new_object();
    json_set_text(body, "user_code", u.added.user_code);
    json_set_text(body, "device_code", secret);
    json_set_text(body, "verification_uri", page);
    json_set_text(body, "verification_url", page);
    json_set_int(body, "expires_in", DEVICE_LIFE_S);
    json_set_int(body, "interval", DEVICE_POLL_S);
    json_set_text(body, "message",
                  arena_printf(req->arena,
                               "To sign in, use a web browser to open the page %s and enter the "
                               "code %s to authenticate.",
                               page, u.added.user_code));
    login_reply(req, 200, body);
}
