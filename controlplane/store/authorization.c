/* SQL of role definitions, role assignments and locks: see the header. */
#include "controlplane/store/authorization.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

#define LIST_MAX "5000"
#define ROLE_COLUMNS                                                                               \
    "id, name, description, actions, not_actions, data_actions, not_data_actions,"                 \
    " assignable_scopes, created_at, updated_at, created_by, updated_by"
#define GRANT_COLUMNS                                                                              \
    "id, scope, scope_key, role_definition_id, principal_id, principal_type, condition,"           \
    " condition_version, description, created_at, updated_at, created_by, updated_by"
#define LOCK_COLUMNS "scope, scope_key, name, name_key, level, notes"

/* $n: what covers it, from the tenant down to itself. */
#define ABOVE(n) "(scope_key = '' or scope_key = " n " or starts_with(" n ", scope_key || '/'))"
/* $n: what stands below it; '0' follows '/' in the order of bytes. */
#define BELOW(n)                                                                                   \
    "(" n " = '' or (scope_key ~>=~ (" n " || '/') and scope_key ~<~ (" n " || '0')))"

enum {
    ROLE_GET,
    ROLE_LIST,
    ROLE_PUT,
    ROLE_DELETE,
    ROLE_IS_USED,
    ROLE_SCOPES,
    GRANT_GET,
    GRANT_INSERT,
    GRANT_UPDATE,
    GRANT_DELETE,
    GRANT_LIST,
    LOCK_GET,
    LOCK_PUT,
    LOCK_DELETE,
    LOCK_LIST,
    LOCK_BLOCKING,
};

const struct pg_stmt authorization_statements[] = {
    [ROLE_GET] = { "role_get",
                   "select " ROLE_COLUMNS " from role_definitions where tenant_id = $1 and id = $2",
                   "uuid uuid" },
    [ROLE_LIST] = { "role_list",
                    "select " ROLE_COLUMNS " from role_definitions where tenant_id = $1"
                    " and ($2::text is null or lower(name) = lower($2)) order by lower(name)"
                    " limit " LIST_MAX,
                    "uuid text" },
    [ROLE_PUT] = { "role_put",
                   "insert into role_definitions (id, tenant_id, name, description, actions,"
                   " not_actions, data_actions, not_data_actions, assignable_scopes, created_by,"
                   " updated_by) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)"
                   " on conflict (id) do update set name = excluded.name,"
                   " description = excluded.description, actions = excluded.actions,"
                   " not_actions = excluded.not_actions, data_actions = excluded.data_actions,"
                   " not_data_actions = excluded.not_data_actions,"
                   " assignable_scopes = excluded.assignable_scopes, updated_at = now(),"
                   " updated_by = excluded.updated_by"
                   " where role_definitions.tenant_id = excluded.tenant_id"
                   " returning (xmax = 0)",
                   "uuid uuid text text text[] text[] text[] text[] text[] text" },
    [ROLE_DELETE] = { "role_delete",
                      "delete from role_definitions where tenant_id = $1 and id = $2",
                      "uuid uuid" },
    [ROLE_IS_USED] = { "role_is_used",
                       "select 1 from role_assignments where tenant_id = $1"
                       " and role_definition_id = $2 limit 1",
                       "uuid uuid" },
    [ROLE_SCOPES] = { "role_scopes",
                      "select array(select distinct scope_key from role_assignments"
                      " where tenant_id = $1 and role_definition_id = $2)",
                      "uuid uuid" },
    [GRANT_GET] = { "grant_get",
                    "select " GRANT_COLUMNS " from role_assignments where tenant_id = $1"
                    " and scope_key = $2 and id = $3",
                    "uuid text uuid" },
    [GRANT_INSERT] = { "grant_insert",
                       "insert into role_assignments (tenant_id, id, scope, scope_key,"
                       " role_definition_id, principal_id, principal_type, condition,"
                       " condition_version, description, created_by, updated_by)"
                       " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
                       "uuid uuid text text uuid uuid text text text text text" },
    [GRANT_UPDATE] = { "grant_update",
                       "update role_assignments set condition = $4, condition_version = $5,"
                       " description = $6, updated_by = $7, updated_at = now()"
                       " where tenant_id = $1 and scope_key = $2 and id = $3",
                       "uuid text uuid text text text text" },
    [GRANT_DELETE] = { "grant_delete",
                       "delete from role_assignments where tenant_id = $1 and scope_key = $2"
                       " and id = $3",
                       "uuid text uuid" },
    [GRANT_LIST] = { "grant_list",
                     "with recursive who(id) as (select $4::uuid union"
                     " select g.group_id from group_members g join who w on g.member_id = w.id"
                     " where $5)"
                     " select " GRANT_COLUMNS " from role_assignments"
                     " where tenant_id = $1 and (" ABOVE("$2") " or ($3 and " BELOW("$2") "))"
                     " and ($4::uuid is null or principal_id in (select id from who))"
                     " and ($6::text is null or (scope_key, id) > ($6, $7::uuid))"
                     " order by scope_key, id limit $8",
                     "uuid text bool uuid bool text uuid int8" },
    [LOCK_GET] = { "lock_get",
                   "select " LOCK_COLUMNS " from locks where tenant_id = $1 and scope_key = $2"
                   " and name_key = $3",
                   "uuid text text" },
    [LOCK_PUT] = { "lock_put",
                   "insert into locks (tenant_id, scope, scope_key, name, name_key, level, notes)"
                   " values ($1, $2, $3, $4, $5, $6, $7) on conflict (scope_key, name_key)"
                   " do update set level = excluded.level, notes = excluded.notes"
                   " where locks.tenant_id = excluded.tenant_id returning (xmax = 0)",
                   "uuid text text text text text text" },
    [LOCK_DELETE] = { "lock_delete",
                      "delete from locks where tenant_id = $1 and scope_key = $2 and name_key = $3",
                      "uuid text text" },
    [LOCK_LIST] = { "lock_list",
                    "select " LOCK_COLUMNS " from locks where tenant_id = $1"
                    " and (" ABOVE("$2") " or ($3 and " BELOW("$2") "))"
                    " and ($4::text is null or (scope_key, name_key) > ($4, $5))"
                    " order by scope_key, name_key limit $6",
                    "uuid text bool text text int8" },
    [LOCK_BLOCKING] = { "lock_blocking",
                        "select (select scope from locks where tenant_id = $1"
                        " and (level = 'ReadOnly' or $3)"
                        " and (" ABOVE("$2") " or ($3 and " BELOW("$2") "))"
                        " order by scope_key, name_key limit 1),"
                        " exists (select 1 from deployment_stacks"
                        " where tenant_id = $1 and deny_mode <> 'none')",
                        "uuid text bool" },
    { 0 },
};

static struct text_rows read_texts(const struct pg_result *r, size_t row, size_t col)
{
    struct text_rows texts = { 0 };
    texts.count = pg_get_texts(r, row, col, &texts.items);
    return texts;
}

static void read_role(const struct pg_result *r, size_t i, struct role_row *ret)
{
    *ret = (struct role_row){ .id = pg_get_text(r, i, 0),
                              .name = pg_get_text(r, i, 1),
                              .description = pg_get_text(r, i, 2),
                              .actions = read_texts(r, i, 3),
                              .not_actions = read_texts(r, i, 4),
                              .data_actions = read_texts(r, i, 5),
                              .not_data_actions = read_texts(r, i, 6),
                              .scopes = read_texts(r, i, 7),
                              .created_at = pg_get_text(r, i, 8),
                              .updated_at = pg_get_text(r, i, 9),
                              .created_by = pg_get_text(r, i, 10),
                              .updated_by = pg_get_text(r, i, 11) };
}

int role_row_get(struct pg_conn *conn, struct arena *a, const char *tenant_id, const char *id,
                 struct role_row *ret, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &authorization_statements[ROLE_GET], &r, err, pg_text(tenant_id),
               pg_text(id)))
        return wrap(err, "read role definition");
    if (pg_rows(r) == 0)
        return 0;
    read_role(r, 0, ret);
    return 1;
}

int role_row_list(struct pg_conn *conn, struct arena *a, const char *tenant_id, const char *name,
                  struct role_row **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &authorization_statements[ROLE_LIST], &r, err, pg_text(tenant_id),
               pg_text(name)))
        return wrap(err, "list role definitions");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        read_role(r, i, &(*ret)[i]);
    return 0;
}

static struct pg_arg texts_arg(const struct text_rows *t)
{
    return pg_texts(t->items, t->count);
}

int role_row_put(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                 const struct role_row *row, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &authorization_statements[ROLE_PUT], &r, err, pg_text(row->id),
               pg_text(tenant_id), pg_text(row->name), pg_text(row->description),
               texts_arg(&row->actions), texts_arg(&row->not_actions),
               texts_arg(&row->data_actions), texts_arg(&row->not_data_actions),
               texts_arg(&row->scopes), pg_text(row->updated_by)))
        return wrap(err, "write role definition");
    if (pg_rows(r) == 0)
        return fail(err, &E_CONFLICT, "The id of the role definition is taken.");
    return pg_get_bool(r, 0, 0) ? 1 : 0;
}

/* 1 when a row went, 0 when there was none. */
static int affected(struct pg_result *r)
{
    return pg_affected(r) > 0 ? 1 : 0;
}

int role_row_delete(struct pg_conn *conn, struct arena *a, const char *tenant_id, const char *id,
                    struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &authorization_statements[ROLE_DELETE], &r, err, pg_text(tenant_id),
               pg_text(id)))
        return wrap(err, "delete role definition");
    return affected(r);
}

int role_row_is_used(struct pg_conn *conn, struct arena *a, const char *tenant_id, const char *id,
                     struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &authorization_statements[ROLE_IS_USED], &r, err, pg_text(tenant_id),
               pg_text(id)))
        return wrap(err, "look for uses of a role definition");
    return pg_rows(r) > 0;
}

int role_row_scopes(struct pg_conn *conn, struct arena *a, const char *tenant_id, const char *id,
                    struct text_rows *ret, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &authorization_statements[ROLE_SCOPES], &r, err, pg_text(tenant_id),
               pg_text(id)))
        return wrap(err, "read where a role definition is used");
    *ret = read_texts(r, 0, 0);
    return 0;
}

static void read_grant(const struct pg_result *r, size_t i, struct grant_row *ret)
{
    *ret = (struct grant_row){ .id = pg_get_text(r, i, 0),
                               .scope = pg_get_text(r, i, 1),
                               .scope_key = pg_get_text(r, i, 2),
                               .role_definition_id = pg_get_text(r, i, 3),
                               .principal_id = pg_get_text(r, i, 4),
                               .principal_type = pg_get_text(r, i, 5),
                               .condition = pg_get_text(r, i, 6),
                               .condition_version = pg_get_text(r, i, 7),
                               .description = pg_get_text(r, i, 8),
                               .created_at = pg_get_text(r, i, 9),
                               .updated_at = pg_get_text(r, i, 10),
                               .created_by = pg_get_text(r, i, 11),
                               .updated_by = pg_get_text(r, i, 12) };
}

int grant_row_get(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                  const char *scope_key, const char *id, struct grant_row *ret, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &authorization_statements[GRANT_GET], &r, err, pg_text(tenant_id),
               pg_text(scope_key), pg_text(id)))
        return wrap(err, "read role assignment");
    if (pg_rows(r) == 0)
        return 0;
    read_grant(r, 0, ret);
    return 1;
}

int grant_row_insert(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                     const struct grant_row *row, struct error *err)
{
    return PG_RUN(conn, a, &authorization_statements[GRANT_INSERT], NULL, err, pg_text(tenant_id),
                  pg_text(row->id), pg_text(row->scope), pg_text(row->scope_key),
                  pg_text(row->role_definition_id), pg_text(row->principal_id),
                  pg_text(row->principal_type), pg_text(row->condition),
                  pg_text(row->condition_version), pg_text(row->description),
                  pg_text(row->updated_by));
}

int grant_row_update(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                     const struct grant_row *row, struct error *err)
{
    return PG_RUN(conn, a, &authorization_statements[GRANT_UPDATE], NULL, err, pg_text(tenant_id),
                  pg_text(row->scope_key), pg_text(row->id), pg_text(row->condition),
                  pg_text(row->condition_version), pg_text(row->description),
                  pg_text(row->updated_by));
}

int grant_row_delete(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                     const char *scope_key, const char *id, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &authorization_statements[GRANT_DELETE], &r, err, pg_text(tenant_id),
               pg_text(scope_key), pg_text(id)))
        return wrap(err, "delete role assignment");
    return affected(r);
}

int grant_row_list(struct pg_conn *conn, struct arena *a, const struct grant_filter *filter,
                   struct grant_row **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &authorization_statements[GRANT_LIST], &r, err,
               pg_text(filter->tenant_id), pg_text(filter->scope_key), pg_bool(filter->is_below),
               pg_text(filter->principal_id), pg_bool(filter->is_with_groups),
               pg_text(filter->after_scope), pg_text(filter->after_id), pg_int(filter->limit)))
        return wrap(err, "list role assignments");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        read_grant(r, i, &(*ret)[i]);
    return 0;
}

static void read_lock(const struct pg_result *r, size_t i, struct lock_row *ret)
{
    *ret = (struct lock_row){ .scope = pg_get_text(r, i, 0),
                              .scope_key = pg_get_text(r, i, 1),
                              .name = pg_get_text(r, i, 2),
                              .name_key = pg_get_text(r, i, 3),
                              .level = pg_get_text(r, i, 4),
                              .notes = pg_get_text(r, i, 5) };
}

int lock_row_get(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                 const char *scope_key, const char *name_key, struct lock_row *ret,
                 struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &authorization_statements[LOCK_GET], &r, err, pg_text(tenant_id),
               pg_text(scope_key), pg_text(name_key)))
        return wrap(err, "read lock");
    if (pg_rows(r) == 0)
        return 0;
    read_lock(r, 0, ret);
    return 1;
}

int lock_row_put(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                 const struct lock_row *row, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &authorization_statements[LOCK_PUT], &r, err, pg_text(tenant_id),
               pg_text(row->scope), pg_text(row->scope_key), pg_text(row->name),
               pg_text(row->name_key), pg_text(row->level), pg_text(row->notes)))
        return wrap(err, "write lock");
    return pg_rows(r) > 0 && pg_get_bool(r, 0, 0) ? 1 : 0;
}

int lock_row_delete(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                    const char *scope_key, const char *name_key, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &authorization_statements[LOCK_DELETE], &r, err, pg_text(tenant_id),
               pg_text(scope_key), pg_text(name_key)))
        return wrap(err, "delete lock");
    return affected(r);
}

int lock_row_list(struct pg_conn *conn, struct arena *a, const struct lock_filter *f,
                  struct lock_row **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &authorization_statements[LOCK_LIST], &r, err, pg_text(f->tenant_id),
               pg_text(f->scope_key), pg_bool(f->is_below), pg_text(f->after_scope),
               pg_text(f->after_name), pg_int(f->limit)))
        return wrap(err, "list locks");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        read_lock(r, i, &(*ret)[i]);
    return 0;
}

int lock_row_blocking(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                      const char *scope_key, bool is_delete, const char **ret_scope,
                      bool *ret_denials, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &authorization_statements[LOCK_BLOCKING], &r, err, pg_text(tenant_id),
               pg_text(scope_key), pg_bool(is_delete)))
        return wrap(err, "look for locks");
    *ret_scope = pg_get_text(r, 0, 0);
    *ret_denials = pg_get_bool(r, 0, 1);
    return *ret_scope != NULL;
}
