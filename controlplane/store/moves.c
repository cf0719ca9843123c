/* Moving rows between groups: see the header. */
#include "controlplane/store/moves.h"

#include <ctype.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/pg/pg.h"

#include "controlplane/store/resources.h"
#include "controlplane/store/rows.h"
#include "controlplane/store/statements.h"

#define PATTERN_MAX_BYTES 8192

enum { MOVE, REWRITE, REWRITE_SHOWN, FORGET_ROLES, FORGET_DIAGNOSTICS, COMPANIONS };

/* '0' follows '/' in the order of bytes. */
#define AT_OR_BELOW                                                                                \
    "scope_key = $1 or (scope_key ~>=~ ($1 || '/') and scope_key ~<~ ($1 || '0'))"

const struct pg_stmt move_statements[] = {
    [MOVE] = { "resource_move",
               "with recursive tree (uid, key) as (select $1::uuid, $2::text union all "
               "select r.uid, r.key from resources r join tree t on r.parent_uid = t.uid "
               "where starts_with(r.key, t.key || '/')) "
               "update resources r set key = $3 || substr(r.key, length($2) + 1), "
               "id = $4 || substr(r.id, length($2) + 1), group_key = $5, "
               "generation = generation + 1, observed_generation = "
               "case when r.type_key = any ($6) then observed_generation else generation + 1 end, "
               RESOURCE_DUE " where r.uid in (select uid from tree)",
               "uuid text text text text text[]" },
    [REWRITE] = { "resource_move_rewrite",
                  "update resources r set body = regexp_replace(body::text, $2, $3, 'gi')::jsonb, "
                  "generation = generation + 1, observed_generation = "
                  "case when r.type_key = any ($4) then observed_generation else generation + 1 "
                  "end, " RESOURCE_DUE " where r.subscription_id = $1 and r.state <> 'Deleting' "
                  "and body::text ~* $2",
                  "uuid text text text[]" },
    [REWRITE_SHOWN] = { "resource_move_rewrite_shown",
                        "update resources set "
                        "projected = regexp_replace(projected::text, $2, $3, 'gi')::jsonb, "
                        "status = regexp_replace(status::text, $2, $3, 'gi')::jsonb "
                        "where subscription_id = $1 "
                        "and (projected::text ~* $2 or status::text ~* $2)",
                        "uuid text text" },
    [FORGET_ROLES] = { "resource_move_forget_roles",
                       "delete from role_assignments where " AT_OR_BELOW, "text" },
    [FORGET_DIAGNOSTICS] = { "resource_move_forget_diagnostics",
                             "delete from diagnostic_settings where " AT_OR_BELOW, "text" },
    [COMPANIONS] = { "resource_move_companions",
                     "select uid, key, id from resources where parent_uid = $1 "
                     "and not starts_with(key, $2 || '/') order by key for update",
                     "uuid text" },
    { 0 },
};

/* The id where it is a whole one, or what another begins with; nothing in it is a pattern. */
static char *pattern_of(struct arena *a, const char *id)
{
    struct str s;
    char *out;

    str_init(&s, PATTERN_MAX_BYTES);
    for (const char *p = id; *p; p++) {
        if (!isalnum((unsigned char)*p) && (unsigned char)*p < 0x80)
            str_putc(&s, '\\');
        str_putc(&s, *p);
    }
    str_puts(&s, "(?=[/\"])");
    out = str_copy(&s, a);
    str_done(&s);
    return out;
}

static int move_tree(struct pg_conn *conn, struct arena *a, const struct resource_move *m,
                     struct error *err)
{
    const struct resource *r = m->resource;
    const struct pg_arg worked = pg_texts(m->worked, m->worked_count);
    const char *pattern = pattern_of(a, r->id);

    if (PG_RUN(conn, a, &move_statements[MOVE], NULL, err, pg_text(r->uid), pg_text(r->key),
               pg_text(m->key), pg_text(m->id), pg_text(m->group_key), worked) ||
        PG_RUN(conn, a, &move_statements[REWRITE], NULL, err, pg_text(r->subscription_id),
               pg_text(pattern), pg_text(m->id), worked) ||
        PG_RUN(conn, a, &move_statements[REWRITE_SHOWN], NULL, err, pg_text(r->subscription_id),
               pg_text(pattern), pg_text(m->id)) ||
        PG_RUN(conn, a, &move_statements[FORGET_ROLES], NULL, err, pg_text(r->key)) ||
        PG_RUN(conn, a, &move_statements[FORGET_DIAGNOSTICS], NULL, err, pg_text(r->key)))
        return wrap(err, "move a resource");
    return 0;
}

/* What was made for it stands beside it, and not below: an interface, for a private endpoint. */
static int move_companions(struct pg_conn *conn, struct arena *a, const struct resource_move *m,
                           struct error *err)
{
    const int group_len = (int)(strstr(m->id, "/providers/") - m->id);
    struct pg_result *res = NULL;

    if (PG_RUN(conn, a, &move_statements[COMPANIONS], &res, err, pg_text(m->resource->uid),
               pg_text(m->resource->key)))
        return wrap(err, "find what moves along");
    for (size_t i = 0; i < pg_rows(res); i++) {
        const struct resource row = { .uid = pg_get_text(res, i, 0),
                                      .key = pg_get_text(res, i, 1),
                                      .id = pg_get_text(res, i, 2),
                                      .subscription_id = m->resource->subscription_id };
        struct resource_move along = *m;

        along.resource = &row;
        along.id = arena_printf(a, "%.*s%s", group_len, m->id, strstr(row.id, "/providers/"));
        along.key = arena_printf(a, "%.*s%s", group_len, m->key, strstr(row.key, "/providers/"));
        if (move_tree(conn, a, &along, err))
            return -1;
    }
    return 0;
}

int resource_move(struct pg_conn *conn, struct arena *a, const struct resource_move *m,
                  struct error *err)
{
    if (move_companions(conn, a, m, err) || move_tree(conn, a, m, err))
        return -1;
    return work_notify(conn, a, err);
}
