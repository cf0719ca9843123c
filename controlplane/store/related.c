/* Counters, links and single edits: see the header. */
#include "controlplane/store/related.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/resources.h"
#include "controlplane/store/rows.h"
#include "controlplane/store/statements.h"

enum {
    USAGE,
    USAGE_ALONE,
    USAGE_SHARED,
    USAGE_ROOM,
    USAGE_ROOM_EXPECTED,
    COUNT_LIKE,
    UNLINK,
    LINK,
    LINK_USER,
    OUTDATED,
    AT_OR_BELOW,
    STILL_IN,
    CHILD_AT,
    IDENTITY_USERS,
    KEY_TAKEN,
    EDIT,
};

const struct pg_stmt related_statements[] = {
    [USAGE] = { "resource_usage",
                "select coalesce(sum(used), 0)::int8 from usage_counters where owner_uid = $1 and kind = $2",
                "uuid text" },
    [USAGE_ALONE] = { "resource_usage_alone",
                      "select pg_advisory_xact_lock(hashtextextended('usage/' || $1 || '/' || $2, 0))",
                      "text text" },
    [USAGE_SHARED] = { "resource_usage_shared",
                       "select pg_advisory_xact_lock_shared("
                       "hashtextextended('usage/' || $1 || '/' || $2, 0))",
                       "text text" },
    [USAGE_ROOM] = { "resource_usage_room",
                     "select coalesce(sum(used), 0)::int8, current_setting('max_connections')::int8 "
                     "from usage_counters where owner_uid = $1 and kind = $2",
                     "uuid text" },
    [USAGE_ROOM_EXPECTED] = { "resource_usage_room_expected",
                              "select as_expected(coalesce(sum(used), 0) "
                              "+ current_setting('max_connections')::int8 < $3) "
                              "from usage_counters where owner_uid = $1 and kind = $2",
                              "uuid text int8" },
    [COUNT_LIKE] = { "resource_count_like",
                     "select count(*) from resources where parent_uid = $1 and type_key = $2 "
                     "and status @> $3",
                     "uuid text jsonb" },
    [UNLINK] = { "resource_unlink",
                 "delete from resource_links where from_uid = $1 and to_uid <> all ($2)",
                 "uuid uuid[]" },
    [LINK] = { "resource_link",
               "insert into resource_links (from_uid, to_uid) "
               "select distinct $1::uuid, u from unnest($2) u on conflict do nothing",
               "uuid uuid[]" },
    [LINK_USER] = { "resource_link_user",
                    "select r.id from resource_links l join resources r on r.uid = l.from_uid "
                    "where l.to_uid = $1 and r.state <> 'Deleting' order by r.key limit 1",
                    "uuid" },
    [OUTDATED] = { "resource_outdated",
                   "select u.uid::text from unnest($1, $2) as u (uid, generation) "
                   "left join resources r on r.uid = u.uid "
                   "where r.uid is null or r.state = 'Deleting' or r.generation > u.generation::int8",
                   "uuid[] text[]" },
    [AT_OR_BELOW] = { "resource_at_or_below",
                      "select r.uid, r.key, r.subscription_id::text, r.location from resources r "
                      "where r.type_key = $1 and " RESOURCES_OF_SCOPE("$2")
                      " and ($2 = '' or r.key = $2 or starts_with(r.key, $2 || '/')) "
                      "and r.observed_generation > 0 and r.state <> 'Deleting' "
                      "and r.key > $3 order by r.key limit $4",
                      "text text text int8" },
    [IDENTITY_USERS] = { "resource_identity_users",
                         "select r.id, r.name, r.type_key, r.group_key, r.subscription_id::text, "
                         "s.display_name from resources r "
                         "join subscriptions s on s.id = r.subscription_id "
                         "where r.type_key = any ($2) and r.state <> 'Deleting' "
                         "and r.body #>> '{identity,type}' like '%UserAssigned%' and exists (select from "
                         "jsonb_path_query(r.body, 'lax $.identity.userAssignedIdentities.keyvalue().key') k "
                         "where lower(k #>> '{}') = $1) order by r.key",
                         "text text[]" },
    [STILL_IN] = { "resource_still_in",
                   "select uid, key from resources where uid = any ($1) and subscription_id = $2 "
                   "order by uid",
                   "uuid[] uuid" },
    [CHILD_AT] = { "resource_child_at",
                   "select name from resources where parent_uid = $1 and type_key = $2 "
                   "and location = $3 and uid <> $4 order by key limit 1",
                   "uuid text text uuid" },
    [KEY_TAKEN] = { "resource_key_taken", "select 1 from resources where key = $1", "text" },
    [EDIT] = { "resource_edit",
               "update resources set body = $2, status = $3, generation = generation + 1, "
               RESOURCE_DUE " where uid = $1",
               "uuid jsonb jsonb" },
    { 0 },
};

int resource_usage(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                   const char *type_key, int64_t *ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &related_statements[USAGE], &r, err, pg_text(parent_uid),
               pg_text(type_key)))
        return wrap(err, "read usage");
    *ret = pg_get_int(r, 0, 0);
    return 0;
}

int resource_usage_alone(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                         const char *type_key, int64_t *ret, struct error *err)
{
    if (PG_QUEUE(conn, a, &related_statements[USAGE_ALONE], NULL, err, pg_text(parent_uid),
                 pg_text(type_key)))
        return wrap(err, "hold usage");
    return resource_usage(conn, a, parent_uid, type_key, ret, err);
}

int resource_room_ask(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                      const char *type_key, bool is_alone, struct pg_result **ret,
                      struct error *err)
{
    const struct pg_stmt *hold = &related_statements[is_alone ? USAGE_ALONE : USAGE_SHARED];

    if (PG_QUEUE(conn, a, hold, NULL, err, pg_text(parent_uid), pg_text(type_key)) ||
        PG_QUEUE(conn, a, &related_statements[USAGE_ROOM], ret, err, pg_text(parent_uid),
                 pg_text(type_key)))
        return wrap(err, "read usage");
    return 0;
}

int resource_room_expected(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                           const char *type_key, int64_t limit, struct error *err)
{
    if (PG_QUEUE(conn, a, &related_statements[USAGE_SHARED], NULL, err, pg_text(parent_uid),
                 pg_text(type_key)) ||
        PG_QUEUE(conn, a, &related_statements[USAGE_ROOM_EXPECTED], NULL, err, pg_text(parent_uid),
                 pg_text(type_key), pg_int(limit)))
        return wrap(err, "read usage");
    return 0;
}

enum room resource_room_told(const struct pg_result *r, int64_t limit, bool is_alone)
{
    int64_t used = pg_get_int(r, 0, 0), others = pg_get_int(r, 0, 1);

    if (used >= limit)
        return ROOM_NONE;
    return is_alone || used + others < limit ? ROOM_ENOUGH : ROOM_UNSURE;
}

struct like {
    const char *parent_uid, *type_key;
    const struct json_object *like;
    int64_t count;
};

static int count_like(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct like *l = ctx;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &related_statements[COUNT_LIKE], &r, err, pg_text(l->parent_uid),
               pg_text(l->type_key), pg_text(json_print(a, l->like))))
        return wrap(err, "count children by status");
    l->count = pg_get_int(r, 0, 0);
    return 0;
}

int resource_count_like(struct pg_pool *db, struct arena *a, const char *parent_uid,
                        const char *type_key, const struct json_object *like, int64_t *ret,
                        struct error *err)
{
    struct like l = { .parent_uid = parent_uid, .type_key = type_key, .like = like };

    if (pg_with(db, a, count_like, &l, err))
        return -1;
    *ret = l.count;
    return 0;
}

int resource_links_replace(struct pg_conn *conn, struct arena *a, const char *uid,
                           const char *const *to_uids, size_t count, struct error *err)
{
    if (PG_QUEUE(conn, a, &related_statements[UNLINK], NULL, err, pg_text(uid),
                 pg_texts(to_uids, count)) ||
        (count > 0 && PG_QUEUE(conn, a, &related_statements[LINK], NULL, err, pg_text(uid),
                               pg_texts(to_uids, count))))
        return wrap(err, "link resources");
    return 0;
}

/* 1 with the text of the only column, 0 without rows. */
static int read_text(struct pg_result *r, const char **ret)
{
    if (pg_rows(r) == 0)
        return 0;
    *ret = pg_get_text(r, 0, 0);
    return 1;
}

int resource_link_user(struct pg_conn *conn, struct arena *a, const char *uid,
                       const char **ret_id, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &related_statements[LINK_USER], &r, err, pg_text(uid)))
        return wrap(err, "look up links");
    return read_text(r, ret_id);
}

int resource_outdated(struct pg_conn *conn, struct arena *a, const char *const *uids,
                      const int64_t *generations, size_t count, const char ***ret,
                      size_t *ret_count, struct error *err)
{
    const char **numbers = arena_array(a, count + 1, sizeof(*numbers));
    struct pg_result *r = NULL;

    for (size_t i = 0; i < count; i++)
        numbers[i] = arena_printf(a, "%" PRId64, generations[i]);
    if (PG_RUN(conn, a, &related_statements[OUTDATED], &r, err, pg_texts(uids, count),
               pg_texts(numbers, count)))
        return wrap(err, "look for outdated resources");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = pg_get_text(r, i, 0);
    return 0;
}

void resource_read_places(struct arena *a, const struct pg_result *r, struct resource **ret,
                          size_t *ret_count)
{
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = (struct resource){ .uid = pg_get_text(r, i, 0),
                                       .key = pg_get_text(r, i, 1),
                                       .subscription_id = pg_get_text(r, i, 2),
                                       .location = pg_get_text(r, i, 3) };
}

int resource_at_or_below(struct pg_conn *conn, struct arena *a, const char *type_key,
                         const char *scope_key, const char *after_key, int64_t limit,
                         struct resource **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &related_statements[AT_OR_BELOW], &r, err, pg_text(type_key),
               pg_text(scope_key), pg_text(after_key), pg_int(limit)))
        return wrap(err, "list resources below a scope");
    resource_read_places(a, r, ret, ret_count);
    return 0;
}

struct identity_users {
    const char *identity_key;
    const char *const *type_keys;
    size_t type_count;
    struct identity_user *items;
    size_t count;
};

static int read_identity_users(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct identity_users *u = ctx;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &related_statements[IDENTITY_USERS], &r, err, pg_text(u->identity_key),
               pg_texts(u->type_keys, u->type_count)))
        return wrap(err, "who has an identity");
    u->count = pg_rows(r);
    u->items = arena_array(a, u->count + 1, sizeof(*u->items));
    for (size_t i = 0; i < u->count; i++)
        u->items[i] = (struct identity_user){
            .id = pg_get_text(r, i, 0),
            .name = pg_get_text(r, i, 1),
            .type_key = pg_get_text(r, i, 2),
            .group_key = pg_get_text(r, i, 3),
            .subscription_id = pg_get_text(r, i, 4),
            .subscription_name = pg_get_text(r, i, 5),
        };
    return 0;
}

int resource_identity_users(struct pg_pool *db, struct arena *a, const char *identity_key,
                            const char *const *type_keys, size_t type_count,
                            struct identity_user **ret, size_t *ret_count, struct error *err)
{
    struct identity_users u = { .identity_key = identity_key,
                                .type_keys = type_keys,
                                .type_count = type_count };

    if (pg_with(db, a, read_identity_users, &u, err))
        return -1;
    *ret = u.items;
    *ret_count = u.count;
    return 0;
}

int resource_still_in(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                      const char *const *uids, size_t count, struct resource **ret,
                      size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &related_statements[STILL_IN], &r, err, pg_texts(uids, count),
               pg_text(subscription_id)))
        return wrap(err, "look for resources of a subscription");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = (struct resource){ .uid = pg_get_text(r, i, 0), .key = pg_get_text(r, i, 1) };
    return 0;
}

int resource_child_at(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                      const char *type_key, const char *location, const char *except_uid,
                      const char **ret_name, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &related_statements[CHILD_AT], &r, err, pg_text(parent_uid),
               pg_text(type_key), pg_text(location), pg_text(except_uid)))
        return wrap(err, "look up a child by location");
    return read_text(r, ret_name);
}

int resource_insert_absent(struct pg_conn *conn, struct arena *a, const struct resource *r,
                           bool has_steps, struct error *err)
{
    struct pg_result *result = NULL;

    if (PG_RUN(conn, a, &related_statements[KEY_TAKEN], &result, err, pg_text(r->key)))
        return wrap(err, "look up a key");
    if (pg_rows(result) > 0)
        return 0;
    return resource_insert(conn, a, r, has_steps, err) ? -1 : 1;
}

struct editing {
    const struct resource_edit *edit;
    struct resource *row;
    int is_done;
};

static int write_edit(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct editing *e = ctx;
    const struct resource_edit *edit = e->edit;
    int found = resource_by_key(conn, a, edit->key, true, &e->row, err);

    e->is_done = found > 0 && e->row->state != STATE_DELETING;
    if (!e->is_done)
        return found < 0 ? -1 : 0;
    if (edit->edit(edit->ctx, a, e->row, err))
        return -1;
    for (size_t i = 0; i < edit->secret_count; i++) {
        if (resource_secret_replace(conn, a, e->row->uid, edit->secrets[i].name,
                                    edit->secrets[i].wrapped, err))
            return -1;
    }
    if (PG_RUN(conn, a, &related_statements[EDIT], NULL, err, pg_text(e->row->uid),
               pg_text(json_print(a, e->row->body)), pg_text(json_print(a, e->row->status))))
        return wrap(err, "edit resource");
    return work_notify(conn, a, err);
}

int resource_edit(struct pg_pool *db, struct arena *a, const struct resource_edit *edit,
                  struct resource **ret, struct error *err)
{
    struct editing e = { .edit = edit };

    if (pg_transact(db, a, write_edit, &e, err))
        return -1;
    *ret = e.row;
    return e.is_done;
}
