/* A registry through real passes over real databases, with a supervisor and an edge that only take
 * notes: what is published, what is left after a crash at any step, what a delete leaves behind. */
/* links: portolan_control portolan_test_support */
#include "controlplane/reconcile/pass.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/crypto/secret.h"
#include "common/crypto/token.h"
#include "common/json/json.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/provision/edge.h"
#include "controlplane/provision/publish_grants.h"
#include "controlplane/provision/region.h"
#include "controlplane/provision/registry_service.h"
#include "controlplane/provision/supervisor.h"
#include "controlplane/provision/sweep.h"
#include "controlplane/reconcile/loop.h"
#include "controlplane/reconcile/watch.h"
#include "controlplane/store/resources.h"
#include "controlplane/store/statements.h"
#include "controlplane/types/registry.h"
#include "tests/support/postgres.h"

#include <cmocka.h>

#define TYPE_KEY "microsoft.containerregistry/registries"
#define NOTES_MAX 16

static struct test_postgres *server;
static char dir[64];
static struct control_settings settings;
static struct control control;
static struct arena *forever;
static const char *const *type_keys;

/* The fakes ------------------------------------------------------------------------------------ */

struct note {
    char key[256];
    char value[2048];
};

static struct {
    struct note services[NOTES_MAX], hosts[NOTES_MAX];
    int calls;   /* of any driver function that changes something */
    int fail_at; /* this call fails as a crash would: before it has an effect, or after it */
    bool is_after;
    int restarts;
} fake;

static struct note *find_note(struct note *notes, const char *key)
{
    for (size_t i = 0; i < NOTES_MAX; i++)
        if (strcmp(notes[i].key, key) == 0)
            return &notes[i];
    return NULL;
}

static size_t count_notes(const struct note *notes)
{
    size_t n = 0;

    for (size_t i = 0; i < NOTES_MAX; i++)
        n += notes[i].key[0] != '\0';
    return n;
}

static int put_note(struct note *notes, const char *key, const char *value, struct error *err)
{
    bool fails = ++fake.calls == fake.fail_at;
    struct note *n = find_note(notes, key);

    if (fails && !fake.is_after)
        return fail_cause(err, &E_UNAVAILABLE, "crash before");
    if (!n && value)
        n = find_note(notes, "");
    if (n && value) {
        fake.restarts += n->key[0] && strcmp(n->value, value) != 0;
        (void)snprintf(n->key, sizeof(n->key), "%s", key);
        (void)snprintf(n->value, sizeof(n->value), "%s", value);
    } else if (n) {
        n->key[0] = '\0';
    }
    return fails ? fail_cause(err, &E_UNAVAILABLE, "crash after") : 0;
}

static int fake_ensure(struct control *c, struct arena *a, const struct service *s,
                       struct error *err)
{
    (void)c;
    (void)a;
    return put_note(fake.services, s->name, s->config, err);
}

static int fake_health(struct control *c, struct arena *a, const char *name, int wait_ms,
                       enum service_health *ret, struct error *err)
{
    (void)c;
    (void)a;
    (void)wait_ms;
    (void)err;
    *ret = find_note(fake.services, name) ? SERVICE_READY : SERVICE_ABSENT;
    return 0;
}

static int fake_remove(struct control *c, struct arena *a, const char *name, struct error *err)
{
    (void)c;
    (void)a;
    return put_note(fake.services, name, NULL, err);
}

static int list_notes(struct arena *a, const struct note *notes, char ***ret, size_t *ret_count)
{
    *ret = arena_array(a, NOTES_MAX, sizeof(**ret));
    *ret_count = 0;
    for (size_t i = 0; i < NOTES_MAX; i++)
        if (notes[i].key[0])
            (*ret)[(*ret_count)++] = arena_strdup(a, notes[i].key);
    return 0;
}

static int fake_list(struct control *c, struct arena *a, int min_age_s, char ***ret,
                     size_t *ret_count, struct error *err)
{
    (void)c;
    (void)min_age_s;
    (void)err;
    return list_notes(a, fake.services, ret, ret_count);
}

static int fake_route(struct control *c, struct arena *a, const char *host, const char *address,
                      int port, struct error *err)
{
    (void)c;
    return put_note(fake.hosts, host, arena_printf(a, "%s:%d", address, port), err);
}

static int fake_unroute(struct control *c, struct arena *a, const char *host, struct error *err)
{
    (void)c;
    (void)a;
    return put_note(fake.hosts, host, NULL, err);
}

static int fake_hosts(struct control *c, struct arena *a, char ***ret, size_t *ret_count,
                      struct error *err)
{
    (void)c;
    (void)err;
    return list_notes(a, fake.hosts, ret, ret_count);
}

static const struct supervisor_driver fake_supervisor = {
    .name = "fake", .ensure = fake_ensure, .health = fake_health, .remove = fake_remove,
    .list = fake_list,
};
static const struct edge_driver fake_edge = {
    .name = "fake", .ensure = fake_route, .remove = fake_unroute, .list = fake_hosts,
};

/* The world ------------------------------------------------------------------------------------ */

struct fixture {
    struct arena *a;
    struct error err;
    struct watch watch;
    const struct region *region;
};

enum { SUBSCRIPTION, CLEAN_CONTROL, NOW, LEFT, CLEAN_REGION, LEFT_REGION, ROW, CONTENT, OLD,
       CREDENTIALS };

static const struct pg_stmt stmts[] = {
    [SUBSCRIPTION] = { "t_sub", "select id from subscriptions limit 1", "" },
    [CLEAN_CONTROL] = { "t_clean", "truncate resources, operations cascade", "" },
    [NOW] = { "t_now", "update resources set not_before = now() - interval '1 s',"
                       " lease_until = null, lease_owner = null", "" },
    [LEFT] = { "t_left",
               "select (select count(*) from resources) + (select count(*) from placements)"
               " + (select count(*) from resource_secrets)", "" },
    [CLEAN_REGION] = { "t_clean_region",
                       "truncate registries, directory_keys, blob_reviews cascade", "" },
    [LEFT_REGION] = { "t_left_region",
                      "select (select count(*) from registries)"
                      " + (select count(*) from credentials)"
                      " + (select count(*) from grants) + (select count(*) from repositories)"
                      " + (select count(*) from blobs) + (select count(*) from manifests)"
                      " + (select count(*) from tags) + (select count(*) from blob_reviews)", "" },
    [ROW] = { "t_row",
              "select generation, settings::text, wrapped_signing_key, wrapped_data_key,"
              " login_server, resource_generation,"
              " (select count(*) from grants), (select count(*) from directory_keys)"
              " from registries", "" },
    [CONTENT] = { "t_content",
                  "with b as (insert into blobs (registry_id, digest, size) select $1,"
                  " sha256(n::text::bytea), 10 from generate_series(1, 1200) n returning id),"
                  " r as (insert into repositories (registry_id, name) values ($1, 'a')"
                  " returning id),"
                  " rb as (insert into repository_blobs (repository_id, blob_id)"
                  " select r.id, b.id from r, b),"
                  " m as (insert into manifests (repository_id, digest, media_type, payload,"
                  " image_size, clock, origin) select r.id, sha256('m'), 't', 'p', 1, 1, 'o' from r"
                  " returning id, repository_id)"
                  " insert into tags (repository_id, name, manifest_id, clock, origin)"
                  " select m.repository_id, 'latest', m.id, 1, 'o' from m", "uuid" },
    [OLD] = { "t_old", "update registries set published_at = now() - interval '1 hour'", "" },
    [CREDENTIALS] = { "t_credentials",
                      "select username, password_name, hash, permissions::text from credentials"
                      " order by password_name", "" },
};

static void must(int rc, const struct error *err)
{
    if (rc < 0)
        fail_msg("%s (%s)", err->message, err->cause);
}

struct query {
    int stmt;
    const struct pg_arg *args;
    size_t count;
    struct pg_result *result;
};

static int run_query(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;

    return pg_run(conn, a, &stmts[q->stmt], q->args, q->count, &q->result, err);
}

static struct pg_result *ask(struct fixture *f, struct pg_pool *db, int stmt)
{
    struct query q = { .stmt = stmt };

    must(pg_with(db, f->a, run_query, &q, &f->err), &f->err);
    return q.result;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->a = arena_new();
    f->region = region_find(control.regions, "eastus");
    watch_init(&f->watch);
    memset(&fake, 0, sizeof(fake));
    (void)ask(f, control.db, CLEAN_CONTROL);
    (void)ask(f, f->region->db, CLEAN_REGION);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    watch_done(&f->watch);
    arena_free(f->a);
    free(f);
    return 0;
}

struct writing {
    struct resource *r;
    int how; /* 0 insert, 1 update, 2 delete */
};

static int write_resource(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct writing *w = ctx;
    int rc = w->how == 0   ? resource_insert(conn, a, w->r, true, err)
             : w->how == 1 ? resource_update(conn, a, w->r, true, err)
                           : resource_start_delete(conn, a, w->r->uid, err);

    return rc < 0 ? -1 : work_notify(conn, a, err);
}

static void write_it(struct fixture *f, struct resource *r, int how)
{
    struct writing w = { .r = r, .how = how };

    must(pg_transact(control.db, f->a, write_resource, &w, &f->err), &f->err);
}

static struct resource *registry(struct fixture *f, const char *body)
{
    struct resource *r = ARENA_NEW(f->a, struct resource);
    char uid[UUID_TEXT_LEN + 1];

    uuid_new(uid);
    r->uid = arena_strdup(f->a, uid);
    r->subscription_id = pg_get_text(ask(f, control.db, SUBSCRIPTION), 0, 0);
    r->name = "MyRegistry";
    r->id = arena_printf(f->a, "/subscriptions/%s/resourceGroups/g/providers/Microsoft."
                               "ContainerRegistry/registries/MyRegistry", r->subscription_id);
    r->key = text_lower(f->a, r->id);
    r->type_key = TYPE_KEY;
    r->group_key = "g";
    r->location = "eastus";
    r->global_name = "myregistry";
    must(json_parse(body, strlen(body), 65536, JSON_STRICT, &r->body, &f->err), &f->err);
    json_own(f->a, r->body);
    return r;
}

#define PREMIUM                                                                                    \
    "{\"sku\":{\"name\":\"Premium\"},\"properties\":{\"adminUserEnabled\":true,"                  \
    "\"dataEndpointEnabled\":true}}"

static int pass(struct fixture *f)
{
    int rc = pass_once(&control, f->a, &f->watch, type_keys, NULL, NULL, &f->err);

    must(rc, &f->err);
    return rc > 0;
}

struct looking {
    const char *uid;
    struct resource *r;
};

static int look(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct looking *l = ctx;
    int found = resource_by_uid(conn, a, l->uid, false, &l->r, err);

    if (found == 0)
        l->r = NULL;
    return found < 0 ? -1 : 0;
}

static struct resource *stored(struct fixture *f, const char *uid)
{
    struct looking l = { .uid = uid };

    must(pg_with(control.db, f->a, look, &l, &f->err), &f->err);
    return l.r;
}

static void assert_nothing_left(struct fixture *f)
{
    assert_int_equal(pg_get_int(ask(f, control.db, LEFT), 0, 0), 0);
    assert_int_equal(pg_get_int(ask(f, f->region->db, LEFT_REGION), 0, 0), 0);
    assert_int_equal(count_notes(fake.services), 0);
    assert_int_equal(count_notes(fake.hosts), 0);
}

/* The tests ------------------------------------------------------------------------------------ */

static void test_life(void **state)
{
    struct fixture *f = *state;
    struct resource *r = registry(f, PREMIUM), *now;
    struct json_object *set;
    struct pg_result *row, *credentials;
    uint8_t *bytes;
    size_t len;
    char *blob;

    write_it(f, r, 0);
    assert_int_equal(pass(f), 1);
    assert_int_equal(pass(f), 0);
    now = stored(f, r->uid);
    assert_int_equal(now->state, STATE_SUCCEEDED);
    assert_int_equal(now->observed_generation, 1);

    /* What is published is what data planes read. */
    row = ask(f, f->region->db, ROW);
    assert_int_equal(pg_rows(row), 1);
    must(json_parse(pg_get_text(row, 0, 1), strlen(pg_get_text(row, 0, 1)), 65536, JSON_STRICT,
                    &set, &f->err), &f->err);
    json_own(f->a, set);
    assert_string_equal(json_text(set, "name"), "MyRegistry");
    assert_string_equal(json_text(set, "sku"), "Premium");
    assert_true(json_bool(set, "adminUserEnabled", false));
    assert_string_equal(json_text(set, "tenantId"), control.tenant_id);
    assert_string_equal(json_text(set, "dataEndpointHost"), "myregistry.eastus.data.cr.test");
    assert_int_equal(json_count(json_at(set, "issuers")), 1);
    assert_true(json_count(json_at(set, "audiences")) >= 2);
    assert_string_equal(pg_get_text(row, 0, 4), "myregistry.cr.test:8443");
    assert_int_equal(pg_get_int(row, 0, 6), 1); /* the owner of the subscription */
    assert_true(pg_get_int(row, 0, 7) >= 1);
    must(secret_unwrap(f->a, &control.service_key,
                       arena_printf(f->a, "registry/%s/data-key", r->uid), pg_get_text(row, 0, 3),
                       &bytes, &len, &f->err), &f->err);
    assert_int_equal(len, 32);
    must(secret_unwrap(f->a, &control.service_key,
                       arena_printf(f->a, "registry/%s/signing-key", r->uid),
                       pg_get_text(row, 0, 2), &bytes, &len, &f->err), &f->err);
    struct token_key *key;
    must(token_key_parse((char *)bytes, &key, &f->err), &f->err);
    token_key_free(key);
    credentials = ask(f, f->region->db, CREDENTIALS);
    assert_int_equal(pg_rows(credentials), 2);
    assert_string_equal(pg_get_text(credentials, 0, 0), "MyRegistry");

    /* The service and its routes. */
    assert_int_equal(count_notes(fake.services), 1);
    assert_non_null(find_note(fake.services, registry_service_name(f->a, r->uid, "eastus")));
    assert_int_equal(count_notes(fake.hosts), 2);
    assert_non_null(find_note(fake.hosts, "myregistry.cr.test"));
    assert_non_null(find_note(fake.hosts, "myregistry.eastus.data.cr.test"));

    /* Observed again: nothing changes, so no data plane reloads. */
    (void)ask(f, control.db, NOW);
    assert_int_equal(pass(f), 1);
    row = ask(f, f->region->db, ROW);
    assert_int_equal(pg_get_int(row, 0, 0), 1);
    assert_int_equal(fake.restarts, 0);

    /* Everything goes, in bounded transactions, blobs included. */
    struct query content = { .stmt = CONTENT, .args = (struct pg_arg[]){ pg_text(r->uid) },
                             .count = 1 };
    must(pg_with(f->region->db, f->a, run_query, &content, &f->err), &f->err);
    blob = arena_printf(f->a, "%s/sha256", registry_blobs(f->a, f->region, r->uid));
    must(file_mkdirs(blob, 0700, &f->err), &f->err);
    write_it(f, r, 2);
    assert_int_equal(pass(f), 1);
    assert_null(stored(f, r->uid));
    assert_nothing_left(f);
    assert_false(file_exists(registry_blobs(f->a, f->region, r->uid)));
}

/* Only what changed is touched: no restart, one new generation. */
static void test_update(void **state)
{
    struct fixture *f = *state;
    struct resource *r = registry(f, PREMIUM);
    struct pg_result *row;

    write_it(f, r, 0);
    assert_int_equal(pass(f), 1);
    json_put_at(r->body, "properties.adminUserEnabled", json_new_bool(false));
    json_put_at(r->body, "properties.dataEndpointEnabled", json_new_bool(false));
    write_it(f, r, 1);
    assert_int_equal(stored(f, r->uid)->state, STATE_UPDATING);
    assert_int_equal(pass(f), 1);
    assert_int_equal(stored(f, r->uid)->state, STATE_SUCCEEDED);
    row = ask(f, f->region->db, ROW);
    assert_int_equal(pg_get_int(row, 0, 0), 2);
    assert_int_equal(pg_get_int(row, 0, 5), 2);
    assert_int_equal(pg_rows(ask(f, f->region->db, CREDENTIALS)), 0);
    assert_null(find_note(fake.hosts, "myregistry.eastus.data.cr.test"));
    assert_int_equal(fake.restarts, 0);
    /* A change that data planes need not know of moves no generation. */
    write_it(f, r, 1);
    assert_int_equal(pass(f), 1);
    row = ask(f, f->region->db, ROW);
    assert_int_equal(pg_get_int(row, 0, 0), 2);
    assert_int_equal(pg_get_int(row, 0, 5), 3);
}

/* A failure at every driver call of a create and of a delete, before and after its effect: the next
 * passes finish, and a delete leaves nothing. */
static void test_crash_everywhere(void **state)
{
    struct fixture *f = *state;
    int calls_of_life;

    write_it(f, registry(f, PREMIUM), 0);
    assert_int_equal(pass(f), 1);
    calls_of_life = fake.calls;
    for (int at = 1; at <= 2 * calls_of_life + 4; at++) {
        for (int after = 0; after < 2; after++) {
            struct resource *r;

            (void)ask(f, control.db, CLEAN_CONTROL);
            (void)ask(f, f->region->db, CLEAN_REGION);
            memset(&fake, 0, sizeof(fake));
            fake.fail_at = at;
            fake.is_after = after;
            r = registry(f, PREMIUM);
            write_it(f, r, 0);
            for (int i = 0; i < 3 && stored(f, r->uid)->state != STATE_SUCCEEDED; i++) {
                assert_int_equal(pass(f), 1);
                (void)ask(f, control.db, NOW);
            }
            assert_int_equal(stored(f, r->uid)->state, STATE_SUCCEEDED);
            assert_int_equal(count_notes(fake.services), 1);
            assert_int_equal(count_notes(fake.hosts), 2);
            write_it(f, r, 2);
            for (int i = 0; i < 3 && stored(f, r->uid); i++) {
                assert_int_equal(pass(f), 1);
                (void)ask(f, control.db, NOW);
            }
            assert_nothing_left(f);
        }
    }
}

/* A delete that comes before the create was worked on. */
static void test_delete_first(void **state)
{
    struct fixture *f = *state;
    struct resource *r = registry(f, PREMIUM);

    write_it(f, r, 0);
    write_it(f, r, 2);
    assert_int_equal(pass(f), 1);
    assert_nothing_left(f);
}

static void test_unknown_location_fails(void **state)
{
    struct fixture *f = *state;
    struct resource *r = registry(f, PREMIUM), *now;

    r->location = "nowhere";
    write_it(f, r, 0);
    assert_int_equal(pass(f), 1);
    now = stored(f, r->uid);
    assert_int_equal(now->state, STATE_FAILED);
    assert_string_equal(json_text(now->last_error, "code"), "BadRequest");
    assert_non_null(strstr(json_text(now->last_error, "message"), "nowhere"));
}

static void test_grants_changed(void **state)
{
    struct fixture *f = *state;
    struct resource *r = registry(f, PREMIUM);

    write_it(f, r, 0);
    assert_int_equal(pass(f), 1);
    assert_int_equal(pass(f), 0);
    must(publish_grants_changed(&control, f->a, "/subscriptions/other", &f->err), &f->err);
    assert_int_equal(pass(f), 0);
    must(publish_grants_changed(&control, f->a,
                                arena_printf(f->a, "/Subscriptions/%s/", r->subscription_id),
                                &f->err), &f->err);
    assert_int_equal(pass(f), 1);
}

static void test_sweep(void **state)
{
    struct fixture *f = *state;
    struct resource *r = registry(f, PREMIUM), *gone = registry(f, PREMIUM);
    char *orphan;

    write_it(f, r, 0);
    assert_int_equal(pass(f), 1);
    orphan = registry_service_name(f->a, gone->uid, "westus2");
    (void)put_note(fake.services, orphan, "x", &f->err);
    (void)put_note(fake.services, "dataplane-of-somebody-else", "x", &f->err);
    (void)put_note(fake.hosts, "orphan.cr.test", "x", &f->err);
    (void)put_note(fake.hosts, "foreign.example", "x", &f->err);
    (void)ask(f, f->region->db, OLD);
    must(sweep_orphans(&control, f->a, &f->err), &f->err);
    assert_null(find_note(fake.services, orphan));
    assert_null(find_note(fake.hosts, "orphan.cr.test"));
    assert_int_equal(count_notes(fake.services), 2);
    assert_int_equal(count_notes(fake.hosts), 3);
    assert_int_equal(pg_rows(ask(f, f->region->db, ROW)), 1);

    /* The row went without its undo: a restored database. */
    (void)ask(f, control.db, CLEAN_CONTROL);
    must(sweep_orphans(&control, f->a, &f->err), &f->err);
    assert_int_equal(pg_get_int(ask(f, f->region->db, LEFT_REGION), 0, 0), 0);
    assert_int_equal(count_notes(fake.services), 1);
    assert_int_equal(count_notes(fake.hosts), 1);
}

/* The whole loop: a registry is made and removed, a stop is clean. That a notification, and not the
 * sweep, did it is what the provisioning benchmark shows. */
static void test_loop(void **state)
{
    struct fixture *f = *state;
    struct resource *r = registry(f, PREMIUM);
    struct reconcile *loop;
    int64_t began;

    must(reconcile_start(&control, &loop, &f->err), &f->err);
    began = clock_mono_ms();
    write_it(f, r, 0);
    while (stored(f, r->uid)->state != STATE_SUCCEEDED && clock_mono_ms() - began < 30000)
        clock_sleep_ms(5);
    assert_int_equal(stored(f, r->uid)->state, STATE_SUCCEEDED);
    write_it(f, r, 2);
    while (stored(f, r->uid) && clock_mono_ms() - began < 60000)
        clock_sleep_ms(5);
    assert_nothing_left(f);
    assert_true(reconcile_stop(loop, 5000));
}

static void test_statements(void **state)
{
    struct fixture *f = *state;
    struct pg_conn *conn;

    must(pg_acquire(f->region->db, &conn, &f->err), &f->err);
    for (const struct pg_stmt *s = published_statements; s->name; s++)
        must(pg_describe(conn, s, &f->err), &f->err);
    for (const struct pg_stmt *s = published_many_statements; s->name; s++)
        must(pg_describe(conn, s, &f->err), &f->err);
    for (const struct pg_stmt *s = published_tokens_statements; s->name; s++)
        must(pg_describe(conn, s, &f->err), &f->err);
    for (const struct pg_stmt *s = published_imports_statements; s->name; s++)
        must(pg_describe(conn, s, &f->err), &f->err);
    pg_release(conn);
}

static int start_world(void **state)
{
    struct error err;

    (void)state;
    log_set_level(LOG_ERROR);
    forever = arena_new();
    (void)snprintf(dir, sizeof(dir), "/tmp/portolan-reconcile-XXXXXX");
    assert_non_null(mkdtemp(dir));
    server = test_postgres_new(NULL);
    settings = (struct control_settings){
        .state = dir,
        .control_db = arena_strdup(forever, test_postgres_conninfo(server, "portolan_control")),
        .region_db = arena_strdup(forever, test_postgres_conninfo(server, "portolan_{region}")),
        .region_blobs = arena_printf(forever, "%s/{region}", dir),
        .migrations = arena_strdup(forever, SOURCE_DIR "/migrations"),
        .domain = arena_strdup(forever, "test"),
        .port = 8443,
        .service_key_file = arena_printf(forever, "%s/service.key", dir),
        .edge_secret_file = arena_printf(forever, "%s/edge.secret", dir),
        .secrets_file = arena_printf(forever, "%s/secrets.env", dir),
        .regions = arena_strdup(forever, "eastus westus2"),
        .dataplane = arena_strdup(forever, "/bin/true"),
        .dataplane_ports = arena_strdup(forever, "34000-34999"),
        .supervisor = arena_strdup(forever, "s6"),
        .supervisor_dir = arena_printf(forever, "%s/s6", dir),
        .edge_dir = dir,
        .reconcilers = 3,
        .workers = 4,
        .log_level = arena_strdup(forever, "info"),
        .ready_fd = -1,
    };
    must(control_open(&settings, true, &control, &err), &err);
    control.supervisor = &fake_supervisor;
    control.edge = &fake_edge;
    must(control_init(&control, &err), &err);
    must(control_init(&control, &err), &err); /* again without harm */
    must(control_connect(&control, &err), &err);
    type_keys = pass_type_keys(forever);
    return 0;
}

static int stop_world(void **state)
{
    struct error err;

    (void)state;
    control_close(&control);
    test_postgres_free(server);
    must(file_remove_tree(dir, &err), &err);
    arena_free(forever);
    return 0;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_statements),
        TEST(test_life),
        TEST(test_update),
        TEST(test_crash_everywhere),
        TEST(test_delete_first),
        TEST(test_unknown_location_fails),
        TEST(test_grants_changed),
        TEST(test_sweep),
        TEST(test_loop),
    };

    return cmocka_run_group_tests(tests, start_world, stop_world);
}
