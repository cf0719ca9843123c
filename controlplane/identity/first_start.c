/* The first start of an installation: its tenant, subscription and first service principal. What is
 * made is written to the secrets file first and to the database second, in one transaction under
 * the directory's lock; a tenant in the database means that it was done. A crash in between leaves
 * a file whose identities the next start takes up. */
#include "controlplane/identity/identity.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/identity/directory.h"
#include "controlplane/identity/roles.h"
#include "controlplane/store/identity.h"

#define FILE_MAX     65536
#define SECRET_CHARS 40

/* The values of the secrets file, in the order of `lines`. */
enum { TENANT, SUBSCRIPTION, CLIENT, OBJECT, SECRET, VALUES };

static const char *const lines[VALUES] = {
    [TENANT] = "AZURE_TENANT_ID",     [SUBSCRIPTION] = "AZURE_SUBSCRIPTION_ID",
    [CLIENT] = "AZURE_CLIENT_ID",     [OBJECT] = "PORTOLAN_CLIENT_OBJECT_ID",
    [SECRET] = "AZURE_CLIENT_SECRET",
};

static int parse_file(struct arena *a, const char *path, const char *text,
                      const char *values[VALUES], struct error *err)
{
    char **rows = NULL;
    size_t count = text_split(a, text, '\n', &rows);
    for (size_t i = 0; i < count; i++) {
        char *sign = strchr(rows[i], '=');
        if (rows[i][0] == '#' || !sign)
            continue;
        *sign = '\0';
        for (size_t v = 0; v < VALUES; v++) {
            if (text_eq(rows[i], lines[v]))
                values[v] = sign + 1;
        }
    }
    for (size_t v = 0; v < VALUES; v++) {
        if (!values[v] || *values[v] == '\0' || (v != SECRET && !uuid_is_valid(values[v])))
            return fail_cause(err, &E_INTERNAL, "secrets file %s has no valid %s", path, lines[v]);
    }
    return 0;
}

static int write_new_file(struct arena *a, const char *path, const char *values[VALUES],
                          struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    for (size_t v = 0; v < VALUES; v++) {
        if (v == SECRET) {
            values[v] = random_text(a, SECRET_CHARS);
            continue;
        }
        uuid_new(id);
        values[v] = arena_strdup(a, id);
    }
    _cleanup_(str_done) struct str s;
    str_init(&s, FILE_MAX);
    str_puts(&s,
             "# The first service principal of this installation: Owner of its subscription.\n");
    for (size_t v = 0; v < VALUES; v++)
        str_printf(&s, "%s=%s\n", lines[v], values[v]);
    int rc = file_replace(path, s.data, s.len, 0600, err);
    secret_cleanse(s.data, s.len);
    return rc;
}

static int insert_all(struct control *control, struct pg_conn *conn, struct arena *a,
                      const char *const values[VALUES], struct error *err)
{
    const struct tenant_row tenant = { .id = values[TENANT],
                                       .display_name = "Portolan",
                                       .default_domain = control->settings->domain };
    struct new_service_principal sp = { .tenant_id = values[TENANT],
                                        .display_name = "portolan-admin",
                                        .app_id = values[CLIENT],
                                        .object_id = values[OBJECT],
                                        .secret = values[SECRET] };
    if (identity_add_tenant(conn, a, &tenant, err) != 0 ||
        identity_add_subscription(conn, a, values[SUBSCRIPTION], values[TENANT], "Portolan", err) !=
            0 ||
        directory_add_service_principal(conn, a, &sp, err) != 0)
        return wrap(err, "first start");

    /* Of the subscription for its resources; of the tenant for its directory. */
    const char *scopes[] = { arena_printf(a, "/subscriptions/%s", values[SUBSCRIPTION]), "/" };
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        char id[UUID_TEXT_LEN + 1];
        uuid_new(id);
        const struct assignment_new owner = {
            .id = id,
            .scope = scopes[i],
            .tenant_id = values[TENANT],
            .role_definition_id = ROLE_OWNER,
            .principal_id = values[OBJECT],
            .principal_type = "ServicePrincipal",
            .created_by = values[OBJECT],
        };
        if (identity_add_assignment(conn, a, &owner, err) != 0)
            return -1;
    }
    return 0;
}

/* May run several times; the file it writes is taken up by the next run, so that is harmless. */
static int first_start(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct control *control = ctx;
    const char *path = control->settings->secrets_file;
    const char *values[VALUES] = { 0 };
    struct tenant_row tenant;

    if (identity_lock(conn, a, err) != 0)
        return -1;
    int is_done = identity_first_tenant(conn, a, &tenant, err);
    if (is_done < 0)
        return -1;
    if (!file_exists(path)) {
        /* Done elsewhere, or the operator took the file away: nothing to make up for. */
        if (is_done)
            return 0;
        if (write_new_file(a, path, values, err) != 0)
            return -1;
        return insert_all(control, conn, a, values, err);
    }
    char *text = NULL;
    size_t len = 0;
    if (file_read(a, path, FILE_MAX, &text, &len, err) != 0 ||
        parse_file(a, path, text, values, err) != 0)
        return -1;
    if (!is_done)
        return insert_all(control, conn, a, values, err);
    int found = identity_tenant(conn, a, values[TENANT], &tenant, err);
    if (found == 0)
        return fail_cause(err, &E_INTERNAL,
                          "secrets file %s belongs to another installation than the database",
                          path);
    return found < 0 ? -1 : 0;
}

int directory_init(struct control *control, struct error *err)
{
    if (!control->settings->secrets_file)
        return fail_cause(err, &E_INTERNAL, "the setting secrets-file is missing");
    _cleanup_(arena_freep) struct arena *a = arena_new();
    return pg_transact(control->db, a, first_start, control, err);
}
