/* Microsoft.ContainerRegistry/registries/webhooks. Where events go and with which headers is told
 * to nobody but who may ask for the callback configuration. */
#include "controlplane/types/children.h"

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/provision/webhook_ping.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/store/webhook_events.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/versions.h"

#define HEADERS_MAX 64

struct webhook {
    char *service_uri;
    struct json_object *custom_headers;
    struct field_texts actions;
};

static const char *const events[] = { "push", "delete", "quarantine", "chart_push", "chart_delete",
                                      NULL };

static const struct field fields[] = {
    { ROW_IN(webhook, "properties.serviceUri", FIELD_TEXT, service_uri),
      .flags = FIELD_RW | FIELD_SECRET | FIELD_REQUIRED, .max = 2048, .pattern = URI_PATTERN },
    { ROW_IN(webhook, "properties.customHeaders", FIELD_TEXT_MAP, custom_headers), RW_SECRET,
      .def = "{}", .max = HEADERS_MAX },
    { ROW("properties.status", FIELD_TEXT), RW_NOCASE, .oneof = states_lower,
      .def = "\"enabled\"" },
    { ROW("properties.scope", FIELD_TEXT), RW, .def = "\"\"", .max = 256,
      .pattern = "([A-Za-z0-9][A-Za-z0-9._/-]*(:([A-Za-z0-9_][A-Za-z0-9._-]*|\\*))?)?" },
    { ROW_IN(webhook, "properties.actions", FIELD_TEXT_LIST, actions),
      .flags = FIELD_RW | FIELD_REQUIRED | FIELD_NOCASE, .oneof = events, .max = 5 },
    ROW_STATE,
    { 0 },
};

static bool is_header_char(char c, bool is_name)
{
    if ((unsigned char)c < 0x20 || c == 0x7f)
        return false;
    return !is_name || (c != ':' && c != ' ' && (unsigned char)c < 0x7f);
}

static void check_header(void *ctx, const char *key, struct json_object *value)
{
    const char **bad = ctx;
    const char *text = json_text(value, "");
    bool is_good = key[0] != '\0' && text;

    for (const char *p = key; is_good && *p; p++)
        is_good = is_header_char(*p, true);
    for (const char *p = text; is_good && *p; p++)
        is_good = is_header_char(*p, false);
    if (!is_good)
        *bad = key;
}

static int webhook_validate(struct arena *a, const void *was, const void *now_, struct error *err)
{
    const struct webhook *now = now_;
    const char *bad = NULL;

    (void)a;
    (void)was;
    if (now->actions.count == 0)
        return fail_at(err, &E_INVALID_PARAMETER, "properties.actions",
                       "A webhook needs at least one action.");
    json_each(now->custom_headers, check_header, &bad);
    if (bad)
        return fail_at(err, &E_INVALID_PARAMETER, "properties.customHeaders",
                       "One of the custom headers is no header of HTTP.");
    return 0;
}

/* Events are sent from where they happen: the home region or a replica. */
static int webhook_admit(const struct admission *ad, struct error *err)
{
    const struct resource *r = ad->resource;
    const char *replica = NULL;
    int found;

    if (ad->change != CHANGE_CREATE || text_eq(r->location, ad->parent->location))
        return 0;
    found = resource_child_at(ad->conn, ad->arena, ad->parent->uid,
                              type_key(ad->arena, &replication_type), r->location, r->uid,
                              &replica, err);
    if (found)
        return found < 0 ? -1 : 0;
    return fail_at(err, &E_BAD_REQUEST, "location",
                   "The registry has no replication in '%s': a webhook's location is the "
                   "registry's or one of its replications'.",
                   r->location);
}

static int get_callback_config(struct action_run *run, struct error *err)
{
    const struct webhook *webhook = run->decoded;

    (void)err;
    json_set_text(run->answer, "serviceUri", webhook->service_uri);
    json_set(run->answer, "customHeaders",
             webhook->custom_headers ? json_get(webhook->custom_headers) : json_new_object());
    return 0;
}

static int ping(struct action_run *run, struct error *err)
{
    const struct webhook *webhook = run->decoded;
    char id[UUID_TEXT_LEN + 1];
    struct webhook_event event = { .id = id };

    uuid_new(id);
    if (webhook_ping(run->arena, webhook->service_uri, webhook->custom_headers, &event, err) ||
        webhook_event_add(run->control->db, run->arena, run->resource->uid, &event, err))
        return -1;
    json_set_text(run->answer, "id", id);
    return 0;
}

static int list_events(struct action_run *run, struct error *err)
{
    struct json_object *list = json_new_array();
    struct webhook_event *events_there = NULL;
    size_t count = 0;

    json_set(run->answer, "value", list);
    if (webhook_event_list(run->control->db, run->arena, run->resource->uid, &events_there, &count,
                           err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct json_object *entry = json_new_object();

        json_set_text(entry, "id", events_there[i].id);
        json_set(entry, "eventRequestMessage", json_get(events_there[i].request));
        if (events_there[i].response)
            json_set(entry, "eventResponseMessage", json_get(events_there[i].response));
        json_add(list, entry);
    }
    return 0;
}

static const struct action actions[] = {
    { .name = "ping",
      .method = "POST",
      .rbac = "ping/action",
      .description = "Triggers a ping event to be sent to the webhook.",
      .run = ping },
    { .name = "listEvents",
      .method = "POST",
      .rbac = "listEvents/action",
      .description = "Lists recent events for the specified webhook.",
      .run = list_events },
    { .name = "getCallbackConfig",
      .method = "POST",
      .rbac = "getCallbackConfig/action",
      .description = "Gets the configuration of service URI and custom headers for the webhook.",
      .run = get_callback_config },
    { 0 },
};

const struct resource_type webhook_type = {
    .name = "Microsoft.ContainerRegistry/registries/webhooks",
    .description = "webhook",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z0-9]*",
    .name_min = 5,
    .name_max = 50,
    .pattern_text = "a webhook name has 5 to 50 letters and digits.",
    .is_tracked = true,
    .lro = LRO_PUT | LRO_PATCH | LRO_DELETE,
    .api_versions = geo_versions,
    .size = sizeof(struct webhook),
    .fields = fields,
    .actions = actions,
    .validate = webhook_validate,
    .admit = webhook_admit,
    .quota = TIER_WEBHOOKS,
};
