/* The directory: service principals, their secrets, the names of what tokens are issued for. */
#include "controlplane/identity/directory.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "common/crypto/token.h"
#include "common/network/throttle.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/identity/identity.h"
#include "controlplane/identity/signing_keys.h"
#include "controlplane/store/directory.h"
#include "controlplane/store/identity.h"

#define SECRET_CHARS 40

/* Names that clients with fixed settings ask for; the installation's own URLs come first. */
static const char *const management_names[] = { "https://management.azure.com",
                                                "https://management.core.windows.net" };

static int read_first_tenant(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct directory *d = ctx;
    struct tenant_row tenant;
    int found = identity_first_tenant(conn, a, &tenant, err);
    if (found < 0)
        return -1;
    if (found == 0)
        return fail_cause(err, &E_INTERNAL, "the directory has no tenant: it was not initialised");
    (void)snprintf(d->tenant_id, sizeof(d->tenant_id), "%s", tenant.id);
    return 0;
}

int directory_open(struct control *control, struct directory **ret, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct directory *d = calloc(1, sizeof(*d));
    if (!d)
        abort();
    d->control = control;
    d->keys = key_ring_new(control);
    d->tokens = token_cache_new();
    d->access = access_cache_new();
    d->throttle = throttle_new();
    struct key_set *keys = NULL;
    if (pg_with(control->db, a, read_first_tenant, d, err) != 0 ||
        key_ring_get(d->keys, a, NULL, &keys, err) != 0) {
        directory_close(d);
        return -1;
    }
    key_ring_put(d->keys, keys);
    control->tenant_id = d->tenant_id;
    *ret = d;
    return 0;
}

void directory_close(struct directory *d)
{
    if (!d)
        return;
    if (d->control->tenant_id == d->tenant_id)
        d->control->tenant_id = NULL;
    key_ring_free(d->keys);
    token_cache_free(d->tokens);
    access_cache_free(d->access);
    throttle_free(d->throttle);
    free(d);
}

char *directory_issuer(struct arena *a, const struct control *control, const char *tenant_id)
{
    return arena_printf(a, "%s/%s", control->login_url, tenant_id);
}

const char *const *directory_audience_names(struct arena *a, const struct control *control,
                                            enum audience audience)
{
    const char **names = arena_array(a, 4, sizeof(char *));
    switch (audience) {
    case AUDIENCE_MANAGEMENT:
        names[0] = control->management_url;
        names[1] = management_names[0];
        names[2] = management_names[1];
        break;
    case AUDIENCE_REGISTRY:
        names[0] = "https://containerregistry.azure.net";
        break;
    case AUDIENCE_GRAPH:
        names[0] = control->graph_url;
        names[1] = "https://graph.microsoft.com";
        break;
    case AUDIENCE_VAULT:
        names[0] = arena_printf(a, "https://vault.%s", control->settings->domain);
        names[1] = arena_printf(a, "%s:%lld", names[0], (long long)control->settings->port);
        break;
    case AUDIENCE_MAX:
        break;
    }
    return names;
}

/* URIs of resources are written with and without a slash at the end. */
static bool is_same_resource(const char *x, const char *y)
{
    size_t x_len = strlen(x), y_len = strlen(y);
    if (x_len > 0 && x[x_len - 1] == '/')
        x_len--;
    if (y_len > 0 && y[y_len - 1] == '/')
        y_len--;
    return x_len == y_len && strncasecmp(x, y, x_len) == 0;
}

const char *directory_audience(struct arena *a, const struct control *control, const char *resource)
{
    for (int i = 0; i < AUDIENCE_MAX; i++) {
        const char *const *names = directory_audience_names(a, control, (enum audience)i);
        for (size_t n = 0; names[n]; n++) {
            if (is_same_resource(names[n], resource))
                return names[0];
        }
    }
    return NULL;
}

struct client_query {
    const char *app_id;
    struct principal_row principal;
    struct secret_row *secrets;
    size_t count;
    int found;
};

static int read_client(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    static const char nobody[] = "00000000-0000-0000-0000-000000000000";
    struct client_query *q = ctx;
    q->found = identity_principal_by_app(conn, a, q->app_id, &q->principal, err);
    if (q->found < 0)
        return -1;
    /* Asked for a client that does not exist as well, so that both cost two statements. */
    return identity_secrets(conn, a, q->found ? q->principal.object_id : nobody, &q->secrets,
                            &q->count, err);
}

int directory_sign_in(struct control *control, struct arena *a, const char *tenant_id,
                      const char *app_id, const char *secret, enum sign_in *ret,
                      struct principal_row *ret_principal, struct error *err)
{
    struct client_query q = { .app_id = app_id };
    if (pg_with(control->db, a, read_client, &q, err) != 0)
        return -1;
    if (!q.found || (tenant_id && !text_eq_nocase(q.principal.tenant_id, tenant_id))) {
        (void)secret_verify_nothing(secret);
        *ret = SIGN_IN_NO_CLIENT;
        return 0;
    }
    bool is_right = false, was_right = false;
    if (q.count == 0)
        (void)secret_verify_nothing(secret);
    for (size_t i = 0; i < q.count; i++) {
        if (!secret_verify(q.secrets[i].hash, secret))
            continue;
        is_right = is_right || !q.secrets[i].is_expired;
        was_right = true;
    }
    if (is_right)
        *ret = q.principal.is_enabled ? SIGN_IN_OK : SIGN_IN_DISABLED;
    else
        *ret = was_right ? SIGN_IN_EXPIRED_SECRET : SIGN_IN_WRONG_SECRET;
    *ret_principal = q.principal;
    return 0;
}

static const char *new_uuid(struct arena *a)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_new(id);
    return arena_strdup(a, id);
}

int directory_add_service_principal(struct pg_conn *conn, struct arena *a,
                                    struct new_service_principal *sp, struct error *err)
{
    sp->app_id = sp->app_id ? sp->app_id : new_uuid(a);
    sp->object_id = sp->object_id ? sp->object_id : new_uuid(a);
    sp->secret = sp->secret ? sp->secret : random_text(a, SECRET_CHARS);
    const struct principal_row principal = { .object_id = sp->object_id,
                                             .tenant_id = sp->tenant_id,
                                             .kind = "ServicePrincipal",
                                             .app_id = sp->app_id,
                                             .display_name = sp->display_name,
                                             .is_enabled = true };
    const struct entry application = { .id = new_uuid(a),
                                       .app_id = sp->app_id,
                                       .display_name = sp->display_name };
    if (application_insert(conn, a, sp->tenant_id, &application, err) != 0 ||
        identity_add_principal(conn, a, &principal, err) != 0)
        return wrap(err, "add service principal");
    return identity_add_secret(conn, a, new_uuid(a), sp->object_id,
                               secret_hash_generated(a, sp->secret),
                               arena_strndup(a, sp->secret, 3), NULL, err);
}

int directory_public_keys(struct control *control, struct arena *a, struct directory_key_row **ret,
                          size_t *ret_count, struct error *err)
{
    struct key_ring *ring = control->directory->keys;
    struct key_set *set = NULL;
    if (key_ring_get(ring, a, NULL, &set, err) != 0)
        return -1;
    int64_t now_us = clock_wall_us();
    *ret = arena_array(a, set->count + 1, sizeof(**ret));
    *ret_count = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct key_entry *e = &set->entries[i];
        if (e->verifies_until_us <= now_us)
            continue;
        (*ret)[(*ret_count)++] = (struct directory_key_row){
            .kid = arena_strdup(a, token_key_id(e->key)),
            .public_pem = token_key_public_pem(a, e->key),
            .verifies_until = clock_rfc3339(a, e->verifies_until_us),
        };
    }
    key_ring_put(ring, set);
    return 0;
}
