/* The type tables: well formed, their gates and versions as documented, and the state table
 * closed. */
/* links: portolan_control */
#include "controlplane/types/all.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/body.h"
#include "controlplane/api/encode.h"
#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/resource_group.h"

#include <cmocka.h>

#define STABLE "2025-11-01"
#define PREVIEW "2026-03-01-preview"
#define NOW "2026-11-20T00:00:00.0000000+00:00"

static void test_check(void **state)
{
    struct error err;

    (void)state;
    if (types_check(&err))
        fail_msg("%s", err.cause);
    assert_ptr_equal(type_find("MICROSOFT.containerregistry/Registries"), &registry_type);
    assert_ptr_equal(type_find("Microsoft.Resources/resourceGroups"), &resource_group_type);
    assert_null(type_find("Microsoft.ContainerRegistry/registrie"));
}

static void test_since(void **state)
{
    static const struct {
        const char *since, *version;
        bool is_shown;
    } rows[] = {
        { NULL, "2017-03-01", true },
        { "2019-05-01", "2017-10-01", false },
        { "2019-05-01", "2019-05-01", true },
        { "2019-05-01", "2019-12-01-preview", true },
        { "2020-11-01-preview/2025-04-01", "2020-11-01-preview", true },
        { "2020-11-01-preview/2025-04-01", "2023-07-01", false },
        { "2020-11-01-preview/2025-04-01", "2025-04-01", true },
        { "2020-11-01-preview/2025-04-01", "2019-12-01-preview", false },
        { "2024-11-01-preview", "2025-11-01", false },
        { "2024-11-01-preview", "2026-01-01-preview", true },
        { "2024-11-01-preview", "2023-11-01-preview", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(since_shows(rows[i].since, rows[i].version), rows[i].is_shown);
}

static void test_names(void **state)
{
    static const struct {
        const struct resource_type *type;
        const char *name;
        bool is_good;
    } rows[] = {
        { &registry_type, "abcde", true },
        { &registry_type, "abcd", false },
        { &registry_type, "Abc01234567890123456789012345678901234567890123456", true },
        { &registry_type, "Abc012345678901234567890123456789012345678901234567", false },
        { &registry_type, "abc-de", false },
        { &registry_type, "abcde\n", false },
        { &registry_type, "r\xc3\xa9gistry", false },
        { &resource_group_type, "a", true },
        { &resource_group_type, "a.b-(c)_", true },
        { &resource_group_type, "a.", false },
        { &resource_group_type, "", false },
        { &resource_group_type, "a b", false },
    };
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int rc = type_name_check(rows[i].type, rows[i].name, &err);

        if ((rc == 0) != rows[i].is_good)
            fail_msg("name '%s'", rows[i].name);
        if (rc)
            assert_ptr_equal(err.code, &E_INVALID_NAME);
    }
}

/* Bodies, as PUT and PATCH see them ---------------------------------------------------------------*/

struct step_of_life {
    bool is_patch;
    const char *version;
    const char *body;
    const struct error_code *code; /* NULL: accepted */
    const char *target;            /* of the refusal, or a path to look at */
    const char *value;             /* what stands there afterwards, as JSON */
};

/* One request after the other on one registry; the first creates it. */
static void live(const struct step_of_life *steps, size_t count)
{
    struct arena *a = arena_new();
    struct json_object *stored = NULL;

    for (size_t i = 0; i < count; i++) {
        const struct step_of_life *s = &steps[i];
        const char *version = s->version ? s->version : PREVIEW;
        struct body_change change = { .type = &registry_type, .api_version = version,
                                      .was = stored, .is_patch = s->is_patch, .time = NOW };
        struct body_request request;
        struct json_object *now = NULL;
        void *decoded = NULL;
        struct error err = { 0 };
        int rc = body_read(a, &registry_type, version, s->body, strlen(s->body), &request, &err);

        if (rc == 0) {
            change.request = request.members;
            rc = body_desired(a, &change, &now, &decoded, &err);
        }
        if ((rc != 0) != (s->code != NULL))
            fail_msg("step %zu: %s: %s (%s)", i, s->body, rc ? err.message : "accepted",
                     rc ? err.code->name : "");
        if (rc) {
            assert_string_equal(err.code->name, s->code->name);
            if (s->target)
                assert_string_equal(err.target, s->target);
            continue;
        }
        stored = now;
        if (s->value)
            assert_string_equal(json_print(a, json_at(stored, s->target)), s->value);
    }
    arena_free(a);
}
#define LIVE(...)                                                                                  \
    live((const struct step_of_life[]){ __VA_ARGS__ },                                             \
         ARRAY_LEN(((const struct step_of_life[]){ __VA_ARGS__ })))

#define BASIC "{\"sku\":{\"name\":\"Basic\"}}"
#define PREMIUM "{\"sku\":{\"name\":\"Premium\"}}"
#define PROPS(sku, members) "{\"sku\":{\"name\":\"" sku "\"},\"properties\":{" members "}}"

static void test_sku(void **state)
{
    (void)state;
    LIVE({ .body = "{}", .code = &E_CLASSIC_SKU, .target = "sku.name" },
         { .body = "{\"sku\":{\"name\":\"Classic\"}}", .code = &E_CLASSIC_SKU },
         { .body = "{\"sku\":{\"name\":\"Gold\"}}", .code = &E_SKU_NOT_SUPPORTED },
         { .body = "{\"sku\":{\"name\":7}}", .code = &E_SKU_NOT_SUPPORTED },
         { .body = "{\"sku\":\"Basic\"}", .code = &E_CLASSIC_SKU },
         { .body = "{\"sku\":{\"name\":\"premium\"}}", .target = "sku.name",
           .value = "\"Premium\"" },
         { .body = BASIC, .target = "sku.name", .value = "\"Basic\"" });
}

static void test_gates(void **state)
{
    static const struct {
        const char *member, *target;
        const struct error_code *code;
        bool is_for_standard;
    } rows[] = {
        { "\"publicNetworkAccess\":\"Disabled\"", "properties.publicNetworkAccess",
          &E_NO_PRIVATE_ACCESS, false },
        { "\"dataEndpointEnabled\":true", "properties.dataEndpointEnabled", &E_NO_DATA_ENDPOINT,
          false },
        { "\"networkRuleSet\":{\"defaultAction\":\"Deny\"}",
          "properties.networkRuleSet.defaultAction", &E_SKU_NOT_SUPPORTED, false },
        { "\"networkRuleSet\":{\"ipRules\":[{\"value\":\"10.0.0.1\"}]}",
          "properties.networkRuleSet.ipRules", &E_SKU_NOT_SUPPORTED, false },
        { "\"policies\":{\"quarantinePolicy\":{\"status\":\"enabled\"}}",
          "properties.policies.quarantinePolicy.status", &E_SKU_NOT_SUPPORTED, false },
        { "\"policies\":{\"trustPolicy\":{\"status\":\"enabled\"}}",
          "properties.policies.trustPolicy.status", &E_SKU_NOT_SUPPORTED, false },
        { "\"policies\":{\"retentionPolicy\":{\"status\":\"enabled\"}}",
          "properties.policies.retentionPolicy.status", &E_SKU_NOT_SUPPORTED, false },
        { "\"regionalEndpoints\":\"Enabled\"", "properties.regionalEndpoints",
          &E_SKU_NOT_SUPPORTED, false },
        { "\"anonymousPullEnabled\":true", "properties.anonymousPullEnabled",
          &E_SKU_NOT_SUPPORTED, true },
    };
    struct arena *a = arena_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *bodies[SKU_MAX];

        for (int sku = SKU_BASIC; sku < SKU_MAX; sku++)
            bodies[sku] = arena_printf(a, "{\"sku\":{\"name\":\"%s\"},\"properties\":{%s}}",
                                       sku_text((enum sku)sku), rows[i].member);
        LIVE({ .body = bodies[SKU_BASIC], .code = rows[i].code, .target = rows[i].target },
             { .body = bodies[SKU_STANDARD],
               .code = rows[i].is_for_standard ? NULL : rows[i].code },
             { .body = bodies[SKU_PREMIUM] },
             /* What the lower SKU does not have stands in the way of going down. */
             { .is_patch = true, .body = BASIC, .code = rows[i].code, .target = rows[i].target });
    }
    /* Defaults may always be sent. */
    LIVE({ .body = PROPS("Basic", "\"networkRuleSet\":{\"defaultAction\":\"Allow\",\"ipRules\":[]},"
                                  "\"publicNetworkAccess\":\"enabled\"") });
    arena_free(a);
}

static void test_immutable(void **state)
{
    (void)state;
    LIVE({ .body = PROPS("Premium", "\"zoneRedundancy\":\"Enabled\","
                                    "\"autoGeneratedDomainNameLabelScope\":\"TenantReuse\"") },
         { .is_patch = true, .body = PROPS("Premium", "\"zoneRedundancy\":\"enabled\""),
           .target = "properties.zoneRedundancy", .value = "\"Enabled\"" },
         { .is_patch = true, .body = PROPS("Premium", "\"zoneRedundancy\":\"Disabled\""),
           .code = &E_CHANGE_NOT_ALLOWED, .target = "properties.zoneRedundancy" },
         /* A PUT that says nothing of it changes nothing. */
         { .body = PREMIUM, .target = "properties.autoGeneratedDomainNameLabelScope",
           .value = "\"TenantReuse\"" },
         { .body = PROPS("Premium", "\"encryption\":{\"status\":\"enabled\","
                                    "\"keyVaultProperties\":{\"keyIdentifier\":\"k\","
                                    "\"identity\":\"i\"}}"),
           .code = &E_CHANGE_NOT_ALLOWED, .target = "properties.encryption.status" });
}

static void test_versions(void **state)
{
    (void)state;
    LIVE({ .body = PROPS("Premium", "\"metadataSearch\":\"Enabled\",\"adminUserEnabled\":true"),
           .version = PREVIEW },
         /* An older client's whole-object PUT keeps what it cannot see, and resets the rest. */
         { .body = PREMIUM, .version = STABLE, .target = "properties.metadataSearch",
           .value = "\"Enabled\"" },
         { .body = PROPS("Premium", "\"metadataSearch\":\"Disabled\""), .version = STABLE,
           .target = "properties.metadataSearch", .value = "\"Enabled\"" },
         { .body = PREMIUM, .version = STABLE, .target = "properties.adminUserEnabled",
           .value = "false" });
}

static void test_merge(void **state)
{
    (void)state;
    LIVE({ .body = PROPS("Standard", "\"adminUserEnabled\":true,\"loginServer\":\"mine\","
                                     "\"provisioningState\":\"Failed\"") },
         { .is_patch = true, .body = "{\"properties\":{\"anonymousPullEnabled\":true}}",
           .target = "properties.adminUserEnabled", .value = "true" },
         { .is_patch = true, .body = "{\"properties\":{\"adminUserEnabled\":null}}",
           .target = "properties.adminUserEnabled", .value = "false" },
         { .is_patch = true, .body = "{\"properties\":\"all\"}", .code = &E_INVALID_PARAMETER },
         { .is_patch = true, .body = "{\"properties\":{\"adminUserEnabled\":\"yes\"}}",
           .code = &E_INVALID_PARAMETER, .target = "properties.adminUserEnabled" },
         { .is_patch = true, .body = "{\"tags\":{\"a\":1}}", .code = &E_INVALID_TAGS },
         { .is_patch = true, .body = "{\"tags\":[]}", .code = &E_INVALID_TAGS },
         { .is_patch = true, .body = "[]", .code = &E_INVALID_CONTENT },
         { .is_patch = true, .body = "{\"a\":1,\"a\":2}", .code = &E_INVALID_CONTENT },
         { .is_patch = true, .body = "", .code = &E_INVALID_CONTENT });
}

static void test_rules(void **state)
{
    (void)state;
    LIVE({ .body = PROPS("Premium", "\"policies\":{\"exportPolicy\":{\"status\":\"disabled\"}}"),
           .code = &E_BAD_REQUEST },
         { .body = PROPS("Premium", "\"policies\":{\"exportPolicy\":{\"status\":\"disabled\"}},"
                                    "\"publicNetworkAccess\":\"Disabled\"") },
         { .is_patch = true, .body = "{\"properties\":{\"publicNetworkAccess\":\"Enabled\"}}",
           .code = &E_BAD_REQUEST, .target = "properties.publicNetworkAccess" });
    LIVE({ .body = PROPS("Premium", "\"networkRuleSet\":{\"ipRules\":[{\"value\":\"10.0.0.0/8\"},"
                                    "{\"value\":\"1.2.3.4\",\"action\":\"allow\"}]}"),
           .target = "properties.networkRuleSet.ipRules",
           .value = "[{\"action\":\"Allow\",\"value\":\"10.0.0.0/8\"},"
                    "{\"action\":\"Allow\",\"value\":\"1.2.3.4\"}]" },
         { .body = PROPS("Premium", "\"networkRuleSet\":{\"ipRules\":[{\"value\":\"1.2.3.4/33\"}]}"),
           .code = &E_INVALID_PARAMETER, .target = "properties.networkRuleSet.ipRules" },
         { .body = PROPS("Premium", "\"networkRuleSet\":{\"ipRules\":[{\"value\":\"::1/64-long\"}]}"),
           .code = &E_INVALID_PARAMETER },
         { .body = PROPS("Premium", "\"networkRuleSet\":{\"ipRules\":[{}]}"),
           .code = &E_INVALID_PARAMETER },
         { .body = PROPS("Premium", "\"policies\":{\"retentionPolicy\":{\"days\":366}}"),
           .code = &E_INVALID_PARAMETER, .target = "properties.policies.retentionPolicy.days" },
         { .body = PROPS("Premium", "\"policies\":{\"retentionPolicy\":{\"status\":\"enabled\"},"
                                    "\"softDeletePolicy\":{\"status\":\"enabled\"}}"),
           .code = &E_BAD_REQUEST },
         { .body = PROPS("Premium", "\"endpointProtocol\":\"IPv4AndIPv6\""),
           .code = &E_BAD_REQUEST });
}

static void test_identity(void **state)
{
    struct arena *a = arena_new();
    char *many = arena_alloc(a, 40000);
    char *body;

    (void)state;
    memset(many, 'x', 39999);
    body = arena_printf(a, "{\"sku\":{\"name\":\"Basic\"},\"identity\":{\"type\":\"UserAssigned\","
                           "\"userAssignedIdentities\":{\"%s\":{}}}}",
                        many);
    LIVE({ .body = "{\"sku\":{\"name\":\"Basic\"},\"identity\":{\"type\":\"systemassigned\"}}",
           .target = "identity.type", .value = "\"SystemAssigned\"" },
         { .is_patch = true, .body = "{\"identity\":{\"type\":\"UserAssigned\"}}",
           .code = &E_BAD_REQUEST },
         { .is_patch = true,
           .body = "{\"identity\":{\"type\":\"UserAssigned\","
                   "\"userAssignedIdentities\":{\"/a\":{},\"/b\":{}}}}" },
         { .is_patch = true, .body = "{\"identity\":{\"userAssignedIdentities\":{\"/a\":null}}}",
           .target = "identity.userAssignedIdentities", .value = "{\"/b\":{}}" },
         { .is_patch = true, .body = "{\"identity\":{\"userAssignedIdentities\":[1]}}",
           .code = &E_INVALID_PARAMETER },
         { .body = body, .code = &E_INVALID_PARAMETER });
    arena_free(a);
}

static void test_unknown(void **state)
{
    static const char body[] = "{\"sku\":{\"name\":\"Basic\",\"size\":1},\"location\":\"eastus\","
                               "\"id\":\"x\",\"name\":\"y\",\"type\":\"z\",\"colour\":1,"
                               "\"systemData\":{},\"properties\":{\"creationDate\":\"x\","
                               "\"roleAssignmentMode\":\"LegacyRegistryPermissions\"}}";
    struct arena *a = arena_new();
    struct body_request request;
    struct error err;

    (void)state;
    assert_int_equal(body_read(a, &registry_type, "2023-07-01", body, strlen(body), &request, &err),
                     0);
    assert_int_equal(request.unknown_count, 3);
    assert_string_equal(request.unknown[0], "sku.size");
    assert_string_equal(request.unknown[1], "colour");
    assert_string_equal(request.unknown[2], "properties.roleAssignmentMode");
    assert_string_equal(request.location, "eastus");
    arena_free(a);
    /* Never stored, in lists neither. */
    LIVE({ .body = "{\"sku\":{\"name\":\"Premium\",\"size\":1},\"colour\":1}",
           .target = "sku", .value = "{\"name\":\"Premium\"}" },
         { .is_patch = true, .body = "{\"colour\":{\"deep\":2}}", .target = "colour",
           .value = "null" },
         { .body = PROPS("Premium", "\"networkRuleSet\":{\"ipRules\":[{\"value\":\"1.2.3.4\","
                                    "\"colour\":1}]}"),
           .target = "properties.networkRuleSet.ipRules",
           .value = "[{\"action\":\"Allow\",\"value\":\"1.2.3.4\"}]" },
         { .is_patch = true, .body = "{\"sku\":{\"size\":1}}", .target = "sku",
           .value = "{\"name\":\"Premium\"}" });
}

static struct json_object *parse(struct arena *a, const char *text)
{
    struct json_object *value = NULL;
    struct error err;

    assert_int_equal(json_parse_object(text, strlen(text), 65536, &value, &err), 0);
    return json_own(a, value);
}

/* What clients crash without is always there; what they must not see is not. */
static void test_encode(void **state)
{
    static const char *const present[] = {
        "sku.tier", "properties.loginServer", "properties.creationDate",
        "properties.provisioningState", "properties.adminUserEnabled",
        "properties.policies.quarantinePolicy.status", "properties.policies.trustPolicy.type",
        "properties.policies.retentionPolicy.days", "properties.policies.exportPolicy.status",
        "properties.policies.azureADAuthenticationAsArmPolicy.status",
        "properties.encryption.status", "properties.dataEndpointEnabled",
        "properties.dataEndpointHostNames", "properties.privateEndpointConnections",
        "properties.publicNetworkAccess", "properties.networkRuleBypassOptions",
        "properties.zoneRedundancy", "properties.anonymousPullEnabled", "tags", "location",
        "systemData.createdAt",
    };
    const struct control_settings settings = { .domain = (char *)"portolan.localhost",
                                               .port = 8443 };
    struct control control = { .settings = &settings };
    struct arena *a = arena_new();
    struct json_object *out;
    struct resource row = {
        .id = "/subscriptions/s/…", .name = "MyReg", .global_name = "myreg", .location = "eastus",
        .state = STATE_SUCCEEDED,
        .body = parse(a, "{\"sku\":{\"name\":\"Basic\"},\"identity\":{\"type\":\"None\"}}"),
        .system_data = parse(a, "{\"createdAt\":\"2026-11-20T01:02:03.0000000+00:00\"}"),
    };

    (void)state;
    out = json_own(a, resource_encode(a, &control, &registry_type, STABLE, &row));
    for (size_t i = 0; i < ARRAY_LEN(present); i++) {
        if (!json_has(out, present[i]))
            fail_msg("%s is missing", present[i]);
    }
    assert_string_equal(json_text(out, "properties.loginServer"),
                        "myreg.cr.portolan.localhost:8443");
    assert_string_equal(json_text(out, "properties.creationDate"), "2026-11-20T01:02:03.0000000Z");
    assert_false(json_has(out, "properties.networkRuleSet"));
    assert_false(json_has(out, "properties.metadataSearch"));
    assert_false(json_has(out, "identity"));
    assert_int_equal(strncmp(json_print(a, out), "{\"sku\":{\"name\":\"Basic\"", 22), 0);

    row.body = parse(a, "{\"sku\":{\"name\":\"Premium\"},"
                        "\"properties\":{\"dataEndpointEnabled\":true}}");
    out = json_own(a, resource_encode(a, &control, &registry_type, "2017-03-01", &row));
    assert_false(json_has(out, "properties.networkRuleSet"));
    row.body = parse(a, "{\"sku\":{\"name\":\"Premium\"},"
                        "\"properties\":{\"dataEndpointEnabled\":true}}");
    out = json_own(a, resource_encode(a, &control, &registry_type, STABLE, &row));
    assert_string_equal(json_print(a, json_at(out, "properties.networkRuleSet")),
                        "{\"defaultAction\":\"Allow\",\"virtualNetworkRules\":[],\"ipRules\":[]}");
    assert_string_equal(json_print(a, json_at(out, "properties.dataEndpointHostNames")),
                        "[\"myreg.eastus.data.cr.portolan.localhost\"]");
    arena_free(a);
}

static char *label_of(struct arena *a, const char *scope, const char *group, const char *name)
{
    const struct control control = { .tenant_id = "tenant" };
    const struct resource row = { .name = name, .subscription_id = "subscription",
                                  .group_key = group };
    const struct registry registry = { .label_scope = (char *)(uintptr_t)scope };

    return registry_type.global_name(a, &control, &row, &registry);
}

/* Clients write these names down: what a label is derived from stays as it is. */
static void test_labels(void **state)
{
    static const char *const scopes[] = { "TenantReuse", "SubscriptionReuse",
                                          "ResourceGroupReuse", "NoReuse" };
    struct arena *a = arena_new();
    struct error err;

    (void)state;
    assert_string_equal(label_of(a, "Unsecure", "g", "MyReg"), "myreg");
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        char *label = label_of(a, scopes[i], "g", "MyReg");
        bool is_same = text_eq(label, label_of(a, scopes[i], "g", "myreg"));
        bool is_of_all_groups = text_eq(label, label_of(a, scopes[i], "other", "MyReg"));

        assert_int_equal(strlen(label), strlen("myreg-") + 16);
        assert_int_equal(strncmp(label, "myreg-", 6), 0);
        assert_int_equal(strspn(label + 6, "abcdefghijklmnopqrstuvwxyz0123456789"), 16);
        assert_int_equal(is_same, i < 3);
        assert_int_equal(is_of_all_groups, i < 2);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(label, label_of(a, scopes[k], "g", "MyReg"));
    }
    assert_string_not_equal(label_of(a, "TenantReuse", "g", "one11") + 6,
                            label_of(a, "TenantReuse", "g", "two22") + 6);
    assert_string_equal(label_of(a, "TenantReuse", "g", "myreg"), "myreg-6b73ouyk9h5h8v08");
    assert_int_equal(registry_check_label("a23456789012345678901234567890123456789012345-"
                                          "1234567890123456", &err), 0);
    assert_int_equal(registry_check_label("a2345678901234567890123456789012345678901234567-"
                                          "1234567890123456", &err), -1);
    arena_free(a);
}

/* Every state is reachable, and every state but the settled ones has a way out. */
static void test_fsm(void **state)
{
    bool reached[STATE_MAX] = { [STATE_CREATING] = true };
    bool is_new = true;

    (void)state;
    while (is_new) {
        is_new = false;
        for (size_t i = 0; i < state_table_len; i++) {
            if (reached[state_table[i].from] && !reached[state_table[i].to])
                is_new = reached[state_table[i].to] = true;
        }
    }
    for (int s = 0; s < STATE_MAX; s++) {
        enum resource_state to;

        assert_true(reached[s]);
        assert_non_null(state_name((enum resource_state)s));
        /* Deleting ends with the row; everything else can be deleted, and settles. */
        if (s == STATE_DELETING) {
            assert_int_equal(state_next(STATE_DELETING, EVENT_PUT, &to), 0);
            assert_int_equal(state_next(STATE_DELETING, EVENT_SETTLED, &to), 0);
            continue;
        }
        assert_int_equal(state_next((enum resource_state)s, EVENT_DELETE, &to), 1);
        assert_int_equal(to, STATE_DELETING);
        assert_int_equal(state_next((enum resource_state)s, EVENT_SETTLED, &to), 1);
        assert_int_equal(to, STATE_SUCCEEDED);
        assert_int_equal(state_next((enum resource_state)s, EVENT_GAVE_UP, &to), 1);
        assert_int_equal(to, STATE_FAILED);
    }
    for (size_t i = 0; i < state_table_len; i++) {
        for (size_t j = 0; j < i; j++)
            assert_false(state_table[i].from == state_table[j].from &&
                         state_table[i].event == state_table[j].event);
        assert_non_null(state_table[i].comment);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),     cmocka_unit_test(test_since),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_sku),
        cmocka_unit_test(test_gates),     cmocka_unit_test(test_immutable),
        cmocka_unit_test(test_versions),  cmocka_unit_test(test_merge),
        cmocka_unit_test(test_rules),     cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_identity),  cmocka_unit_test(test_encode),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_fsm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
