/* Identities, their permissions of the moment, and the tokens that name them. */
#include "dataplane/auth/identity.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "common/crypto/token.h"
#include "common/json/json.h"
#include "common/network/rules.h"
#include "dataplane/store/accounts.h"
#include "dataplane/store/snapshot.h"

#define TOKEN_ISSUER   "Azure Container Registry"
#define KEYS_MAX       64
/* Of the claims: the token travels in a header, and edges take heads of 15 KiB. */
#define CLAIMS_MAX_BYTES ((size_t)8 * 1024)

static const char *const kind_names[IDENTITY_KIND_MAX] = {
    [IDENTITY_ANONYMOUS] = "anonymous",
    [IDENTITY_PRINCIPAL] = "principal",
    [IDENTITY_ADMIN] = "admin",
    [IDENTITY_TOKEN] = "token",
};

/* What is granted to everybody when anonymous pull is on. */
static struct scope anonymous_items[] = {
    { SCOPE_REPOSITORY, "*", ACT_PULL | ACT_METADATA_READ },
};
static const struct scopes anonymous_scopes = { anonymous_items, ARRAY_LEN(anonymous_items) };

static bool is_current(const struct snapshot *s, const struct password *p)
{
    if (p->is_admin && !s->is_admin_enabled)
        return false;
    return p->expires_us == 0 || p->expires_us > clock_wall_us();
}

/* The account, held by the arena. 1 found, 0 not, -1 when it could not be asked for. */
static int find_account(const struct authority *who, struct arena *a, const char *name,
                        bool is_memory_enough, struct account **ret, struct error *err)
{
    int found = 1;

    *ret = is_memory_enough ? accounts_find(who->accounts, name) : NULL;
    if (!*ret && who->is_quick)
        return fail(err, &E_UNAVAILABLE, "the database has to be asked");
    if (!*ret)
        found = accounts_look_up(who->accounts, name, ret, err);
    if (found == 1)
        arena_defer(a, account_unref, *ret);
    return found;
}

/* The password an identity signed in with, while it holds. */
static const struct password *find_password(const struct snapshot *s,
                                            const struct account *account,
                                            const struct identity *id)
{
    for (size_t i = 0; i < account->count; i++) {
        const struct password *p = &account->passwords[i];
        if (p->is_admin == (id->kind == IDENTITY_ADMIN) && text_eq(p->mark, id->mark) &&
            is_current(s, p))
            return p;
    }
    return NULL;
}

int identity_permissions(const struct authority *who, struct arena *a, const struct identity *id,
                         struct permissions *ret, struct error *err)
{
    const struct snapshot *s = who->snapshot;
    const struct grant *grant = NULL;
    struct account *account = NULL;

    *ret = (struct permissions){ .until_s = INT64_MAX };
    if (id->kind == IDENTITY_ANONYMOUS && s->is_anonymous_enabled)
        ret->scopes = &anonymous_scopes;
    if (id->kind == IDENTITY_PRINCIPAL) {
        grant = snapshot_grant(s, id->name);
        ret->scopes = grant ? &grant->permissions : NULL;
    }
    if (id->kind != IDENTITY_ADMIN && id->kind != IDENTITY_TOKEN)
        return 0;
    int found = find_account(who, a, id->name, true, &account, err);
    const struct password *p = found == 1 ? find_password(s, account, id) : NULL;
    if (!p)
        return found < 0 ? -1 : 0;
    *ret = (struct permissions){ .scopes = p->permissions,
                                 .account = account,
                                 .until_s = p->expires_us ? p->expires_us / 1000000 : INT64_MAX };
    return 0;
}

static bool try_account(const struct snapshot *s, struct arena *a, const struct account *account,
                        const char *password, struct identity *ret)
{
    for (size_t i = 0; i < account->count; i++) {
        const struct password *p = &account->passwords[i];
        /* The password first: whether a name is switched off shows only to who knows it. */
        if (!secret_verify(p->hash, password) || !is_current(s, p))
            continue;
        *ret = (struct identity){ .kind = p->is_admin ? IDENTITY_ADMIN : IDENTITY_TOKEN,
                                  .name = arena_strdup(a, account->name),
                                  .mark = arena_strdup(a, p->mark) };
        return true;
    }
    return false;
}

int identity_sign_in(const struct authority *who, struct arena *a, const char *username,
                     const char *password, struct identity *ret, struct error *err)
{
    struct account *known = accounts_find(who->accounts, username), *account = NULL;

    if (known) {
        arena_defer(a, account_unref, known);
        if (try_account(who->snapshot, a, known, password, ret))
            return 1;
    }
    int found = find_account(who, a, username, false, &account, err);
    if (found < 0)
        return known && !who->is_quick ? 0 : -1; /* an outage: memory has the last word */
    if (found == 1)
        return try_account(who->snapshot, a, account, password, ret);
    (void)secret_verify_nothing(password);
    return 0;
}

/* --- directory tokens --------------------------------------------------------------------------
 */

/* Issuers are compared one by one: token_verify() knows one. */
static bool is_known_issuer(const struct snapshot *s, const char *issuer)
{
    for (const char *const *one = s->issuers; issuer && *one; one++) {
        if (text_eq(*one, issuer))
            return true;
    }
    return false;
}

int identity_from_directory(const struct authority *who, struct arena *a, const char *token,
                            const char *tenant, struct identity *ret, struct error *err)
{
    const struct snapshot *s = who->snapshot;
    const struct token_key *keys[KEYS_MAX];
    struct token_policy policy = { .keys = keys, .audiences = s->audiences };
    struct json_object *claims = NULL;
    int64_t now_us = clock_wall_us();

    for (size_t i = 0; i < s->directory_key_count && policy.key_count < KEYS_MAX; i++) {
        if (s->directory_until_us[i] > now_us)
            keys[policy.key_count++] = s->directory_keys[i];
    }
    if (token_verify(a, &policy, token, &claims, err) != 0)
        return -1;
    if (!is_known_issuer(s, json_text(claims, "iss")))
        return fail(err, &E_UNAUTHENTICATED, "The token comes from another issuer.");
    const char *tid = json_text(claims, "tid");
    if (s->tenant && (!tid || !text_eq_nocase(tid, s->tenant)))
        return fail(err, &E_UNAUTHENTICATED, "The token belongs to another tenant.");
    /* A domain name may stand for the tenant's id: only another id is another tenant. */
    if (tenant && uuid_is_valid(tenant) && s->tenant && !text_eq_nocase(tenant, s->tenant))
        return fail(err, &E_UNAUTHENTICATED, "The token belongs to another tenant.");
    const char *principal = json_text(claims, json_has(claims, "oid") ? "oid" : "sub");
    if (!principal || !uuid_is_valid(principal))
        return fail(err, &E_UNAUTHENTICATED, "The token names no principal.");
    *ret = (struct identity){ .kind = IDENTITY_PRINCIPAL,
                              .name = text_lower(a, principal),
                              .mark = text_eq(json_text(claims, NETWORK_IMPORT_CLAIM),
                                              who->registry_id)
                                          ? IDENTITY_IMPORT
                                          : "" };
    if (!snapshot_grant(s, ret->name))
        return fail(err, &E_UNAUTHENTICATED, "The principal has no access to this registry.");
    return 0;
}

/* --- own tokens --------------------------------------------------------------------------------
 */

static void add_no_permissions(struct json_object *claims)
{
    struct json_object *permissions = json_new_object();

    json_set(permissions, "actions", json_new_array());
    json_set(permissions, "notActions", json_new_array());
    json_set(claims, "permissions", permissions);
    json_set(claims, "roles", json_new_array());
}

int identity_token_issue(const struct snapshot *s, struct arena *a, const char *registry_id,
                         enum token_kind kind, const struct identity *id,
                         const struct scopes *access, char **ret, struct error *err)
{
    _cleanup_(json_putp) struct json_object *claims = json_new_object();
    int64_t now = clock_wall_s();
    char jti[UUID_TEXT_LEN + 1];

    uuid_new(jti);
    json_set_text(claims, "jti", jti);
    json_set_text(claims, "sub", id->name);
    json_set_int(claims, "nbf", now - 60);
    json_set_int(claims, "exp", now + (kind == TOKEN_REFRESH ? REFRESH_TOKEN_S : ACCESS_TOKEN_S));
    json_set_int(claims, "iat", now);
    json_set_text(claims, "iss", TOKEN_ISSUER);
    json_set_text(claims, "aud", s->login_server);
    json_set_text(claims, "version", "1.0");
    json_set_text(claims, "grant_type", kind == TOKEN_REFRESH ? "refresh_token" : "access_token");
    if (s->tenant)
        json_set_text(claims, "tenant", s->tenant);
    /* By this clients know that they have to name the repositories they want. */
    if (s->is_abac && id->kind == IDENTITY_PRINCIPAL)
        json_set_text(claims, "aad_identity", id->name);
    add_no_permissions(claims);
    /* A registry made again under the same name has another id, and takes no tokens of the old. */
    json_set_text(claims, "registry", registry_id);
    json_set_text(claims, "kind", kind_names[id->kind]);
    json_set_text(claims, "mark", id->mark);
    if (kind == TOKEN_ACCESS)
        json_set(claims, "access", scopes_json(access));
    size_t len = 0;
    const char *text = json_print_len(a, claims, &len);
    if (len > CLAIMS_MAX_BYTES)
        return fail(err, &E_INVALID, "the token would be too long; ask for fewer scopes at a time");
    return token_sign(a, s->key, text, ret, err);
}

static int read_identity(struct arena *a, const struct json_object *claims, struct identity *ret,
                         struct error *err)
{
    const char *kind = json_text(claims, "kind"), *sub = json_text(claims, "sub");
    const char *mark = json_text(claims, "mark");

    for (int i = 0; kind && sub && i < IDENTITY_KIND_MAX; i++) {
        if (!text_eq(kind_names[i], kind))
            continue;
        *ret = (struct identity){ .kind = (enum identity_kind)i,
                                  .name = arena_strdup(a, sub),
                                  .mark = arena_strdup(a, mark ? mark : "") };
        return 0;
    }
    return fail(err, &E_UNAUTHENTICATED, "The token names no identity.");
}

int identity_token_read(const struct snapshot *s, struct arena *a, const char *registry_id,
                        const char *token, int64_t now_s, struct token_facts *ret,
                        struct error *err)
{
    const struct token_key *const keys[] = { s->key };
    const char *const audiences[] = { s->login_server, NULL };
    struct token_policy policy = {
        .keys = keys, .key_count = 1, .issuer = TOKEN_ISSUER, .audiences = audiences, .now_s = now_s
    };
    struct json_object *claims = NULL;

    if (token_verify(a, &policy, token, &claims, err) != 0)
        return -1;
    if (!text_eq(json_text(claims, "registry"), registry_id))
        return fail(err, &E_UNAUTHENTICATED, "The token belongs to another registry.");
    *ret = (struct token_facts){ .expires_s = json_int(claims, "exp", 0) };
    const char *grant_type = json_text(claims, "grant_type");
    if (text_eq(grant_type, "refresh_token"))
        ret->kind = TOKEN_REFRESH;
    else if (text_eq(grant_type, "access_token"))
        ret->kind = TOKEN_ACCESS;
    else
        return fail(err, &E_UNAUTHENTICATED, "The token is of another kind.");
    scopes_read(a, json_at(claims, "access"), &ret->access);
    return read_identity(a, claims, &ret->identity, err);
}
