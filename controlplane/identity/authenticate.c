/* Who calls the management API: the bearer token of the request, checked once and remembered by its
 * hash for as long as it lives and its key verifies; whether its principal still exists and is
 * enabled is asked every time (access.c caches for a second). */
#include "controlplane/identity/identity.h"

#include <pthread.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/token.h"
#include "common/json/json.h"

#include "controlplane/control.h"
#include "controlplane/identity/access.h"
#include "controlplane/identity/directory.h"
#include "controlplane/identity/signing_keys.h"

#define SLOTS 1024

const struct error_code E_AUTHENTICATION_FAILED = { "AuthenticationFailed", 401 };
const struct error_code E_INVALID_TOKEN = { "InvalidAuthenticationToken", 401 };
const struct error_code E_EXPIRED_TOKEN = { "ExpiredAuthenticationToken", 401 };
const struct error_code E_INVALID_TOKEN_TENANT = { "InvalidAuthenticationTokenTenant", 401 };

/* What is left of a verified token. */
struct verified {
    uint8_t digest[SHA256_LEN]; /* of the token's text */
    int64_t exp_s;              /* 0: empty */
    enum audience audience;
    char kid[44];
    char tenant_id[37], object_id[37], app_id[37]; /* app_id "": none */
};

struct token_cache {
    pthread_mutex_t lock;
    struct verified slots[SLOTS];
};

struct token_cache *token_cache_new(void)
{
    struct token_cache *cache = calloc(1, sizeof(*cache));
    if (!cache || pthread_mutex_init(&cache->lock, NULL) != 0)
        abort();
    return cache;
}

void token_cache_free(struct token_cache *cache)
{
    if (!cache)
        return;
    (void)pthread_mutex_destroy(&cache->lock);
    free(cache);
}

static struct verified *slot_of(struct token_cache *cache, const struct digest *d)
{
    return &cache->slots[(d->bytes[0] | (size_t)d->bytes[1] << 8) % SLOTS];
}

static bool cache_get(struct token_cache *cache, const struct digest *d, struct verified *ret)
{
    (void)pthread_mutex_lock(&cache->lock);
    const struct verified *v = slot_of(cache, d);
    bool is_hit = v->exp_s != 0 && memcmp(v->digest, d->bytes, SHA256_LEN) == 0;
    if (is_hit)
        *ret = *v;
    (void)pthread_mutex_unlock(&cache->lock);
    return is_hit;
}

static void cache_put(struct token_cache *cache, const struct verified *v, const struct digest *d)
{
    (void)pthread_mutex_lock(&cache->lock);
    *slot_of(cache, d) = *v;
    (void)pthread_mutex_unlock(&cache->lock);
}

static int fail_expired(struct error *err)
{
    return fail(err, &E_EXPIRED_TOKEN,
                "The access token expiry UTC time is earlier than current UTC time.");
}

/* Translates a failure of token_verify() and names it in the challenge. */
static int refuse(struct error *err)
{
    if (err->code == &E_TOKEN_EXPIRED)
        return fail_expired(err);
    err->code = &E_INVALID_TOKEN;
    return -1;
}

static bool copy_uuid(const struct json_object *claims, const char *name, char ret[37])
{
    const char *value = json_text(claims, name);
    if (!value || !uuid_is_valid(value))
        return false;
    (void)snprintf(ret, 37, "%s", value);
    return true;
}

static int verify(struct control *control, struct arena *a, const struct key_set *set,
                  enum audience audience, const char *token, struct verified *ret,
                  struct error *err)
{
    const struct token_key **keys = NULL;
    struct token_policy policy = {
        .key_count = key_set_verifiers(set, a, clock_wall_us(), &keys),
        .audiences = directory_audience_names(a, control, audience),
    };
    policy.keys = keys;
    struct json_object *claims = NULL;
    if (token_verify(a, &policy, token, &claims, err) != 0)
        return refuse(err);
    if (!copy_uuid(claims, "tid", ret->tenant_id) || !copy_uuid(claims, "oid", ret->object_id))
        return fail(err, &E_INVALID_TOKEN, "The access token names no identity.");
    if (!copy_uuid(claims, "appid", ret->app_id))
        ret->app_id[0] = '\0';
    if (!text_eq(json_text(claims, "iss"), directory_issuer(a, control, ret->tenant_id)))
        return fail(err, &E_INVALID_TOKEN, "The access token comes from another issuer.");
    ret->audience = audience;
    ret->exp_s = json_int(claims, "exp", 0);
    (void)snprintf(ret->kid, sizeof(ret->kid), "%s", token_peek_kid(a, token));
    return 0;
}

static bool is_key_good(const struct key_set *set, const char *kid)
{
    int64_t now_us = clock_wall_us();
    for (size_t i = 0; i < set->count; i++) {
        if (text_eq(token_key_id(set->entries[i].key), kid))
            return set->entries[i].verifies_until_us > now_us;
    }
    return false;
}

static int check_token(struct control *control, struct arena *a, enum audience audience,
                       const char *token, struct verified *ret, struct error *err)
{
    struct directory *d = control->directory;
    struct digest digest;
    if (strnlen(token, TOKEN_MAX_BYTES + 1) > TOKEN_MAX_BYTES)
        return fail(err, &E_INVALID_TOKEN, "The access token is too long.");
    digest_of(DIGEST_SHA256, token, strlen(token), &digest);
    bool is_known = cache_get(d->tokens, &digest, ret) && ret->audience == audience;
    const char *kid = is_known ? ret->kid : token_peek_kid(a, token);
    if (!kid)
        return fail(err, &E_INVALID_TOKEN, "The access token is invalid.");

    struct key_set *set = NULL;
    if (key_ring_get(d->keys, a, kid, &set, err) != 0)
        return -1;
    int rc = 0;
    if (!is_known || !is_key_good(set, kid)) {
        *ret = (struct verified){ 0 };
        rc = verify(control, a, set, audience, token, ret, err);
        memcpy(ret->digest, digest.bytes, SHA256_LEN);
        if (rc == 0)
            cache_put(d->tokens, ret, &digest);
    }
    key_ring_put(d->keys, set);
    if (rc == 0 && clock_wall_s() >= ret->exp_s)
        return fail_expired(err);
    return rc;
}

static const char *kind_of(const struct principal_row *principal)
{
    if (text_eq(principal->kind, "User"))
        return "User";
    return text_eq(principal->kind, "ManagedIdentity") ? "ManagedIdentity" : "Application";
}

/* RFC 6750 section 3, with the member by which Azure's clients find the login host. */
static char *challenge(struct arena *a, const struct control *control, const char *error)
{
    const char *issuer = directory_issuer(a, control, control->tenant_id);
    if (!error)
        return arena_printf(a, "Bearer authorization_uri=\"%s\"", issuer);
    return arena_printf(a,
                        "Bearer authorization_uri=\"%s\", error=\"invalid_token\", "
                        "error_description=\"%s\"",
                        issuer, error);
}

static int authenticate(struct control *control, struct http_request *req, enum audience audience,
                        struct caller *ret, struct error *err)
{
    struct arena *a = req->arena;
    const char *header = http_header(req, "Authorization");
    if (!header || http_header_repeats(req, "Authorization"))
        return fail(err, &E_AUTHENTICATION_FAILED,
                    "Authentication failed. The 'Authorization' header is missing.");
    if (!text_starts_nocase(header, "Bearer "))
        return fail(err, &E_AUTHENTICATION_FAILED,
                    "Authentication failed. The 'Authorization' header is provided in an invalid "
                    "format.");
    const char *token = header + strlen("Bearer ");
    token += strspn(token, " ");

    struct verified v = { 0 };
    if (check_token(control, a, audience, token, &v, err) != 0)
        return -1;
    const struct principal_view *view = NULL;
    if (access_view(control, a, v.object_id, &view, err) != 0)
        return -1;
    if (!view->exists || !view->principal.is_enabled ||
        !text_eq_nocase(view->principal.tenant_id, v.tenant_id))
        return fail(err, &E_AUTHENTICATION_FAILED,
                    "Authentication failed. The identity of the access token is disabled or does "
                    "not exist.");
    *ret = (struct caller){
        .tenant_id = view->principal.tenant_id,
        .object_id = view->principal.object_id,
        .app_id = view->principal.app_id,
        .name = view->principal.app_id ? view->principal.app_id : view->principal.display_name,
        .kind = kind_of(&view->principal),
    };
    return 0;
}

int identity_authenticate_for(struct control *control, struct http_request *req,
                              enum audience audience, struct caller *ret,
                              const char **ret_challenge, struct error *err)
{
    *ret_challenge = NULL;
    if (authenticate(control, req, audience, ret, err) == 0)
        return 0;
    if (err->code->status == 401)
        *ret_challenge = challenge(req->arena, control,
                                   err->code == &E_AUTHENTICATION_FAILED ? NULL : err->message);
    return -1;
}

int identity_authenticate(struct control *control, struct http_request *req, struct caller *ret,
                          const char **ret_challenge, struct error *err)
{
    return identity_authenticate_for(control, req, AUDIENCE_MANAGEMENT, ret, ret_challenge, err);
}
