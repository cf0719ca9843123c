/* Microsoft.Insights/diagnosticSettings at any scope: which logs and metrics go where. They are kept
 * and shown; what they name is not reached from here. */
#include "controlplane/api/activity_log.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/fields.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/extension.h"
#include "controlplane/store/insights.h"
#include "controlplane/types/rows.h"

#define SETTINGS "Microsoft.Insights/diagnosticSettings"
#define SETTINGS_MAX 5
#define NAME_MAX_CHARS 260

const char *const diagnostic_versions[] = { "2021-05-01-preview", "2017-05-01-preview",
                                        "2016-09-01", "2015-07-01", NULL };

static const struct field log_fields[] = {
    { ROW("category", FIELD_TEXT), RW, .max = 256 },
    { ROW("categoryGroup", FIELD_TEXT), RW, .max = 256 },
    { ROW("enabled", FIELD_BOOL), RW_REQUIRED },
    { ROW("retentionPolicy.enabled", FIELD_BOOL), RW },
    { ROW("retentionPolicy.days", FIELD_INT), RW, .min = 0, .max = 3650 },
    { ROW("timeGrain", FIELD_TEXT), RW, .max = 64 },
    { 0 },
};
static const struct field fields[] = {
    { ROW("properties.storageAccountId", FIELD_TEXT), RW, .max = ID_MAX_BYTES },
    { ROW("properties.serviceBusRuleId", FIELD_TEXT), RW, .max = ID_MAX_BYTES },
    { ROW("properties.eventHubAuthorizationRuleId", FIELD_TEXT), RW, .max = ID_MAX_BYTES },
    { ROW("properties.eventHubName", FIELD_TEXT), RW, .max = 256 },
    { ROW("properties.workspaceId", FIELD_TEXT), RW, .max = ID_MAX_BYTES },
    { ROW("properties.marketplacePartnerId", FIELD_TEXT), RW, .max = ID_MAX_BYTES },
    { ROW("properties.logAnalyticsDestinationType", FIELD_TEXT), RW, .max = 64 },
    { ROW("properties.logs", FIELD_LIST), RW, .def = "[]", .of = log_fields, .of_size = 1,
      .max = 64 },
    { ROW("properties.metrics", FIELD_LIST), RW, .def = "[]", .of = log_fields, .of_size = 1,
      .max = 64 },
    { 0 },
};
static const char *const destinations[] = { "storageAccountId", "serviceBusRuleId",
                                            "eventHubAuthorizationRuleId", "workspaceId",
                                            "marketplacePartnerId" };

/* What a type of resource has to tell. */
static const struct {
    const char *type, *category, *kind;
} categories[] = {
    { "Microsoft.ContainerRegistry/registries", "ContainerRegistryRepositoryEvents", "Logs" },
    { "Microsoft.ContainerRegistry/registries", "ContainerRegistryLoginEvents", "Logs" },
    { "Microsoft.ContainerRegistry/registries", "AllMetrics", "Metrics" },
    { "Microsoft.KeyVault/vaults", "AuditEvent", "Logs" },
    { "Microsoft.KeyVault/vaults", "AllMetrics", "Metrics" },
};

static const struct error_code E_TOO_MANY = { "QuotaExceeded", 409 };

struct work {
    struct call *call;
    struct extension at;
    struct diagnostic_row row;
    struct diagnostic_row *rows;
    size_t count;
    int found;
};

static struct json_object *show(struct call *c, const struct diagnostic_row *row)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "id",
                  arena_printf(c->arena, "%s/providers/" SETTINGS "/%s", row->scope, row->name));
    json_set_text(out, "type", SETTINGS);
    json_set_text(out, "name", row->name);
    json_set(out, "properties", json_get(row->properties));
    return json_own(c->arena, out);
}

static int open_scope(struct call *c, struct work *w, struct error *err)
{
    *w = (struct work){ .call = c };
    if (extension_open(c, false, &w->at, err))
        return -1;
    w->row.scope = w->at.scope;
    w->row.scope_key = w->at.key;
    w->row.name = w->at.name;
    w->row.name_key = w->at.name ? text_lower(c->arena, w->at.name) : NULL;
    return 0;
}

static int put(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    const char *id = arena_printf(a, "%s/providers/" SETTINGS "/%s", w->row.scope, w->row.name);
    bool is_new = true;

    if (extension_hold(conn, w->call, &w->at, err) ||
        diagnostic_list(conn, a, w->row.scope_key, NULL, &w->rows, &w->count, err))
        return -1;
    for (size_t i = 0; i < w->count; i++)
        is_new = is_new && !text_eq(w->rows[i].name_key, w->row.name_key);
    if (is_new && w->count >= SETTINGS_MAX)
        return fail(err, &E_TOO_MANY, "There are at most %d diagnostic settings at a scope.",
                    SETTINGS_MAX);
    if (diagnostic_put(conn, a, w->call->caller.tenant_id, &w->row, err))
        return -1;
    return extension_event(conn, w->call, &w->at, id, err);
}

static int check_body(struct call *c, struct json_object *body, struct error *err)
{
    bool has_destination = false;

    fields_default(fields, body);
    if (fields_check(c->arena, fields, body, true, &E_INVALID_CONTENT, err))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(destinations); i++)
        has_destination |= json_text(json_at(body, "properties"), destinations[i]) != NULL;
    if (has_destination)
        return 0;
    return fail_at(err, &E_BAD_REQUEST, "properties",
                   "At least one data sink needs to be specified: workspaceId, storageAccountId, "
                   "eventHubAuthorizationRuleId or marketplacePartnerId.");
}

static int run_put(struct call *c, struct error *err)
{
    struct json_object *body = NULL;
    struct work w;

    if (open_scope(c, &w, err) || extension_body(c, &body, err) ||
        check_body(c, body, err))
        return -1;
    if (strlen(w.row.name) > NAME_MAX_CHARS || strpbrk(w.row.name, "<>%&:\\?/#"))
        return fail(err, &E_INVALID_NAME, "The name '%.60s' is invalid.", w.row.name);
    w.row.properties = json_at(body, "properties");
    if (pg_transact(c->control->db, c->arena, put, &w, err))
        return -1;
    reply_json(c, 200, show(c, &w.row));
    return 0;
}

static int list(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    return diagnostic_list(conn, a, w->row.scope_key, w->row.name_key, &w->rows, &w->count, err);
}

static int run_list(struct call *c, struct error *err)
{
    struct json_object *body = json_own(c->arena, json_new_object()), *value = json_new_array();
    struct work w;

    json_set(body, "value", value);
    if (open_scope(c, &w, err) || pg_with(c->control->db, c->arena, list, &w, err))
        return -1;
    for (size_t i = 0; i < w.count; i++)
        json_add(value, json_get(show(c, &w.rows[i])));
    reply_json(c, 200, body);
    return 0;
}

static int run_show(struct call *c, struct error *err)
{
    struct work w;

    if (open_scope(c, &w, err) || pg_with(c->control->db, c->arena, list, &w, err))
        return -1;
    if (w.count == 0)
        return fail(err, &E_RESOURCE_NOT_FOUND,
                    "The diagnostic setting '%.100s' could not be found.", w.row.name);
    reply_json(c, 200, show(c, &w.rows[0]));
    return 0;
}

static int drop(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    const char *id = arena_printf(a, "%s/providers/" SETTINGS "/%s", w->row.scope, w->row.name);

    w->found = diagnostic_delete(conn, a, w->row.scope_key, w->row.name_key, err);
    if (w->found <= 0)
        return w->found;
    return extension_event(conn, w->call, &w->at, id, err);
}

static int run_remove(struct call *c, struct error *err)
{
    struct work w;

    if (open_scope(c, &w, err) ||
        pg_transact(c->control->db, c->arena, drop, &w, err))
        return -1;
    http_reply_empty(c->req, w.found ? 200 : 204);
    return 0;
}

static int run_categories(struct call *c, struct error *err)
{
    struct json_object *body = json_own(c->arena, json_new_object()), *value = json_new_array();
    struct extension at;
    const char *type;

    json_set(body, "value", value);
    if (extension_open(c, false, &at, err))
        return -1;
    type = at.is_tenant || at.is_subscription ? ""
                                              : arm_id_type(c->arena, &c->id, c->id.depth);
    for (size_t i = 0; i < ARRAY_LEN(categories); i++) {
        struct json_object *one, *properties;

        if (!text_eq_nocase(categories[i].type, type))
            continue;
        one = json_new_object();
        properties = json_new_object();
        json_set_text(one, "id",
                      arena_printf(c->arena,
                                   "%s/providers/Microsoft.Insights/diagnosticSettingsCategories/%s",
                                   at.scope, categories[i].category));
        json_set_text(one, "type", "Microsoft.Insights/diagnosticSettingsCategories");
        json_set_text(one, "name", categories[i].category);
        json_set_text(properties, "categoryType", categories[i].kind);
        json_set(one, "properties", properties);
        json_add(value, one);
    }
    reply_json(c, 200, body);
    return 0;
}

const struct endpoint diagnostics_list = { .versions = diagnostic_versions,
                                           .right = SETTINGS "/read",
                                           .description = "Diagnostic settings at a scope",
                                           .run = run_list };
const struct endpoint diagnostic_show = { .versions = diagnostic_versions,
                                          .right = SETTINGS "/read",
                                          .is_item = true,
                                          .description = "A diagnostic setting",
                                          .run = run_show };
const struct endpoint diagnostic_write = { .versions = diagnostic_versions,
                                           .right = SETTINGS "/write",
                                           .description = "Create or replace a diagnostic setting",
                                           .run = run_put };
const struct endpoint diagnostic_remove = { .versions = diagnostic_versions,
                                            .right = SETTINGS "/delete",
                                            .description = "Remove a diagnostic setting",
                                            .run = run_remove };
const struct endpoint diagnostic_categories = { .versions = diagnostic_versions,
                                                .right = "Microsoft.Insights/"
                                                         "diagnosticSettingsCategories/read",
                                                .description = "What a resource's logs are about",
                                                .run = run_categories };
