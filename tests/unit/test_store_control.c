/* The control store against a real, migrated PostgreSQL: rows, pages, filters, states, secrets,
 * operations, and what two writers at once may do. */
/* links: portolan_control portolan_test_support */
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/migrate.h"
#include "common/pg/pg.h"
#include "tests/support/postgres.h"

#include "controlplane/identity/identity.h"
#include "controlplane/store/operations.h"
#include "controlplane/store/subscriptions.h"

#include <cmocka.h>

#define TENANT "10000000-0000-4000-8000-000000000001"
#define SUB "20000000-0000-4000-8000-000000000001"
#define GROUPS_TYPE "microsoft.resources/resourcegroups"
#define TYPE "test/things"

static const struct caller caller = { .tenant_id = TENANT,
                                      .object_id = "30000000-0000-4000-8000-000000000001",
                                      .name = "tester",
                                      .kind = "Application" };

static const struct pg_stmt seed_tenant = {
    "t_tenant", "insert into tenants (id, display_name, default_domain) values ($1, 't', 'd')",
    "uuid"
};
static const struct pg_stmt seed_subscription = {
    "t_sub", "insert into subscriptions (id, tenant_id, display_name) values ($1, $2, 's')",
    "uuid uuid"
};
static const struct pg_stmt clean = { "t_clean", "truncate resources, operations, events cascade",
                                      "" };
/* Indexes that a plain change of a row would be written into. */
static const struct pg_stmt indexed = {
    "t_indexed",
    "select distinct d.objid::regclass::text from pg_depend d "
    "join pg_index i on i.indexrelid = d.objid "
    "join pg_attribute c on c.attrelid = d.refobjid and c.attnum = d.refobjsubid "
    "where d.classid = 'pg_class'::regclass and d.refobjid = 'resources'::regclass "
    "and c.attname in ('tags', 'body', 'status', 'system_data', 'state', 'generation', "
    "'observed_generation', 'step', 'attempts', 'updated_at', 'projected')",
    ""
};
static const struct pg_stmt unheld = {
    "t_unheld", "select name from resources order by name for update skip locked", ""
};

static struct test_postgres *server;
static struct pg_pool *pool;

struct fixture {
    struct arena *a;
    struct pg_conn *conn;
};

static void must(int rc, const struct error *err)
{
    if (rc < 0)
        fail_msg("%s (%s)", err->message, err->cause);
}

static int start(void **state)
{
    struct pg_pool_config config = { .max = 8 };
    struct pg_conn *conn = NULL;
    struct arena *a = arena_new();
    struct error err;
    int applied = 0;
    char *conninfo;

    (void)state;
    server = test_postgres_new(NULL);
    conninfo = strdup(test_postgres_conninfo(server, "control"));
    must(pg_migrate(conninfo, SOURCE_DIR "/migrations/control", &applied, &err), &err);
    config.conninfo = conninfo;
    pool = pg_pool_new(&config);
    free(conninfo);
    must(pg_acquire(pool, &conn, &err), &err);
    must(PG_RUN(conn, a, &seed_tenant, NULL, &err, pg_text(TENANT)), &err);
    must(PG_RUN(conn, a, &seed_subscription, NULL, &err, pg_text(SUB), pg_text(TENANT)), &err);
    pg_release(conn);
    arena_free(a);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    pg_pool_free(pool);
    test_postgres_free(server);
    return 0;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err;

    f->a = arena_new();
    must(pg_acquire(pool, &f->conn, &err), &err);
    must(PG_RUN0(f->conn, f->a, &clean, NULL, &err), &err);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    pg_release(f->conn);
    arena_free(f->a);
    free(f);
    return 0;
}

static struct json_object *json(struct arena *a, const char *text)
{
    struct json_object *value = NULL;
    struct error err;

    must(json_parse_object(text, strlen(text), 65536, &value, &err), &err);
    return json_own(a, value);
}

static struct resource *make(struct fixture *f, const char *type, const char *group,
                             const char *name, const char *tags)
{
    struct resource *r = ARENA_NEW(f->a, struct resource);
    char uid[UUID_TEXT_LEN + 1];

    uuid_new(uid);
    *r = (struct resource){
        .uid = arena_strdup(f->a, uid),
        .id = arena_printf(f->a, "/g/%s/%s/%s", group, type, name),
        .type_key = type,
        .name = name,
        .subscription_id = SUB,
        .group_key = group,
        .location = "eastus",
        .global_name = text_eq(type, TYPE) ? text_lower(f->a, name) : NULL,
        .tags = json(f->a, tags),
        .body = json(f->a, "{\"a\":1}"),
        .status = json(f->a, "{}"),
        .system_data = json(f->a, "{\"createdBy\":\"x\"}"),
    };
    r->key = text_lower(f->a, r->id);
    return r;
}

static int put_in(struct fixture *f, const struct resource *r, bool has_steps, struct error *err)
{
    return resource_insert(f->conn, f->a, r, has_steps, err) || pg_land(f->conn, err) ? -1 : 0;
}

static struct resource *insert(struct fixture *f, const char *type, const char *group,
                               const char *name, const char *tags, bool has_steps)
{
    struct resource *r = make(f, type, group, name, tags);
    struct error err;

    must(put_in(f, r, has_steps, &err), &err);
    return r;
}

static struct resource *look(struct fixture *f, const char *uid)
{
    struct resource *r = NULL;
    struct error err;
    int found = resource_by_uid(f->conn, f->a, uid, false, &r, &err);

    must(found, &err);
    return found ? r : NULL;
}

static void test_round_trip(void **state)
{
    struct fixture *f = *state;
    struct resource *r = insert(f, TYPE, "g", "MyThing", "{\"t\":\"v\"}", true);
    struct resource *got = NULL, *peeked = NULL;
    struct error err;

    assert_int_equal(resource_by_key(f->conn, f->a, r->key, false, &got, &err), 1);
    assert_string_equal(got->id, r->id);
    assert_string_equal(got->name, "MyThing");
    assert_string_equal(got->global_name, "mything");
    assert_true(json_equal(got->body, r->body));
    assert_true(json_equal(got->tags, r->tags));
    assert_int_equal(got->state, STATE_CREATING);
    assert_int_equal(got->generation, 1);
    assert_int_equal(got->observed_generation, 0);
    assert_null(got->last_error);
    assert_int_equal(resource_by_key(f->conn, f->a, "/absent", false, &got, &err), 0);

    assert_int_equal(resource_peek(f->conn, f->a, r->key, &peeked, &err), 1);
    assert_null(peeked->body);
    must(resource_parse(f->a, peeked, &err), &err);
    assert_true(json_equal(peeked->body, r->body));
}

static void test_taken(void **state)
{
    struct fixture *f = *state;
    struct resource *r = insert(f, TYPE, "g", "taken", "{}", true);
    struct resource *same = make(f, TYPE, "g", "taken", "{}");
    struct resource *elsewhere = make(f, TYPE, "other", "TAKEN", "{}");
    struct error err;

    assert_int_equal(put_in(f, same, true, &err), -1);
    assert_ptr_equal(err.code, &E_CONFLICT);
    assert_string_equal(err.target, "resources_key_key");
    assert_int_equal(put_in(f, elsewhere, true, &err), -1);
    assert_ptr_equal(err.code, &E_CONFLICT);
    assert_string_equal(err.target, "resources_global_name");
    assert_int_equal(resource_name_taken(pool, f->a, TYPE, "taken", &err), 1);
    assert_int_equal(resource_name_taken(pool, f->a, "test/others", "taken", &err), 0);
    must(resource_remove(f->conn, f->a, r->uid, &err), &err);
    assert_int_equal(resource_name_taken(pool, f->a, TYPE, "taken", &err), 0);
}

/* Each change is a new revision, and moves by the table or not at all. */
static void test_states(void **state)
{
    struct fixture *f = *state;
    struct resource *r = insert(f, TYPE, "g", "states", "{}", true);
    const char *revision = look(f, r->uid)->revision;
    struct error err;

    assert_int_equal(state_move(f->conn, f->a, r->uid, EVENT_SETTLED, &err), 1);
    assert_string_not_equal(look(f, r->uid)->revision, revision);
    must(resource_update(f->conn, f->a, r, true, &err), &err);
    assert_int_equal(look(f, r->uid)->state, STATE_UPDATING);
    assert_int_equal(look(f, r->uid)->generation, 2);
    assert_int_equal(look(f, r->uid)->observed_generation, 0);
    must(resource_update(f->conn, f->a, r, false, &err), &err);
    assert_int_equal(look(f, r->uid)->state, STATE_SUCCEEDED);
    assert_int_equal(look(f, r->uid)->observed_generation, 3);
    assert_int_equal(resource_touch(f->conn, f->a, r->uid, &err), 1);
    assert_int_equal(look(f, r->uid)->state, STATE_SUCCEEDED);
    assert_int_equal(look(f, r->uid)->generation, 4);

    assert_int_equal(resource_start_delete(f->conn, f->a, r->uid, &err), 1);
    assert_int_equal(resource_start_delete(f->conn, f->a, r->uid, &err), 0);
    assert_int_equal(resource_update(f->conn, f->a, r, true, &err), -1);
    assert_int_equal(resource_touch(f->conn, f->a, r->uid, &err), 0);
    assert_int_equal(state_move(f->conn, f->a, r->uid, EVENT_SETTLED, &err), 0);
    assert_int_equal(state_move(f->conn, f->a, r->uid, EVENT_GAVE_UP, &err), 1);
    assert_int_equal(look(f, r->uid)->state, STATE_DELETING);
    assert_int_equal(look(f, r->uid)->generation, 5);
}

static void test_list(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct resource_filter filter;
        const char *names; /* in order of key */
    } rows[] = {
        { { .type_key = TYPE }, "alpha beta gamma" },
        { { .group_key = "g1", .type_key = TYPE }, "alpha beta" },
        { { .group_key = "g1", .is_top_level_only = true }, "alpha beta" },
        { { .is_top_level_only = true }, "alpha beta gamma" },
        { { .type_key = GROUPS_TYPE }, "g1" },
        { { .type_key = GROUPS_TYPE, .is_top_level_only = true }, "" },
        { { .name = "BETA", .is_top_level_only = true }, "beta" },
        { { .name = "BETA", .group_key = "g2", .is_top_level_only = true }, "" },
        { { .name = "BETA", .type_key = TYPE }, "beta" },
        { { .name_part = "AM" }, "gamma" },
        { { .tag_name = "ENV" }, "alpha gamma" },
        { { .tag_name = "env", .tag_value = "prod" }, "alpha" },
        { { .tag_name = "env", .tag_value = "PROD" }, "" },
        { { .location = "westus2" }, "" },
        { { .type_key = TYPE, .limit = 2 }, "alpha beta" },
        { { .type_key = TYPE, .after_key = "/g/g1/test/things/alpha" }, "beta gamma" },
        { { .subscription_id = "20000000-0000-4000-8000-000000000002" }, "" },
    };
    struct resource *items, **all;
    const char *after;
    struct error err;
    size_t count;

    (void)insert(f, GROUPS_TYPE, "g1", "g1", "{}", false);
    (void)insert(f, TYPE, "g1", "alpha", "{\"Env\":\"prod\"}", true);
    (void)insert(f, TYPE, "g1", "beta", "{}", true);
    (void)insert(f, TYPE, "g2", "gamma", "{\"env\":\"test\"}", true);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct resource_filter filter = rows[i].filter;
        char names[64] = "";

        filter.subscription_id = filter.subscription_id ? filter.subscription_id : SUB;
        filter.limit = filter.limit ? filter.limit : 100;
        must(resource_page(f->conn, f->a, &filter, &items, &count, &after, &err), &err);
        all = arena_array(f->a, count + 1, sizeof(*all));
        for (size_t j = 0; j < count; j++)
            all[j] = &items[j];
        must(resource_load(f->conn, f->a, all, count, &err), &err);
        for (size_t j = 0; j < count; j++)
            (void)snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
                           j ? " " : "", items[j].name);
        assert_string_equal(names, rows[i].names);
        assert_int_equal(after != NULL, filter.limit == 2);
    }
}

static void test_group(void **state)
{
    struct fixture *f = *state;
    struct resource *group = insert(f, GROUPS_TYPE, "g1", "g1", "{}", false);
    struct resource *one = insert(f, TYPE, "g1", "one", "{}", true);
    struct resource *other = insert(f, TYPE, "g2", "other", "{}", true);
    struct error err;
    int64_t left = 0;

    must(resource_empty_group(pool, f->a, SUB, "g1", NULL, 0, &left, &err), &err);
    assert_int_equal(left, 1);
    assert_int_equal(look(f, one->uid)->state, STATE_DELETING);
    assert_int_equal(look(f, group->uid)->state, STATE_SUCCEEDED);
    assert_int_equal(look(f, other->uid)->state, STATE_CREATING);
    must(resource_empty_group(pool, f->a, SUB, "g1", NULL, 0, &left, &err), &err);
    assert_int_equal(look(f, one->uid)->generation, 2);
    must(resource_remove(f->conn, f->a, one->uid, &err), &err);
    must(resource_empty_group(pool, f->a, SUB, "g1", NULL, 0, &left, &err), &err);
    assert_int_equal(left, 0);
}

/* A parent with `count` children of a type. */
static struct resource *insert_family(struct fixture *f, const char *name, int count)
{
    struct resource *parent = insert(f, TYPE, "g", name, "{}", true);
    struct error err;

    for (int i = 0; i < count; i++) {
        struct resource *child = make(f, "test/things/parts", "g",
                                      arena_printf(f->a, "%s%d", name, i), "{}");

        child->parent_uid = parent->uid;
        must(put_in(f, child, true, &err), &err);
    }
    return parent;
}

/* As one transaction is told, which then is over. */
static enum room room_of(struct fixture *f, const char *uid, int64_t limit, bool is_alone)
{
    _cleanup_(pg_tx_end) struct pg_tx tx = { 0 };
    struct pg_result *r = NULL;
    struct error err;

    must(pg_begin(f->conn, &tx, &err), &err);
    must(resource_room_ask(f->conn, f->a, uid, "test/things/parts", is_alone, &r, &err), &err);
    must(pg_land(f->conn, &err), &err);
    return resource_room_told(r, limit, is_alone);
}

static void test_room(void **state)
{
    struct fixture *f = *state;
    struct resource *parent = insert_family(f, "roomy", 3);
    int64_t n = 0;
    struct error err;

    /* Alone the count is exact, shared it is good for what is far from the limit only. */
    assert_int_equal(room_of(f, parent->uid, 4, true), ROOM_ENOUGH);
    assert_int_equal(room_of(f, parent->uid, 3, true), ROOM_NONE);
    assert_int_equal(room_of(f, parent->uid, 3, false), ROOM_NONE);
    assert_int_equal(room_of(f, parent->uid, 4, false), ROOM_UNSURE);
    assert_int_equal(room_of(f, parent->uid, 100000, false), ROOM_ENOUGH);
    must(resource_usage(f->conn, f->a, parent->uid, "test/things/parts", &n, &err), &err);
    assert_int_equal(n, 3);
}

struct counting {
    struct fixture *f;
    const char *parent_uid;
    int index;
};

/* Adds and takes away, in a transaction of its own, with a slot that others hold meanwhile. */
static int add_one(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct counting *c = ctx;
    struct fixture f = { .a = a, .conn = conn };
    struct resource *child = make(&f, "test/things/parts", "g",
                                  arena_printf(a, "slot%d", c->index), "{}");

    child->parent_uid = c->parent_uid;
    return resource_insert(conn, a, child, true, err) || pg_land(conn, err) ? -1 : 0;
}

static int add_two_at_once(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct counting *c = ctx, other = { c->f, c->parent_uid, c->index + 100 };

    if (add_one(conn, a, c, err))
        return -1;
    /* The slot is held here: another transaction counts beside it and does not wait. */
    return pg_transact(pool, a, add_one, &other, err);
}

static void test_slots(void **state)
{
    struct fixture *f = *state;
    struct counting c = { f, insert_family(f, "slotted", 0)->uid, 0 };
    struct resource *found = NULL;
    struct error err;
    int64_t n = 0;

    for (; c.index < 3; c.index++)
        must(pg_transact(pool, f->a, add_two_at_once, &c, &err), &err);
    must(resource_usage(f->conn, f->a, c.parent_uid, "test/things/parts", &n, &err), &err);
    assert_int_equal(n, 6);
    for (int i = 0; i < 3; i++) {
        struct resource *gone = make(f, "test/things/parts", "g",
                                     arena_printf(f->a, "slot%d", i), "{}");

        assert_int_equal(resource_by_key(f->conn, f->a, gone->key, false, &found, &err), 1);
        must(resource_remove(f->conn, f->a, found->uid, &err), &err);
    }
    must(resource_usage(f->conn, f->a, c.parent_uid, "test/things/parts", &n, &err), &err);
    assert_int_equal(n, 3);
    must(resource_remove(f->conn, f->a, c.parent_uid, &err), &err);
}

static void test_children(void **state)
{
    struct fixture *f = *state;
    struct resource *parent = insert(f, TYPE, "g", "parent", "{}", true);
    struct resource_tally *tally = NULL;
    struct error err;
    size_t kinds = 0;
    int64_t n = 0;

    for (int i = 0; i < 3; i++) {
        struct resource *child = make(f, i < 2 ? "test/things/parts" : "test/things/spares", "g",
                                      arena_printf(f->a, "c%d", i), "{}");

        child->parent_uid = parent->uid;
        must(put_in(f, child, true, &err), &err);
    }
    must(resource_tally_below(pool, f->a, parent->uid, &tally, &kinds, &err), &err);
    assert_int_equal(kinds, 2);
    assert_string_equal(tally[0].type_key, "test/things/parts");
    assert_int_equal(tally[0].count, 2);
    must(resource_count_below(f->conn, f->a, parent->uid, &n, &err), &err);
    assert_int_equal(n, 3);
    must(resource_start_delete_below(f->conn, f->a, parent->uid, &n, &err), &err);
    assert_int_equal(n, 3);
    must(resource_start_delete_below(f->conn, f->a, parent->uid, &n, &err), &err);
    assert_int_equal(n, 0);
}

/* Whether somebody else may have the row of the group, of the parent, while one holds what it stands on. */
struct holding {
    struct fixture *f;
    struct resource_hold hold;
    const char *free;
};

static int hold_and_look(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct holding *h = ctx;
    struct pg_result *r = NULL;

    if (resource_hold(conn, a, &h->hold, err) || PG_RUN0(h->f->conn, a, &unheld, &r, err))
        return -1;
    h->free = "";
    for (size_t i = 0; i < pg_rows(r); i++)
        h->free = arena_printf(h->f->a, "%s%s ", h->free, pg_get_text(r, i, 0));
    return 0;
}

static void test_hold(void **state)
{
    struct fixture *f = *state;
    struct resource *group = insert(f, GROUPS_TYPE, "g", "group", "{}", false);
    struct resource *parent = insert(f, TYPE, "g", "parent", "{}", true);
    struct holding h = { .f = f, .hold = { .group_key = group->key, .key = "/new" } };
    struct error err;

    must(pg_transact(pool, f->a, hold_and_look, &h, &err), &err);
    assert_string_equal(h.free, "parent ");
    h.hold.parent_key = parent->key;
    must(pg_transact(pool, f->a, hold_and_look, &h, &err), &err);
    assert_string_equal(h.free, "group ");
    assert_true(h.hold.group.is_there);
    assert_int_equal(h.hold.group.state, STATE_SUCCEEDED);
    assert_string_equal(h.hold.parent.uid, parent->uid);
    h.hold.is_parent_alone = true;
    must(pg_transact(pool, f->a, hold_and_look, &h, &err), &err);
    assert_string_equal(h.free, "group ");
}

/* How often a transaction runs until what it says it stands on is so, or it looks first; and what somebody
 * else may have then. */
struct expecting {
    struct fixture *f;
    struct resource_hold hold;
    int64_t limit; /* of children, where it is not of a hold */
    int runs;
    const char *free;
};

static int expect_once(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct expecting *x = ctx;
    struct pg_result *r = NULL;

    if (x->runs++ > 0)
        return 0;
    if (x->limit ? resource_room_expected(conn, a, x->hold.parent.uid, "test/things/parts", x->limit, err)
                 : resource_hold_expected(conn, a, &x->hold, err))
        return -1;
    if (pg_land(conn, err) || PG_RUN0(x->f->conn, a, &unheld, &r, err))
        return -1;
    for (size_t i = 0; i < pg_rows(r); i++)
        x->free = arena_printf(x->f->a, "%s%s ", x->free, pg_get_text(r, i, 0));
    return 0;
}

static bool is_as_expected(struct expecting x)
{
    struct error err;

    x.free = "";
    must(pg_transact(pool, x.f->a, expect_once, &x, &err), &err);
    if (x.runs == 1 && !x.limit)
        assert_string_equal(x.free, "group ");
    return x.runs == 1;
}

static void mark(struct fixture *f, const char *text, const struct resource *r)
{
    struct pg_stmt stmt = { arena_printf(f->a, "t_mark_%s", text),
                            arena_printf(f->a, "update resources set %s where uid = $1", text), "uuid" };
    struct error err;

    must(PG_RUN(f->conn, f->a, &stmt, NULL, &err, pg_text(r->uid)), &err);
}

static void test_hold_expected(void **state)
{
    struct fixture *f = *state;
    struct resource *group = insert(f, GROUPS_TYPE, "g", "group", "{}", false);
    struct resource *parent = insert(f, TYPE, "g", "parent", "{}", false);
    struct resource *self = make(f, "test/things/parts", "g", "self", "{}");
    struct expecting add = {
        .f = f,
        .hold = { .group_key = group->key, .parent_key = parent->key, .key = self->key,
                  .parent = { .uid = parent->uid, .generation = 1 } },
    };
    struct expecting change = add;
    struct error err;

    change.hold.self = (struct resource_held){ .uid = self->uid, .generation = 1 };
    assert_true(is_as_expected(add));
    assert_false(is_as_expected(change));
    must(put_in(f, self, false, &err), &err);
    assert_false(is_as_expected(add));
    assert_true(is_as_expected(change));
    change.hold.self.uid = parent->uid;
    assert_false(is_as_expected(change));
    change.hold.self.uid = self->uid;
    for (int i = 0; i < 3; i++) {
        const struct resource *row = i == 0 ? group : i == 1 ? parent : self;

        mark(f, "state = 'Deleting'", row);
        assert_false(is_as_expected(change));
        mark(f, "state = 'Succeeded'", row);
        assert_true(is_as_expected(change));
        mark(f, "generation = 2", row);
        assert_int_equal(is_as_expected(change), row == group);
        mark(f, "generation = 1", row);
    }
    mark(f, "is_system = true", self);
    assert_false(is_as_expected(change));
    mark(f, "is_system = false", self);
    change.hold.group_key = "/gone";
    assert_false(is_as_expected(change));
    change.hold.group_key = group->key;
    change.hold.parent_key = "/gone";
    assert_false(is_as_expected(change));
}

static void test_room_expected(void **state)
{
    struct fixture *f = *state;
    struct resource *parent = insert_family(f, "roomy", 3);
    struct expecting far = { .f = f, .hold.parent.uid = parent->uid, .limit = 100000 }, near = far;

    near.limit = 100; /* closer than the connections that may add one each */
    assert_true(is_as_expected(far));
    assert_false(is_as_expected(near));
}

static void test_updates_leave_indexes(void **state)
{
    struct fixture *f = *state;
    struct pg_result *r = NULL;
    struct error err;

    must(PG_RUN0(f->conn, f->a, &indexed, &r, &err), &err);
    if (pg_rows(r) > 0)
        fail_msg("every update is written into %s", pg_get_text(r, 0, 0));
}

static void test_secrets(void **state)
{
    struct fixture *f = *state;
    struct resource *r = insert(f, TYPE, "g", "secret", "{}", true);
    struct resource_secret first[] = { { "a", "one" }, { "b", "two" } };
    struct resource_secret second[] = { { "a", "late" }, { "c", "three" } };
    const char *wrapped = NULL;
    struct error err;

    must(resource_secrets_settle(pool, f->a, r->uid, first, 2, &err), &err);
    must(resource_secrets_settle(pool, f->a, r->uid, second, 2, &err), &err);
    assert_string_equal(second[0].wrapped, "one");
    assert_string_equal(second[1].wrapped, "three");
    assert_int_equal(resource_secret_rotate(pool, f->a, r->uid, "a", "new", &err), 1);
    assert_int_equal(resource_secret_get(f->conn, f->a, r->uid, "a", &wrapped, &err), 1);
    assert_string_equal(wrapped, "new");
    assert_int_equal(look(f, r->uid)->generation, 2);
    assert_int_equal(resource_secret_get(f->conn, f->a, r->uid, "z", &wrapped, &err), 0);
    /* Nothing is given out anew for what is going away. */
    assert_int_equal(resource_start_delete(f->conn, f->a, r->uid, &err), 1);
    assert_int_equal(resource_secret_rotate(pool, f->a, r->uid, "a", "newer", &err), 0);
    assert_int_equal(resource_secret_get(f->conn, f->a, r->uid, "a", &wrapped, &err), 1);
    assert_string_equal(wrapped, "new");
}

static void test_operations(void **state)
{
    struct fixture *f = *state;
    struct resource *r = insert(f, TYPE, "g", "operated", "{}", true);
    const struct event event = { .operation_name = "Test/things/write", .status = "Accepted",
                                 .client_address = "127.0.0.1" };
    struct operation *op = NULL;
    const char *first = NULL, *second = NULL;
    struct error err;

    must(operation_open(f->conn, f->a, &caller, r, "PUT", "Creating", NULL, &first, &err), &err);
    must(resource_update(f->conn, f->a, r, true, &err), &err);
    must(operation_open(f->conn, f->a, &caller, r, "PUT", "Updating", NULL, &second, &err), &err);
    must(event_add(f->conn, f->a, &caller, r, &event, &err), &err);
    /* Settling generation 1 says nothing of generation 2. */
    must(operation_close(f->conn, f->a, r->uid, 1, "Succeeded", &err), &err);
    assert_int_equal(operation_get(f->conn, f->a, first, &op, &err), 1);
    assert_string_equal(op->status, "Succeeded");
    assert_true(op->ended_us >= op->started_us && op->started_us > 0);
    assert_int_equal(operation_get(f->conn, f->a, second, &op, &err), 1);
    assert_string_equal(op->status, "Updating");
    assert_int_equal(op->ended_us, 0);
    assert_int_equal(op->generation, 2);
    must(operation_settle(f->conn, f->a, r->uid, 2, "Failed",
                          json(f->a, "{\"code\":\"C\",\"message\":\"m\"}"), &err),
         &err);
    assert_int_equal(operation_get(f->conn, f->a, second, &op, &err), 1);
    assert_string_equal(json_text(op->error, "code"), "C");
    /* Operations outlive their resource, and are not old yet. */
    must(resource_remove(f->conn, f->a, r->uid, &err), &err);
    must(operation_prune(f->conn, f->a, &err), &err);
    assert_int_equal(operation_get(f->conn, f->a, first, &op, &err), 1);
    assert_int_equal(operation_get(f->conn, f->a, TENANT, &op, &err), 0);
    must(operation_open(f->conn, f->a, &caller, r, "PUT", "Creating", NULL, &first, &err), &err);
    assert_int_equal(pg_land(f->conn, &err), -1);
}

static void test_subscriptions(void **state)
{
    struct fixture *f = *state;
    struct subscription s, *all = NULL;
    struct tenant t;
    struct error err;
    size_t count = 0;

    assert_int_equal(subscription_get(f->conn, f->a, SUB, &s, &err), 1);
    assert_string_equal(s.tenant_id, TENANT);
    assert_true(subscription_is_registered(&s, "microsoft.x"));
    must(provider_set(f->conn, f->a, SUB, "microsoft.x", false, &err), &err);
    assert_int_equal(subscription_get(f->conn, f->a, SUB, &s, &err), 1);
    assert_false(subscription_is_registered(&s, "Microsoft.X"));
    assert_true(subscription_is_registered(&s, "microsoft.y"));
    must(provider_set(f->conn, f->a, SUB, "microsoft.x", true, &err), &err);
    assert_int_equal(subscription_get(f->conn, f->a, SUB, &s, &err), 1);
    assert_true(subscription_is_registered(&s, "microsoft.x"));
    assert_int_equal(subscription_get(f->conn, f->a, TENANT, &s, &err), 0);
    must(subscription_list(f->conn, f->a, TENANT, &all, &count, &err), &err);
    assert_int_equal(count, 1);
    must(subscription_list(f->conn, f->a, SUB, &all, &count, &err), &err);
    assert_int_equal(count, 0);
    assert_int_equal(tenant_get(f->conn, f->a, TENANT, &t, &err), 1);
    assert_string_equal(t.default_domain, "d");
}

/* Writers at once: nobody's generation is lost, and one wins a name. */
#define WRITERS 6
#define ROUNDS 20

struct writer {
    pthread_t thread;
    const char *uid;
    int failures;
    int inserted;
};

static int bump(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct writer *w = ctx;
    struct resource *r = NULL;

    if (resource_by_uid(conn, a, w->uid, true, &r, err) != 1)
        return -1;
    return resource_update(conn, a, r, true, err);
}

static int claim_name(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct fixture f = { .a = a, .conn = conn };
    char group[32];

    (void)snprintf(group, sizeof(group), "g%p", ctx);
    return resource_insert(conn, a, make(&f, TYPE, arena_strdup(a, group), "wanted", "{}"), true,
                           err);
}

static void *write_rounds(void *p)
{
    struct writer *w = p;
    struct arena *a = arena_new();
    struct error err;

    for (int i = 0; i < ROUNDS; i++)
        w->failures += pg_transact(pool, a, bump, w, &err) != 0;
    w->inserted = pg_transact(pool, a, claim_name, w, &err) == 0;
    arena_free(a);
    return NULL;
}

static void test_writers(void **state)
{
    struct fixture *f = *state;
    struct writer writers[WRITERS] = { { 0 } };
    struct resource *r = insert(f, TYPE, "g", "contended", "{}", true);
    int inserted = 0;

    for (size_t i = 0; i < WRITERS; i++) {
        writers[i].uid = r->uid;
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_rounds, &writers[i]), 0);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        (void)pthread_join(writers[i].thread, NULL);
        assert_int_equal(writers[i].failures, 0);
        inserted += writers[i].inserted;
    }
    assert_int_equal(look(f, r->uid)->generation, 1 + WRITERS * ROUNDS);
    assert_int_equal(inserted, 1);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_round_trip), CASE(test_taken),      CASE(test_states),        CASE(test_list),
        CASE(test_group),      CASE(test_room),       CASE(test_slots),   CASE(test_hold),
        CASE(test_hold_expected), CASE(test_room_expected), CASE(test_updates_leave_indexes),
        CASE(test_children),   CASE(test_secrets),       CASE(test_operations),
        CASE(test_subscriptions), CASE(test_writers),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
