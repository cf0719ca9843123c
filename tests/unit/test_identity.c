/* The directory against a real database and over real HTTP: first start, sign-in in every style and
 * with every mistake, what the management API makes of a token, who may do what, key rotation, and
 * two copies working on one database. */
/* links: portolan_control portolan_test_support */
#include "tests/unit/test_identity_kit.h"

static void first_start(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(stat(one.settings.secrets_file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_string_equal(one.control.tenant_id, tenant);
    assert_string_equal(two.control.tenant_id, tenant);
    must(directory_init(&one.control, &err)); /* again: nothing changes */

    struct directory_key_row *x = NULL, *y = NULL;
    size_t x_count = 0, y_count = 0;
    must(directory_public_keys(&one.control, a, &x, &x_count, &err));
    must(directory_public_keys(&two.control, a, &y, &y_count, &err));
    assert_int_equal(x_count, 1);
    assert_int_equal(y_count, 1);
    assert_string_equal(x[0].kid, y[0].kid);

    /* The file of another installation is refused; without a file there is nothing to do. */
    struct copy other = two;
    other.settings.secrets_file = arena_printf(a, "%s/other.env", folder);
    other.control.settings = &other.settings;
    must(directory_init(&other.control, &err));
    assert_false(file_exists(other.settings.secrets_file));
    static const char ids[] = "AZURE_TENANT_ID=11111111-1111-1111-1111-111111111111\n"
                              "AZURE_SUBSCRIPTION_ID=11111111-1111-1111-1111-111111111112\n"
                              "AZURE_CLIENT_ID=11111111-1111-1111-1111-111111111113\n"
                              "PORTOLAN_CLIENT_OBJECT_ID=11111111-1111-1111-1111-111111111114\n"
                              "AZURE_CLIENT_SECRET=x\n";
    must(file_replace(other.settings.secrets_file, ids, strlen(ids), 0600, &err));
    assert_int_equal(directory_init(&other.control, &err), -1);
    assert_non_null(strstr(err.cause, "another installation"));
    must(file_replace(other.settings.secrets_file, ids, strlen(ids) / 2, 0600, &err));
    assert_int_equal(directory_init(&other.control, &err), -1);
    assert_null(strstr(err.message, folder));
}

static void configuration(void **state)
{
    (void)state;
    const struct {
        const char *path, *base;
        const char *v2;
    } cases[] = {
        { "/adfs/.well-known/openid-configuration", LOGIN "/adfs", "" },
        { "/common/v2.0/.well-known/openid-configuration", LOGIN "/common", "/v2.0" },
        { arena_printf(a, "/%s/v2.0/.well-known/openid-configuration", tenant),
          arena_printf(a, LOGIN "/%s", tenant), "/v2.0" },
        { arena_printf(a, "/dstsv2/%s/.well-known/openid-configuration", tenant),
          arena_printf(a, LOGIN "/dstsv2/%s", tenant), "" },
        { "/Portolan.Test/.well-known/openid-configuration", arena_printf(a, LOGIN "/%s", tenant),
          "" },
    };
    static const char *const evil[] = { "Host: evil.example", NULL };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client_response r;
        struct json_object *json = NULL;
        assert_int_equal(call("GET", cases[i].path, evil, NULL, &r, &json), 200);
        assert_null(strstr(r.body, "evil"));
        assert_string_equal(json_text(json, "issuer"), arena_printf(a, LOGIN "/%s", tenant));
        assert_string_equal(json_text(json, "token_endpoint"),
                            arena_printf(a, "%s/oauth2%s/token", cases[i].base, cases[i].v2));
        assert_string_equal(json_text(json, "jwks_uri"),
                            arena_printf(a, "%s/discovery%s/keys", cases[i].base, cases[i].v2));
        assert_non_null(json_text(json, "authorization_endpoint"));
        const char *keys = json_text(json, "jwks_uri") + strlen(LOGIN);
        assert_int_equal(call("GET", keys, NULL, NULL, &r, &json), 200);
        assert_true(json_count(json_at(json, "keys")) >= 1);
        assert_null(strstr(r.body, "\"d\""));
    }
    struct client_response r;
    struct json_object *json = NULL;
    assert_int_equal(call("GET", "/common/discovery/instance", evil, NULL, &r, &json), 200);
    assert_null(strstr(r.body, "evil"));
}

static void wrong_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        int status;
        int number;
    } cases[] = {
        { "GET", "/11111111-1111-1111-1111-111111111119/.well-known/openid-configuration", 400,
          90002 },
        { "GET", "/nobody.example/.well-known/openid-configuration", 400, 90002 },
        { "GET", "/nowhere", 404, 900561 },
        { "POST", "/nowhere", 404, 900561 },
        { "GET", "/common/oauth2/v2.0/token", 405, 900561 },
        { "POST", "/common/v2.0/.well-known/openid-configuration", 405, 900561 },
        { "DELETE", "/common/oauth2/v2.0/token", 405, 900561 },
        { "GET", "/common/oauth2/v2.0/devicecode", 405, 900561 },
        { "POST", "/common/oauth2/v2.0/devicecode", 400, 900144 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client_response r;
        struct json_object *json = NULL;
        int status = call(cases[i].method, cases[i].path, NULL, NULL, &r, &json);
        struct json_object *codes = json_at(json, "error_codes");
        if (status != cases[i].status || json_int(json_item(codes, 0), "", 0) != cases[i].number)
            fail_msg("%s %s: %d %s", cases[i].method, cases[i].path, status, r.body);
    }
}

static void sign_in(void **state)
{
    (void)state;
    const char *paths[] = {
        "/oauth2/token",
        "/adfs/oauth2/token",
        "/organizations/oauth2/v2.0/token",
        arena_printf(a, "/%s/oauth2/v2.0/token", tenant),
        arena_printf(a, "/adfs/%s/oauth2/v2.0/token", tenant),
        arena_printf(a, "/dstsv2/%s/oauth2/token", tenant),
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct json_object *json = NULL;
        assert_int_equal(post_form(paths[i], good_form(MANAGEMENT "/.default"), &json), 200);
        assert_string_equal(json_text(json, "token_type"), "Bearer");
        assert_int_equal(json_int(json, "expires_in", 0), 3599);
    }
    static const struct {
        const char *asked, *audience;
    } audiences[] = {
        { MANAGEMENT "//.default", MANAGEMENT },
        { MANAGEMENT "/.default openid profile offline_access", MANAGEMENT },
        { "https://management.azure.com//.default", MANAGEMENT },
        { "https://containerregistry.azure.net/.default", "https://containerregistry.azure.net" },
        { "https://graph.portolan.test:8443/.default", "https://graph.portolan.test:8443" },
        { "https://vault.portolan.test/.default", "https://vault.portolan.test" },
    };
    struct key_set *set = NULL;
    must(key_ring_get(one.control.directory->keys, a, NULL, &set, &err));
    const struct token_key **keys = NULL;
    struct token_policy policy = { .key_count = key_set_verifiers(set, a, clock_wall_us(), &keys) };
    policy.keys = keys;
    for (size_t i = 0; i < ARRAY_LEN(audiences); i++) {
        struct json_object *json = NULL, *claims = NULL;
        assert_int_equal(post_form("/oauth2/v2.0/token", good_form(audiences[i].asked), &json),
                         200);
        must(token_verify(a, &policy, json_text(json, "access_token"), &claims, &err));
        assert_string_equal(json_text(claims, "aud"), audiences[i].audience);
        assert_string_equal(json_text(claims, "iss"), arena_printf(a, LOGIN "/%s", tenant));
        assert_string_equal(json_text(claims, "tid"), tenant);
        assert_string_equal(json_text(claims, "oid"), object_id);
        assert_string_equal(json_text(claims, "sub"), object_id);
        assert_string_equal(json_text(claims, "appid"), app_id);
        assert_string_equal(json_text(claims, "idtyp"), "app");
        assert_int_equal(json_int(claims, "exp", 0) - json_int(claims, "iat", 0), 3600);
    }
    key_ring_put(one.control.directory->keys, set);

    /* v1: `resource`, and the credential by HTTP Basic. */
    char *pair = arena_printf(a, "%s:%s", app_id, secret);
    const char *basic[] = {
        arena_printf(a, "Authorization: Basic %s", text_base64(a, pair, strlen(pair))),
        "Content-Type: application/x-www-form-urlencoded; charset=utf-8", NULL
    };
    struct client_response r;
    struct json_object *json = NULL;
    assert_int_equal(call("POST", "/oauth2/token", basic,
                          "grant_type=client_credentials&resource=" MANAGEMENT "%2f", &r, &json),
                     200);
    assert_string_equal(json_text(json, "resource"), MANAGEMENT "/");
    assert_non_null(json_text(json, "expires_on"));
    assert_string_equal(client_header(&r, "cache-control"), "no-store");
}

static void mistakes(void **state)
{
    (void)state;
    const struct {
        const char *form;
        int status;
        const char *error;
        int number;
    } cases[] = {
        { "", 400, "invalid_request", 900144 },
        { "grant_type=", 400, "invalid_request", 900144 },
        { "grant_type=implicit&username=a&password=b", 400, "unsupported_grant_type", 70003 },
        { "grant_type=password&username=a&password=b", 400, "invalid_request", 900144 },
        { "grant_type=refresh_token&refresh_token=a&client_id="
          "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
          400, "invalid_grant", 70008 },
        { "grant_type=client_credentials", 400, "invalid_request", 900144 },
        { arena_printf(a, "grant_type=client_credentials&client_id=%s", app_id), 401,
          "invalid_client", 7000218 },
        { arena_printf(a, "grant_type=client_credentials&client_id=%s&client_assertion=x&scope="
                          MANAGEMENT "/.default", app_id),
          401, "invalid_client", 700027 },
        { arena_printf(a, "grant_type=client_credentials&client_id=%s&client_secret=%s", app_id,
                       secret),
          400, "invalid_request", 900144 },
        { good_form(MANAGEMENT), 400, "invalid_scope", 70011 },
        { good_form("/.default"), 400, "invalid_scope", 70011 },
        { good_form("https://evil.example/.default"), 400, "invalid_resource", 500011 },
        { good_form(MANAGEMENT "/.default https://containerregistry.azure.net/.default"), 400,
          "invalid_scope", 70011 },
        { good_form(MANAGEMENT ".evil.example/.default"), 400, "invalid_resource", 500011 },
        { arena_printf(a, "%s&client_secret=x", good_form(MANAGEMENT "/.default")), 400,
          "invalid_request", 900144 },
        { arena_printf(
              a,
              "grant_type=client_credentials&client_id=%s&client_secret=wrong&scope=" MANAGEMENT
              "/.default",
              app_id),
          401, "invalid_client", 7000215 },
        { arena_printf(
              a,
              "grant_type=client_credentials&client_id=%s&client_secret=%s&scope=" MANAGEMENT
              "/.default",
              tenant, secret),
          400, "unauthorized_client", 700016 },
        { "grant_type=client_credentials&client_id='--&client_secret=x&scope=" MANAGEMENT
          "/.default",
          400, "unauthorized_client", 700016 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_object *json = NULL;
        int status = post_form("/oauth2/v2.0/token", cases[i].form, &json);
        struct json_object *codes = json_at(json, "error_codes");
        if (status != cases[i].status || !text_eq(json_text(json, "error"), cases[i].error) ||
            json_int(json_item(codes, 0), "", 0) != cases[i].number)
            fail_msg("%s: %d %s", cases[i].form, status, json_print(a, json));
        assert_null(strstr(json_print(a, json), secret));
        assert_true(uuid_is_valid(json_text(json, "trace_id")));
    }
    struct client_response r;
    struct json_object *json = NULL;
    static const char *const type[] = { "Content-Type: application/json", NULL };
    assert_int_equal(
        call("POST", "/oauth2/token", type, good_form(MANAGEMENT "/.default"), &r, &json), 400);
    char *huge = arena_alloc(a, 100001);
    memset(huge, 'x', 100000);
    assert_int_equal(post_form("/oauth2/token", huge, &json), 413);
    static const char *const bad_basic[] = { "Authorization: Basic !!!",
                                             "Content-Type: application/x-www-form-urlencoded",
                                             NULL };
    assert_int_equal(
        call("POST", "/oauth2/token", bad_basic, "grant_type=client_credentials", &r, &json), 401);
    assert_non_null(client_header(&r, "www-authenticate"));
}

static void bearer(void **state)
{
    (void)state;
    const char *code = NULL, *challenge = NULL, *good = new_token(MANAGEMENT);
    char *header = arena_printf(a, "Bearer %s", good);
    for (int i = 0; i < 3; i++) { /* the first is verified, the others are remembered */
        assert_int_equal(ask_who(header, &code, &challenge), 200);
        assert_string_equal(code, object_id);
    }
    char *tampered = arena_strdup(a, header);
    tampered[strlen(tampered) - 20] ^= 1;
    const struct {
        const char *authorization, *code;
    } cases[] = {
        { NULL, "AuthenticationFailed" },
        { "", "AuthenticationFailed" },
        { "Basic eDp5", "AuthenticationFailed" },
        { good, "AuthenticationFailed" },
        { "Bearer x", "InvalidAuthenticationToken" },
        { "Bearer ....", "InvalidAuthenticationToken" },
        { tampered, "InvalidAuthenticationToken" },
        { arena_printf(a, "%s.", header), "InvalidAuthenticationToken" },
        { arena_printf(a, "Bearer %s", new_token("https://containerregistry.azure.net")),
          "InvalidAuthenticationToken" },
        { arena_printf(a, "Bearer %s", new_token("https://vault.portolan.test")),
          "InvalidAuthenticationToken" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int status = ask_who(cases[i].authorization, &code, &challenge);
        if (status != 401 || !text_eq(code, cases[i].code))
            fail_msg("case %zu: %d %s", i, status, code);
        assert_non_null(challenge);
        assert_true(text_starts(challenge, "Bearer authorization_uri=\"" LOGIN "/"));
    }
    assert_int_equal(ask_who(arena_printf(a, "bearer  %s", good), &code, &challenge), 200);
}

/* Signed with the directory's own key, but saying something it never says. */
static void odd_claims(void **state)
{
    (void)state;
    struct key_set *set = NULL;
    must(key_ring_get(one.control.directory->keys, a, NULL, &set, &err));
    const struct token_key *key = key_set_signer(set, clock_wall_us());
    int64_t now_s = clock_wall_s();
    const char *issuer = arena_printf(a, LOGIN "/%s", tenant);
    const struct {
        const char *iss, *tid, *oid;
        int64_t exp;
        const char *code;
    } cases[] = {
        { issuer, tenant, object_id, now_s + 60, NULL },
        { issuer, tenant, object_id, now_s - 1, "ExpiredAuthenticationToken" },
        { LOGIN, tenant, object_id, now_s + 60, "InvalidAuthenticationToken" },
        { issuer, subscription, object_id, now_s + 60, "InvalidAuthenticationToken" },
        { arena_printf(a, LOGIN "/%s", subscription), subscription, object_id, now_s + 60,
          "AuthenticationFailed" },
        { issuer, tenant, "x", now_s + 60, "InvalidAuthenticationToken" },
        { issuer, tenant, NULL, now_s + 60, "InvalidAuthenticationToken" },
        { issuer, tenant, subscription, now_s + 60, "AuthenticationFailed" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_object *claims = json_own(a, json_new_object());
        json_set_text(claims, "aud", MANAGEMENT);
        json_set_text(claims, "iss", cases[i].iss);
        json_set_text(claims, "tid", cases[i].tid);
        json_set_text(claims, "oid", cases[i].oid);
        json_set_int(claims, "exp", cases[i].exp);
        char *token = NULL;
        const char *code = NULL, *challenge = NULL;
        must(token_sign(a, key, json_print(a, claims), &token, &err));
        int status = ask_who(arena_printf(a, "Bearer %s", token), &code, &challenge);
        if (status != (cases[i].code ? 401 : 200) ||
            (cases[i].code && !text_eq(code, cases[i].code)))
            fail_msg("case %zu: %d %s", i, status, code);
    }
    key_ring_put(one.control.directory->keys, set);
}

/* A service principal of its own, with assignments given as (role, scope, condition) rows. */
static const char *new_principal(void)
{
    char id[37], app[37];
    uuid_new(id);
    uuid_new(app);
    sql(arena_printf(a,
                     "insert into principals (object_id, tenant_id, kind, app_id, display_name)"
                     " values ('%s', '%s', 'ServicePrincipal', '%s', 'test')",
                     id, tenant, app));
    return arena_strdup(a, id);
}

static void assign(const char *principal, const char *role, const char *scope,
                   const char *condition)
{
    char id[37];
    uuid_new(id);
    sql(arena_printf(a,
                     "insert into role_assignments (id, scope, scope_key, tenant_id,"
                     " role_definition_id, principal_id, principal_type, condition, created_by,"
                     " updated_by) values ('%s', '%s', rtrim(lower('%s'), '/'), '%s', '%s', '%s',"
                     " 'ServicePrincipal', %s, 'test', 'test')",
                     id, scope, scope, tenant, role_find_name(role)->id, principal,
                     condition ? arena_printf(a, "'%s'", condition) : "null"));
}

static int allowed(const char *principal, const char *action, const char *scope)
{
    const struct caller caller = { .tenant_id = tenant, .object_id = principal, .name = "test" };
    if (access_check(&one.control, a, &caller, action, scope, &err) == 0)
        return 1;
    assert_ptr_equal(err.code, &E_AUTHORIZATION_FAILED);
    assert_non_null(strstr(err.message, principal));
    return 0;
}

#define READ  "Microsoft.ContainerRegistry/registries/read"
#define WRITE "Microsoft.ContainerRegistry/registries/write"

static void inheritance(void **state)
{
    (void)state;
    char *sub = arena_printf(a, "/subscriptions/%s", subscription);
    char *group = arena_printf(a, "%s/resourceGroups/Team", sub);
    char *registry =
        arena_printf(a, "%s/providers/Microsoft.ContainerRegistry/registries/Reg", group);
    const char *foreign = "/subscriptions/99999999-9999-9999-9999-999999999999";

    const char *nobody = new_principal(), *reader = new_principal(), *root = new_principal();
    const char *conditional = new_principal(), *puller = new_principal();
    assign(reader, "Reader", group, NULL);
    assign(root, "Owner", "/", NULL);
    assign(conditional, "Owner", sub, "@Request[x] StringEquals ''y''");
    assign(puller, "AcrPull", registry, NULL);
    const struct {
        const char *principal, *action, *scope;
        int want;
    } cases[] = {
        { object_id, WRITE, registry, 1 },
        { object_id, "Microsoft.Authorization/roleAssignments/write", sub, 1 },
        { object_id, READ, "/", 1 }, /* the first one has the directory too */
        { object_id, READ, foreign, 0 },
        { nobody, READ, registry, 0 },
        { reader, READ, registry, 1 },
        { reader, READ, text_lower(a, registry), 1 },
        { reader, READ, arena_printf(a, "%s/", group), 1 },
        { reader, WRITE, registry, 0 },
        { reader, READ, sub, 0 },
        { reader, READ, arena_printf(a, "%s2", group), 0 }, /* Team2 is not in Team */
        { reader, READ, arena_printf(a, "%s/resourceGroups/Tea", sub), 0 },
        { root, WRITE, registry, 1 },
        { root, WRITE, "/", 1 },
        { root, WRITE, foreign, 0 }, /* another tenant's subscription */
        { root, WRITE, arena_printf(a, "%s0", sub), 0 },
        { conditional, READ, registry, 0 },
        { puller, "Microsoft.ContainerRegistry/registries/pull/read", registry, 1 },
        { puller, READ, registry, 0 },
        { "99999999-9999-9999-9999-999999999999", READ, registry, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (allowed(cases[i].principal, cases[i].action, cases[i].scope) != cases[i].want)
            fail_msg("case %zu: %s over %s", i, cases[i].action, cases[i].scope);
    }
    struct caller caller = { .tenant_id = tenant, .object_id = puller };
    assert_int_equal(access_any(&one.control, a, &caller, sub, &err), 1);
    assert_int_equal(access_any(&one.control, a, &caller, foreign, &err), 0);
    caller.object_id = nobody;
    assert_int_equal(access_any(&one.control, a, &caller, sub, &err), 0);
    caller = (struct caller){ .tenant_id = subscription, .object_id = object_id };
    assert_int_equal(access_any(&one.control, a, &caller, sub, &err), 0);

    /* Of several: each its own, and the list of the one before where the same holds. */
    const char *const several[] = { registry, arena_printf(a, "%s2", registry),
                                    arena_printf(a, "%s3", registry),
                                    arena_printf(a, "%s2/x/y", group) };
    struct json_object *lists[4], *grants = NULL;
    must(access_grants(&one.control, a, several, 4, lists, &err));
    assert_int_equal(json_count(lists[1]), 5); /* but for puller */
    assert_ptr_equal(lists[2], lists[1]);
    assert_int_equal(json_count(lists[3]), 4); /* nor reader */
    grants = lists[0];
    size_t pulls = 0, conditions = 0;
    for (size_t i = 0; i < json_count(grants); i++) {
        struct json_object *grant = json_item(grants, i);
        const char *id = json_text(grant, "principal_id");
        assert_string_not_equal(id, nobody);
        pulls += text_eq(id, puller);
        conditions += json_has(grant, "condition");
        assert_int_equal(json_kind(json_at(grant, "notDataActions")), JSON_ARRAY);
    }
    assert_int_equal(json_count(grants), 6); /* admin twice, reader, root, conditional, puller */
    assert_int_equal(pulls, 1);
    assert_int_equal(conditions, 1);
    const char *const elsewhere[] = { registry, arena_printf(a, "%s/x", foreign), "/nowhere" };
    assert_int_equal(access_grants(&one.control, a, elsewhere, 2, lists, &err), -1);
    assert_int_equal(access_grants(&one.control, a, &elsewhere[2], 1, lists, &err), -1);
}

static void changes_hold_within_a_second(void **state)
{
    (void)state;
    char *sub = arena_printf(a, "/subscriptions/%s", subscription);
    const char *principal = new_principal();
    assert_int_equal(allowed(principal, READ, sub), 0);
    assign(principal, "Reader", sub, NULL);
    clock_sleep_ms(ACCESS_FRESH_MS + 20);
    assert_int_equal(allowed(principal, READ, sub), 1);
    sql(arena_printf(a, "update principals set is_enabled = false where object_id = '%s'",
                     principal));
    clock_sleep_ms(ACCESS_FRESH_MS + 20);
    assert_int_equal(allowed(principal, READ, sub), 0);

    const char *code = NULL, *challenge = NULL;
    char *header = arena_printf(a, "Bearer %s", new_token(MANAGEMENT));
    assert_int_equal(ask_who(header, &code, &challenge), 200);
    sql(arena_printf(a, "update principals set is_enabled = false where object_id = '%s'",
                     object_id));
    clock_sleep_ms(ACCESS_FRESH_MS + 20);
    assert_int_equal(ask_who(header, &code, &challenge), 401);
    assert_string_equal(code, "AuthenticationFailed");
    struct json_object *json = NULL;
    assert_int_equal(post_form("/oauth2/token", good_form(MANAGEMENT "/.default"), &json), 401);
    assert_string_equal(json_text(json, "error"), "unauthorized_client");
    sql(arena_printf(a, "update principals set is_enabled = true where object_id = '%s'",
                     object_id));
    sql("update principal_secrets set expires_at = now() - interval '1 second'");
    assert_int_equal(post_form("/oauth2/token", good_form(MANAGEMENT "/.default"), &json), 401);
    assert_int_equal(json_int(json_item(json_at(json, "error_codes"), 0), "", 0), 7000222);
    sql("update principal_secrets set expires_at = null");
    clock_sleep_ms(ACCESS_FRESH_MS + 20);
    assert_int_equal(ask_who(header, &code, &challenge), 200);
}

static void rotation(void **state)
{
    (void)state;
    const char *code = NULL, *challenge = NULL, *old = new_token(MANAGEMENT);
    const char *old_kid = arena_strdup(a, token_peek_kid(a, old));
    /* The key is about to stop signing: whichever copy looks first makes the successor. */
    sql("update signing_keys set signs_until = now() + interval '1 hour',"
        " verifies_until = now() + interval '2 days', created_at = now() - interval '29 days'");
    struct directory fresh[2] = { { .keys = key_ring_new(&one.control) },
                                  { .keys = key_ring_new(&two.control) } };
    struct key_set *sets[2];
    for (int i = 0; i < 2; i++) {
        must(key_ring_get(fresh[i].keys, a, NULL, &sets[i], &err));
        assert_int_equal(sets[i]->count, 2);
        /* Known to verifiers first, used for signing later. */
        int64_t now_us = clock_wall_us();
        assert_string_equal(token_key_id(key_set_signer(sets[i], now_us)), old_kid);
        const struct token_key *next = key_set_signer(sets[i], now_us + 601 * 1000000LL);
        assert_string_not_equal(token_key_id(next), old_kid);
        const struct token_key **keys = NULL;
        assert_int_equal(key_set_verifiers(sets[i], a, now_us, &keys), 2);
        assert_int_equal(key_set_verifiers(sets[i], a, now_us + 31 * 86400 * 1000000LL, &keys), 1);
        assert_null(key_set_signer(sets[i], now_us + 31 * 86400 * 1000000LL));
    }
    assert_string_equal(token_key_id(sets[0]->entries[0].key),
                        token_key_id(sets[1]->entries[0].key));

    /* A token of the new key reaches a copy whose snapshot is older: it looks again. */
    struct json_object *claims = json_own(a, json_new_object());
    json_set_text(claims, "aud", MANAGEMENT);
    json_set_text(claims, "iss", arena_printf(a, LOGIN "/%s", tenant));
    json_set_text(claims, "tid", tenant);
    json_set_text(claims, "oid", object_id);
    json_set_int(claims, "exp", clock_wall_s() + 60);
    char *token = NULL;
    must(token_sign(a, sets[0]->entries[0].key, json_print(a, claims), &token, &err));
    clock_sleep_ms(1100);
    assert_int_equal(ask_who(arena_printf(a, "Bearer %s", token), &code, &challenge), 200);
    assert_int_equal(ask_who(arena_printf(a, "Bearer %s", old), &code, &challenge), 200);
    for (int i = 0; i < 2; i++) {
        key_ring_put(fresh[i].keys, sets[i]);
        key_ring_free(fresh[i].keys);
    }
}

static void throttle(void **state)
{
    (void)state;
    struct throttle *t = throttle_new();
    static const char id[] = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
    static const char upper[] = "AAAAAAAA-AAAA-AAAA-AAAA-AAAAAAAAAAAA";
    struct sockaddr_storage x = { .ss_family = 2 }, y = { .ss_family = 2 };
    ((char *)&x)[7] = 1; /* the last byte of the IPv4 address */
    ((char *)&y)[7] = 2;
    int64_t retry_ms = 0;
    for (int i = 0; i < THROTTLE_FAILURES; i++)
        assert_true(throttle_try(t, i % 2 ? id : upper, &x, 1000 + i, &retry_ms));
    assert_false(throttle_try(t, id, &x, 2000, &retry_ms));
    assert_int_equal(retry_ms, 59000);
    assert_true(throttle_try(t, id, &y, 2000, &retry_ms)); /* the owner, from elsewhere */
    throttle_return(t, id, &x);
    assert_true(throttle_try(t, id, &x, 2000, &retry_ms));
    assert_false(throttle_try(t, id, &x, 60999, &retry_ms));
    assert_true(throttle_try(t, id, &x, 61000, &retry_ms));
    throttle_free(t);

    /* Over HTTP: guesses of one address end in 429, though the secret after them is right. */
    struct json_object *json = NULL;
    int status = 0;
    char *form = arena_printf(a,
                              "grant_type=client_credentials&client_id=%s&client_secret=guess"
                              "&scope=" MANAGEMENT "/.default",
                              app_id);
    for (int i = 0; i <= THROTTLE_FAILURES; i++)
        status = post_form("/oauth2/token", form, &json);
    assert_int_equal(status, 429);
    assert_string_equal(json_text(json, "error"), "temporarily_unavailable");
    assert_int_equal(post_form("/oauth2/token", good_form(MANAGEMENT "/.default"), &json), 429);
}

static void database_away(void **state)
{
    (void)state;
    test_postgres_stop(server);
    struct json_object *json = NULL;
    struct client_response r;
    assert_int_equal(call("GET", "/adfs/.well-known/openid-configuration", NULL, NULL, &r, &json),
                     200);
    assert_int_equal(call("GET", "/adfs/discovery/keys", NULL, NULL, &r, &json), 200);
    char *form = arena_printf(a,
                              "grant_type=client_credentials&client_id=%s&client_secret=x"
                              "&scope=" MANAGEMENT "/.default",
                              subscription);
    assert_int_equal(post_form("/oauth2/token", form, &json), 503);
    assert_string_equal(json_text(json, "error"), "temporarily_unavailable");
    assert_null(strstr(json_print(a, json), "socket"));
    test_postgres_start(server);
    assert_int_equal(post_form("/oauth2/token", form, &json), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_start),
        cmocka_unit_test(configuration),
        cmocka_unit_test(wrong_addresses),
        cmocka_unit_test(sign_in),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(bearer),
        cmocka_unit_test(odd_claims),
        cmocka_unit_test(inheritance),
        cmocka_unit_test(changes_hold_within_a_second),
        cmocka_unit_test(rotation),
        cmocka_unit_test(throttle),
        cmocka_unit_test(database_away),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
