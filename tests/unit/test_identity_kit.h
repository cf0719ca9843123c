/* Two copies of the control plane over one database, their login host and a small management host,
 * and a client for both: what test_identity.c stands on. */
#ifndef PORTOLAN_UNIT_TEST_IDENTITY_KIT_H
#define PORTOLAN_UNIT_TEST_IDENTITY_KIT_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/client/client.h"
#include "common/crypto/digest.h"
#include "common/crypto/token.h"
#include "common/http/server.h"
#include "common/json/json.h"
#include "common/network/throttle.h"
#include "common/pg/migrate.h"
#include "common/pg/pg.h"
#include "tests/support/postgres.h"

#include "controlplane/control.h"
#include "controlplane/identity/access.h"
#include "controlplane/identity/directory.h"
#include "controlplane/identity/identity.h"
#include "controlplane/identity/roles.h"
#include "controlplane/identity/signing_keys.h"
#include "controlplane/store/identity.h"

/* Last: it defines a macro named fail. */
#include <cmocka.h>

#define LOGIN      "https://login.portolan.test:8443"
#define MANAGEMENT "https://management.portolan.test:8443"

static struct test_postgres *server;
static char folder[] = "/tmp/test_identity.XXXXXX";

/* One copy of the control plane. */
struct copy {
    struct control control;
    struct control_settings settings;
};

static struct error err; /* of the test's own thread */
static struct copy one, two;
static struct arena *a;
static struct http_server *login_server, *api_server;
static struct client *client;
static const char *tenant, *subscription, *app_id, *object_id, *secret;

#define must(call)                                                                                 \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s (%s)", #call, err.message, err.cause);                                \
    } while (0)

static int run_sql(struct pg_conn *conn, struct arena *arena, void *ctx, struct error *ret_err)
{
    return PG_RUN0(conn, arena, (const struct pg_stmt *)ctx, NULL, ret_err);
}

/* Each text is one statement of its own, prepared under its own name. */
static void sql(const char *text)
{
    static int number;
    struct pg_stmt *stmt = ARENA_NEW(a, struct pg_stmt);
    *stmt = (struct pg_stmt){ arena_printf(a, "test_%d", number++), text, "" };
    must(pg_with(one.control.db, a, run_sql, stmt, &err));
}

static void copy_open(struct copy *c, const struct service_key *key)
{
    c->settings.domain = "portolan.test";
    c->settings.port = 8443;
    c->settings.secrets_file = arena_printf(a, "%s/secrets.env", folder);
    const struct pg_pool_config config = { .conninfo = test_postgres_conninfo(server, "control"),
                                           .application = "test_identity",
                                           .max = 4 };
    c->control = (struct control){ .settings = &c->settings,
                                   .db = pg_pool_new(&config),
                                   .service_key = *key,
                                   .management_url = MANAGEMENT,
                                   .login_url = LOGIN,
                                   .graph_url = "https://graph.portolan.test:8443" };
}

static void who(struct http_request *req)
{
    struct caller caller;
    struct error failure;
    const char *challenge = NULL;
    struct json_object *body = json_new_object();
    int status = 200;
    if (identity_authenticate(req->app, req, &caller, &challenge, &failure) == 0) {
        json_set_text(body, "oid", caller.object_id);
        json_set_text(body, "tid", caller.tenant_id);
        json_set_text(body, "appid", caller.app_id);
        json_set_text(body, "name", caller.name);
        json_set_text(body, "kind", caller.kind);
    } else {
        status = failure.code->status;
        json_set_text(body, "code", failure.code->name);
        if (challenge)
            http_reply_header(req, "WWW-Authenticate", challenge);
    }
    size_t len = 0;
    char *text = json_print_len(req->arena, body, &len);
    json_put(body);
    http_reply_bytes(req, status, "application/json", text, len);
}

static void api_missing(struct http_request *req, bool is_method_wrong)
{
    (void)is_method_wrong;
    http_reply_empty(req, 404);
}

static void api_fault(struct http_request *req, const struct error *failure)
{
    http_reply_empty(req, failure->code->status);
}

static const struct http_route api_routes[] = {
    { .method = "GET", .pattern = "/who", .body = HTTP_BODY_NONE, .run = who },
    { 0 },
};

static void *init_copy(void *arg)
{
    struct error failure;
    return directory_init(arg, &failure) == 0 ? arg : NULL;
}

static void read_secrets_file(void)
{
    char *text = NULL, **rows = NULL;
    size_t len = 0;
    must(file_read(a, one.settings.secrets_file, 65536, &text, &len, &err));
    size_t count = text_split(a, text, '\n', &rows);
    for (size_t i = 0; i < count; i++) {
        char *sign = strchr(rows[i], '=');
        if (!sign)
            continue;
        *sign = '\0';
        if (text_eq(rows[i], "AZURE_TENANT_ID"))
            tenant = sign + 1;
        else if (text_eq(rows[i], "AZURE_SUBSCRIPTION_ID"))
            subscription = sign + 1;
        else if (text_eq(rows[i], "AZURE_CLIENT_ID"))
            app_id = sign + 1;
        else if (text_eq(rows[i], "AZURE_CLIENT_SECRET"))
            secret = sign + 1;
        else if (text_eq(rows[i], "PORTOLAN_CLIENT_OBJECT_ID"))
            object_id = sign + 1;
    }
    assert_true(tenant && subscription && app_id && secret && object_id);
}

static int set_up(void **state)
{
    (void)state;
    log_set_level(LOG_ERROR);
    a = arena_new();
    server = test_postgres_new(NULL);
    assert_non_null(mkdtemp(folder));
    int applied = 0;
    must(pg_migrate(test_postgres_conninfo(server, "control"), SOURCE_DIR "/migrations/control",
                    &applied, &err));
    struct service_key key;
    random_bytes(key.bytes, sizeof(key.bytes));
    copy_open(&one, &key);
    copy_open(&two, &key);

    /* Both copies start at once, on one state directory. */
    pthread_t threads[2];
    void *results[2];
    assert_int_equal(pthread_create(&threads[0], NULL, init_copy, &one.control), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, init_copy, &two.control), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &results[i]), 0);
        assert_non_null(results[i]);
    }
    read_secrets_file();
    must(directory_open(&one.control, &one.control.directory, &err));
    must(directory_open(&two.control, &two.control.directory, &err));

    const struct http_server_config listen = { .listen = "127.0.0.1:0" };
    static struct http_app login_app, api_app;
    identity_app(&one.control, &login_app);
    must(http_server_start(&listen, &login_app, &login_server, &err));
    api_app = (struct http_app){
        .routes = api_routes, .missing = api_missing, .fault = api_fault, .ctx = &one.control
    };
    must(http_server_start(&listen, &api_app, &api_server, &err));
    const struct client_config config = { .reach = CLIENT_OWN };
    must(client_new(&config, &client, &err));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    client_free(client);
    http_server_stop(login_server, 1000);
    http_server_stop(api_server, 1000);
    directory_close(one.control.directory);
    directory_close(two.control.directory);
    assert_null(one.control.tenant_id);
    pg_pool_free(one.control.db);
    pg_pool_free(two.control.db);
    test_postgres_free(server);
    must(file_remove_tree(folder, &err));
    arena_free(a);
    return 0;
}

/* Sends to the login server; the body as JSON in the arena. */
static int call(const char *method, const char *path, const char *const *headers, const char *body,
                struct client_response *ret, struct json_object **ret_json)
{
    const struct client_request request = {
        .method = method,
        .url = arena_printf(a, "http://127.0.0.1:%d%s", http_server_port(login_server), path),
        .headers = headers,
        .body = body,
        .body_len = body ? strlen(body) : 0,
    };
    must(client_send(client, a, &request, ret, &err));
    struct json_object *json = NULL;
    must(json_parse_object(ret->body, ret->body_len, 1 << 20, &json, &err));
    *ret_json = json_own(a, json);
    return ret->status;
}

static int post_form(const char *path, const char *form, struct json_object **ret)
{
    static const char *const headers[] = { "Content-Type: application/x-www-form-urlencoded",
                                           NULL };
    struct client_response r;
    return call("POST", path, headers, form, &r, ret);
}

static char *good_form(const char *audience)
{
    return arena_printf(a, "grant_type=client_credentials&client_id=%s&client_secret=%s&scope=%s",
                        app_id, secret, text_percent_encode(a, audience));
}

static const char *new_token(const char *audience)
{
    struct json_object *json = NULL;
    char *form = good_form(arena_printf(a, "%s/.default", audience));
    if (post_form("/common/oauth2/v2.0/token", form, &json) != 200)
        fail_msg("%s", json_print(a, json));
    return json_text(json, "access_token");
}

/* Status of GET /who; *ret_code is the error's name or the object id. */
static int ask_who(const char *authorization, const char **ret_code, const char **ret_challenge)
{
    const char *headers[] = { authorization ? arena_printf(a, "Authorization: %s", authorization)
                                            : NULL,
                              NULL };
    const struct client_request request = {
        .url = arena_printf(a, "http://127.0.0.1:%d/who", http_server_port(api_server)),
        .headers = headers,
    };
    struct client_response r;
    must(client_send(client, a, &request, &r, &err));
    struct json_object *json = NULL;
    must(json_parse_object(r.body, r.body_len, 65536, &json, &err));
    json_own(a, json);
    *ret_code = json_text(json, r.status == 200 ? "oid" : "code");
    *ret_challenge = client_header(&r, "www-authenticate");
    return r.status;
}

#endif
