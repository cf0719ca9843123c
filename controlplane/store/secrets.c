/* Secrets of resources, wrapped by the caller: this file never sees one in the clear. */
#include "controlplane/store/resources.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

enum { GET, CREATE, REPLACE };

const struct pg_stmt secrets_statements[] = {
    [GET] = { "resource_secret_get",
              "select wrapped from resource_secrets where resource_uid = $1 and name = $2",
              "uuid text" },
    [CREATE] = { "resource_secret_create",
                 "insert into resource_secrets (resource_uid, name, wrapped) values ($1, $2, $3) "
                 "on conflict (resource_uid, name) do nothing",
                 "uuid text text" },
    [REPLACE] = { "resource_secret_replace",
                  "insert into resource_secrets (resource_uid, name, wrapped) values ($1, $2, $3) "
                  "on conflict (resource_uid, name) "
                  "do update set wrapped = excluded.wrapped, created_at = now()",
                  "uuid text text" },
    { 0 },
};

struct settle {
    const char *uid;
    struct resource_secret *secrets;
    size_t count;
};

struct rotate {
    const char *uid;
    const char *name;
    const char *wrapped;
    int is_done;
};

int resource_secret_get(struct pg_conn *conn, struct arena *a, const char *uid, const char *name,
                        const char **ret_wrapped, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &secrets_statements[GET], &r, err, pg_text(uid), pg_text(name)))
        return wrap(err, "read secret '%s'", name);
    if (pg_rows(r) == 0)
        return 0;
    *ret_wrapped = pg_get_text(r, 0, 0);
    return 1;
}

int resource_secret_create(struct pg_conn *conn, struct arena *a, const char *uid, const char *name,
                           const char *wrapped, struct error *err)
{
    if (PG_RUN(conn, a, &secrets_statements[CREATE], NULL, err, pg_text(uid), pg_text(name),
               pg_text(wrapped)))
        return wrap(err, "create secret '%s'", name);
    return 0;
}

int resource_secret_replace(struct pg_conn *conn, struct arena *a, const char *uid,
                            const char *name, const char *wrapped, struct error *err)
{
    if (PG_RUN(conn, a, &secrets_statements[REPLACE], NULL, err, pg_text(uid), pg_text(name),
               pg_text(wrapped)))
        return wrap(err, "replace secret '%s'", name);
    return 0;
}

static int settle(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct settle *s = ctx;
    int found;

    for (size_t i = 0; i < s->count; i++) {
        const char *stored = NULL;

        if (resource_secret_create(conn, a, s->uid, s->secrets[i].name, s->secrets[i].wrapped,
                                   err))
            return -1;
        found = resource_secret_get(conn, a, s->uid, s->secrets[i].name, &stored, err);
        if (found < 0)
            return -1;
        if (found == 0)
            return fail_cause(err, &E_INTERNAL, "secret '%s' vanished", s->secrets[i].name);
        s->secrets[i].wrapped = stored;
    }
    return 0;
}

int resource_secrets_settle(struct pg_pool *db, struct arena *a, const char *uid,
                            struct resource_secret *secrets, size_t count, struct error *err)
{
    struct settle s = { .uid = uid, .secrets = secrets, .count = count };

    return pg_transact(db, a, settle, &s, err);
}

static int rotate(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct rotate *r = ctx;

    r->is_done = resource_touch(conn, a, r->uid, err);
    if (r->is_done < 0)
        return -1;
    if (!r->is_done)
        return 0;
    return resource_secret_replace(conn, a, r->uid, r->name, r->wrapped, err) ||
                   work_notify(conn, a, err)
               ? -1
               : 0;
}

int resource_secret_rotate(struct pg_pool *db, struct arena *a, const char *uid, const char *name,
                           const char *wrapped, struct error *err)
{
    struct rotate r = { .uid = uid, .name = name, .wrapped = wrapped };

    return pg_transact(db, a, rotate, &r, err) ? -1 : r.is_done;
}
