/* Rows of key vaults: see the header. */
#include "controlplane/store/vaults.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/resources.h"
#include "controlplane/store/rows.h"
#include "controlplane/store/statements.h"

#define JSON_MAX_BYTES (4u << 20)

enum {
    BY_NAME,
    TAKEN,
    PRINCIPALS,
    GET,
    NEWEST,
    OBJECT,
    LOCK,
    ADD,
    ADD_AGAIN,
    CHANGE,
    LIST,
    VERSIONS,
    DELETE,
    RECOVER,
    PURGE,
    DELETED_GET,
    DELETED_LIST,
    DELETED_PURGE,
    HAND_OVER,
    RESTORE,
    PRUNE_OBJECTS,
    PRUNE_VAULTS
};

#define VERSION_COLUMNS                                                                            \
    "v.uid, o.name, v.wrapped, v.shown, v.tags, v.is_enabled, v.not_before, v.expires_at, "        \
    "v.created_at, v.updated_at, o.deleted_at, o.purge_at, v.position, o.uid"
#define OBJECT_IS                                                                                  \
    "o.vault_uid = $1 and o.kind = $2 and o.name_key = $3 and (o.deleted_at is not null) = $4"
#define DELETED_COLUMNS                                                                            \
    "d.uid, d.name, d.name_key, d.id, d.key, d.subscription_id, d.location, d.tags, d.body, "      \
    "d.is_protected, d.deleted_at, d.purge_at"

const struct pg_stmt vault_statements[] = {
    [BY_NAME] = { "vault_by_name",
                  "select " RESOURCE_COLUMNS " from resources r where r.type_key = '" VAULT_TYPE_KEY
                  "' and r.global_name = $1",
                  "text" },
    [TAKEN] = { "vault_name_is_taken",
                "select exists (select from resources where type_key = '" VAULT_TYPE_KEY
                "' and global_name = $1) or exists (select from deleted_vaults "
                "where name_key = $1)",
                "text" },
    [PRINCIPALS] = { "vault_principals",
                     "with recursive who(id) as (select $1::uuid union select g.group_id "
                     "from group_members g join who w on g.member_id = w.id) "
                     "select array(select id::text from who)",
                     "uuid" },
    [GET] = { "vault_version_get",
              "select " VERSION_COLUMNS " from vault_objects o join vault_versions v "
              "on v.object_uid = o.uid where " OBJECT_IS " and v.uid = $5",
              "uuid text text bool uuid" },
    [NEWEST] = { "vault_version_newest",
                 "select " VERSION_COLUMNS " from vault_objects o join vault_versions v "
                 "on v.object_uid = o.uid where " OBJECT_IS " order by v.position desc limit 1",
                 "uuid text text bool" },
    [OBJECT] = { "vault_object_make",
                 "insert into vault_objects (uid, vault_uid, kind, name, name_key) "
                 "values (gen_random_uuid(), $1, $2, $3, $4) "
                 "on conflict (vault_uid, kind, name_key) do nothing",
                 "uuid text text text" },
    [LOCK] = { "vault_object_lock",
               "select uid, deleted_at is not null, name from vault_objects "
               "where vault_uid = $1 and kind = $2 and name_key = $3 for update",
               "uuid text text" },
    [ADD] = { "vault_version_add",
              "insert into vault_versions (uid, object_uid, wrapped, shown, tags, is_enabled, "
              "not_before, expires_at) values ($1, $2, $3, $4, $5, $6, "
              "to_timestamp($7::float8 / 1000000), to_timestamp($8::float8 / 1000000)) "
              "returning created_at",
              "uuid uuid text jsonb jsonb bool int8 int8" },
    [ADD_AGAIN] = { "vault_version_add_again",
                    "insert into vault_versions (uid, object_uid, wrapped, shown, tags, is_enabled, "
                    "not_before, expires_at, created_at, updated_at) values ($1, $2, $3, $4, $5, $6, "
                    "to_timestamp($7::float8 / 1000000), to_timestamp($8::float8 / 1000000), "
                    "to_timestamp($9::float8 / 1000000), to_timestamp($10::float8 / 1000000))",
                    "uuid uuid text jsonb jsonb bool int8 int8 int8 int8" },
    [CHANGE] = { "vault_version_change",
                 "update vault_versions set shown = $2, tags = $3, is_enabled = $4, "
                 "not_before = to_timestamp($5::float8 / 1000000), "
                 "expires_at = to_timestamp($6::float8 / 1000000), updated_at = now() "
                 "where uid = $1 and object_uid = $7 returning updated_at",
                 "uuid jsonb jsonb bool int8 int8 uuid" },
    [LIST] = { "vault_object_list",
               "select " VERSION_COLUMNS " from vault_objects o join lateral (select * "
               "from vault_versions x where x.object_uid = o.uid order by x.position desc limit 1) "
               "v on true where o.vault_uid = $1 and o.kind = $2 "
               "and (o.deleted_at is not null) = $3 and o.name_key > $4 "
               "order by o.name_key limit $5",
               "uuid text bool text int8" },
    [VERSIONS] = { "vault_version_list",
                   "select " VERSION_COLUMNS " from vault_objects o join vault_versions v "
                   "on v.object_uid = o.uid where " OBJECT_IS " and v.position > $5 "
                   "order by v.position limit $6",
                   "uuid text text bool int8 int8" },
    [DELETE] = { "vault_object_delete",
                 "update vault_objects o set deleted_at = now(), "
                 "purge_at = now() + $5 * interval '1 day' where " OBJECT_IS,
                 "uuid text text bool int8" },
    [RECOVER] = { "vault_object_recover",
                  "update vault_objects o set deleted_at = null, purge_at = null where " OBJECT_IS,
                  "uuid text text bool" },
    [PURGE] = { "vault_object_purge", "delete from vault_objects o where " OBJECT_IS,
                "uuid text text bool" },
    [DELETED_GET] = { "deleted_vault_get",
                      "select " DELETED_COLUMNS " from deleted_vaults d where d.name_key = $1 "
                      "for update",
                      "text" },
    [DELETED_LIST] = { "deleted_vault_list",
                       "select " DELETED_COLUMNS " from deleted_vaults d "
                       "where d.subscription_id = $1 and d.name_key > $2 "
                       "order by d.name_key limit $3",
                       "uuid text int8" },
    [DELETED_PURGE] = { "deleted_vault_purge", "delete from deleted_vaults where uid = $1",
                        "uuid" },
    [HAND_OVER] = { "vault_hand_over", "update vault_objects set vault_uid = $2 where vault_uid = $1",
                    "uuid uuid" },
    [RESTORE] = { "vault_restore", "update resources set body = $2, tags = $3 where uid = $1",
                  "uuid jsonb jsonb" },
    [PRUNE_OBJECTS] = { "vault_prune_objects",
                        "delete from vault_objects where uid in (select uid from vault_objects "
                        "where purge_at <= now() limit 1000)",
                        "" },
    [PRUNE_VAULTS] = { "vault_prune_vaults",
                       "delete from deleted_vaults where uid in (select uid from deleted_vaults "
                       "where purge_at <= now() limit 100)",
                       "" },
    { 0 },
};

static const char *const kind_names[VAULT_KIND_MAX] = { [VAULT_KEY] = "key",
                                                        [VAULT_SECRET] = "secret" };

static int read_json(const char *text, struct arena *a, struct json_object **ret, struct error *err)
{
    struct json_object *value = NULL;

    if (json_parse_object(text, strlen(text), JSON_MAX_BYTES, &value, err))
        return wrap(err, "stored JSON of a vault");
    *ret = json_own(a, value);
    return 0;
}

static int read_version(const struct pg_result *r, size_t row, struct arena *a,
                        struct vault_version *ret, struct error *err)
{
    *ret = (struct vault_version){
        .uid = pg_get_text(r, row, 0),
        .name = pg_get_text(r, row, 1),
        .wrapped = pg_get_text(r, row, 2),
        .is_enabled = pg_get_bool(r, row, 5),
        .not_before_us = pg_get_time_us(r, row, 6),
        .expires_us = pg_get_time_us(r, row, 7),
        .created_us = pg_get_time_us(r, row, 8),
        .updated_us = pg_get_time_us(r, row, 9),
        .deleted_us = pg_get_time_us(r, row, 10),
        .purge_us = pg_get_time_us(r, row, 11),
        .position = pg_get_int(r, row, 12),
        .object_uid = pg_get_text(r, row, 13),
    };
    return read_json(pg_get_text(r, row, 3), a, &ret->shown, err) ||
                   read_json(pg_get_text(r, row, 4), a, &ret->tags, err)
               ? -1
               : 0;
}

static int read_versions(const struct pg_result *r, struct arena *a, struct vault_version **ret,
                         size_t *ret_count, struct error *err)
{
    size_t count = pg_rows(r);
    struct vault_version *items = arena_array(a, count + 1, sizeof(*items));

    for (size_t i = 0; i < count; i++) {
        if (read_version(r, i, a, &items[i], err))
            return -1;
    }
    *ret = items;
    *ret_count = count;
    return 0;
}

static struct pg_arg time_arg(int64_t us)
{
    return us ? pg_int(us) : pg_null();
}

int vault_by_name(struct pg_conn *conn, struct arena *a, const char *name_key,
                  struct resource **ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &vault_statements[BY_NAME], &r, err, pg_text(name_key)))
        return wrap(err, "find vault");
    if (pg_rows(r) == 0)
        return 0;
    *ret = ARENA_NEW(a, struct resource);
    return resource_from_row(r, 0, a, *ret, err) ? -1 : 1;
}

struct taken {
    const char *name_key;
    bool is_taken;
};

static int look_taken(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct taken *t = ctx;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &vault_statements[TAKEN], &r, err, pg_text(t->name_key)))
        return wrap(err, "is a vault's name taken");
    t->is_taken = pg_get_bool(r, 0, 0);
    return 0;
}

int vault_name_is_taken(struct pg_pool *db, struct arena *a, const char *name_key,
                        struct error *err)
{
    struct taken t = { .name_key = name_key };

    return pg_with(db, a, look_taken, &t, err) ? -1 : t.is_taken;
}

int vault_principals(struct pg_conn *conn, struct arena *a, const char *object_id,
                     const char ***ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &vault_statements[PRINCIPALS], &r, err, pg_text(object_id)))
        return wrap(err, "groups of a principal");
    *ret_count = pg_get_texts(r, 0, 0, ret);
    return 0;
}

int vault_version_get(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                      const char *uid, struct vault_version *ret, struct error *err)
{
    struct pg_result *r = NULL;
    int rc;

    if (uid)
        rc = PG_RUN(conn, a, &vault_statements[GET], &r, err, pg_text(q->vault_uid),
                    pg_text(kind_names[q->kind]), pg_text(q->name_key), pg_bool(q->is_deleted),
                    pg_text(uid));
    else
        rc = PG_RUN(conn, a, &vault_statements[NEWEST], &r, err, pg_text(q->vault_uid),
                    pg_text(kind_names[q->kind]), pg_text(q->name_key), pg_bool(q->is_deleted));
    if (rc)
        return wrap(err, "read a vault's object");
    if (pg_rows(r) == 0)
        return 0;
    return read_version(r, 0, a, ret, err) ? -1 : 1;
}

/* The object's row, its lock taken; *ret_is_new: it was made for this. */
static int take_object(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                       const char *name, struct pg_result **ret, bool *ret_is_new, struct error *err)
{
    struct pg_result *made = NULL;

    if (PG_RUN(conn, a, &vault_statements[OBJECT], &made, err, pg_text(q->vault_uid),
               pg_text(kind_names[q->kind]), pg_text(name), pg_text(q->name_key)) ||
        PG_RUN(conn, a, &vault_statements[LOCK], ret, err, pg_text(q->vault_uid),
               pg_text(kind_names[q->kind]), pg_text(q->name_key)))
        return wrap(err, "make a vault's object");
    if (pg_rows(*ret) == 0)
        return fail(err, &E_CONFLICT, "The object is being purged.");
    *ret_is_new = pg_affected(made) > 0;
    return 0;
}

int vault_version_add(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                      struct vault_version *v, struct error *err)
{
    struct pg_result *r = NULL;
    bool is_new;

    if (take_object(conn, a, q, v->name, &r, &is_new, err))
        return -1;
    if (pg_get_bool(r, 0, 1))
        return 0;
    v->object_uid = pg_get_text(r, 0, 0);
    v->name = pg_get_text(r, 0, 2);
    if (PG_RUN(conn, a, &vault_statements[ADD], &r, err, pg_text(v->uid), pg_text(v->object_uid),
               pg_text(v->wrapped), pg_text(json_print(a, v->shown)),
               pg_text(json_print(a, v->tags)), pg_bool(v->is_enabled),
               time_arg(v->not_before_us), time_arg(v->expires_us)))
        return wrap(err, "add a version");
    v->created_us = v->updated_us = pg_get_time_us(r, 0, 0);
    return 1;
}

int vault_object_restore(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                         const char *name, const struct vault_version *versions, size_t count,
                         struct error *err)
{
    struct pg_result *r = NULL;
    bool is_new;

    if (take_object(conn, a, q, name, &r, &is_new, err))
        return -1;
    if (!is_new)
        return 0;
    for (size_t i = 0; i < count; i++) {
        const struct vault_version *v = &versions[i];

        if (PG_RUN(conn, a, &vault_statements[ADD_AGAIN], NULL, err, pg_text(v->uid),
                   pg_text(pg_get_text(r, 0, 0)), pg_text(v->wrapped),
                   pg_text(json_print(a, v->shown)), pg_text(json_print(a, v->tags)),
                   pg_bool(v->is_enabled), time_arg(v->not_before_us), time_arg(v->expires_us),
                   time_arg(v->created_us), time_arg(v->updated_us)))
            return wrap(err, "restore a version");
    }
    return 1;
}

int vault_version_change(struct pg_conn *conn, struct arena *a, struct vault_version *v,
                         struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &vault_statements[CHANGE], &r, err, pg_text(v->uid),
               pg_text(json_print(a, v->shown)), pg_text(json_print(a, v->tags)),
               pg_bool(v->is_enabled), time_arg(v->not_before_us), time_arg(v->expires_us),
               pg_text(v->object_uid)))
        return wrap(err, "change a version");
    if (pg_rows(r) != 1)
        return fail(err, &E_CONFLICT, "The object is being purged.");
    v->updated_us = pg_get_time_us(r, 0, 0);
    return 0;
}

int vault_object_list(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                      const char *after, int64_t limit, struct vault_version **ret,
                      size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &vault_statements[LIST], &r, err, pg_text(q->vault_uid),
               pg_text(kind_names[q->kind]), pg_bool(q->is_deleted), pg_text(after ? after : ""),
               pg_int(limit)))
        return wrap(err, "list a vault's objects");
    return read_versions(r, a, ret, ret_count, err);
}

int vault_version_list(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                       int64_t after, int64_t limit, struct vault_version **ret, size_t *ret_count,
                       struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &vault_statements[VERSIONS], &r, err, pg_text(q->vault_uid),
               pg_text(kind_names[q->kind]), pg_text(q->name_key), pg_bool(false), pg_int(after),
               pg_int(limit)))
        return wrap(err, "list versions");
    return read_versions(r, a, ret, ret_count, err);
}

int vault_object_delete(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                        int64_t days, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &vault_statements[DELETE], &r, err, pg_text(q->vault_uid),
               pg_text(kind_names[q->kind]), pg_text(q->name_key), pg_bool(false), pg_int(days)))
        return wrap(err, "delete a vault's object");
    return pg_affected(r) > 0;
}

static int change_deleted(struct pg_conn *conn, struct arena *a, int statement,
                          const struct vault_query *q, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &vault_statements[statement], &r, err, pg_text(q->vault_uid),
               pg_text(kind_names[q->kind]), pg_text(q->name_key), pg_bool(true)))
        return wrap(err, "a vault's deleted object");
    return pg_affected(r) > 0;
}

int vault_object_recover(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                         struct error *err)
{
    return change_deleted(conn, a, RECOVER, q, err);
}

int vault_object_purge(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                       struct error *err)
{
    return change_deleted(conn, a, PURGE, q, err);
}

static int read_deleted(const struct pg_result *r, size_t row, struct arena *a,
                        struct deleted_vault *ret, struct error *err)
{
    *ret = (struct deleted_vault){
        .uid = pg_get_text(r, row, 0),
        .name = pg_get_text(r, row, 1),
        .name_key = pg_get_text(r, row, 2),
        .id = pg_get_text(r, row, 3),
        .key = pg_get_text(r, row, 4),
        .subscription_id = pg_get_text(r, row, 5),
        .location = pg_get_text(r, row, 6),
        .is_protected = pg_get_bool(r, row, 9),
        .deleted_us = pg_get_time_us(r, row, 10),
        .purge_us = pg_get_time_us(r, row, 11),
    };
    return read_json(pg_get_text(r, row, 7), a, &ret->tags, err) ||
                   read_json(pg_get_text(r, row, 8), a, &ret->body, err)
               ? -1
               : 0;
}

int deleted_vault_get(struct pg_conn *conn, struct arena *a, const char *name_key,
                      struct deleted_vault *ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &vault_statements[DELETED_GET], &r, err, pg_text(name_key)))
        return wrap(err, "find deleted vault");
    if (pg_rows(r) == 0)
        return 0;
    return read_deleted(r, 0, a, ret, err) ? -1 : 1;
}

int deleted_vault_list(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                       const char *after, int64_t limit, struct deleted_vault **ret,
                       size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    struct deleted_vault *items;

    if (PG_RUN(conn, a, &vault_statements[DELETED_LIST], &r, err, pg_text(subscription_id),
               pg_text(after ? after : ""), pg_int(limit)))
        return wrap(err, "list deleted vaults");
    items = arena_array(a, pg_rows(r) + 1, sizeof(*items));
    for (size_t i = 0; i < pg_rows(r); i++) {
        if (read_deleted(r, i, a, &items[i], err))
            return -1;
    }
    *ret = items;
    *ret_count = pg_rows(r);
    return 0;
}

int deleted_vault_purge(struct pg_conn *conn, struct arena *a, const char *uid, struct error *err)
{
    if (PG_RUN(conn, a, &vault_statements[DELETED_PURGE], NULL, err, pg_text(uid)))
        return wrap(err, "purge a vault");
    return 0;
}

int deleted_vault_recover(struct pg_conn *conn, struct arena *a, const struct deleted_vault *v,
                          const char *new_uid, struct error *err)
{
    if (PG_RUN(conn, a, &vault_statements[HAND_OVER], NULL, err, pg_text(v->uid),
               pg_text(new_uid)) ||
        PG_RUN(conn, a, &vault_statements[RESTORE], NULL, err, pg_text(new_uid),
               pg_text(json_print(a, v->body)), pg_text(json_print(a, v->tags))))
        return wrap(err, "recover a vault");
    return deleted_vault_purge(conn, a, v->uid, err);
}

int vaults_prune(struct pg_conn *conn, struct arena *a, struct error *err)
{
    if (PG_RUN0(conn, a, &vault_statements[PRUNE_OBJECTS], NULL, err) ||
        PG_RUN0(conn, a, &vault_statements[PRUNE_VAULTS], NULL, err))
        return wrap(err, "prune vaults");
    return 0;
}
