/* What the types of Microsoft.Network share: versions, ids of each other, and lists in a body whose
 * items are resources of their own. */
#include "controlplane/types/network.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/identity/identity.h"
#include "controlplane/store/network.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/all.h"
#include "controlplane/types/shared.h"

#define CHILDREN_MAX 4096

/* Private endpoints came with 2019-04-01. */
#define ENDPOINT_VERSIONS                                                                          \
    "2026-01-01", "2025-09-01", "2025-07-01", "2025-05-01", "2025-03-01", "2025-01-01",            \
        "2024-10-01", "2024-07-01", "2024-05-01", "2024-03-01", "2024-01-01", "2023-11-01",        \
        "2023-09-01", "2023-06-01", "2023-05-01", "2023-04-01", "2023-02-01", "2022-11-01",        \
        "2022-09-01", "2022-07-01", "2022-05-01", "2022-01-01", "2021-12-01", "2021-08-01",        \
        "2021-06-01", "2021-05-01", "2021-03-01", "2021-02-01", "2021-01-01", "2020-11-01",        \
        "2020-08-01", "2020-07-01", "2020-06-01", "2020-05-01", "2020-04-01", "2020-03-01",        \
        "2020-01-01", "2019-12-01", "2019-11-01", "2019-09-01", "2019-08-01", "2019-07-01",        \
        "2019-06-01", "2019-04-01"

const char *const private_endpoint_versions[] = { ENDPOINT_VERSIONS, NULL };
const char *const network_versions[] = {
    ENDPOINT_VERSIONS,
    "2019-02-01", "2018-12-01", "2018-11-01", "2018-10-01", "2018-08-01", "2018-07-01",
    "2018-06-01", "2018-05-01", "2018-04-01", "2018-03-01", "2018-02-01", "2018-01-01",
    "2017-11-01", "2017-10-01", "2017-09-01", "2017-08-01", "2017-06-01", "2017-04-01",
    "2017-03-01", "2016-12-01", "2016-11-01", "2016-10-01", "2016-09-01", "2016-08-01",
    "2016-07-01", "2016-06-01", "2016-03-30", "2015-06-15", NULL,
};
const char *const private_dns_versions[] = { "2024-06-01", "2020-06-01", "2020-01-01",
                                             "2018-09-01", NULL };

/* "/subscriptions/s/resourceGroups/g/providers/Microsoft.X/a/n/b/m": types at every other segment. */
char *network_key(struct arena *a, const char *id, const struct resource_type *type)
{
    char *key = text_lower(a, id);
    const char *wanted = type_key(a, type);
    const char *slash = strchr(wanted, '/');
    const char *p = key;

    static const char *const heads[] = { "/subscriptions/", "/resourcegroups/", "/providers/" };

    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        if (!text_starts(p, heads[i]))
            return NULL;
        p += strlen(heads[i]);
        p += i < 2 ? strcspn(p, "/") : 0;
    }
    if (strncmp(p, wanted, (size_t)(slash - wanted)) != 0)
        return NULL;
    p += slash - wanted;
    for (const char *t = slash; t && *t; t = strchr(t + 1, '/')) {
        size_t len = 1 + strcspn(t + 1, "/");

        if (strncmp(p, t, len) != 0 || p[len] != '/' || strcspn(p + len + 1, "/") == 0)
            return NULL;
        p += len + 1;
        p += strcspn(p, "/");
    }
    return *p ? NULL : key;
}

char *network_key_above(struct arena *a, const char *key, int levels)
{
    char *above = arena_strdup(a, key);

    for (int i = 0; i < 2 * levels; i++)
        *strrchr(above, '/') = '\0';
    return above;
}

int network_hold(const struct admission *ad, const char *target, const char *id,
                 const struct resource_type *type, struct resource **ret, struct error *err)
{
    const char *key = network_key(ad->arena, id, type);
    int found = key ? resource_by_key(ad->conn, ad->arena, key, true, ret, err) : 0;

    if (found < 0)
        return -1;
    if (found && (*ret)->state != STATE_DELETING)
        return 0;
    return fail_at(err, &E_BAD_REFERENCE, target,
                   "Resource %.600s referenced by resource %.300s was not found. Please make sure "
                   "that the referenced resource exists, and that both resources are in the same "
                   "region.",
                   id, ad->resource->id);
}

int network_may_use(const struct admission *ad, const char *action, const char *id,
                    struct error *err)
{
    if (access_check(ad->control, ad->arena, ad->caller, action, id, err) == 0)
        return 0;
    if (err->code != &E_AUTHORIZATION_FAILED)
        return -1;
    return fail(err, &E_LINKED_AUTHORIZATION,
                "The client has permission to perform the write on scope '%.300s'; however, it "
                "does not have permission to perform action '%s' on the linked scope '%.300s', or "
                "the linked scope is invalid.",
                ad->resource->id, action, id);
}

int network_children(const struct admission *ad, const struct resource *parent,
                     const struct resource_type *type, struct resource **ret, size_t *ret_count,
                     struct error *err)
{
    return resource_children(ad->conn, ad->arena, parent->uid, type_key(ad->arena, type),
                             CHILDREN_MAX, ret, ret_count, err);
}

static const struct resource *find_child(const struct resource *children, size_t count,
                                         const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (text_eq_nocase(children[i].name, name))
            return &children[i];
    }
    return NULL;
}

static struct json_object *body_of(struct arena *a, const struct json_object *item)
{
    struct json_object *body = json_own(a, json_new_object());
    struct json_object *properties = json_at(item, "properties");

    json_set(body, "properties", properties ? json_copy(properties) : json_new_object());
    return body;
}

static int put_child(const struct admission *ad, const struct network_inline *list,
                     const struct json_object *item, const struct resource *was,
                     struct error *err)
{
    const struct resource *parent = ad->resource;
    const char *name = json_text(item, "name");
    char uid[UUID_TEXT_LEN + 1];
    struct resource row = {
        .uid = uid,
        .id = arena_printf(ad->arena, "%s%s/%s", parent->id, strrchr(list->type->name, '/'), name),
        .type_key = type_key(ad->arena, list->type),
        .name = name,
        .subscription_id = parent->subscription_id,
        .group_key = parent->group_key,
        .parent_uid = parent->uid,
        .system_data = parent->system_data,
        .body = body_of(ad->arena, item),
        .due_in_ms = NEVER_DUE,
    };

    struct admission child = *ad;

    child.change = CHANGE_CREATE;
    child.was = NULL;
    child.resource = &row;
    child.parent = parent;
    child.decoded = NULL;
    if (type_name_check(list->type, name, err))
        return -1;
    if (was) {
        struct resource next = *was;

        next.body = row.body;
        return json_equal(was->body, row.body)
                   ? 0
                   : resource_update(ad->conn, ad->arena, &next, false, err);
    }
    uuid_new(uid);
    row.key = text_lower(ad->arena, row.id);
    if (resource_insert(ad->conn, ad->arena, &row, false, err))
        return -1;
    return list->came ? list->came(&child, err) : 0;
}

static bool is_listed(const struct json_object *items, const char *name)
{
    for (size_t i = 0; i < json_count(items); i++) {
        if (text_eq_nocase(json_text(json_item(items, i), "name"), name))
            return true;
    }
    return false;
}

int network_take_inline(const struct admission *ad, const struct network_inline *list,
                        struct error *err)
{
    const char *path = arena_printf(ad->arena, "properties.%s", list->member);
    const struct json_object *items = json_at(ad->resource->body, path);
    struct resource *children = NULL;
    size_t count = 0;

    if (!items)
        return 0;
    if (network_children(ad, ad->resource, list->type, &children, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (is_listed(items, children[i].name))
            continue;
        if ((list->may_go && list->may_go(ad, &children[i], err)) ||
            resource_remove(ad->conn, ad->arena, children[i].uid, err))
            return -1;
    }
    for (size_t i = 0; i < json_count(items); i++) {
        const struct json_object *item = json_item(items, i);
        const char *name = json_text(item, "name");

        for (size_t j = 0; j < i; j++) {
            if (text_eq_nocase(json_text(json_item(items, j), "name"), name))
                return fail_at(err, &E_INVALID_PARAMETER, path,
                               "The name '%.100s' stands in '%s' twice.", name, path);
        }
        if (put_child(ad, list, item, find_child(children, count, name), err))
            return -1;
    }
    return network_body_drop(ad->conn, ad->arena, ad->resource->uid, list->member, err);
}
