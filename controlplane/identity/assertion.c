/* Client assertions: see the header. An application's own names itself as issuer and subject and
 * the login host as audience; any other must match a federated credential in issuer, subject and
 * audience to the letter before its issuer is asked for keys. Only administrators register issuers,
 * and the address policy holds for them too. */
#include "controlplane/identity/assertion.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/client/client.h"
#include "common/crypto/foreign_token.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/store/directory.h"
#include "controlplane/store/identity.h"

#define DOCUMENT_MAX (256u << 10)
#define FETCH_MS     5000
#define KEYS_MAX     64

struct query {
    const char *app_id;
    struct principal_row principal;
    struct credential *credentials;
    size_t count;
    int found;
};

static int read_client(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;
    q->found = identity_principal_by_app(conn, a, q->app_id, &q->principal, err);
    if (q->found <= 0)
        return q->found;
    return credential_list_for(conn, a, q->principal.object_id, &q->credentials, &q->count, err);
}

static void client_freep(struct client **c)
{
    client_free(*c);
}

/* A JSON document of the issuer's. */
static int fetch(struct client *client, struct arena *a, const char *url, struct json_object **ret,
                 struct error *err)
{
    const struct client_request request = { .url = url,
                                            .timeout_ms = FETCH_MS,
                                            .max_body_bytes = DOCUMENT_MAX };
    struct client_response response;
    struct error reason;
    struct json_object *document = NULL;
    if (!text_starts(url, "https://"))
        return fail(err, &E_UNAUTHENTICATED, "The issuer's keys are not served by https.");
    if (client_send(client, a, &request, &response, &reason) != 0 || response.status != 200 ||
        json_parse_object(response.body, response.body_len, DOCUMENT_MAX, &document, &reason) != 0)
        return fail(err, &E_UNAUTHENTICATED, "The issuer's keys cannot be read from '%.200s'.",
                    url);
    *ret = json_own(a, document);
    return 0;
}

/* OpenID Connect Discovery 1.0 section 4. */
static int issuer_keys(struct control *control, struct arena *a, const char *issuer,
                       struct foreign_key **ret, size_t *ret_count, struct error *err)
{
    char **ranges = NULL;
    const char *allow = control->settings->federation_allow;
    size_t count = allow && allow[0] ? text_split(a, allow, ' ', &ranges) : 0;
    const char **cidrs = arena_array(a, count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++)
        cidrs[i] = ranges[i];
    const struct client_config config = { .reach = CLIENT_PUBLIC,
                                          .allowed_cidrs = cidrs,
                                          .ca_file = control->settings->federation_ca_file };
    _cleanup_(client_freep) struct client *client = NULL;
    struct json_object *about = NULL, *set = NULL;
    size_t len = strlen(issuer);
    if (client_new(&config, &client, err) != 0)
        return -1;
    while (len > 0 && issuer[len - 1] == '/')
        len--;
    if (fetch(client, a, arena_printf(a, "%.*s/.well-known/openid-configuration", (int)len, issuer),
              &about, err) != 0)
        return -1;
    if (!text_eq(json_text(about, "issuer"), issuer) || !json_text(about, "jwks_uri"))
        return fail(err, &E_UNAUTHENTICATED, "The issuer's configuration is another's.");
    if (fetch(client, a, json_text(about, "jwks_uri"), &set, err) != 0)
        return -1;
    const struct json_object *keys = json_at(set, "keys");
    *ret = arena_array(a, KEYS_MAX, sizeof(**ret));
    *ret_count = 0;
    for (size_t i = 0; i < json_count(keys) && *ret_count < KEYS_MAX; i++)
        *ret_count += (size_t)foreign_key_of_jwk(a, json_item(keys, i), &(*ret)[*ret_count]);
    return 0;
}

static bool has_audience(const struct json_object *claims, const char *audience)
{
    const struct json_object *aud = json_at(claims, "aud");
    for (size_t i = 0; json_kind(aud) == JSON_ARRAY && i < json_count(aud); i++) {
        if (text_eq(json_text(json_item(aud, i), ""), audience))
            return true;
    }
    return text_eq(json_text(claims, "aud"), audience);
}

/* A token endpoint of ours, whatever its style. */
static bool is_for_us(const struct control *control, const struct json_object *claims)
{
    const char *aud = json_text(claims, "aud");
    size_t len = strlen(control->login_url);
    return aud && strncmp(aud, control->login_url, len) == 0 && (aud[len] == '/' || !aud[len]);
}

static int check_own(struct control *control, struct arena *a, const struct query *q,
                     const char *assertion, struct error *err)
{
    struct foreign_key *keys = arena_array(a, q->count + 1, sizeof(*keys));
    struct json_object *claims = NULL;
    size_t count = 0;
    for (size_t i = 0; i < q->count; i++) {
        const struct credential *c = &q->credentials[i];
        if (text_eq(c->kind, "Certificate") && !c->is_expired)
            keys[count++] = (struct foreign_key){ .ids = { c->thumbprint, c->thumbprint_sha256 },
                                                  .public_pem = c->public_pem };
    }
    if (foreign_token_verify(a, assertion, keys, count, 0, &claims, err) != 0)
        return -1;
    if (!is_for_us(control, claims))
        return fail(err, &E_UNAUTHENTICATED, "The assertion is meant for another audience.");
    return 0;
}

static int check_federated(struct control *control, struct arena *a, const struct query *q,
                           const struct json_object *peeked, const char *assertion,
                           struct error *err)
{
    const char *issuer = json_text(peeked, "iss"), *subject = json_text(peeked, "sub");
    for (size_t i = 0; i < q->count; i++) {
        const struct credential *c = &q->credentials[i];
        struct foreign_key *keys = NULL;
        struct json_object *claims = NULL;
        size_t count = 0;
        if (!text_eq(c->kind, "Federated") || !text_eq(c->issuer, issuer) ||
            !text_eq(c->subject, subject) || c->audience_count == 0 ||
            !has_audience(peeked, c->audiences[0]))
            continue;
        if (issuer_keys(control, a, issuer, &keys, &count, err) != 0)
            return -1;
        return foreign_token_verify(a, assertion, keys, count, 0, &claims, err);
    }
    return fail(err, &E_UNAUTHENTICATED,
                "No federated credential of the application matches the assertion's issuer, "
                "subject and audience.");
}

int assertion_sign_in(struct control *control, struct arena *a, const char *tenant_id,
                      const char *app_id, const char *assertion, enum sign_in *ret,
                      struct principal_row *ret_principal, struct error *err)
{
    struct query q = { .app_id = app_id };
    const struct json_object *peeked = foreign_token_peek(a, assertion);
    if (!peeked)
        return fail(err, &E_UNAUTHENTICATED, "The assertion is malformed.");
    if (pg_with(control->db, a, read_client, &q, err) != 0)
        return -1;
    if (!q.found || (tenant_id && !text_eq_nocase(q.principal.tenant_id, tenant_id))) {
        *ret = SIGN_IN_NO_CLIENT;
        return 0;
    }
    bool is_own = text_eq_nocase(json_text(peeked, "iss"), app_id) &&
                  text_eq_nocase(json_text(peeked, "sub"), app_id);
    if (is_own ? check_own(control, a, &q, assertion, err)
               : check_federated(control, a, &q, peeked, assertion, err))
        return -1;
    *ret = q.principal.is_enabled ? SIGN_IN_OK : SIGN_IN_DISABLED;
    *ret_principal = q.principal;
    return 0;
}
