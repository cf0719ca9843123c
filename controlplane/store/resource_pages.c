/* Pages of resources: one walk by index from the last key on, of references only. What each looks
 * like is mostly known; the rest is loaded by resource_load(). Conditions that no index answers are
 * asked of a bounded number of rows at a time, so a page that finds little is short, and says where
 * to go on. */
#include "controlplane/store/resources.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/pg/pg.h"

#include "controlplane/store/rows.h"
#include "controlplane/store/statements.h"

#define GROUPS_TYPE    "microsoft.resources/resourcegroups"
#define INTERFACE_TYPE "microsoft.network/networkinterfaces"
#define REFERENCE      "r.uid, r.key, r.xmin::text as version"
#define WITH_TYPE      REFERENCE ", r.type_key" /* where it is not the one that was asked for */
#define ROWS_LOOKED_AT "500"

/* Where a walk goes: $3 a parent's key or a subscription, $4 a group, $5 a type. A parameter that a
 * place has no use for is compared with nothing. */
#define BELOW                                                                                      \
    "r.parent_uid = (select p.uid from resources p where p.key = $3) and r.type_key = $5 "         \
    "and $4::text is null"
#define IN_GROUP        "r.subscription_id = $3 and r.group_key = $4 and r.type_key = $5"
#define IN_SUBSCRIPTION "r.subscription_id = $3 and r.type_key = $5 and $4::text is null"
/* Neither groups themselves nor children, as the partial indexes say it. An interface goes with the
 * endpoint that it was made for, but stands in the group beside it. */
#define IS_ON_TOP                                                                                  \
    "(r.parent_uid is null or r.type_key = '" INTERFACE_TYPE "') and r.type_key <> '" GROUPS_TYPE "'"
#define ON_TOP    "r.subscription_id = $3 and " IS_ON_TOP " and $4::text is null and $5::text is null"
#define ON_TOP_OF_GROUP                                                                            \
    "r.subscription_id = $3 and r.group_key = $4 and " IS_ON_TOP " and $5::text is null"

#define PASSES                                                                                     \
    "($6::text is null or lower(r.name) = lower($6)) "                                             \
    "and ($7::text is null or r.location = $7) "                                                   \
    "and ($8::text is null or exists (select 1 from jsonb_each_text(r.tags) as t (k, v) "          \
    "     where lower(t.k) = lower($8) and ($9::text is null or t.v = $9))) "                      \
    "and ($10::text is null or position(lower($10) in lower(r.name)) > 0) "

#define BELOW_TYPES   "text int8 text text text"
#define PLACE_TYPES   "text int8 uuid text text"
#define FILTER_TYPES  " text text text text text"

#define WALK(name_, columns, where, types_)                                                        \
    {                                                                                              \
        .name = "resource_walk_" name_, .types = types_,                                           \
        .text = "select " columns " from resources r where " where                                 \
                " and r.key > $1 order by r.key limit $2",                                         \
    }
#define SIEVE(name_, where, types_)                                                                \
    {                                                                                              \
        .name = "resource_sieve_" name_, .types = types_ FILTER_TYPES,                             \
        .text = "select uid, key, version, type_key from (select " WITH_TYPE                       \
                ", r.name, r.location, r.tags from resources r where " where                       \
                " and r.key > $1 order by r.key limit " ROWS_LOOKED_AT ") r where " PASSES         \
                "order by r.key limit $2",                                                         \
    }
/* The last row that a sieve looks at, when it is full. */
#define END(name_, where, types_)                                                                  \
    {                                                                                              \
        .name = "resource_end_" name_, .types = types_,                                            \
        .text = "select r.key from resources r where " where                                       \
                " and r.key > $1 and $2 > 0 order by r.key offset " ROWS_LOOKED_AT " - 1 limit 1", \
    }

enum place {
    PLACE_BELOW,
    PLACE_IN_GROUP,
    PLACE_IN_SUBSCRIPTION,
    PLACE_ON_TOP,
    PLACE_ON_TOP_OF_GROUP,
    PLACE_MAX
};
enum { SIEVES = PLACE_MAX, ENDS = 2 * PLACE_MAX, BY_NAME = 3 * PLACE_MAX, LOAD };

const struct pg_stmt resource_pages_statements[] = {
    [PLACE_BELOW] = WALK("below", REFERENCE, BELOW, BELOW_TYPES),
    [PLACE_IN_GROUP] = WALK("in_group", REFERENCE, IN_GROUP, PLACE_TYPES),
    [PLACE_IN_SUBSCRIPTION] = WALK("in_subscription", REFERENCE, IN_SUBSCRIPTION, PLACE_TYPES),
    [PLACE_ON_TOP] = WALK("on_top", WITH_TYPE, ON_TOP, PLACE_TYPES),
    [PLACE_ON_TOP_OF_GROUP] = WALK("on_top_of_group", WITH_TYPE, ON_TOP_OF_GROUP, PLACE_TYPES),
    [SIEVES + PLACE_BELOW] = SIEVE("below", BELOW, BELOW_TYPES),
    [SIEVES + PLACE_IN_GROUP] = SIEVE("in_group", IN_GROUP, PLACE_TYPES),
    [SIEVES + PLACE_IN_SUBSCRIPTION] = SIEVE("in_subscription", IN_SUBSCRIPTION, PLACE_TYPES),
    [SIEVES + PLACE_ON_TOP] = SIEVE("on_top", ON_TOP, PLACE_TYPES),
    [SIEVES + PLACE_ON_TOP_OF_GROUP] = SIEVE("on_top_of_group", ON_TOP_OF_GROUP, PLACE_TYPES),
    [ENDS + PLACE_BELOW] = END("below", BELOW, BELOW_TYPES),
    [ENDS + PLACE_IN_GROUP] = END("in_group", IN_GROUP, PLACE_TYPES),
    [ENDS + PLACE_IN_SUBSCRIPTION] = END("in_subscription", IN_SUBSCRIPTION, PLACE_TYPES),
    [ENDS + PLACE_ON_TOP] = END("on_top", ON_TOP, PLACE_TYPES),
    [ENDS + PLACE_ON_TOP_OF_GROUP] = END("on_top_of_group", ON_TOP_OF_GROUP, PLACE_TYPES),
    [BY_NAME] = { "resource_page_by_name",
                  "select " WITH_TYPE " from resources r where r.subscription_id = $3 "
                  "and " IS_ON_TOP " and lower(r.name) = lower($6) "
                  "and ($4::text is null or r.group_key = $4) "
                  "and ($5::text is null or r.type_key = $5) and r.key > $1 and " PASSES
                  "order by r.key limit $2",
                  PLACE_TYPES FILTER_TYPES },
    [LOAD] = { "resource_load",
               "select " RESOURCE_COLUMNS " from unnest($1) with ordinality as w (uid, place) "
               "join resources r on r.uid = w.uid order by w.place",
               "uuid[]" },
    { 0 },
};

static enum place place_of(const struct resource_filter *f)
{
    if (f->parent_key)
        return PLACE_BELOW;
    if (f->type_key)
        return f->group_key ? PLACE_IN_GROUP : PLACE_IN_SUBSCRIPTION;
    return f->group_key ? PLACE_ON_TOP_OF_GROUP : PLACE_ON_TOP;
}

/* A child is found in its group or subscription by type. */
static bool is_by_name(const struct resource_filter *f)
{
    return f->name && f->is_top_level_only;
}

static bool is_sieved(const struct resource_filter *f)
{
    return f->name || f->name_part || f->location || f->tag_name;
}

static int run(struct pg_conn *conn, struct arena *a, const struct resource_filter *f,
               struct pg_result **ret, struct error *err)
{
    enum place place = place_of(f);
    bool is_below = place == PLACE_BELOW;
    const struct pg_arg args[] = {
        pg_text(f->after_key ? f->after_key : ""),
        pg_int(f->limit + 1), /* one more tells whether there is a next page */
        pg_text(is_below ? f->parent_key : f->subscription_id),
        pg_text(is_below ? NULL : f->group_key),
        pg_text(f->type_key),
        pg_text(f->name),
        pg_text(f->location),
        pg_text(f->tag_name),
        pg_text(f->tag_value),
        pg_text(f->name_part),
    };
    size_t at = is_by_name(f) ? BY_NAME : is_sieved(f) ? (size_t)SIEVES + place : place;

    return pg_run(conn, a, &resource_pages_statements[at], args, at < SIEVES ? 5 : ARRAY_LEN(args),
                  ret, err);
}

/* *ret: where to go on behind the rows that a sieve has looked at; NULL when there are no more. */
static int read_end(struct pg_conn *conn, struct arena *a, const struct resource_filter *f,
                    const char **ret, struct error *err)
{
    enum place place = place_of(f);
    bool is_below = place == PLACE_BELOW;
    struct pg_result *r = NULL;

    *ret = NULL;
    if (is_by_name(f) || !is_sieved(f))
        return 0;
    if (PG_RUN(conn, a, &resource_pages_statements[ENDS + place], &r, err,
               pg_text(f->after_key ? f->after_key : ""), pg_int(f->limit),
               pg_text(is_below ? f->parent_key : f->subscription_id),
               pg_text(is_below ? NULL : f->group_key), pg_text(f->type_key)))
        return -1;
    *ret = pg_rows(r) ? pg_get_text(r, 0, 0) : NULL;
    return 0;
}

int resource_page(struct pg_conn *conn, struct arena *a, const struct resource_filter *filter,
                  struct resource **ret_items, size_t *ret_count, const char **ret_after,
                  struct error *err)
{
    struct pg_result *r = NULL;
    bool has_type = filter->type_key != NULL;
    struct resource *items;
    size_t rows, count;

    *ret_count = 0;
    *ret_after = NULL;
    *ret_items = NULL;
    /* Groups are not on top of anything. */
    if (filter->is_top_level_only && filter->type_key && text_eq(filter->type_key, GROUPS_TYPE))
        return 0;
    if (run(conn, a, filter, &r, err))
        return wrap(err, "list resources");
    rows = pg_rows(r);
    count = rows > (size_t)filter->limit ? (size_t)filter->limit : rows;
    items = arena_array(a, count + 1, sizeof(*items));
    for (size_t i = 0; i < count; i++)
        items[i] = (struct resource){ .uid = pg_get_text(r, i, 0),
                                      .key = pg_get_text(r, i, 1),
                                      .revision = pg_get_text(r, i, 2),
                                      .type_key = has_type ? filter->type_key
                                                           : pg_get_text(r, i, 3) };
    if (rows > count)
        *ret_after = items[count - 1].key;
    else if (read_end(conn, a, filter, ret_after, err))
        return wrap(err, "find the end of a page");
    *ret_items = items;
    *ret_count = count;
    return 0;
}

int resource_load(struct pg_conn *conn, struct arena *a, struct resource **items, size_t count,
                  struct error *err)
{
    const char **uids = arena_array(a, count + 1, sizeof(*uids));
    struct pg_result *r = NULL;
    size_t row = 0;

    for (size_t i = 0; i < count; i++)
        uids[i] = items[i]->uid;
    if (PG_RUN(conn, a, &resource_pages_statements[LOAD], &r, err, pg_texts(uids, count)))
        return wrap(err, "load resources");
    /* Both are in the order that was asked for; what went meanwhile is left out. */
    for (size_t i = 0; i < count; i++) {
        if (row == pg_rows(r) || !text_eq(pg_get_text(r, row, 0), items[i]->uid)) {
            items[i]->uid = NULL;
            continue;
        }
        if (resource_from_row(r, row++, a, items[i], err))
            return -1;
    }
    return 0;
}
