/* Signed tokens: what a token must be before its signature is looked at, and what its claims must
 * say after (RFC 7519, RFC 8725). The signature itself is token_signature.c's. */
#include "common/crypto/token.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/token_internal.h"
#include "common/json/json.h"

const struct error_code E_TOKEN_EXPIRED = { "TokenExpired", 401 };

/* The parts of a compact JWS; each is base64url and not yet decoded. */
struct parts {
    const char *header, *claims, *signature;
    size_t header_len, claims_len, signature_len;
};

static size_t base64url_span(const char *s)
{
    size_t n = 0;
    for (;; n++) {
        char c = s[n];
        bool is_ok = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_';
        if (!is_ok)
            return n;
    }
}

static bool split(const char *token, struct parts *ret)
{
    ret->header = token;
    ret->header_len = base64url_span(ret->header);
    if (ret->header_len == 0 || ret->header[ret->header_len] != '.')
        return false;
    ret->claims = ret->header + ret->header_len + 1;
    ret->claims_len = base64url_span(ret->claims);
    if (ret->claims_len == 0 || ret->claims[ret->claims_len] != '.')
        return false;
    ret->signature = ret->claims + ret->claims_len + 1;
    ret->signature_len = base64url_span(ret->signature);
    return ret->signature_len == ES256_SIGNATURE_CHARS &&
           ret->signature[ret->signature_len] == '\0';
}

/* One part as a JSON object owned by the arena; NULL when it is anything else. */
static struct json_object *read_part(struct arena *a, const char *part, size_t part_len)
{
    size_t len = 0;
    const uint8_t *text = text_unbase64(a, part, part_len, &len);
    struct json_object *object = NULL;
    struct error ignored;
    if (!text ||
        json_parse_object((const char *)text, len, TOKEN_MAX_BYTES, &object, &ignored) != 0)
        return NULL;
    return json_own(a, object);
}

/* The policy's key that the header names. Where keys come from is the policy's say alone: jwk, jku,
 * x5u and x5c in the header are not looked at. */
static const struct token_key *pick_key(const struct token_policy *policy,
                                        const struct json_object *header)
{
    const char *kid = json_text(header, "kid");
    for (size_t i = 0; kid && i < policy->key_count; i++) {
        if (text_eq(policy->keys[i]->id, kid))
            return policy->keys[i];
    }
    return NULL;
}

static int check_header(const struct json_object *header, struct error *err)
{
    if (!text_eq(json_text(header, "alg"), TOKEN_ALGORITHM))
        return fail(err, &E_UNAUTHENTICATED, "The token is not signed with an accepted algorithm.");
    /* RFC 7515 section 4.1.11: an extension one does not know is a reason to refuse. */
    if (json_has(header, "crit"))
        return fail(err, &E_UNAUTHENTICATED, "The token demands an extension that is not known.");
    if (json_has(header, "typ") && !text_eq_nocase(json_text(header, "typ"), "JWT"))
        return fail(err, &E_UNAUTHENTICATED, "The token is of another type.");
    return 0;
}

/* The header that every token of a key has, to the letter, needs no reading. */
static const struct token_key *usual_key(const struct token_policy *policy,
                                         const struct parts *parts)
{
    for (size_t i = 0; i < policy->key_count; i++) {
        const char *header = policy->keys[i]->header;
        if (strncmp(header, parts->header, parts->header_len) == 0 &&
            header[parts->header_len] == '\0')
            return policy->keys[i];
    }
    return NULL;
}

/* The key that the token says it is signed with, when it is one that may. */
static int find_key(struct arena *a, const struct token_policy *policy, const struct parts *parts,
                    const struct token_key **ret, struct error *err)
{
    *ret = usual_key(policy, parts);
    if (*ret)
        return 0;
    const struct json_object *header = read_part(a, parts->header, parts->header_len);
    if (!header)
        return fail(err, &E_UNAUTHENTICATED, "The token is malformed.");
    if (check_header(header, err) != 0)
        return -1;
    *ret = pick_key(policy, header);
    if (!*ret)
        return fail(err, &E_UNAUTHENTICATED, "The token is signed with a key that is not known.");
    return 0;
}

static int check_times(const struct json_object *claims, int64_t now_s, struct error *err)
{
    const struct json_object *exp = json_at(claims, "exp"), *nbf = json_at(claims, "nbf");
    if (!exp || json_kind(exp) != JSON_INT)
        return fail(err, &E_UNAUTHENTICATED, "The token has no expiry time.");
    if (now_s >= json_int(exp, "", 0))
        return fail(err, &E_TOKEN_EXPIRED, "The token has expired.");
    if (!json_has(claims, "nbf"))
        return 0;
    if (!nbf || json_kind(nbf) != JSON_INT)
        return fail(err, &E_UNAUTHENTICATED, "The token's start time cannot be read.");
    if (json_int(nbf, "", INT64_MAX) > now_s + TOKEN_SKEW_S)
        return fail(err, &E_UNAUTHENTICATED, "The token is not valid yet.");
    return 0;
}

/* Equal but for one trailing slash on either side: resource URIs are written both ways. */
static bool is_same_audience(const char *x, const char *y)
{
    size_t x_len = strlen(x), y_len = strlen(y);
    if (x_len > 0 && x[x_len - 1] == '/')
        x_len--;
    if (y_len > 0 && y[y_len - 1] == '/')
        y_len--;
    return x_len > 0 && x_len == y_len && memcmp(x, y, x_len) == 0;
}

static bool is_wanted_audience(const struct token_policy *policy, const char *audience)
{
    for (const char *const *one = policy->audiences; audience && *one; one++) {
        if (is_same_audience(*one, audience))
            return true;
    }
    return false;
}

static int check_audience(const struct token_policy *policy, const struct json_object *claims,
                          struct error *err)
{
    if (!policy->audiences)
        return 0;
    const struct json_object *aud = json_at(claims, "aud");
    bool is_wanted = is_wanted_audience(policy, json_text(claims, "aud"));
    if (aud && json_kind(aud) == JSON_ARRAY) {
        for (size_t i = 0; i < json_count(aud) && !is_wanted; i++)
            is_wanted = is_wanted_audience(policy, json_text(json_item(aud, i), ""));
    }
    if (!is_wanted)
        return fail(err, &E_UNAUTHENTICATED, "The token was issued for another audience.");
    return 0;
}

const char *token_peek_kid(struct arena *a, const char *token)
{
    struct parts parts;
    if (!token || strnlen(token, TOKEN_MAX_BYTES + 1) > TOKEN_MAX_BYTES || !split(token, &parts))
        return NULL;
    const struct json_object *header = read_part(a, parts.header, parts.header_len);
    return header ? json_text(header, "kid") : NULL;
}

int token_verify(struct arena *a, const struct token_policy *policy, const char *token,
                 struct json_object **ret_claims, struct error *err)
{
    if (!token || strnlen(token, TOKEN_MAX_BYTES + 1) > TOKEN_MAX_BYTES)
        return fail(err, &E_UNAUTHENTICATED, "The token is missing or too long.");
    struct parts parts;
    if (!split(token, &parts))
        return fail(err, &E_UNAUTHENTICATED, "The token is malformed.");
    const struct token_key *key;
    if (find_key(a, policy, &parts, &key, err) != 0)
        return -1;
    struct json_object *claims = read_part(a, parts.claims, parts.claims_len);
    if (!claims)
        return fail(err, &E_UNAUTHENTICATED, "The token is malformed.");
    if (!token_signature_is_valid(a, key, token))
        return fail(err, &E_UNAUTHENTICATED, "The token's signature is not valid.");

    int64_t now_s = policy->now_s ? policy->now_s : clock_wall_s();
    if (check_times(claims, now_s, err) != 0)
        return -1;
    if (policy->issuer && !text_eq(json_text(claims, "iss"), policy->issuer))
        return fail(err, &E_UNAUTHENTICATED, "The token comes from another issuer.");
    if (check_audience(policy, claims, err) != 0)
        return -1;
    *ret_claims = claims;
    return 0;
}

int token_sign(struct arena *a, const struct token_key *key, const char *claims, char **ret,
               struct error *err)
{
    char *token = NULL;
    if (token_signature_make(a, key, claims, &token, err) != 0)
        return -1;
    if (strlen(token) > TOKEN_MAX_BYTES)
        return fail_cause(err, &E_INTERNAL, "a token of %zu bytes would be refused by its readers",
                          strlen(token));
    *ret = token;
    return 0;
}
