/* Reading `resources`: one column list, one row reader, look-ups and children. */
#include "controlplane/store/resources.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/rows.h"
#include "controlplane/store/statements.h"

#define JSON_COLUMN_MAX_BYTES (8u << 20)

/* RESOURCE_COLUMNS of what a write stands on, which is asked for its body: no other JSON is sent, and
 * parsed. */
#define PARENT_COLUMNS                                                                             \
    "r.uid, r.key, r.id, r.type_key, r.name, r.subscription_id, r.group_key, r.parent_uid, "       \
    "r.location, r.global_name, '{}', r.body, '{}', '{}', r.state, r.generation, "                 \
    "r.observed_generation, r.attempts, null, r.created_at, r.updated_at, r.xmin::text, "          \
    "r.is_system, '{}'"

/* The rows a write stands on, locked in this order. A key that is null has no row. What holds a parent need
 * not hold its group: the group goes after all that is in it, and that one after what is below it.
 *
 * A key share keeps away whoever removes the row or changes what was asked for (both lock it for update), and
 * nobody else: reconcile passes write the row of a registry below which much is created as they like. */
#define HELD "uid, name, state, generation, is_system from resources where key = "
#define HOLD_ROWS(group, parent)                                                                   \
    "with g as (select 0 as who, " HELD "$1" group "), "                                           \
    "p as (select 1 as who, " HELD "$2" parent "), "                                               \
    "s as (select 2 as who, " HELD "$3 for update) "                                               \
    "select * from g union all select * from p union all select * from s"

enum {
    BY_KEY,
    BY_KEYS,
    BY_KEY_LOCKED,
    BY_UID,
    BY_UID_LOCKED,
    SHARE,
    HOLD,
    HOLD_BELOW,
    HOLD_BELOW_ALONE,
    HOLD_EXPECTED,
    CHILDREN,
    COUNT_BELOW,
    COUNT_IN_GROUP,
    TALLY_BELOW,
    NAME_TAKEN
};

const struct pg_stmt resources_statements[] = {
    [BY_KEY] = { "resource_by_key", "select " RESOURCE_COLUMNS " from resources r where r.key = $1",
                 "text" },
    /* One by one: of a list, whose length it guesses, the server may read the table as a whole. */
    [BY_KEYS] = { "resource_by_keys",
                  "select " RESOURCE_COLUMNS " from resources r where r.key = $1 "
                  "union all select " PARENT_COLUMNS " from resources r where r.key = $2",
                  "text text" },
    [BY_KEY_LOCKED] = { "resource_by_key_locked",
                        "select " RESOURCE_COLUMNS " from resources r where r.key = $1 for update",
                        "text" },
    [BY_UID] = { "resource_by_uid", "select " RESOURCE_COLUMNS " from resources r where r.uid = $1",
                 "uuid" },
    [BY_UID_LOCKED] = { "resource_by_uid_locked",
                        "select " RESOURCE_COLUMNS " from resources r where r.uid = $1 for update",
                        "uuid" },
    [SHARE] = { "resource_share",
                "select " RESOURCE_COLUMNS " from resources r where r.key = $1 for share", "text" },
    [HOLD] = { "resource_hold", HOLD_ROWS(" for key share", ""), "text text text" },
    [HOLD_BELOW] = { "resource_hold_below", HOLD_ROWS("", " for key share"), "text text text" },
    [HOLD_BELOW_ALONE] = { "resource_hold_below_alone", HOLD_ROWS("", " for update"),
                           "text text text" },
    [HOLD_EXPECTED] = { "resource_hold_expected",
                        "with p as (select uid, state, generation from resources where key = $2 "
                        "for key share), "
                        "s as (select uid, state, generation, is_system from resources where key = $3 "
                        "for update) select as_expected("
                        "(select state <> 'Deleting' from resources where key = $1) "
                        "and (select uid = $4 and generation = $5 and state <> 'Deleting' from p) "
                        "and case when $6 is null then not exists (select from s) "
                        "else (select uid = $6 and generation = $7 and state <> 'Deleting' "
                        "and not is_system from s) end)",
                        "text text text uuid int8 uuid int8" },
    [CHILDREN] = { "resource_children",
                   "select " RESOURCE_COLUMNS " from resources r where r.parent_uid = $1 "
                   "and ($2::text is null or r.type_key = $2) order by r.type_key, r.key limit $3",
                   "uuid text int8" },
    [COUNT_BELOW] = { "resource_count_below",
                      "select count(*) from resources where parent_uid = $1", "uuid" },
    [COUNT_IN_GROUP] = { "resource_count_in_group",
                         "select count(*) from resources where subscription_id = $1 "
                         "and group_key = $2 and type_key <> 'microsoft.resources/resourcegroups'",
                         "uuid text" },
    [TALLY_BELOW] = { "resource_tally_below",
                      "select kind, sum(used)::int8 from usage_counters where owner_uid = $1 "
                      "group by kind having sum(used) > 0 order by kind",
                      "uuid" },
    [NAME_TAKEN] = { "resource_name_taken",
                     "select 1 from resources where type_key = $1 and global_name = $2",
                     "text text" },
    { 0 },
};

/* The JSON columns, in the order of resource.unparsed. */
static const size_t json_columns[] = { 10, 11, 12, 13, 18, 23 };

static int read_json(const char *text, struct arena *a, struct json_object **ret, struct error *err)
{
    struct json_object *value = NULL;

    *ret = NULL;
    if (!text)
        return 0;
    if (json_parse_object(text, strlen(text), JSON_COLUMN_MAX_BYTES, &value, err))
        return -1;
    *ret = json_own(a, value);
    return 0;
}

int resource_parse(struct arena *a, struct resource *r, struct error *err)
{
    struct json_object **members[] = { &r->tags,        &r->body,       &r->status,
                                       &r->system_data, &r->last_error, &r->projected };
    struct error reason;

    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (read_json(r->unparsed[i], a, members[i], &reason))
            return fail_cause(err, &E_INTERNAL, "column %zu of resource %s: %s", json_columns[i],
                              r->uid, reason.message);
        r->unparsed[i] = NULL;
    }
    return 0;
}

static int peek_row(const struct pg_result *r, size_t row, struct resource *ret, struct error *err)
{
    *ret = (struct resource){
        .uid = pg_get_text(r, row, 0),
        .key = pg_get_text(r, row, 1),
        .id = pg_get_text(r, row, 2),
        .type_key = pg_get_text(r, row, 3),
        .name = pg_get_text(r, row, 4),
        .subscription_id = pg_get_text(r, row, 5),
        .group_key = pg_get_text(r, row, 6),
        .parent_uid = pg_get_text(r, row, 7),
        .location = pg_get_text(r, row, 8),
        .global_name = pg_get_text(r, row, 9),
        .generation = pg_get_int(r, row, 15),
        .observed_generation = pg_get_int(r, row, 16),
        .attempts = pg_get_int(r, row, 17),
        .created_at = pg_get_text(r, row, 19),
        .updated_at = pg_get_text(r, row, 20),
        .revision = pg_get_text(r, row, 21),
        .is_system = pg_get_bool(r, row, 22),
    };
    for (size_t i = 0; i < ARRAY_LEN(json_columns); i++)
        ret->unparsed[i] = pg_get_text(r, row, json_columns[i]);
    if (!state_parse(pg_get_text(r, row, 14), &ret->state))
        return fail_cause(err, &E_INTERNAL, "resource %s has an unknown state", ret->uid);
    return 0;
}

int resource_from_row(const struct pg_result *r, size_t row, struct arena *a, struct resource *ret,
                      struct error *err)
{
    return peek_row(r, row, ret, err) || resource_parse(a, ret, err) ? -1 : 0;
}

int resource_peek(struct pg_conn *conn, struct arena *a, const char *key, struct resource **ret,
                  struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &resources_statements[BY_KEY], &r, err, pg_text(key)))
        return wrap(err, "look up a resource");
    if (pg_rows(r) == 0)
        return 0;
    *ret = ARENA_NEW(a, struct resource);
    return peek_row(r, 0, *ret, err) ? -1 : 1;
}

static int look_up(struct pg_conn *conn, struct arena *a, const struct pg_stmt *stmt,
                   const char *arg, struct resource **ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, stmt, &r, err, pg_text(arg)))
        return wrap(err, "look up a resource");
    if (pg_rows(r) == 0)
        return 0;
    *ret = ARENA_NEW(a, struct resource);
    return resource_from_row(r, 0, a, *ret, err) ? -1 : 1;
}

int resource_by_key(struct pg_conn *conn, struct arena *a, const char *key, bool lock,
                    struct resource **ret, struct error *err)
{
    return look_up(conn, a, &resources_statements[lock ? BY_KEY_LOCKED : BY_KEY], key, ret, err);
}

int resource_by_uid(struct pg_conn *conn, struct arena *a, const char *uid, bool lock,
                    struct resource **ret, struct error *err)
{
    return look_up(conn, a, &resources_statements[lock ? BY_UID_LOCKED : BY_UID], uid, ret, err);
}

int resource_share(struct pg_conn *conn, struct arena *a, const char *key, struct resource **ret,
                   struct error *err)
{
    return look_up(conn, a, &resources_statements[SHARE], key, ret, err);
}

int resource_ask(struct pg_conn *conn, struct arena *a, const char *key, const char *parent_key,
                 struct pg_result **ret, struct error *err)
{
    if (PG_QUEUE(conn, a, &resources_statements[BY_KEYS], ret, err, pg_text(key),
                 pg_text(parent_key)))
        return wrap(err, "look up resources");
    return 0;
}

int resource_told(const struct pg_result *r, struct arena *a, const char *key,
                  struct resource **ret, struct error *err)
{
    for (size_t i = 0; i < pg_rows(r); i++) {
        struct resource row;

        if (peek_row(r, i, &row, err))
            return -1;
        if (!text_eq(row.key, key))
            continue;
        *ret = ARENA_NEW(a, struct resource);
        **ret = row;
        return resource_parse(a, *ret, err) ? -1 : 1;
    }
    return 0;
}

int resource_hold(struct pg_conn *conn, struct arena *a, struct resource_hold *hold,
                  struct error *err)
{
    struct resource_held *const held[] = { &hold->group, &hold->parent, &hold->self };
    struct pg_result *r = NULL;
    int stmt = HOLD;

    if (hold->parent_key)
        stmt = hold->is_parent_alone ? HOLD_BELOW_ALONE : HOLD_BELOW;
    if (PG_RUN(conn, a, &resources_statements[stmt], &r, err, pg_text(hold->group_key),
               pg_text(hold->parent_key), pg_text(hold->key)))
        return wrap(err, "hold a resource");
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        *held[i] = (struct resource_held){ .is_there = false };
    for (size_t i = 0; i < pg_rows(r); i++) {
        struct resource_held *one = held[pg_get_int(r, i, 0)];

        *one = (struct resource_held){ .is_there = true,
                                       .uid = pg_get_text(r, i, 1),
                                       .name = pg_get_text(r, i, 2),
                                       .generation = pg_get_int(r, i, 4),
                                       .is_system = pg_get_bool(r, i, 5) };
        if (!state_parse(pg_get_text(r, i, 3), &one->state))
            return fail_cause(err, &E_INTERNAL, "resource %s has an unknown state", one->uid);
    }
    return 0;
}

int resource_hold_expected(struct pg_conn *conn, struct arena *a, const struct resource_hold *hold,
                           struct error *err)
{
    if (PG_QUEUE(conn, a, &resources_statements[HOLD_EXPECTED], NULL, err, pg_text(hold->group_key),
                 pg_text(hold->parent_key), pg_text(hold->key), pg_text(hold->parent.uid),
                 pg_int(hold->parent.generation), pg_text(hold->self.uid),
                 pg_int(hold->self.generation)))
        return wrap(err, "hold a resource");
    return 0;
}

int resource_children(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                      const char *type_key, int64_t limit, struct resource **ret_items,
                      size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    struct resource *items;
    size_t count;

    if (PG_RUN(conn, a, &resources_statements[CHILDREN], &r, err, pg_text(parent_uid),
               pg_text(type_key), pg_int(limit)))
        return wrap(err, "list children");
    count = pg_rows(r);
    items = arena_array(a, count ? count : 1, sizeof(*items));
    for (size_t i = 0; i < count; i++) {
        if (resource_from_row(r, i, a, &items[i], err))
            return -1;
    }
    *ret_items = items;
    *ret_count = count;
    return 0;
}

int resource_count_below(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                         int64_t *ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &resources_statements[COUNT_BELOW], &r, err, pg_text(parent_uid)))
        return wrap(err, "count children");
    *ret = pg_get_int(r, 0, 0);
    return 0;
}

int resource_count_in_group(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                            const char *group_key, int64_t *ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &resources_statements[COUNT_IN_GROUP], &r, err, pg_text(subscription_id),
               pg_text(group_key)))
        return wrap(err, "count what is in a group");
    *ret = pg_get_int(r, 0, 0);
    return 0;
}

struct tally {
    const char *parent_uid;
    struct resource_tally *items;
    size_t count;
};

static int tally(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct tally *t = ctx;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &resources_statements[TALLY_BELOW], &r, err, pg_text(t->parent_uid)))
        return wrap(err, "tally children");
    t->count = pg_rows(r);
    t->items = arena_array(a, t->count ? t->count : 1, sizeof(*t->items));
    for (size_t i = 0; i < t->count; i++)
        t->items[i] = (struct resource_tally){ pg_get_text(r, i, 0), pg_get_int(r, i, 1) };
    return 0;
}

int resource_tally_below(struct pg_pool *db, struct arena *a, const char *parent_uid,
                         struct resource_tally **ret, size_t *ret_count, struct error *err)
{
    struct tally t = { .parent_uid = parent_uid };

    if (pg_with(db, a, tally, &t, err))
        return -1;
    *ret = t.items;
    *ret_count = t.count;
    return 0;
}

struct name_probe {
    const char *type_key;
    const char *global_name;
    bool is_taken;
};

static int probe_name(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct name_probe *probe = ctx;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &resources_statements[NAME_TAKEN], &r, err, pg_text(probe->type_key),
               pg_text(probe->global_name)))
        return wrap(err, "look up a global name");
    probe->is_taken = pg_rows(r) > 0;
    return 0;
}

int resource_name_taken(struct pg_pool *db, struct arena *a, const char *type_key,
                        const char *global_name, struct error *err)
{
    struct name_probe probe = { .type_key = type_key, .global_name = global_name };

    return pg_with(db, a, probe_name, &probe, err) ? -1 : probe.is_taken;
}
