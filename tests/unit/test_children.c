/* What is below a registry, without a database: permissions of scope maps, tiers, kinds of tasks,
 * and bodies through the tables of several types. */
/* links: portolan_control */
#include "controlplane/types/children.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/body.h"
#include "controlplane/api/errors.h"
#include "controlplane/provision/publish_tokens.h"
#include "controlplane/types/all.h"
#include "controlplane/types/scope_map.h"
#include "controlplane/types/task_rows.h"
#include "controlplane/types/token.h"

#include <cmocka.h>

#define STABLE "2025-11-01"
#define PREVIEW "2026-03-01-preview"
#define TASKS "2019-06-01-preview"
#define NOW "2026-11-20T00:00:00.0000000+00:00"

static struct json_object *parse(struct arena *a, const char *text)
{
    struct json_object *value = NULL;
    struct error err;

    if (json_parse(text, strlen(text), 1u << 20, JSON_STRICT, &value, &err))
        fail_msg("%s: %s", text, err.message);
    return json_own(a, value);
}

static void test_permissions(void **state)
{
    static const struct {
        const char *actions, *permissions;
    } rows[] = {
        { "[]", "[]" },
        { "[\"repositories/a/content/read\"]",
          "[{\"type\":\"repository\",\"name\":\"a\",\"actions\":[\"pull\"]}]" },
        { "[\"repositories/a/b/content/write\",\"repositories/a/b/content/read\","
          "\"repositories/a/b/content/write\"]",
          "[{\"type\":\"repository\",\"name\":\"a/b\",\"actions\":[\"push\",\"pull\"]}]" },
        { "[\"repositories/a/*/content/delete\",\"repositories/c/metadata/write\"]",
          "[{\"type\":\"repository\",\"name\":\"a/*\",\"actions\":[\"delete\"]},"
          "{\"type\":\"repository\",\"name\":\"c\",\"actions\":[\"metadata_write\"]}]" },
        { "[\"repositories/*/metadata/read\"]",
          "[{\"type\":\"repository\",\"name\":\"*\",\"actions\":[\"metadata_read\"]},"
          "{\"type\":\"registry\",\"name\":\"catalog\",\"actions\":[\"*\"]}]" },
        { "[\"gateway/x/config/read\",\"repositories/a/metadata/read\"]",
          "[{\"type\":\"repository\",\"name\":\"a\",\"actions\":[\"metadata_read\"]}]" },
        /* A repository may be named like a part of an action. */
        { "[\"repositories/content/read/content/read\"]",
          "[{\"type\":\"repository\",\"name\":\"content/read\",\"actions\":[\"pull\"]}]" },
    };
    struct arena *a = arena_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct json_object *got = permissions_of_actions(a, parse(a, rows[i].actions));

        if (!json_equal(got, parse(a, rows[i].permissions)))
            fail_msg("%s gives %s", rows[i].actions, json_print(a, got));
    }
    assert_int_equal(json_count(permissions_of_actions(a, NULL)), 0);
    arena_free(a);
}

static void test_tiers(void **state)
{
    (void)state;
    assert_int_equal(tier_limit(TIER_WEBHOOKS, SKU_BASIC), 2);
    assert_int_equal(tier_limit(TIER_WEBHOOKS, SKU_PREMIUM), 500);
    assert_int_equal(tier_limit(TIER_REPLICATIONS, SKU_STANDARD), 0);
    assert_int_equal(tier_limit(TIER_REPLICATIONS, SKU_PREMIUM), TIER_UNLIMITED);
    assert_int_equal(tier_limit(TIER_NO_LIMIT, SKU_BASIC), TIER_UNLIMITED);
    assert_int_equal(tier_limit(TIER_TOKENS, SKU_NONE), TIER_UNLIMITED);
    /* Nothing shrinks on the way up. */
    for (int limit = TIER_NO_LIMIT + 1; limit < TIER_LIMIT_MAX; limit++) {
        int64_t was = 0;

        for (int sku = SKU_BASIC; sku < SKU_MAX; sku++) {
            int64_t now = tier_limit((enum tier_limit)limit, (enum sku)sku);

            assert_true(now == TIER_UNLIMITED || now >= was);
            was = now == TIER_UNLIMITED ? INT64_MAX : now;
        }
    }
    /* What is counted as children is a type with that quota. */
    for (size_t i = 0; all_types[i]; i++) {
        const char *child = tier_table[all_types[i]->quota].child;

        assert_true(all_types[i]->quota == TIER_NO_LIMIT ||
                    text_eq_nocase(child, strrchr(all_types[i]->name, '/') + 1));
    }
}

struct wish {
    const struct resource_type *type;
    const char *version, *was, *body;
    bool is_patch;
    const struct error_code *code; /* NULL: accepted */
    const char *at;                /* target of the refusal, or a path to look at */
    const char *value;             /* what stands there, as JSON; NULL: nothing */
};

#define SECRETS                                                                                    \
    "\"usernameSecretIdentifier\":\"https://v/u\",\"passwordSecretIdentifier\":\"https://v/p\""
#define ACTIONS(list) "{\"properties\":{\"actions\":[" list "]}}"
#define PASSWORDS(list) "{\"properties\":{\"credentials\":{\"passwords\":[" list "]}}}"
#define PASSWORD1 "{\"name\":\"password1\"}"
#define STEP(s) "{\"properties\":{\"platform\":{\"os\":\"Linux\"},\"step\":" s "}}"
#define SYNC "\"syncProperties\":{\"tokenId\":\"/t\",\"messageTtl\":\"P2D\"}"

static const struct wish wishes[] = {
    { &scope_map_type, STABLE, NULL, ACTIONS("\"repositories/*/content/read\""), false, NULL,
      "properties.actions", "[\"repositories/*/content/read\"]" },
    { &scope_map_type, STABLE, NULL, ACTIONS("\"repositories/a/metadata/delete\""), false,
      &E_INVALID_PARAMETER, NULL, NULL },
    { &scope_map_type, STABLE, NULL, ACTIONS(""), false, &E_INVALID_PARAMETER, "properties.actions",
      NULL },
    /* Nobody brings passwords, and a PUT takes none away. */
    { &token_type, STABLE, NULL,
      PASSWORDS(PASSWORD1), false, NULL,
      "properties.credentials.passwords", "[]" },
    { &token_type, STABLE, PASSWORDS(PASSWORD1),
      "{\"properties\":{\"status\":\"disabled\"}}", false, NULL, "properties.credentials.passwords",
      "[" PASSWORD1 "]" },
    { &token_type, STABLE, PASSWORDS(PASSWORD1),
      PASSWORDS("{\"name\":\"password2\"}"), true, NULL,
      "properties.credentials.passwords", "[]" },
    { &webhook_type, STABLE, NULL, "{\"properties\":{\"actions\":[\"push\"]}}", false,
      &E_INVALID_PARAMETER, "properties.serviceUri", NULL },
    { &webhook_type, STABLE, NULL,
      "{\"properties\":{\"serviceUri\":\"http://x/\",\"actions\":[\"PUSH\"]}}", false, NULL,
      "properties.actions", "[\"push\"]" },
    { &webhook_type, STABLE, NULL,
      "{\"properties\":{\"serviceUri\":\"http://x/\",\"actions\":[\"push\"],"
      "\"customHeaders\":{\"A\":\"b\\r\\nc\"}}}",
      false, &E_INVALID_PARAMETER, "properties.customHeaders", NULL },
    { &cache_rule_type, STABLE, NULL,
      "{\"properties\":{\"sourceRepository\":\"docker.io/a/*\",\"targetRepository\":\"b\"}}", false,
      &E_INVALID_PARAMETER, "properties.targetRepository", NULL },
    { &cache_rule_type, STABLE,
      "{\"properties\":{\"sourceRepository\":\"docker.io/a\",\"targetRepository\":\"b\"}}",
      "{\"properties\":{\"sourceRepository\":\"docker.io/c\"}}", true, &E_CHANGE_NOT_ALLOWED,
      "properties.sourceRepository", NULL },
    /* What came with 2026 is nothing to 2025. */
    { &cache_rule_type, STABLE, NULL,
      "{\"identity\":{\"type\":\"SystemAssigned\"},\"properties\":{"
      "\"sourceRepository\":\"docker.io/a\",\"targetRepository\":\"b\"}}",
      false, NULL, "identity", NULL },
    { &cache_rule_type, PREVIEW, NULL,
      "{\"identity\":{\"type\":\"systemassigned\"},\"properties\":{"
      "\"sourceRepository\":\"docker.io/a\",\"targetRepository\":\"b\"}}",
      false, NULL, "identity.type", "\"SystemAssigned\"" },
    { &credential_set_type, STABLE, NULL,
      "{\"properties\":{\"loginServer\":\"docker.io\",\"authCredentials\":[{" SECRETS "}]}}", false,
      NULL, "properties.loginServer", "\"docker.io\"" },
    { &credential_set_type, STABLE, NULL,
      "{\"properties\":{\"loginServer\":\"docker.io\",\"authCredentials\":[]}}", false,
      &E_INVALID_PARAMETER, "properties.authCredentials", NULL },
    { &private_endpoint_connection_type, STABLE,
      "{\"properties\":{\"privateLinkServiceConnectionState\":{\"status\":\"Disconnected\"}}}",
      "{\"properties\":{\"privateLinkServiceConnectionState\":{\"status\":\"Approved\"}}}", false,
      &E_BAD_REQUEST, "properties.privateLinkServiceConnectionState.status", NULL },
    { &connected_registry_type, STABLE,
      "{\"properties\":{\"mode\":\"ReadOnly\",\"parent\":{" SYNC "}}}",
      "{\"properties\":{\"syncProperties\":{\"messageTtl\":\"P9D\"}}}", true, NULL,
      "properties.parent.syncProperties.messageTtl", "\"P9D\"" },
    { &connected_registry_type, STABLE,
      "{\"properties\":{\"mode\":\"ReadOnly\",\"parent\":{" SYNC "}}}",
      "{\"properties\":{\"mode\":\"ReadWrite\"}}", true, &E_CHANGE_NOT_ALLOWED, "properties.mode",
      NULL },
    { &export_pipeline_type, PREVIEW, NULL,
      "{\"properties\":{\"target\":{\"uri\":\"https://a/c\"}}}", false, &E_BAD_REQUEST,
      "properties.keyVaultUri", NULL },
    { &task_type, TASKS, NULL, STEP("{\"type\":\"docker\",\"dockerFilePath\":\"f\",\"values\":[]}"),
      false, NULL, "properties.step",
      "{\"type\":\"Docker\",\"dockerFilePath\":\"f\",\"isPushEnabled\":true,\"noCache\":false,"
      "\"arguments\":[]}" },
    { &task_type, TASKS, NULL, STEP("{\"type\":\"Docker\"}"), false, &E_INVALID_PARAMETER,
      "properties.step.dockerFilePath", NULL },
    { &task_type, TASKS, NULL, "{\"properties\":{\"isSystemTask\":true}}", false, NULL,
      "properties.timeout", "3600" },
    { &task_type, TASKS, NULL, "{\"properties\":{}}", false, &E_INVALID_PARAMETER,
      "properties.step", NULL },
    { &task_run_type, TASKS, NULL,
      "{\"properties\":{\"runRequest\":{\"type\":\"TaskRunRequest\"}}}", false,
      &E_INVALID_PARAMETER, "properties.runRequest.taskId", NULL },
};

static void try_wish(struct arena *a, size_t i)
{
    const struct wish *w = &wishes[i];
    struct body_change change = { .type = w->type, .api_version = w->version,
                                  .was = w->was ? parse(a, w->was) : NULL, .is_patch = w->is_patch,
                                  .parent_sku = SKU_PREMIUM, .time = NOW };
    struct body_request request;
    struct json_object *now = NULL;
    void *decoded = NULL;
    struct error err = { 0 };
    int rc = body_read(a, w->type, w->version, w->body, strlen(w->body), &request, &err);

    if (rc == 0) {
        change.request = request.members;
        rc = body_desired(a, &change, &now, &decoded, &err);
    }
    if ((rc != 0) != (w->code != NULL))
        fail_msg("row %zu: %s: %s", i, w->body, rc ? err.message : "accepted");
    if (rc) {
        assert_string_equal(err.code->name, w->code->name);
        if (w->at)
            assert_string_equal(err.target, w->at);
        return;
    }
    if (w->value ? !json_equal(json_at(now, w->at), parse(a, w->value)) : json_has(now, w->at))
        fail_msg("row %zu: %s holds %s", i, w->at, json_print(a, now));
}

static void test_bodies(void **state)
{
    struct arena *a = arena_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wishes); i++)
        try_wish(a, i);
    arena_free(a);
}

static void test_secret_arguments(void **state)
{
    struct arena *a = arena_new();
    struct json_object *shown = parse(a, "{\"s\":{\"arguments\":[{\"name\":\"a\",\"value\":\"x\"},"
                                         "{\"name\":\"b\",\"value\":\"y\",\"isSecret\":true}]}}");

    (void)state;
    task_arguments_hide(a, shown, "s");
    assert_true(json_equal(shown,
                           parse(a, "{\"s\":{\"arguments\":[{\"name\":\"a\",\"value\":\"x\"},"
                                    "{\"name\":\"b\",\"isSecret\":true}]}}")));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permissions),
        cmocka_unit_test(test_tiers),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_secret_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
