/* Other OpenID providers on the graph host, in the shape of oidcIdentityProvider, and what people
 * are called there: the federated ones of a user's identities. */
#include "controlplane/identity/graph.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/secret.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/providers.h"

#define TEXT_MAX_BYTES 1024
#define IDENTITIES_MAX 16
#define PROVIDERS_MAX  32
#define DEFAULT_SCOPE  "openid"

struct work {
    struct graph_call *g;
    const char *id; /* NULL: all */
    struct provider *rows;
    size_t count;
    struct provider row;
};

static struct json_object *show(const struct provider *p)
{
    struct json_object *out = json_new_object(), *how = json_new_object();

    json_set_text(how, "@odata.type", "#microsoft.graph.oidcClientSecretAuthentication");
    json_set_text(how, "clientSecret", NULL);
    json_set_text(out, "@odata.type", "#microsoft.graph.oidcIdentityProvider");
    json_set_text(out, "id", p->id);
    json_set_text(out, "displayName", p->display_name);
    json_set_text(out, "issuer", p->issuer);
    json_set_text(out, "clientId", p->client_id);
    json_set(out, "clientAuthentication", how);
    json_set_text(out, "scope", p->scope);
    json_set_text(out, "responseType", "code");
    return out;
}

static int read_rows(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    return provider_list(conn, a, w->g->caller.tenant_id, w->id, &w->rows, &w->count, err);
}

static int fail_missing(const char *id, struct error *err)
{
    return fail(err, &E_GRAPH_MISSING, "There is no identity provider '%.100s'.", id);
}

static int list(struct graph_call *g, struct error *err)
{
    struct work w = { .g = g };
    struct json_object *out, *value;

    if (pg_with(g->control->db, g->arena, read_rows, &w, err))
        return -1;
    out = json_new_object();
    value = json_new_array();
    for (size_t i = 0; i < w.count; i++)
        json_add(value, show(&w.rows[i]));
    json_set(out, "value", value);
    graph_reply(g, 200, out);
    return 0;
}

/* The one that the path names, in w->row. */
static int load(struct pg_conn *conn, struct work *w, struct error *err)
{
    w->id = w->g->req->params[0];
    if (!uuid_is_valid(w->id))
        return fail_missing(w->id, err);
    if (read_rows(conn, w->g->arena, w, err))
        return -1;
    if (w->count == 0)
        return fail_missing(w->id, err);
    w->row = w->rows[0];
    return 0;
}

static int read_one(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    (void)a;
    return load(conn, ctx, err);
}

static int show_one(struct graph_call *g, struct error *err)
{
    struct work w = { .g = g };

    if (pg_with(g->control->db, g->arena, read_one, &w, err))
        return -1;
    graph_reply(g, 200, show(&w.row));
    return 0;
}

static int lay_text(const struct json_object *body, const char *name, const char **ret,
                    struct error *err)
{
    const char *value = json_text(body, name);

    if (value)
        *ret = value;
    if (!*ret || !(*ret)[0] || strlen(*ret) > TEXT_MAX_BYTES)
        return fail_at(err, &E_GRAPH_REQUEST, name, "The property '%s' is a text of 1 to %d bytes.",
                       name, TEXT_MAX_BYTES);
    return 0;
}

/* Lays the members of the body over the row. */
static int lay(struct work *w, struct error *err)
{
    const struct json_object *body = w->g->body;
    const char *secret = json_text(body, "clientAuthentication.clientSecret");
    const struct service_key *key = &w->g->control->service_key;

    if (lay_text(body, "displayName", &w->row.display_name, err) ||
        lay_text(body, "clientId", &w->row.client_id, err) ||
        lay_text(body, "scope", &w->row.scope, err))
        return -1;
    if (secret && strlen(secret) <= TEXT_MAX_BYTES)
        w->row.wrapped_secret = secret_wrap(
            w->g->arena, key, provider_context(w->g->arena, w->row.id), secret, strlen(secret));
    if (!w->row.wrapped_secret || (secret && strlen(secret) > TEXT_MAX_BYTES))
        return fail_at(err, &E_GRAPH_REQUEST, "clientAuthentication.clientSecret",
                       "A provider has a client secret of at most %d bytes.", TEXT_MAX_BYTES);
    return 0;
}

static int insert(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    w->id = NULL;
    if (read_rows(conn, a, w, err))
        return -1;
    if (w->count >= PROVIDERS_MAX)
        return fail(err, &E_GRAPH_REQUEST, "There are %d identity providers already.",
                    PROVIDERS_MAX);
    return provider_insert(conn, a, &w->row, err);
}

static int make(struct graph_call *g, struct error *err)
{
    struct work w = { .g = g,
                      .row = { .id = graph_uuid(g->arena),
                               .tenant_id = g->caller.tenant_id,
                               .issuer = json_text(g->body, "issuer"),
                               .scope = DEFAULT_SCOPE } };

    if (!w.row.issuer || !text_starts(w.row.issuer, "https://") ||
        strlen(w.row.issuer) > TEXT_MAX_BYTES)
        return fail_at(err, &E_GRAPH_REQUEST, "issuer", "The issuer is an https:// address.");
    if (lay(&w, err) || graph_transact(g, insert, &w, err))
        return -1;
    graph_reply(g, 201, show(&w.row));
    return 0;
}

static int change(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    if (load(conn, w, err) || lay(w, err))
        return -1;
    return provider_update(conn, a, &w->row, err);
}

static int run_change(struct graph_call *g, struct error *err)
{
    struct work w = { .g = g };

    if (graph_transact(g, change, &w, err))
        return -1;
    http_reply_empty(g->req, 204);
    return 0;
}

static int drop(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    int found = -1;

    if (load(conn, w, err) == 0)
        found = provider_delete(conn, a, w->row.tenant_id, w->row.id, err);
    return found < 0 ? -1 : 0;
}

static int run_drop(struct graph_call *g, struct error *err)
{
    struct work w = { .g = g };

    if (graph_transact(g, drop, &w, err))
        return -1;
    http_reply_empty(g->req, 204);
    return 0;
}

/* Of users --------------------------------------------------------------------------------------
 */

int graph_identities_read(struct graph_call *g, struct user_identity **ret, size_t *ret_count,
                          struct error *err)
{
    const struct json_object *items = json_at(g->body, "identities");

    *ret_count = json_count(items);
    if (json_kind(items) != JSON_ARRAY || *ret_count > IDENTITIES_MAX)
        return fail_at(err, &E_GRAPH_REQUEST, "identities",
                       "The property 'identities' is a list of at most %d.", IDENTITIES_MAX);
    *ret = arena_array(g->arena, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++) {
        const struct json_object *item = json_item(items, i);
        const struct user_identity one = { json_text(item, "issuer"),
                                           json_text(item, "issuerAssignedId") };

        if (!text_eq(json_text(item, "signInType"), "federated") || !one.issuer || !one.subject ||
            !one.subject[0] || strlen(one.issuer) > TEXT_MAX_BYTES ||
            strlen(one.subject) > TEXT_MAX_BYTES)
            return fail_at(err, &E_GRAPH_REQUEST, "identities",
                           "An identity has the signInType 'federated', the issuer of an identity "
                           "provider, and an issuerAssignedId.");
        (*ret)[i] = one;
    }
    return 0;
}

void graph_identities_show(struct json_object *user, const struct user_identity *list, size_t count)
{
    struct json_object *identities = json_new_array();

    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_new_object();

        json_set_text(one, "signInType", "federated");
        json_set_text(one, "issuer", list[i].issuer);
        json_set_text(one, "issuerAssignedId", list[i].subject);
        json_add(identities, one);
    }
    json_set(user, "identities", identities);
}

#define PROVIDERS "identityProviders"
const struct graph_endpoint graph_providers = { .run = list };
const struct graph_endpoint graph_provider = { .run = show_one };
const struct graph_endpoint graph_provider_make = { PROVIDERS, true, make };
const struct graph_endpoint graph_provider_change = { PROVIDERS, true, run_change };
const struct graph_endpoint graph_provider_drop = { PROVIDERS, false, run_drop };
