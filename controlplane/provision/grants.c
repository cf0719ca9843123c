/* Reducing role assignments to data-plane permissions. */
#include "controlplane/provision/grants.h"

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/identity/condition.h"
#include "controlplane/identity/roles.h"

#define REGISTRIES "Microsoft.ContainerRegistry/registries/"

/* In the order they are written. */
static const char *const action_names[] = { "pull", "push", "delete", "metadata_read",
                                            "metadata_write", "deleted_read", "deleted_restore",
                                            "quarantine_read", "quarantine_write" };

enum {
    PULL = 1u << 0,
    PUSH = 1u << 1,
    DELETE = 1u << 2,
    METADATA_READ = 1u << 3,
    METADATA_WRITE = 1u << 4,
    DELETED_READ = 1u << 5,
    DELETED_RESTORE = 1u << 6,
    QUARANTINE_READ = 1u << 7,
    QUARANTINE_WRITE = 1u << 8,
    ALL_ACTIONS = (1u << 9) - 1,
    CATALOG = 1u << 9,
};

/* LegacyRegistryPermissions: whoever may pull may also list the catalog. */
static const struct rule {
    const char *action;
    unsigned gives;
} legacy_rules[] = {
    { REGISTRIES "pull/read", PULL | METADATA_READ | CATALOG },
    { REGISTRIES "push/write", PUSH | METADATA_WRITE },
    { REGISTRIES "artifacts/delete", DELETE },
    { REGISTRIES "deleted/read", DELETED_READ },
    { REGISTRIES "deleted/restore/action", DELETED_RESTORE },
    { REGISTRIES "quarantine/read", PULL | METADATA_READ | QUARANTINE_READ },
    { REGISTRIES "quarantine/write", METADATA_WRITE | QUARANTINE_WRITE },
    { NULL, 0 },
};

static const struct rule abac_rules[] = {
    { REGISTRIES "repositories/content/read", PULL },
    { REGISTRIES "repositories/content/write", PUSH },
    { REGISTRIES "repositories/content/delete", DELETE },
    { REGISTRIES "repositories/metadata/read", METADATA_READ },
    { REGISTRIES "repositories/metadata/write", METADATA_WRITE },
    { REGISTRIES "catalog/read", CATALOG },
    { REGISTRIES "quarantinedArtifacts/read", PULL | METADATA_READ | QUARANTINE_READ },
    { REGISTRIES "quarantinedArtifacts/write", METADATA_WRITE | QUARANTINE_WRITE },
    { NULL, 0 },
};

static bool any_matches(const struct json_object *patterns, const char *action)
{
    for (size_t i = 0; i < json_count(patterns); i++) {
        const char *pattern = json_text(json_item(patterns, i), "");

        if (pattern && role_pattern_matches(pattern, action))
            return true;
    }
    return false;
}

/* Of a list of {name, gives}. Not an object: names of repositories hold dots. */
static void give(struct json_object *names, const char *name, unsigned gives)
{
    struct json_object *row = NULL;

    for (size_t i = 0; i < json_count(names) && !row; i++)
        if (text_eq(json_text(json_item(names, i), "name"), name))
            row = json_item(names, i);
    if (!row) {
        row = json_new_object();
        json_set_text(row, "name", name);
        json_add(names, row);
    }
    json_set_int(row, "gives", json_int(row, "gives", 0) | gives);
}

/* Adds what the entry gives to the principal's names; "*" is every repository. What has no repository
 * (the catalog) is given only by what holds for all of them. */
static void add_names(struct arena *a, const struct condition *condition, const struct rule *rule,
                      struct json_object *names)
{
    struct condition_names allowed;

    if (!condition) {
        give(names, "*", rule->gives);
        return;
    }
    condition_allows(a, condition, rule->action, &allowed);
    for (size_t i = 0; i < allowed.count; i++)
        give(names, allowed.items[i], rule->gives);
}

/* An exclusion belongs to its own assignment: it takes nothing away from another one. A condition
 * narrows its own assignment to repositories, in either mode; one that cannot be read gives
 * nothing. */
static void add_entry(struct arena *a, const struct json_object *entry, bool is_abac,
                      struct json_object *names)
{
    const struct json_object *allowed = json_at(entry, is_abac ? "dataActions" : "actions");
    const struct json_object *excluded = json_at(entry,
                                                 is_abac ? "notDataActions" : "notActions");
    const char *text = json_text(entry, "condition");
    struct condition *condition = NULL;
    struct error ignored;

    if (text && condition_parse(a, text, &condition, &ignored))
        return;
    for (const struct rule *r = is_abac ? abac_rules : legacy_rules; r->action; r++)
        if (any_matches(allowed, r->action) && !any_matches(excluded, r->action))
            add_names(a, condition, r, names);
}

static void add_registry_row(struct json_object *list, const char *name)
{
    struct json_object *row = json_new_object(), *actions = json_new_array();

    json_add_text(actions, "*");
    json_set_text(row, "type", "registry");
    json_set_text(row, "name", name);
    json_set(row, "actions", actions);
    json_add(list, row);
}

static void add_repository_row(struct json_object *list, const char *name, unsigned gives)
{
    struct json_object *actions, *row;

    if (!(gives & ALL_ACTIONS))
        return;
    actions = json_new_array();
    row = json_new_object();
    for (size_t i = 0; i < ARRAY_LEN(action_names); i++)
        if (gives & (1u << i))
            json_add_text(actions, action_names[i]);
    json_set_text(row, "type", "repository");
    json_set_text(row, "name", name);
    json_set(row, "actions", actions);
    json_add(list, row);
}

static struct json_object *permissions_of(unsigned gives)
{
    struct json_object *list = json_new_array();

    add_repository_row(list, "*", gives);
    if (gives & CATALOG)
        add_registry_row(list, "catalog");
    if (gives & DELETED_READ)
        add_registry_row(list, "deleted_catalog");
    return list;
}

struct json_object *grants_all(struct arena *a)
{
    return json_own(a, permissions_of(ALL_ACTIONS | CATALOG));
}


static void set_permissions(void *ctx, const char *principal, struct json_object *names)
{
    struct json_object *list;
    unsigned everywhere = 0;

    for (size_t i = 0; i < json_count(names); i++)
        if (text_eq(json_text(json_item(names, i), "name"), "*"))
            everywhere = (unsigned)json_int(json_item(names, i), "gives", 0);
    list = permissions_of(everywhere);
    for (size_t i = 0; i < json_count(names); i++)
        if (!text_eq(json_text(json_item(names, i), "name"), "*"))
            add_repository_row(list, json_text(json_item(names, i), "name"),
                               (unsigned)json_int(json_item(names, i), "gives", 0));
    if (json_count(list) > 0)
        json_set(ctx, principal, list);
    else
        json_put(list);
}

struct json_object *grants_reduce(struct arena *a, const struct json_object *entries, bool is_abac)
{
    struct json_object *sums = json_own(a, json_new_object());
    struct json_object *ret = json_own(a, json_new_object());

    for (size_t i = 0; i < json_count(entries); i++) {
        const struct json_object *entry = json_item(entries, i);
        const char *principal = json_text(entry, "principal_id");

        if (!principal)
            continue;
        if (!json_at(sums, principal))
            json_set(sums, principal, json_new_array());
        add_entry(a, entry, is_abac, json_at(sums, principal));
    }
    json_each(sums, set_permissions, ret);
    return ret;
}
