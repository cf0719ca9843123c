/* Client assertions: see the header. An application's own names itself as issuer and subject and
 * the login host as audience; any other must match a federated credential in issuer, subject and
 * audience to the letter before its issuer is asked for keys. Only administrators register issuers,
 * and the address policy holds for them too. */
#include "controlplane/identity/assertion.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/foreign_token.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/identity/issuer.h"
#include "controlplane/store/directory.h"
#include "controlplane/store/identity.h"

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
        struct json_object *about = NULL, *claims = NULL;
        if (!text_eq(c->kind, "Federated") || !text_eq(c->issuer, issuer) ||
            !text_eq(c->subject, subject) || c->audience_count == 0 ||
            !issuer_has_audience(peeked, c->audiences[0]))
            continue;
        if (issuer_about(control, a, issuer, &about, err) != 0)
            return -1;
        return issuer_verify(control, a, about, assertion, &claims, err);
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
