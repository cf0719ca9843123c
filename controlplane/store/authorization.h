/* Rows of role definitions, role assignments and locks as the management API handles them; what
 * access checks read stands in identity.h. Scopes are given as keys: lower case, without a slash at
 * the end, '' for the tenant. The only SQL that writes these tables, but for the first start's. */
#ifndef PORTOLAN_STORE_AUTHORIZATION_H
#define PORTOLAN_STORE_AUTHORIZATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_conn;

struct text_rows {
    const char **items;
    size_t count;
};

struct role_row {
    const char *id;
    const char *name;
    const char *description;
    struct text_rows actions, not_actions, data_actions, not_data_actions, scopes;
    const char *created_at, *updated_at; /* RFC 3339 */
    const char *created_by, *updated_by;
};
/* 1/0/-1 */
MUST_CHECK int role_row_get(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                            const char *id, struct role_row *ret, struct error *err);
/* Of the tenant, by name. name: NULL for any, without case. */
MUST_CHECK int role_row_list(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                             const char *name, struct role_row **ret, size_t *ret_count,
                             struct error *err);
/* 1 created, 0 updated. E_CONFLICT (target role_definitions_name) when the name is taken. */
MUST_CHECK int role_row_put(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                            const struct role_row *row, struct error *err);
/* 1 deleted, 0 there was none. */
MUST_CHECK int role_row_delete(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                               const char *id, struct error *err);
/* 1 when some assignment uses it. */
MUST_CHECK int role_row_is_used(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                                const char *id, struct error *err);
/* The role's scopes of use, so that data planes hear of a change. */
MUST_CHECK int role_row_scopes(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                               const char *id, struct text_rows *ret, struct error *err);

struct grant_row {
    const char *id;
    const char *scope;
    const char *scope_key;
    const char *role_definition_id;
    const char *principal_id;
    const char *principal_type;
    const char *condition, *condition_version, *description; /* NULL */
    const char *created_at, *updated_at;
    const char *created_by, *updated_by;
};
MUST_CHECK int grant_row_get(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                             const char *scope_key, const char *id, struct grant_row *ret,
                             struct error *err);
/* E_CONFLICT when the same principal has the role at the scope under another id, or the id is
 * taken. */
MUST_CHECK int grant_row_insert(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                                const struct grant_row *row, struct error *err);
/* Condition and description. */
MUST_CHECK int grant_row_update(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                                const struct grant_row *row, struct error *err);
MUST_CHECK int grant_row_delete(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                                const char *scope_key, const char *id, struct error *err);

struct grant_filter {
    const char *tenant_id;
    const char *scope_key;      /* at it and above … */
    bool is_below;              /* … and below */
    const char *principal_id;   /* NULL: any */
    bool is_with_groups;        /* and of the groups the principal is in */
    const char *after_scope, *after_id; /* paging; NULL: from the start */
    int64_t limit;
};
MUST_CHECK int grant_row_list(struct pg_conn *conn, struct arena *a,
                              const struct grant_filter *filter, struct grant_row **ret,
                              size_t *ret_count, struct error *err);

struct lock_row {
    const char *scope, *scope_key;
    const char *name, *name_key;
    const char *level;
    const char *notes; /* NULL */
};
MUST_CHECK int lock_row_get(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                            const char *scope_key, const char *name_key, struct lock_row *ret,
                            struct error *err);
/* 1 created, 0 replaced. */
MUST_CHECK int lock_row_put(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                            const struct lock_row *row, struct error *err);
MUST_CHECK int lock_row_delete(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                               const char *scope_key, const char *name_key, struct error *err);
struct lock_filter {
    const char *tenant_id, *scope_key;
    bool is_below;                        /* not only at the scope and above */
    const char *after_scope, *after_name; /* keys of the last one known; NULL: from the first */
    int64_t limit;
};
MUST_CHECK int lock_row_list(struct pg_conn *conn, struct arena *a, const struct lock_filter *filter,
                             struct lock_row **ret, size_t *ret_count, struct error *err);
/* The scope whose lock stands in the way of a change: at or above scope_key, of a delete also below
 * it. *ret_denials: some deployment stack denies something (store/stacks.h). 1/0/-1. */
MUST_CHECK int lock_row_blocking(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                                 const char *scope_key, bool is_delete, const char **ret_scope,
                                 bool *ret_denials, struct error *err);

#endif
