/* SQL of users, groups, service principals and applications: see the header. */
#include "controlplane/store/directory.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

enum {
    ENTRIES,
    APPLICATIONS,
    ENTRY_INSERT,
    ENTRY_UPDATE,
    ENTRY_DELETE,
    APPLICATION_INSERT,
    APPLICATION_UPDATE,
    APPLICATION_DELETE,
    ENTRY_SCOPES,
    MEMBER_ADD,
    MEMBER_REMOVE,
    USER_BY_NAME,
};

const struct pg_stmt directory_statements[] = {
    [ENTRIES] = { "directory_entries",
                  "with recursive above(id) as (select group_id from group_members"
                  " where member_id = $10 union select g.group_id from group_members g"
                  " join above w on g.member_id = w.id where $11)"
                  " select p.object_id, p.kind, p.app_id, p.display_name, p.upn, p.description,"
                  " p.is_enabled, p.created_at, ap.identifier_uris, ap.redirect_uris"
                  " from principals p left join applications ap on ap.app_id = p.app_id"
                  " where p.tenant_id = $1 and ($2::text is null or p.kind = $2"
                  " or ($2 = 'ServicePrincipal' and p.kind = 'ManagedIdentity'))"
                  " and ($3::text is null or lower(p.display_name) = lower($3))"
                  " and ($4::text is null or starts_with(lower(p.display_name), lower($4)))"
                  " and ($5::uuid is null or p.app_id = $5)"
                  " and ($6::text is null or $6 = any (ap.identifier_uris))"
                  " and ($7::text is null or lower(p.upn) = lower($7))"
                  " and ($8::uuid[] is null or p.object_id = any ($8))"
                  " and ($9::uuid is null or exists (select from group_members m"
                  " where m.group_id = $9 and m.member_id = p.object_id))"
                  " and ($10::uuid is null or p.object_id in (select id from above))"
                  " and ($12::uuid is null or p.object_id > $12)"
                  " order by p.object_id limit $13",
                  "uuid text text text uuid text text uuid[] uuid uuid bool uuid int8" },
    [APPLICATIONS] = { "directory_applications",
                       "select object_id, 'Application', app_id, display_name, null::text,"
                       " null::text, true, created_at, identifier_uris, redirect_uris"
                       " from applications where tenant_id = $1"
                       " and ($2::text is null or lower(display_name) = lower($2))"
                       " and ($3::text is null or starts_with(lower(display_name), lower($3)))"
                       " and ($4::uuid is null or app_id = $4)"
                       " and ($5::text is null or $5 = any (identifier_uris))"
                       " and ($6::uuid[] is null or object_id = any ($6))"
                       " and ($7::uuid is null or object_id > $7) order by object_id limit $8",
                       "uuid text text uuid text uuid[] uuid int8" },
    [ENTRY_INSERT] = { "directory_insert",
                       "insert into principals (tenant_id, object_id, kind, app_id, display_name,"
                       " upn, description, is_enabled, password_hash)"
                       " values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                       "uuid uuid text uuid text text text bool text" },
    [ENTRY_UPDATE] = { "directory_update",
                       "with gone as (delete from login_grants where principal_id = $2"
                       " and ($7::text is not null or not $6))"
                       " update principals set display_name = $3, upn = $4, description = $5,"
                       " is_enabled = $6, password_hash = coalesce($7, password_hash)"
                       " where tenant_id = $1 and object_id = $2",
                       "uuid uuid text text text bool text" },
    [ENTRY_DELETE] = { "directory_delete",
                       "delete from principals where tenant_id = $1 and object_id = $2",
                       "uuid uuid" },
    [APPLICATION_INSERT] = { "directory_application_insert",
                             "insert into applications (tenant_id, object_id, app_id,"
                             " display_name, identifier_uris, redirect_uris)"
                             " values ($1, $2, $3, $4, $5, $6)",
                             "uuid uuid uuid text text[] text[]" },
    [APPLICATION_UPDATE] = { "directory_application_update",
                             "update applications set display_name = $3, identifier_uris = $4,"
                             " redirect_uris = $5 where tenant_id = $1 and object_id = $2",
                             "uuid uuid text text[] text[]" },
    [APPLICATION_DELETE] = { "directory_application_delete",
                             "with gone as (delete from applications where tenant_id = $1"
                             " and object_id = $2 returning app_id), sp as (delete from principals"
                             " where app_id in (select app_id from gone)) select app_id from gone",
                             "uuid uuid" },
    [ENTRY_SCOPES] = { "directory_scopes",
                       "with recursive who(id) as (select $1::uuid union select g.group_id"
                       " from group_members g join who w on g.member_id = w.id)"
                       " select array(select distinct scope_key from role_assignments"
                       " where principal_id in (select id from who))",
                       "uuid" },
    [MEMBER_ADD] = { "directory_member_add",
                     "insert into group_members (group_id, member_id) values ($1, $2)"
                     " on conflict do nothing",
                     "uuid uuid" },
    [MEMBER_REMOVE] = { "directory_member_remove",
                        "delete from group_members where group_id = $1 and member_id = $2",
                        "uuid uuid" },
    [USER_BY_NAME] = { "directory_user",
                       "select object_id, kind, display_name, upn, is_enabled, tenant_id,"
                       " password_hash from principals where lower(upn) = lower($1)"
                       " and kind = 'User'",
                       "text" },
    { 0 },
};

static void read_entry(const struct pg_result *r, size_t i, struct entry *ret)
{
    *ret = (struct entry){ .id = pg_get_text(r, i, 0),
                           .kind = pg_get_text(r, i, 1),
                           .app_id = pg_get_text(r, i, 2),
                           .display_name = pg_get_text(r, i, 3),
                           .upn = pg_get_text(r, i, 4),
                           .description = pg_get_text(r, i, 5),
                           .is_enabled = pg_get_bool(r, i, 6),
                           .created_at = pg_get_text(r, i, 7) };
    ret->identifier_count = pg_get_texts(r, i, 8, &ret->identifier_uris);
    ret->redirect_count = pg_get_texts(r, i, 9, &ret->redirect_uris);
}

static void read_entries(const struct pg_result *r, struct arena *a, struct entry **ret,
                         size_t *ret_count)
{
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        read_entry(r, i, &(*ret)[i]);
}

static struct pg_arg ids_arg(const struct entry_filter *f)
{
    return f->ids ? pg_texts(f->ids, f->id_count) : pg_null();
}

int entry_list(struct pg_conn *conn, struct arena *a, const struct entry_filter *f,
               struct entry **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &directory_statements[ENTRIES], &r, err, pg_text(f->tenant_id),
               pg_text(f->kind), pg_text(f->name), pg_text(f->name_prefix), pg_text(f->app_id),
               pg_text(f->uri), pg_text(f->upn), ids_arg(f), pg_text(f->group_id),
               pg_text(f->member_id), pg_bool(f->is_transitive), pg_text(f->after_id),
               pg_int(f->limit)))
        return wrap(err, "list directory entries");
    read_entries(r, a, ret, ret_count);
    return 0;
}

int application_list(struct pg_conn *conn, struct arena *a, const struct entry_filter *f,
                     struct entry **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &directory_statements[APPLICATIONS], &r, err, pg_text(f->tenant_id),
               pg_text(f->name), pg_text(f->name_prefix), pg_text(f->app_id), pg_text(f->uri),
               ids_arg(f), pg_text(f->after_id), pg_int(f->limit)))
        return wrap(err, "list applications");
    read_entries(r, a, ret, ret_count);
    return 0;
}

int entry_insert(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                 const struct entry *entry, const char *password_hash, struct error *err)
{
    return PG_RUN(conn, a, &directory_statements[ENTRY_INSERT], NULL, err, pg_text(tenant_id),
                  pg_text(entry->id), pg_text(entry->kind), pg_text(entry->app_id),
                  pg_text(entry->display_name), pg_text(entry->upn), pg_text(entry->description),
                  pg_bool(entry->is_enabled), pg_text(password_hash));
}

int entry_update(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                 const struct entry *entry, const char *password_hash, struct error *err)
{
    return PG_RUN(conn, a, &directory_statements[ENTRY_UPDATE], NULL, err, pg_text(tenant_id),
                  pg_text(entry->id), pg_text(entry->display_name), pg_text(entry->upn),
                  pg_text(entry->description), pg_bool(entry->is_enabled), pg_text(password_hash));
}

static int changed(struct pg_result *r)
{
    return pg_affected(r) > 0 ? 1 : 0;
}

int entry_delete(struct pg_conn *conn, struct arena *a, const char *tenant_id, const char *id,
                 struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &directory_statements[ENTRY_DELETE], &r, err, pg_text(tenant_id),
               pg_text(id)))
        return wrap(err, "delete directory entry");
    return changed(r);
}

int application_insert(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                       const struct entry *entry, struct error *err)
{
    return PG_RUN(conn, a, &directory_statements[APPLICATION_INSERT], NULL, err, pg_text(tenant_id),
                  pg_text(entry->id), pg_text(entry->app_id), pg_text(entry->display_name),
                  pg_texts(entry->identifier_uris, entry->identifier_count),
                  pg_texts(entry->redirect_uris, entry->redirect_count));
}

int application_update(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                       const struct entry *entry, struct error *err)
{
    return PG_RUN(conn, a, &directory_statements[APPLICATION_UPDATE], NULL, err, pg_text(tenant_id),
                  pg_text(entry->id), pg_text(entry->display_name),
                  pg_texts(entry->identifier_uris, entry->identifier_count),
                  pg_texts(entry->redirect_uris, entry->redirect_count));
}

int application_delete(struct pg_conn *conn, struct arena *a, const char *tenant_id, const char *id,
                       struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &directory_statements[APPLICATION_DELETE], &r, err, pg_text(tenant_id),
               pg_text(id)))
        return wrap(err, "delete application");
    return pg_rows(r) > 0;
}

int entry_scopes(struct pg_conn *conn, struct arena *a, const char *id, const char ***ret,
                 size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &directory_statements[ENTRY_SCOPES], &r, err, pg_text(id)))
        return wrap(err, "read scopes of a principal");
    *ret_count = pg_get_texts(r, 0, 0, ret);
    return 0;
}

int member_add(struct pg_conn *conn, struct arena *a, const char *group_id, const char *member_id,
               struct error *err)
{
    return PG_RUN(conn, a, &directory_statements[MEMBER_ADD], NULL, err, pg_text(group_id),
                  pg_text(member_id));
}

int member_remove(struct pg_conn *conn, struct arena *a, const char *group_id,
                  const char *member_id, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &directory_statements[MEMBER_REMOVE], &r, err, pg_text(group_id),
               pg_text(member_id)))
        return wrap(err, "remove member");
    return changed(r);
}

int user_by_name(struct pg_conn *conn, struct arena *a, const char *upn, struct entry *ret,
                 const char **ret_tenant_id, const char **ret_hash, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &directory_statements[USER_BY_NAME], &r, err, pg_text(upn)))
        return wrap(err, "read user");
    if (pg_rows(r) == 0)
        return 0;
    *ret = (struct entry){ .id = pg_get_text(r, 0, 0),
                           .kind = pg_get_text(r, 0, 1),
                           .display_name = pg_get_text(r, 0, 2),
                           .upn = pg_get_text(r, 0, 3),
                           .is_enabled = pg_get_bool(r, 0, 4) };
    *ret_tenant_id = pg_get_text(r, 0, 5);
    *ret_hash = pg_get_text(r, 0, 6);
    return 1;
}
