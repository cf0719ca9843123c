/* Rows of the directory: tenants, principals and their secrets, signing keys, role assignments.
 * The only SQL on these tables. Ids must be uuids where the column is one: callers check first. */
#ifndef PORTOLAN_STORE_IDENTITY_H
#define PORTOLAN_STORE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/pg/pg.h"

struct arena;
struct error;

struct tenant_row {
    const char *id;
    const char *display_name;
    const char *default_domain;
};

/* By id or, without case, by default domain. 1/0/-1. */
MUST_CHECK int identity_tenant(struct pg_conn *conn, struct arena *a, const char *id_or_domain,
                               struct tenant_row *ret, struct error *err);
/* The installation's tenant: the first that was made. 1/0/-1. */
MUST_CHECK int identity_first_tenant(struct pg_conn *conn, struct arena *a, struct tenant_row *ret,
                                     struct error *err);
MUST_CHECK int identity_add_tenant(struct pg_conn *conn, struct arena *a,
                                   const struct tenant_row *tenant, struct error *err);
MUST_CHECK int identity_add_subscription(struct pg_conn *conn, struct arena *a, const char *id,
                                         const char *tenant_id, const char *display_name,
                                         struct error *err);
/* Ids of the tenant's subscriptions. */
MUST_CHECK int identity_subscriptions(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                                      const char ***ret_ids, size_t *ret_count, struct error *err);

struct principal_row {
    const char *object_id;
    const char *tenant_id;
    const char *kind;   /* User, Group, ServicePrincipal, ManagedIdentity */
    const char *app_id; /* NULL */
    const char *display_name;
    bool is_enabled;
};

/* 1/0/-1. */
MUST_CHECK int identity_principal(struct pg_conn *conn, struct arena *a, const char *object_id,
                                  struct principal_row *ret, struct error *err);
MUST_CHECK int identity_principal_by_app(struct pg_conn *conn, struct arena *a, const char *app_id,
                                         struct principal_row *ret, struct error *err);
/* E_CONFLICT when the object id or application id is taken. */
MUST_CHECK int identity_add_principal(struct pg_conn *conn, struct arena *a,
                                      const struct principal_row *principal, struct error *err);

struct secret_row {
    const char *hash;
    bool is_expired;
};
MUST_CHECK int identity_secrets(struct pg_conn *conn, struct arena *a, const char *principal_id,
                                struct secret_row **ret, size_t *ret_count, struct error *err);
/* expires_at: RFC 3339, or NULL for never. */
MUST_CHECK int identity_add_secret(struct pg_conn *conn, struct arena *a, const char *id,
                                   const char *principal_id, const char *hash, const char *hint,
                                   const char *expires_at, struct error *err);

struct signing_key_row {
    const char *kid;
    const char *wrapped_private;
    const char *public_pem;
    const char *verifies_until; /* RFC 3339 */
    int64_t created_us;
    int64_t signs_until_us;
    int64_t verifies_until_us;
};
/* Every key that still verifies, newest first. */
MUST_CHECK int identity_keys(struct pg_conn *conn, struct arena *a, struct signing_key_row **ret,
                             size_t *ret_count, struct error *err);
/* 1 when some key signs for at least margin_s more seconds, else 0. */
MUST_CHECK int identity_has_key_for(struct pg_conn *conn, struct arena *a, int64_t margin_s,
                                    struct error *err);
MUST_CHECK int identity_add_key(struct pg_conn *conn, struct arena *a, const char *kid,
                                const char *wrapped_private, const char *public_pem,
                                int64_t signs_s, int64_t verifies_s, struct error *err);
/* Removes keys that no token can need any more. */
MUST_CHECK int identity_prune_keys(struct pg_conn *conn, struct arena *a, struct error *err);
/* Waits for the directory's lock, held until the transaction ends: copies take turns at making what
 * must exist once. */
MUST_CHECK int identity_lock(struct pg_conn *conn, struct arena *a, struct error *err);

#define ROLE_LISTS 4 /* actions, not_actions, data_actions, not_data_actions */

struct assignment_row {
    const char *principal_id; /* whom it is good for: a member, where a group has it */
    const char *role_definition_id;
    const char *scope_key;
    const char *condition; /* NULL: unconditional */
    const char *tenant_id;
    bool is_custom; /* a role of the tenant's own, which says: */
    const char *const *patterns[ROLE_LISTS]; /* each ended by NULL */
};
/* Of one principal and of the groups it is in, at every scope. */
MUST_CHECK int identity_assignments_of(struct pg_conn *conn, struct arena *a,
                                       const char *principal_id, struct assignment_row **ret,
                                       size_t *ret_count, struct error *err);
/* Of all enabled principals, members of groups included, at exactly these scopes, in the tenant of the
 * subscription; in a fixed order, so that what is made from them can be compared. */
MUST_CHECK int identity_assignments_at(struct pg_conn *conn, struct arena *a,
                                       const char *const *scope_keys, size_t scope_count,
                                       const char *subscription_id, struct assignment_row **ret,
                                       size_t *ret_count, struct error *err);
struct assignment_new {
    const char *id;
    const char *scope;
    const char *tenant_id;
    const char *role_definition_id;
    const char *principal_id;
    const char *principal_type;
    const char *created_by;
};
/* An assignment of the same role at the same scope is left as it is. */
MUST_CHECK int identity_add_assignment(struct pg_conn *conn, struct arena *a,
                                       const struct assignment_new *assignment, struct error *err);

extern const struct pg_stmt identity_statements[];

#endif
