/* Applications and service principals on the graph host, and their credentials. A secret is told
 * once, in the reply that makes it. */
#include "controlplane/identity/graph.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/certificate.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#define NAME_MAX_BYTES  256
#define URI_MAX_BYTES   1024
#define URIS_MAX        100
#define SECRET_CHARS    40
#define CREDENTIALS_MAX 100
#define SECRET_LIFE_S   (365 * 2 * 86400LL)

struct work {
    struct graph_call *g;
    bool is_application;
    struct entry_filter filter;
    struct entry *entries;
    size_t count;
    struct entry row;
    struct credential *credentials;
    size_t credential_count;
    struct credential added;
    const char *hash;
    struct credential *certificates; /* of a PATCH with keyCredentials */
    size_t certificate_count;
    struct graph_scopes scopes;
};

static int list(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    return w->is_application ? application_list(conn, a, &w->filter, &w->entries, &w->count, err)
                             : entry_list(conn, a, &w->filter, &w->entries, &w->count, err);
}

static int run_list(struct graph_call *g, bool is_application, struct error *err)
{
    struct work w = { .g = g, .is_application = is_application };

    if (graph_filter(g, &w.filter, err))
        return -1;
    w.filter.kind = is_application ? NULL : "ServicePrincipal";
    if (pg_with(g->control->db, g->arena, list, &w, err))
        return -1;
    graph_reply_list(g, w.entries, w.count);
    return 0;
}

static int load(struct pg_conn *conn, struct work *w, const char *id, struct error *err)
{
    const char *ids[] = { id };

    w->filter = (struct entry_filter){ .tenant_id = w->g->caller.tenant_id,
                                       .kind = w->is_application ? NULL : "ServicePrincipal",
                                       .ids = ids,
                                       .id_count = 1,
                                       .limit = 1 };
    w->count = 0;
    if (uuid_is_valid(id) && list(conn, w->g->arena, w, err))
        return -1;
    if (w->count == 0)
        return fail(err, &E_GRAPH_MISSING,
                    "Resource '%.100s' does not exist or one of its queried reference-property "
                    "objects are not present.",
                    id);
    w->row = w->entries[0];
    return credential_list(conn, w->g->arena, w->row.id, &w->credentials, &w->credential_count,
                           err);
}

static int read_one(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    (void)a;
    return load(conn, w, w->g->req->params[0], err);
}

static int run_one(struct graph_call *g, bool is_application, struct error *err)
{
    struct work w = { .g = g, .is_application = is_application };

    if (pg_with(g->control->db, g->arena, read_one, &w, err))
        return -1;
    graph_reply(g, 200, graph_show_full(g, &w.row, w.credentials, w.credential_count));
    return 0;
}

/* Making and changing ------------------------------------------------------------------------- */

static int read_uris(struct work *w, const char *path, const char ***ret, size_t *ret_count,
                     struct error *err)
{
    const struct json_object *list_of = json_at(w->g->body, path);
    size_t count = json_count(list_of);

    if (!list_of)
        return 0;
    if (json_kind(list_of) != JSON_ARRAY || count > URIS_MAX)
        return fail_at(err, &E_GRAPH_REQUEST, path, "'%s' is a list of at most %d texts.", path,
                       URIS_MAX);
    *ret = arena_array(w->g->arena, count + 1, sizeof(char *));
    *ret_count = count;
    for (size_t i = 0; i < count; i++) {
        (*ret)[i] = json_text(json_item(list_of, i), "");
        if (!(*ret)[i] || strlen((*ret)[i]) > URI_MAX_BYTES || !strchr((*ret)[i], ':'))
            return fail_at(err, &E_GRAPH_REQUEST, path, "'%s' holds URIs.", path);
    }
    return 0;
}

/* Clients send the body of a PEM as it is, line breaks and all. */
static const uint8_t *read_base64(struct arena *a, const char *text, size_t *ret_len)
{
    size_t max = text ? strnlen(text, 2 * CERTIFICATE_MAX_BYTES) : 0, n = 0;
    char *clean = arena_alloc(a, max + 1);

    for (size_t i = 0; i < max; i++) {
        if (text[i] != '\n' && text[i] != '\r')
            clean[n++] = text[i];
    }
    return n ? text_unbase64(a, clean, n, ret_len) : NULL;
}

/* A certificate arrives as base64 of its DER, or of its PEM. */
static int read_certificate(struct work *w, const struct json_object *item, struct credential *ret,
                            struct error *err)
{
    const char *text = json_text(item, "key"), *name = json_text(item, "displayName");
    struct certificate certificate;
    struct error reason;
    size_t len = 0;
    const uint8_t *der = read_base64(w->g->arena, text, &len);

    if (!der || certificate_parse(w->g->arena, der, len, &certificate, &reason))
        return fail_at(err, &E_GRAPH_REQUEST, "keyCredentials",
                       "The key credential is no certificate with an RSA key of at least 2048 "
                       "bits or a P-256 key.");
    *ret =
        (struct credential){ .id = graph_uuid(w->g->arena),
                             .thumbprint = certificate.thumbprint,
                             .thumbprint_sha256 = certificate.thumbprint_sha256,
                             .public_pem = certificate.public_pem,
                             .display_name = name && strlen(name) <= NAME_MAX_BYTES ? name : NULL,
                             .starts_at = clock_rfc3339(w->g->arena, certificate.starts_us),
                             .expires_at = clock_rfc3339(w->g->arena, certificate.expires_us) };
    return 0;
}

/* keyCredentials replaces the list: entries without `key` keep the certificate of their keyId. */
static int read_certificates(struct work *w, struct error *err)
{
    const struct json_object *list_of = json_at(w->g->body, "keyCredentials");
    size_t count = json_count(list_of);

    if (count > CREDENTIALS_MAX)
        return fail(err, &E_GRAPH_REQUEST, "There may be %d key credentials.", CREDENTIALS_MAX);
    w->certificates = arena_array(w->g->arena, count + 1, sizeof(*w->certificates));
    w->certificate_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct json_object *item = json_item(list_of, i);

        if (json_text(item, "key") &&
            read_certificate(w, item, &w->certificates[w->certificate_count++], err))
            return -1;
    }
    return 0;
}

static bool is_kept(const struct work *w, const struct credential *c)
{
    const struct json_object *list_of = json_at(w->g->body, "keyCredentials");

    for (size_t i = 0; i < json_count(list_of); i++) {
        const struct json_object *item = json_item(list_of, i);

        if (text_eq_nocase(json_text(item, "keyId"), c->id) && !json_text(item, "key"))
            return true;
    }
    return false;
}

static int replace_certificates(struct pg_conn *conn, struct work *w, struct error *err)
{
    if (!json_at(w->g->body, "keyCredentials"))
        return 0;
    for (size_t i = 0; i < w->credential_count; i++) {
        const struct credential *c = &w->credentials[i];

        if (text_eq(c->kind, "Certificate") && !is_kept(w, c) &&
            credential_remove(conn, w->g->arena, w->row.id, c->id, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < w->certificate_count; i++) {
        if (credential_add_certificate(conn, w->g->arena, w->row.id, &w->certificates[i], err))
            return -1;
    }
    return 0;
}

static int read_body(struct work *w, bool is_new, struct error *err)
{
    const char *name = json_text(w->g->body, "displayName");

    if ((is_new && !name) || (name && (!name[0] || strlen(name) > NAME_MAX_BYTES)))
        return fail_at(err, &E_GRAPH_REQUEST, "displayName",
                       "The property 'displayName' is a text of 1 to %d bytes.", NAME_MAX_BYTES);
    if (name)
        w->row.display_name = name;
    w->row.is_enabled = json_bool(w->g->body, "accountEnabled", w->row.is_enabled);
    if (w->is_application &&
        (read_uris(w, "identifierUris", &w->row.identifier_uris, &w->row.identifier_count, err) ||
         read_uris(w, "web.redirectUris", &w->row.redirect_uris, &w->row.redirect_count, err) ||
         read_uris(w, "publicClient.redirectUris", &w->row.redirect_uris, &w->row.redirect_count,
                   err)))
        return -1;
    return read_certificates(w, err);
}

static int insert_application(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    const char *id = w->row.id;

    w->credential_count = 0;
    if (application_insert(conn, a, w->g->caller.tenant_id, &w->row, err) ||
        replace_certificates(conn, w, err))
        return -1;
    return load(conn, w, id, err);
}

static int make_app(struct graph_call *g, struct error *err)
{
    struct work w = { .g = g,
                      .is_application = true,
                      .row = { .id = graph_uuid(g->arena), .app_id = graph_uuid(g->arena) } };

    if (read_body(&w, true, err) || graph_transact(g, insert_application, &w, err))
        return -1;
    graph_reply(g, 201, graph_show_full(g, &w.row, w.credentials, w.credential_count));
    return 0;
}

static int change(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    const char *tenant = w->g->caller.tenant_id;

    if (load(conn, w, w->g->req->params[0], err) || read_body(w, false, err))
        return -1;
    if (w->is_application ? application_update(conn, a, tenant, &w->row, err)
                          : entry_update(conn, a, tenant, &w->row, NULL, err))
        return -1;
    if (replace_certificates(conn, w, err))
        return -1;
    return entry_scopes(conn, a, w->row.id, &w->scopes.keys, &w->scopes.count, err);
}

static int run_change(struct graph_call *g, bool is_application, struct error *err)
{
    struct work w = { .g = g, .is_application = is_application };

    if (graph_transact(g, change, &w, err) || graph_tell(g, &w.scopes, err))
        return -1;
    http_reply_empty(g->req, 204);
    return 0;
}

static int fail_managed(struct error *err)
{
    return fail(err, &E_GRAPH_REQUEST,
                "The service principal belongs to a managed identity; it goes with its resource.");
}

/* The scopes of the application's own principal, which goes with it. */
static int read_scopes(struct pg_conn *conn, struct work *w, struct error *err)
{
    struct entry_filter filter = { .tenant_id = w->g->caller.tenant_id,
                                   .kind = "ServicePrincipal",
                                   .app_id = w->row.app_id,
                                   .limit = 1 };
    struct entry *rows = NULL;
    size_t count = 0;

    if (entry_list(conn, w->g->arena, &filter, &rows, &count, err))
        return -1;
    if (count == 0)
        return 0;
    return entry_scopes(conn, w->g->arena, rows[0].id, &w->scopes.keys, &w->scopes.count, err);
}

static int drop(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    const char *tenant = w->g->caller.tenant_id;
    int rc;

    if (load(conn, w, w->g->req->params[0], err))
        return -1;
    if (text_eq(w->row.kind, "ManagedIdentity"))
        return fail_managed(err);
    if (read_scopes(conn, w, err))
        return -1;
    rc = w->is_application ? application_delete(conn, a, tenant, w->row.id, err)
                           : entry_delete(conn, a, tenant, w->row.id, err);
    return rc < 0 ? -1 : 0;
}

static int run_drop(struct graph_call *g, bool is_application, struct error *err)
{
    struct work w = { .g = g, .is_application = is_application };

    if (graph_transact(g, drop, &w, err) || graph_tell(g, &w.scopes, err))
        return -1;
    http_reply_empty(g->req, 204);
    return 0;
}

/* A service principal of an application that is there. */
static int insert_sp(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    const char *id = graph_uuid(a), *app_id = json_text(w->g->body, "appId");

    w->is_application = true;
    w->filter =
        (struct entry_filter){ .tenant_id = w->g->caller.tenant_id, .app_id = app_id, .limit = 1 };
    if (list(conn, a, w, err))
        return -1;
    if (w->count == 0)
        return fail(err, &E_GRAPH_REQUEST,
                    "The appId '%s' of the service principal does not reference a valid "
                    "application object.",
                    app_id);
    w->row = w->entries[0];
    w->row.id = id;
    w->row.kind = "ServicePrincipal";
    w->row.is_enabled = json_bool(w->g->body, "accountEnabled", true);
    if (entry_insert(conn, a, w->g->caller.tenant_id, &w->row, NULL, err))
        return -1;
    w->is_application = false;
    return load(conn, w, id, err);
}

static int make_sp(struct graph_call *g, struct error *err)
{
    const char *app_id = json_text(g->body, "appId");
    struct work w = { .g = g };

    if (!app_id || !uuid_is_valid(app_id))
        return fail(err, &E_GRAPH_REQUEST, "The property 'appId' is missing or no guid.");
    if (graph_transact(g, insert_sp, &w, err))
        return -1;
    graph_reply(g, 201, graph_show_full(g, &w.row, w.credentials, w.credential_count));
    return 0;
}

/* Credentials --------------------------------------------------------------------------------- */

static int check_room(const struct work *w, struct error *err)
{
    if (text_eq(w->row.kind, "ManagedIdentity"))
        return fail_managed(err);
    if (w->credential_count >= CREDENTIALS_MAX)
        return fail(err, &E_GRAPH_REQUEST, "There may be %d credentials.", CREDENTIALS_MAX);
    return 0;
}

static int add_secret(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    if (load(conn, w, w->g->req->params[0], err) || check_room(w, err))
        return -1;
    return credential_add_secret(conn, a, w->row.id, &w->added, w->hash, err);
}

static int run_secret(struct graph_call *g, bool is_application, struct error *err)
{
    const char *secret = random_text(g->arena, SECRET_CHARS);
    const char *name = json_text(g->body, "passwordCredential.displayName");
    const char *end = json_text(g->body, "passwordCredential.endDateTime");
    int64_t now_us = clock_wall_us(), end_us = now_us + SECRET_LIFE_S * 1000000;
    struct work w = { .g = g, .is_application = is_application };
    struct json_object *out;

    if (end && !clock_parse(end, &end_us))
        return fail_at(err, &E_GRAPH_REQUEST, "passwordCredential.endDateTime",
                       "The end of the secret is no time.");
    if (end_us <= now_us || (name && strlen(name) > NAME_MAX_BYTES))
        return fail_at(err, &E_GRAPH_REQUEST, "passwordCredential",
                       "The secret ends in the past, or its name is too long.");
    w.hash = secret_hash_generated(g->arena, secret);
    w.added = (struct credential){ .id = graph_uuid(g->arena),
                                   .display_name = name,
                                   .hint = arena_strndup(g->arena, secret, 3),
                                   .expires_at = clock_rfc3339(g->arena, end_us) };
    if (graph_transact(g, add_secret, &w, err))
        return -1;
    out = json_new_object();
    json_set_text(out, "customKeyIdentifier", NULL);
    json_set_text(out, "displayName", name);
    json_set_text(out, "endDateTime", w.added.expires_at);
    json_set_text(out, "hint", w.added.hint);
    json_set_text(out, "keyId", w.added.id);
    json_set_text(out, "secretText", secret);
    json_set_text(out, "startDateTime", clock_rfc3339(g->arena, now_us));
    graph_reply(g, 200, out);
    return 0;
}

static int drop_credential(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    int found;

    if (load(conn, w, w->g->req->params[0], err))
        return -1;
    found = credential_remove(conn, a, w->row.id, w->added.id, err);
    if (found == 0)
        return fail(err, &E_GRAPH_MISSING, "No credential found with keyId '%s'.", w->added.id);
    return found < 0 ? -1 : 0;
}

static int remove_credential(struct graph_call *g, bool is_application, const char *id,
                             struct error *err)
{
    struct work w = { .g = g, .is_application = is_application, .added.id = id };

    if (!id || !uuid_is_valid(id))
        return fail(err, &E_GRAPH_REQUEST, "The credential's id is missing or no guid.");
    if (graph_transact(g, drop_credential, &w, err))
        return -1;
    http_reply_empty(g->req, 204);
    return 0;
}

static int run_secret_drop(struct graph_call *g, bool is_application, struct error *err)
{
    return remove_credential(g, is_application, json_text(g->body, "keyId"), err);
}

static struct json_object *show_federated(const struct credential *c)
{
    struct json_object *out = json_new_object(), *audiences = json_new_array();

    for (size_t i = 0; i < c->audience_count; i++)
        json_add_text(audiences, c->audiences[i]);
    json_set_text(out, "id", c->id);
    json_set_text(out, "name", c->display_name);
    json_set_text(out, "issuer", c->issuer);
    json_set_text(out, "subject", c->subject);
    json_set(out, "audiences", audiences);
    return out;
}

static int list_federated(struct graph_call *g, struct error *err)
{
    struct work w = { .g = g, .is_application = true };
    struct json_object *out, *value;

    if (pg_with(g->control->db, g->arena, read_one, &w, err))
        return -1;
    out = json_new_object();
    value = json_new_array();
    for (size_t i = 0; i < w.credential_count; i++) {
        if (text_eq(w.credentials[i].kind, "Federated"))
            json_add(value, show_federated(&w.credentials[i]));
    }
    json_set(out, "value", value);
    graph_reply(g, 200, out);
    return 0;
}

static int add_federated(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    if (load(conn, w, w->g->req->params[0], err) || check_room(w, err))
        return -1;
    return credential_add_federated(conn, a, w->row.id, &w->added, err);
}

static int make_federated(struct graph_call *g, struct error *err)
{
    struct work w = { .g = g, .is_application = true };
    const struct json_object *audiences = json_at(g->body, "audiences");

    w.added = (struct credential){ .id = graph_uuid(g->arena),
                                   .display_name = json_text(g->body, "name"),
                                   .issuer = json_text(g->body, "issuer"),
                                   .subject = json_text(g->body, "subject") };
    if (!w.added.display_name || !w.added.display_name[0] || !w.added.issuer ||
        !text_starts(w.added.issuer, "https://") || !w.added.subject || !w.added.subject[0] ||
        strlen(w.added.display_name) > NAME_MAX_BYTES || strlen(w.added.issuer) > URI_MAX_BYTES ||
        strlen(w.added.subject) > URI_MAX_BYTES)
        return fail(err, &E_GRAPH_REQUEST,
                    "A federated credential has a name, an issuer (https://…) and a subject.");
    if (json_count(audiences) != 1 || !json_text(json_item(audiences, 0), ""))
        return fail(err, &E_GRAPH_REQUEST, "A federated credential has one audience.");
    w.added.audiences = arena_array(g->arena, 1, sizeof(char *));
    w.added.audiences[0] = json_text(json_item(audiences, 0), "");
    w.added.audience_count = 1;
    if (graph_transact(g, add_federated, &w, err))
        return -1;
    graph_reply(g, 201, show_federated(&w.added));
    return 0;
}

static int drop_federated(struct graph_call *g, struct error *err)
{
    return remove_credential(g, true, g->req->params[1], err);
}

/* Ownership gives no rights here, so nothing is owned. */
static int list_owners(struct graph_call *g, struct error *err)
{
    (void)err;
    graph_reply_list(g, NULL, 0);
    return 0;
}

#define OF_KIND(name, fn, is_application)                                                          \
    static int name(struct graph_call *g, struct error *err)                                       \
    {                                                                                              \
        return fn(g, is_application, err);                                                         \
    }
OF_KIND(list_apps, run_list, true)
OF_KIND(show_app, run_one, true)
OF_KIND(change_app, run_change, true)
OF_KIND(drop_app, run_drop, true)
OF_KIND(app_secret, run_secret, true)
OF_KIND(app_secret_drop, run_secret_drop, true)
OF_KIND(list_sps, run_list, false)
OF_KIND(show_sp, run_one, false)
OF_KIND(change_sp, run_change, false)
OF_KIND(drop_sp, run_drop, false)
OF_KIND(sp_secret, run_secret, false)
OF_KIND(sp_secret_drop, run_secret_drop, false)

#define APPS "applications"
#define SPS  "servicePrincipals"
const struct graph_endpoint graph_apps = { .run = list_apps };
const struct graph_endpoint graph_application = { .run = show_app };
const struct graph_endpoint graph_app_make = { APPS, true, make_app };
const struct graph_endpoint graph_app_change = { APPS, true, change_app };
const struct graph_endpoint graph_app_drop = { APPS, false, drop_app };
const struct graph_endpoint graph_app_secret = { APPS, true, app_secret };
const struct graph_endpoint graph_app_secret_drop = { APPS, true, app_secret_drop };
const struct graph_endpoint graph_federated = { .run = list_federated };
const struct graph_endpoint graph_federated_make = { APPS, true, make_federated };
const struct graph_endpoint graph_federated_drop = { APPS, false, drop_federated };
const struct graph_endpoint graph_owners = { .run = list_owners };
const struct graph_endpoint graph_sps = { .run = list_sps };
const struct graph_endpoint graph_sp = { .run = show_sp };
const struct graph_endpoint graph_sp_make = { SPS, true, make_sp };
const struct graph_endpoint graph_sp_change = { SPS, true, change_sp };
const struct graph_endpoint graph_sp_drop = { SPS, false, drop_sp };
const struct graph_endpoint graph_sp_secret = { SPS, true, sp_secret };
const struct graph_endpoint graph_sp_secret_drop = { SPS, true, sp_secret_drop };
