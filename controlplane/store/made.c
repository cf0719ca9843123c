/* Rows that actions make: see the header. */
#include "controlplane/store/made.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/pg/pg.h"

#include "controlplane/store/resources.h"

static int make(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct made *m = ctx;
    struct resource *parent = NULL;
    int found = resource_share(conn, a, m->parent->key, &parent, err);

    if (found < 0)
        return -1;
    if (!found || !text_eq(parent->uid, m->parent->uid) || parent->state == STATE_DELETING)
        return fail(err, &E_NOT_FOUND, "The resource '%s' is gone.", m->parent->name);
    return resource_insert(conn, a, m->row, false, err);
}

int resource_make(struct pg_pool *db, struct arena *a, const struct made *made, struct error *err)
{
    struct made m = *made;
    struct resource *row = made->row;

    row->key = text_lower(a, row->id);
    row->subscription_id = made->parent->subscription_id;
    row->group_key = made->parent->group_key;
    row->parent_uid = made->parent->uid;
    row->location = made->parent->location;
    row->due_in_ms = NEVER_DUE;
    return pg_transact(db, a, make, &m, err);
}

struct lookup {
    const char *key;
    struct resource *row;
    int found;
};

static int find_key(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct lookup *l = ctx;

    l->found = resource_by_key(conn, a, l->key, false, &l->row, err);
    return l->found < 0 ? -1 : 0;
}

int resource_lookup(struct pg_pool *db, struct arena *a, const char *key, struct resource **ret,
                    struct error *err)
{
    struct lookup l = { .key = key };

    if (pg_with(db, a, find_key, &l, err))
        return -1;
    *ret = l.row;
    return l.found;
}
