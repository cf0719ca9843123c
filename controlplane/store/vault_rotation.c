/* SQL of rotation policies: see vaults.h. When a key is due is kept by the database (plan_rotation()). */
#include "controlplane/store/vaults.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

#define POLICY_MAX_BYTES 65536
#define KEY_IS                                                                                     \
    "o.vault_uid = $1 and o.kind = 'key' and o.name_key = $2 and o.deleted_at is null"

enum { GET, SET, DUE, TAKE };

const struct pg_stmt vault_rotation_statements[] = {
    [GET] = { "vault_rotation_get",
              "select o.rotation, now() + (o.rotation #>> '{attributes,expiryTime}')::interval "
              "from vault_objects o where " KEY_IS,
              "uuid text" },
    [SET] = { "vault_rotation_set", "update vault_objects o set rotation = $3 where " KEY_IS,
              "uuid text jsonb" },
    [DUE] = { "vault_rotation_due",
              "select o.vault_uid, o.name_key, r.key from vault_objects o "
              "join resources r on r.uid = o.vault_uid where o.rotate_at <= now() "
              "order by o.rotate_at limit $1",
              "int8" },
    [TAKE] = { "vault_rotation_take",
               "select from vault_objects o where " KEY_IS " and o.rotate_at <= now() for update",
               "uuid text" },
    { 0 },
};

int vault_rotation_get(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                       struct json_object **ret, int64_t *ret_expires_us, struct error *err)
{
    struct pg_result *r = NULL;
    const char *text;

    if (PG_RUN(conn, a, &vault_rotation_statements[GET], &r, err, pg_text(q->vault_uid),
               pg_text(q->name_key)))
        return wrap(err, "read a rotation policy");
    if (pg_rows(r) == 0)
        return 0;
    *ret = NULL;
    *ret_expires_us = pg_get_time_us(r, 0, 1);
    text = pg_get_text(r, 0, 0);
    if (text && json_parse_object(text, strlen(text), POLICY_MAX_BYTES, ret, err))
        return wrap(err, "stored rotation policy");
    if (*ret)
        json_own(a, *ret);
    return 1;
}

int vault_rotation_set(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                       struct json_object *policy, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &vault_rotation_statements[SET], &r, err, pg_text(q->vault_uid),
               pg_text(q->name_key), pg_text(json_print(a, policy))))
        return wrap(err, "set a rotation policy");
    return pg_affected(r) > 0;
}

int vault_rotation_due(struct pg_conn *conn, struct arena *a, int64_t limit, struct due_key **ret,
                       size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &vault_rotation_statements[DUE], &r, err, pg_int(limit)))
        return wrap(err, "find keys that are due");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = (struct due_key){ .query = { .vault_uid = pg_get_text(r, i, 0),
                                                 .kind = VAULT_KEY,
                                                 .name_key = pg_get_text(r, i, 1) },
                                      .vault_key = pg_get_text(r, i, 2) };
    return 0;
}

int vault_rotation_take(struct pg_conn *conn, struct arena *a, const struct vault_query *q,
                        struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &vault_rotation_statements[TAKE], &r, err, pg_text(q->vault_uid),
               pg_text(q->name_key)))
        return wrap(err, "take a key that is due");
    return pg_rows(r) > 0;
}
