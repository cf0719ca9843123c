/* Operations that roles can allow: see the header. */
#include "controlplane/api/provider_operations.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/providers.h"
#include "controlplane/api/role_assignments.h"
#include "controlplane/types/all.h"

#define METADATA "/providers/Microsoft.Authorization/providerOperations"

/* Where the operations of a type are written, and in which shape. */
struct sink {
    struct json_object *list;
    const char *provider;
    const struct resource_type *type;
    void (*add)(const struct sink *to, const char *name, const char *description, bool is_data);
};

/* As a provider itself lists them. */
static void add_operation(const struct sink *to, const char *name, const char *description,
                          bool is_data)
{
    struct json_object *entry = json_new_object();
    struct json_object *display = json_new_object();

    json_set_text(entry, "name", name);
    json_set_bool(entry, "isDataAction", is_data);
    json_set_text(display, "provider", to->provider);
    json_set_text(display, "resource", to->type->description);
    json_set_text(display, "operation", description);
    json_set_text(display, "description", description);
    json_set(entry, "display", display);
    json_add(to->list, entry);
}

/* As Microsoft.Authorization tells of every provider. */
static void add_metadata(const struct sink *to, const char *name, const char *description,
                         bool is_data)
{
    struct json_object *entry = json_new_object();

    json_set_text(entry, "name", name);
    json_set_text(entry, "displayName", description);
    json_set_text(entry, "description", description);
    json_set_bool(entry, "isDataAction", is_data);
    json_add(to->list, entry);
}

static const char *full_name(struct call *c, const struct resource_type *t, const char *rbac)
{
    const char *dot = strchr(rbac, '.');
    const char *slash = strchr(rbac, '/');

    if (dot && slash && dot < slash)
        return rbac;
    return arena_printf(c->arena, "%s/%s", type_rbac(t), rbac);
}

static void each_operation(struct call *c, const struct sink *to)
{
    static const struct {
        const char *rbac, *text;
    } verbs[] = { { "read", "Gets" }, { "write", "Creates or updates" }, { "delete", "Deletes" } };
    const struct resource_type *t = to->type;

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        to->add(to, full_name(c, t, verbs[i].rbac),
                arena_printf(c->arena, "%s: %s.", t->description, verbs[i].text), false);
    for (const struct action *x = t->actions; x && x->name; x++)
        to->add(to, full_name(c, t, x->rbac), x->description, false);
    for (const struct rbac_row *x = t->data_plane; x && x->name; x++)
        to->add(to, full_name(c, t, x->name), x->description, x->is_data);
}

static int run_operations(struct call *c, struct error *err)
{
    const char *provider = provider_find(c, c->req->params[0], err);
    struct json_object *body, *value;

    if (!provider)
        return -1;
    for (const struct resource_type *const *t = all_types; *t; t++) {
        if (text_eq(provider_of(c->arena, *t), provider)) {
            if (call_api_version(c, (*t)->api_versions, err))
                return -1;
            break;
        }
    }
    body = json_own(c->arena, json_new_object());
    value = json_new_array();
    for (const struct resource_type *const *t = all_types; *t; t++) {
        if (text_eq(provider_of(c->arena, *t), provider))
            each_operation(c, &(struct sink){ value, provider, *t, add_operation });
    }
    json_set(body, "value", value);
    reply_json(c, 200, body);
    return 0;
}

static struct json_object *metadata_of(struct call *c, const char *provider)
{
    struct json_object *out = json_new_object(), *types = json_new_array();

    json_set_text(out, "id", arena_printf(c->arena, METADATA "/%s", provider));
    json_set_text(out, "type", "Microsoft.Authorization/providerOperations");
    json_set_text(out, "name", provider);
    json_set_text(out, "displayName", provider);
    for (const struct resource_type *const *t = all_types; *t; t++) {
        struct json_object *entry, *list;

        if (!text_eq(provider_of(c->arena, *t), provider))
            continue;
        entry = json_new_object();
        list = json_new_array();
        json_set_text(entry, "name", strchr((*t)->name, '/') + 1);
        json_set_text(entry, "displayName", (*t)->description);
        each_operation(c, &(struct sink){ list, provider, *t, add_metadata });
        json_set(entry, "operations", list);
        json_add(types, entry);
    }
    json_set(out, "resourceTypes", types);
    json_set(out, "operations", json_new_array());
    return out;
}

static int run_metadata(struct call *c, struct error *err)
{
    const char *provider = provider_find(c, c->req->params[0], err);

    if (!provider)
        return -1;
    reply_json(c, 200, json_own(c->arena, metadata_of(c, provider)));
    return 0;
}

static int run_metadata_list(struct call *c, struct error *err)
{
    struct json_object *body = json_own(c->arena, json_new_object());
    struct json_object *value = json_new_array();
    const char *provider;

    (void)err;
    for (size_t i = 0; (provider = provider_at(c->arena, i)) != NULL; i++)
        json_add(value, metadata_of(c, provider));
    json_set(body, "value", value);
    reply_json(c, 200, body);
    return 0;
}

const struct endpoint provider_operations = {
    .description = "Operations that roles can allow",
    .run = run_operations,
};
const struct endpoint provider_metadata_list = {
    .versions = role_versions,
    .description = "Operations of every provider, by type",
    .run = run_metadata_list,
};
const struct endpoint provider_metadata_show = {
    .versions = role_versions,
    .description = "Operations of a provider, by type",
    .run = run_metadata,
};
