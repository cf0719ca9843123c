/* Leases against a real, migrated PostgreSQL: who gets a row, and that a lost lease changes
 * nothing. */
/* links: portolan_control portolan_test_support */
#include "controlplane/store/leases.h"

#include <setjmp.h>
#include <stdarg.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/migrate.h"
#include "common/pg/pg.h"
#include "controlplane/store/placements.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/store/statements.h"
#include "tests/support/postgres.h"

#include <cmocka.h>

#define TENANT       "10000000-0000-4000-8000-000000000001"
#define SUBSCRIPTION "20000000-0000-4000-8000-000000000001"
#define TYPE_KEY     "test/things"

static struct test_postgres *server;
static char *conninfo;
static const char *const type_keys[] = { TYPE_KEY, "test/others", NULL };

struct fixture {
    struct pg_pool *pool;
    struct pg_conn *conn;
    struct arena *a;
    struct error err;
};

enum {
    SEED_TENANT,
    SEED_SUBSCRIPTION,
    SEED_REGION,
    CLEAN,
    ADD,
    OPERATION,
    EXPIRE,
    LOOK,
    DUE_NOW,
    TAKE_ALONE
};

static const struct pg_stmt stmts[] = {
    [SEED_TENANT] = { "t_tenant",
                      "insert into tenants (id, display_name, default_domain)"
                      " values ($1, 't', 'd') on conflict do nothing",
                      "uuid" },
    [SEED_SUBSCRIPTION] = { "t_subscription",
                            "insert into subscriptions (id, tenant_id, display_name)"
                            " values ($1, $2, 's') on conflict do nothing",
                            "uuid uuid" },
    [SEED_REGION] = { "t_region",
                      "insert into regions values ('eastus', 'East US', 'm', 'b', 0)"
                      " on conflict do nothing",
                      "" },
    [CLEAN] = { "t_clean", "truncate resources, operations, placements cascade", "" },
    [ADD] = { "t_add",
              "insert into resources (uid, key, id, type_key, name, global_name, subscription_id, state,"
              " generation, observed_generation, not_before) values ($1,"
              " '/subscriptions/' || $3 || '/' || $1, '/subscriptions/' || $3 || '/' || $1, $2, 'n',"
              " $1, $3, $4, 1, 0, now() + $5 * interval '1 ms')",
              "uuid text uuid text int8" },
    [OPERATION] = { "t_operation",
                    "insert into operations (id, tenant_id, subscription_id, resource_uid,"
                    " resource_id, resource_key, type_key, verb, generation, status)"
                    " values (gen_random_uuid(), $1, $2, $3, 'r', 'r', 't', 'PUT', $4, 'Creating')",
                    "uuid uuid uuid int8" },
    [EXPIRE] = { "t_expire",
                 "update resources set lease_until = now() - interval '1 s',"
                 " not_before = now() - interval '1 s' where uid = $1",
                 "uuid" },
    [LOOK] = { "t_look",
               "select r.state, r.generation, r.observed_generation, r.attempts,"
               " r.lease_owner, (extract(epoch from r.not_before - now()) * 1000)::int8,"
               " r.status::text, r.last_error::text, o.status, o.error::text"
               " from (select $1::uuid as uid) k left join resources r on r.uid = k.uid"
               " left join operations o on o.resource_uid = k.uid",
               "uuid" },
    [DUE_NOW] = { "t_change",
                  "update resources set generation = generation + 1, not_before = now(),"
                  " state = 'Updating' where uid = $1",
                  "uuid" },
    [TAKE_ALONE] = { "t_take_alone",
                     "select 1 from resources where uid = $1 for update skip locked", "uuid" },
};

struct look {
    const char *state, *owner, *status, *last_error, *operation, *operation_error;
    int64_t generation, observed, attempts, due_ms;
};

static void must(int rc, const struct error *err)
{
    if (rc < 0)
        fail_msg("%s (%s)", err->message, err->cause);
}

static void run(struct fixture *f, int stmt, const struct pg_arg *args, size_t n)
{
    must(pg_run(f->conn, f->a, &stmts[stmt], args, n, NULL, &f->err), &f->err);
}
#define RUN(f, stmt, ...)                                                                          \
    run(f, stmt, (const struct pg_arg[]){ __VA_ARGS__ },                                           \
        sizeof((const struct pg_arg[]){ __VA_ARGS__ }) / sizeof(struct pg_arg))

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct pg_pool_config config = { .conninfo = conninfo, .max = 4 };

    f->a = arena_new();
    f->pool = pg_pool_new(&config);
    must(pg_acquire(f->pool, &f->conn, &f->err), &f->err);
    run(f, CLEAN, NULL, 0);
    RUN(f, SEED_TENANT, pg_text(TENANT));
    RUN(f, SEED_SUBSCRIPTION, pg_text(SUBSCRIPTION), pg_text(TENANT));
    run(f, SEED_REGION, NULL, 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    pg_release(f->conn);
    pg_pool_free(f->pool);
    arena_free(f->a);
    free(f);
    return 0;
}

static char *uuid(struct fixture *f)
{
    char id[UUID_TEXT_LEN + 1];

    uuid_new(id);
    return arena_strdup(f->a, id);
}

static char *add(struct fixture *f, const char *type_key, const char *state, int64_t due_ms)
{
    char *uid = uuid(f);

    RUN(f, ADD, pg_text(uid), pg_text(type_key), pg_text(SUBSCRIPTION), pg_text(state),
        pg_int(due_ms));
    RUN(f, OPERATION, pg_text(TENANT), pg_text(SUBSCRIPTION), pg_text(uid), pg_int(1));
    return uid;
}

static struct look look(struct fixture *f, const char *uid)
{
    struct pg_result *r;

    must(PG_RUN(f->conn, f->a, &stmts[LOOK], &r, &f->err, pg_text(uid)), &f->err);
    assert_int_equal(pg_rows(r), 1);
    return (struct look){
        .state = pg_get_text(r, 0, 0),
        .generation = pg_get_int(r, 0, 1),
        .observed = pg_get_int(r, 0, 2),
        .attempts = pg_get_int(r, 0, 3),
        .owner = pg_get_text(r, 0, 4),
        .due_ms = pg_get_int(r, 0, 5),
        .status = pg_get_text(r, 0, 6),
        .last_error = pg_get_text(r, 0, 7),
        .operation = pg_get_text(r, 0, 8),
        .operation_error = pg_get_text(r, 0, 9),
    };
}

static struct resource *claim(struct fixture *f, const char *owner)
{
    struct resource *r = NULL;
    int rc = lease_claim(f->conn, f->a, owner, type_keys, &r, &f->err);

    must(rc, &f->err);
    return rc == 1 ? r : NULL;
}

/* Finishing statements run in a transaction, as the loop runs them. */
enum finish { SETTLE, SETTLE_UNCLAIMED, POSTPONE, FAIL, GIVE_UP, REMOVE };

struct finishing {
    enum finish how;
    const char *owner;
    const struct resource *r;
    int rc;
};

static struct json_object *failure(struct arena *a)
{
    struct json_object *o = json_own(a, json_new_object());

    json_set_text(o, "code", "Broken");
    return o;
}

static int finish_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct finishing *x = ctx;
    struct json_object *status = json_own(a, json_new_object());

    json_set_text(status, "seen", "yes");
    switch (x->how) {
    case SETTLE:
        x->rc = lease_settle(conn, a, x->owner, x->r, status, 0, err);
        break;
    case SETTLE_UNCLAIMED:
        x->rc = lease_settle_unclaimed(conn, a, x->r, 0, err);
        break;
    case POSTPONE:
        x->rc = lease_postpone(conn, a, x->owner, x->r, "step", 4000, false, status, NULL, err);
        break;
    case FAIL:
        x->rc =
            lease_postpone(conn, a, x->owner, x->r, "step", 4000, true, status, failure(a), err);
        break;
    case GIVE_UP:
        x->rc = lease_give_up(conn, a, x->owner, x->r, status, failure(a), err);
        break;
    case REMOVE:
        x->rc = lease_remove(conn, a, x->owner, x->r, err);
        break;
    }
    return x->rc < 0 ? -1 : 0;
}

static int finish(struct fixture *f, enum finish how, const char *owner, const struct resource *r)
{
    struct finishing x = { .how = how, .owner = owner, .r = r };

    must(pg_transact(f->pool, f->a, finish_work, &x, &f->err), &f->err);
    return x.rc;
}

static void test_claim_once(void **state)
{
    struct fixture *f = *state;
    char *uid = add(f, TYPE_KEY, "Creating", 0);
    struct resource *r;

    add(f, "test/stepless", "Creating", 0);
    add(f, TYPE_KEY, "Creating", 60000);
    r = claim(f, uuid(f));
    assert_non_null(r);
    assert_string_equal(r->uid, uid);
    assert_int_equal(r->state, STATE_CREATING);
    assert_null(claim(f, uuid(f))); /* the rest is leased, not due, or of another type */
}

static void test_most_overdue_first(void **state)
{
    struct fixture *f = *state;
    char *late = add(f, TYPE_KEY, "Creating", -1000);
    char *later = add(f, "test/others", "Creating", -5000);

    assert_string_equal(claim(f, uuid(f))->uid, later);
    assert_string_equal(claim(f, uuid(f))->uid, late);
}

/* Two connections that claim at the same moment never get the same row. */
static void test_claims_in_parallel(void **state)
{
    struct fixture *f = *state;
    struct pg_tx tx = { 0 };
    struct pg_conn *other;
    struct resource *r;
    char *first;

    add(f, TYPE_KEY, "Creating", -10);
    add(f, TYPE_KEY, "Creating", -20);
    must(pg_acquire(f->pool, &other, &f->err), &f->err);
    must(pg_begin(other, &tx, &f->err), &f->err);
    assert_int_equal(lease_claim(other, f->a, uuid(f), type_keys, &r, &f->err), 1);
    first = arena_strdup(f->a, r->uid);
    r = claim(f, uuid(f)); /* does not wait for the open transaction */
    assert_non_null(r);
    assert_string_not_equal(r->uid, first);
    assert_null(claim(f, uuid(f)));
    must(pg_commit(&tx, &f->err), &f->err);
    pg_release(other);
}

static void test_settle(void **state)
{
    struct fixture *f = *state;
    char *uid = add(f, TYPE_KEY, "Creating", 0), *owner = uuid(f);
    struct resource *r = claim(f, owner);
    struct look l;

    assert_int_equal(finish(f, SETTLE, owner, r), 1);
    l = look(f, uid);
    assert_string_equal(l.state, "Succeeded");
    assert_int_equal(l.observed, 1);
    assert_null(l.owner);
    assert_string_equal(l.status, "{\"seen\": \"yes\"}");
    assert_string_equal(l.operation, "Succeeded");
    assert_in_range(l.due_ms, DRIFT_MS * 7 / 10, DRIFT_MS * 13 / 10);
    assert_int_equal(finish(f, SETTLE, owner, r), 0); /* the lease has ended */
}

/* A new desired state during the pass: what was reached is not what is wanted any more. */
static void test_settle_while_generation_moves(void **state)
{
    struct fixture *f = *state;
    char *uid = add(f, TYPE_KEY, "Creating", 0), *owner = uuid(f);
    struct resource *r = claim(f, owner);
    struct look l;

    RUN(f, DUE_NOW, pg_text(uid));
    assert_int_equal(finish(f, SETTLE, owner, r), 1);
    l = look(f, uid);
    assert_string_equal(l.state, "Updating");
    assert_int_equal(l.generation, 2);
    assert_int_equal(l.observed, 1);
    assert_string_equal(l.operation, "Creating");
    assert_true(l.due_ms <= 0);

    owner = uuid(f);
    r = claim(f, owner);
    assert_int_equal(r->generation, 2);
    assert_int_equal(finish(f, SETTLE, owner, r), 1);
    l = look(f, uid);
    assert_string_equal(l.state, "Succeeded");
    assert_string_equal(l.operation, "Succeeded");
}

/* What nobody claimed is settled by who carried it out; what somebody claimed, woke or changed is not. */
static void test_settle_unclaimed(void **state)
{
    struct fixture *f = *state;
    char *uid = add(f, TYPE_KEY, "Updating", 2000), *claimed = add(f, TYPE_KEY, "Updating", 0);
    char *due = add(f, TYPE_KEY, "Updating", 2000), *owner = uuid(f);
    struct resource r = {
        .uid = uid, .type_key = TYPE_KEY, .state = STATE_UPDATING, .generation = 1
    };
    struct look l;
    int64_t count;

    assert_string_equal(claim(f, owner)->uid, claimed);
    assert_int_equal(finish(f, SETTLE_UNCLAIMED, NULL, &r), 1);
    l = look(f, uid);
    assert_string_equal(l.state, "Succeeded");
    assert_int_equal(l.observed, 1);
    assert_string_equal(l.operation, "Succeeded");
    assert_in_range(l.due_ms, DRIFT_MS * 7 / 10, DRIFT_MS * 13 / 10);
    assert_int_equal(finish(f, SETTLE_UNCLAIMED, NULL, &r), 0);

    r.uid = claimed;
    assert_int_equal(finish(f, SETTLE_UNCLAIMED, NULL, &r), 0);
    assert_string_equal(look(f, claimed).state, "Updating");
    assert_string_equal(look(f, claimed).owner, owner);

    r.uid = due;
    r.generation = 2;
    assert_int_equal(finish(f, SETTLE_UNCLAIMED, NULL, &r), 0);
    r.generation = 1;
    must(lease_wake(f->conn, f->a, TYPE_KEY, "", &count, &f->err), &f->err);
    assert_int_equal(finish(f, SETTLE_UNCLAIMED, NULL, &r), 1);
    assert_string_equal(look(f, due).state, "Succeeded");
    assert_true(look(f, due).due_ms <= 0);
}

/* A wake during the pass is not forgotten when the pass ends. */
static void test_wake_during_pass(void **state)
{
    struct fixture *f = *state;
    char *uid = add(f, TYPE_KEY, "Creating", 0), *owner = uuid(f);
    struct resource *r = claim(f, owner);
    int64_t count;

    must(lease_wake(f->conn, f->a, TYPE_KEY, "", &count, &f->err), &f->err);
    assert_int_equal(count, 1);
    assert_null(claim(f, uuid(f)));
    assert_int_equal(lease_extend(f->conn, f->a, owner, uid, &f->err), 1);
    assert_int_equal(finish(f, SETTLE, owner, r), 1);
    assert_string_equal(look(f, uid).state, "Succeeded");
    assert_true(look(f, uid).due_ms <= 0);
}

/* Who creates below a row, or in a group, keeps it from being removed or changed by request, and nothing
 * else: one after the other, without a gap, they would keep the reconcile loop from it. */
static void test_pass_beside_who_creates_below(void **state)
{
    struct fixture *f = *state;
    char *uid = add(f, TYPE_KEY, "Creating", 0), *owner = uuid(f);
    const char *named = add(f, TYPE_KEY, "Succeeded", 60000);
    const char *key = arena_printf(f->a, "/subscriptions/" SUBSCRIPTION "/%s", uid);
    struct resource_hold holds[] = { { .parent_key = key }, { .group_key = key } };
    struct pg_result *result;
    struct pg_conn *other;

    must(pg_acquire(f->pool, &other, &f->err), &f->err);
    must(resource_links_replace(f->conn, f->a, uid, &named, 1, &f->err), &f->err);
    for (size_t i = 0; i < ARRAY_LEN(holds); i++) {
        struct pg_tx tx = { 0 };
        struct resource *r;

        RUN(f, EXPIRE, pg_text(uid));
        must(pg_begin(other, &tx, &f->err), &f->err);
        must(resource_hold(other, f->a, &holds[i], &f->err), &f->err);
        assert_true(i == 0 ? holds[i].parent.is_there : holds[i].group.is_there);
        r = claim(f, owner);
        assert_non_null(r);
        assert_int_equal(lease_extend(f->conn, f->a, owner, uid, &f->err), 1);
        assert_int_equal(finish(f, SETTLE, owner, r), 1);
        must(lease_wake_later(f->conn, f->a, uid, named, 0, &result, &f->err), &f->err);
        must(pg_land(f->conn, &f->err), &f->err);
        must(lease_wake_due(f->conn, f->a, &f->err), &f->err);
        must(pg_land(f->conn, &f->err), &f->err);
        assert_true(look(f, uid).due_ms <= 0);
        must(PG_RUN(f->conn, f->a, &stmts[TAKE_ALONE], &result, &f->err, pg_text(uid)), &f->err);
        assert_int_equal(pg_rows(result), 0);
        must(pg_commit(&tx, &f->err), &f->err);
        must(PG_RUN(f->conn, f->a, &stmts[TAKE_ALONE], &result, &f->err, pg_text(uid)), &f->err);
        assert_int_equal(pg_rows(result), 1);
    }
    pg_release(other);
}

static void test_wake_by_scope(void **state)
{
    struct fixture *f = *state;
    char *one = add(f, TYPE_KEY, "Succeeded", 60000);
    char *two = add(f, TYPE_KEY, "Succeeded", 60000);
    const char *scope = arena_printf(f->a, "/subscriptions/" SUBSCRIPTION "/%s", two);
    int64_t count;

    must(lease_wake(f->conn, f->a, TYPE_KEY,
                    arena_printf(f->a, "/subscriptions/" SUBSCRIPTION "/%s", one), &count, &f->err),
         &f->err);
    assert_int_equal(count, 1);
    assert_true(look(f, one).due_ms <= 0);
    assert_true(look(f, two).due_ms > 1000);
    /* A scope is a whole path, not the beginning of a name. */
    must(lease_wake(f->conn, f->a, TYPE_KEY, arena_strndup(f->a, scope, strlen(scope) - 8), &count,
                    &f->err),
         &f->err);
    assert_int_equal(count, 0);
    must(lease_wake(f->conn, f->a, TYPE_KEY, "/subscriptions/" SUBSCRIPTION, &count, &f->err),
         &f->err);
    assert_int_equal(count, 1);
    assert_true(look(f, two).due_ms <= 0);
}

/* Only for the sake of somebody who names the row that changed. */
static void test_wake_for_who_names(void **state)
{
    struct fixture *f = *state;
    char *parent = add(f, TYPE_KEY, "Succeeded", 60000);
    char *named = add(f, TYPE_KEY, "Succeeded", 60000), *other = add(f, TYPE_KEY, "Succeeded", 60000);
    struct pg_result *r = NULL;

    must(resource_links_replace(f->conn, f->a, parent, (const char *const[]){ other }, 1, &f->err), &f->err);
    for (int i = 0; i < 2; i++) {
        must(lease_wake_later(f->conn, f->a, parent, i == 0 ? named : other, 0, &r, &f->err), &f->err);
        must(pg_land(f->conn, &f->err), &f->err);
        assert_int_equal(pg_affected(r), i);
        must(lease_wake_due(f->conn, f->a, &f->err), &f->err);
        assert_int_equal(look(f, parent).due_ms <= 0, i);
    }
}

static void test_lost_lease_changes_nothing(void **state)
{
    static const enum finish all[] = { SETTLE, POSTPONE, FAIL, GIVE_UP, REMOVE };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char *uid = add(f, TYPE_KEY, all[i] == REMOVE ? "Deleting" : "Creating", 0);
        char *first = uuid(f), *second = uuid(f);
        struct resource *r = claim(f, first), *again;
        struct look l;

        RUN(f, EXPIRE, pg_text(uid));
        again = claim(f, second);
        assert_non_null(again);
        assert_string_equal(again->uid, uid);
        assert_int_equal(lease_extend(f->conn, f->a, first, uid, &f->err), 0);
        assert_int_equal(finish(f, all[i], first, r), 0);
        l = look(f, uid);
        assert_string_equal(l.owner, second);
        assert_string_equal(l.state, all[i] == REMOVE ? "Deleting" : "Creating");
        assert_string_equal(l.operation, "Creating");
        assert_string_equal(l.status, "{}");
        assert_int_equal(l.observed, 0);
        assert_int_equal(l.attempts, 0);
        assert_null(l.last_error);
        assert_int_equal(lease_extend(f->conn, f->a, second, uid, &f->err), 1);
        assert_int_equal(finish(f, all[i], second, again), 1);
    }
}

static void test_postpone(void **state)
{
    struct fixture *f = *state;
    char *uid = add(f, TYPE_KEY, "Creating", 0), *owner = uuid(f);
    struct resource *r = claim(f, owner);
    struct look l;

    assert_int_equal(finish(f, FAIL, owner, r), 1);
    l = look(f, uid);
    assert_string_equal(l.state, "Creating");
    assert_int_equal(l.attempts, 1);
    assert_string_equal(l.last_error, "{\"code\": \"Broken\"}");
    assert_string_equal(l.operation, "Creating");
    assert_null(l.owner);
    assert_in_range(l.due_ms, 3000, 4000);
    assert_null(claim(f, uuid(f)));

    RUN(f, EXPIRE, pg_text(uid));
    owner = uuid(f);
    r = claim(f, owner);
    assert_int_equal(r->attempts, 1);
    assert_non_null(r->last_error);
    assert_int_equal(finish(f, POSTPONE, owner, r), 1);
    assert_int_equal(look(f, uid).attempts, 1); /* waiting is no failure */
}

static void test_give_up_and_recover(void **state)
{
    struct fixture *f = *state;
    char *uid = add(f, TYPE_KEY, "Creating", 0), *owner = uuid(f);
    struct resource *r = claim(f, owner);
    struct look l;

    assert_int_equal(finish(f, GIVE_UP, owner, r), 1);
    l = look(f, uid);
    assert_string_equal(l.state, "Failed");
    assert_string_equal(l.operation, "Failed");
    assert_string_equal(l.operation_error, "{\"code\": \"Broken\"}");
    assert_int_equal(l.observed, 1);
    assert_true(l.due_ms > DRIFT_MS / 2);

    RUN(f, EXPIRE, pg_text(uid)); /* drift: what was in the way has gone */
    owner = uuid(f);
    r = claim(f, owner);
    assert_int_equal(finish(f, SETTLE, owner, r), 1);
    l = look(f, uid);
    assert_string_equal(l.state, "Succeeded");
    assert_string_equal(l.operation, "Failed"); /* what was told stays told */
    assert_int_equal(l.attempts, 0);
    assert_null(l.last_error);
}

static void test_remove(void **state)
{
    struct fixture *f = *state;
    char *uid = add(f, TYPE_KEY, "Deleting", 0), *owner = uuid(f);
    struct resource *r = claim(f, owner);
    struct look l;

    assert_int_equal(finish(f, REMOVE, owner, r), 1);
    l = look(f, uid);
    assert_null(l.state);
    assert_string_equal(l.operation, "Succeeded");
    /* A row that is not Deleting is never removed. */
    uid = add(f, TYPE_KEY, "Creating", 0);
    owner = uuid(f);
    r = claim(f, owner);
    assert_int_equal(finish(f, REMOVE, owner, r), 0);
    assert_string_equal(look(f, uid).state, "Creating");
}

static void test_delete_that_fails_goes_on(void **state)
{
    struct fixture *f = *state;
    char *uid = add(f, TYPE_KEY, "Deleting", 0), *owner = uuid(f);
    struct look l;

    assert_int_equal(finish(f, GIVE_UP, owner, claim(f, owner)), 1);
    l = look(f, uid);
    assert_string_equal(l.state, "Deleting");
    assert_string_equal(l.operation, "Failed");
    RUN(f, EXPIRE, pg_text(uid));
    owner = uuid(f);
    assert_int_equal(finish(f, REMOVE, owner, claim(f, owner)), 1);
}

static void test_next_due(void **state)
{
    struct fixture *f = *state;
    int64_t ms;
    char *uid;

    must(lease_next_due(f->conn, f->a, type_keys, 5000, &ms, &f->err), &f->err);
    assert_int_equal(ms, 5000);
    add(f, "test/stepless", "Creating", 0);
    add(f, TYPE_KEY, "Creating", 60000);
    must(lease_next_due(f->conn, f->a, type_keys, 5000, &ms, &f->err), &f->err);
    assert_int_equal(ms, 5000);
    add(f, TYPE_KEY, "Creating", 2000);
    must(lease_next_due(f->conn, f->a, type_keys, 5000, &ms, &f->err), &f->err);
    assert_in_range(ms, 1000, 2000);
    uid = add(f, TYPE_KEY, "Creating", -100);
    must(lease_next_due(f->conn, f->a, type_keys, 5000, &ms, &f->err), &f->err);
    assert_int_equal(ms, 0);
    assert_string_equal(claim(f, uuid(f))->uid, uid);
    must(lease_next_due(f->conn, f->a, type_keys, 5000, &ms, &f->err), &f->err);
    assert_in_range(ms, 500, 2000); /* what is being worked on is not waited for */
}

static void test_placements(void **state)
{
    struct fixture *f = *state;
    char *one = add(f, TYPE_KEY, "Creating", 0), *two = add(f, TYPE_KEY, "Creating", 0);
    struct placement p = { one, "eastus", "127.0.0.1", 20001 }, found;
    int64_t *ports;
    size_t count;

    assert_int_equal(placement_get(f->conn, f->a, one, "eastus", &found, &f->err), 0);
    assert_int_equal(placement_add(f->conn, f->a, &p, &f->err), 1);
    p.port = 20002; /* placed already */
    assert_int_equal(placement_add(f->conn, f->a, &p, &f->err), 0);
    p = (struct placement){ two, "eastus", "127.0.0.1", 20001 }; /* port taken */
    assert_int_equal(placement_add(f->conn, f->a, &p, &f->err), 0);
    must(
        placement_free_ports(f->conn, f->a, "127.0.0.1", 20000, 20002, 10, &ports, &count, &f->err),
        &f->err);
    assert_int_equal(count, 2);
    assert_int_equal(ports[0] + ports[1], 40002);
    assert_int_equal(placement_get(f->conn, f->a, one, "eastus", &found, &f->err), 1);
    assert_int_equal(found.port, 20001);
    must(placement_remove(f->conn, f->a, one, "eastus", &f->err), &f->err);
    assert_int_equal(placement_add(f->conn, f->a, &p, &f->err), 1);
}

static void test_missing(void **state)
{
    struct fixture *f = *state;
    char *uid = add(f, TYPE_KEY, "Creating", 0), *other = uuid(f);
    const char *uids[] = { uid, other }, *names[] = { uid, "m" }, **gone;
    size_t count;

    must(lease_missing(f->conn, f->a, uids, 2, &gone, &count, &f->err), &f->err);
    assert_int_equal(count, 1);
    assert_string_equal(gone[0], other);
    must(lease_unnamed(f->conn, f->a, TYPE_KEY, names, 2, &gone, &count, &f->err), &f->err);
    assert_int_equal(count, 1);
    assert_string_equal(gone[0], "m");
}

/* Every statement of these files is accepted by the server with the types it declares. */
static void test_statements(void **state)
{
    static const struct pg_stmt *const tables[] = { lease_statements, placement_statements,
                                                    region_statements };
    struct fixture *f = *state;

    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (const struct pg_stmt *s = tables[t]; s->name; s++)
            must(pg_describe(f->conn, s, &f->err), &f->err);
}

static int start_server(void **state)
{
    struct error err;
    int applied;

    (void)state;
    server = test_postgres_new(NULL);
    conninfo = strdup(test_postgres_conninfo(server, "leases"));
    must(pg_migrate(conninfo, SOURCE_DIR "/migrations/control", &applied, &err), &err);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    free(conninfo);
    test_postgres_free(server);
    return 0;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_statements),
        TEST(test_claim_once),
        TEST(test_most_overdue_first),
        TEST(test_claims_in_parallel),
        TEST(test_settle),
        TEST(test_settle_while_generation_moves),
        TEST(test_settle_unclaimed),
        TEST(test_wake_during_pass),
        TEST(test_pass_beside_who_creates_below),
        TEST(test_wake_by_scope),
        TEST(test_wake_for_who_names),
        TEST(test_lost_lease_changes_nothing),
        TEST(test_postpone),
        TEST(test_give_up_and_recover),
        TEST(test_remove),
        TEST(test_delete_that_fails_goes_on),
        TEST(test_next_due),
        TEST(test_placements),
        TEST(test_missing),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
