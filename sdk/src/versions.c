/* Which api-version to ask with when the caller names none: the service's own lists say, one
 * request a namespace, remembered. */
#include "sdk/src/internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/client/client.h"
#include "common/json/json.h"

/* The lists themselves are asked for with this one. */
#define PROVIDERS_VERSION "2021-04-01"
#define RESOURCES         "Microsoft.Resources"
#define PROVIDERS         "/providers/"

struct sdk_versions {
    char *name; /* namespace */
    struct json_object *types;
    struct sdk_versions *next;
};

void sdk_versions_free(struct sdk_versions *list)
{
    while (list) {
        struct sdk_versions *next = list->next;

        free(list->name);
        json_put(list->types);
        free(list);
        list = next;
    }
}

static const char *last_provider(const char *path)
{
    const char *found = NULL, *at = path;

    while ((at = strcasestr(at, PROVIDERS))) {
        at += strlen(PROVIDERS);
        found = at;
    }
    return found;
}

bool sdk_type_of(struct arena *a, const char *path, char **ret_namespace, char **ret_type)
{
    const char *at = last_provider(path);
    char **parts;
    size_t count;

    if (!at || !*at)
        return false;
    count = text_split(a, arena_strndup(a, at, strcspn(at, "?")), '/', &parts);
    *ret_namespace = parts[0];
    *ret_type = arena_strdup(a, "");
    for (size_t i = 1; i < count; i += 2)
        if (*parts[i])
            *ret_type = arena_printf(a, "%s%s%s", *ret_type, **ret_type ? "/" : "", parts[i]);
    return **ret_namespace && **ret_type;
}

/* What stands outside of providers: /subscriptions, /tenants, groups and their lists. */
static void resources_type(struct arena *a, const char *path, char **ret_type)
{
    char **parts;
    size_t count = text_split(a, arena_strndup(a, path, strcspn(path, "?")), '/', &parts);
    bool is_group = count > 3 && text_eq_nocase(parts[3], "resourceGroups");

    *ret_type = arena_strdup(a, is_group ? "subscriptions/resourceGroups" : "subscriptions");
}

const char *sdk_newest(const struct json_object *versions)
{
    const char *released = NULL, *preview = NULL;

    for (size_t i = 0; i < json_count(versions); i++) {
        const char *v = json_text(json_item(versions, i), "");
        const char **best = v && text_ends(v, "-preview") ? &preview : &released;

        if (v && (!*best || strcmp(v, *best) > 0))
            *best = v;
    }
    return released ? released : preview;
}

/* The longest part of the type path that is a type: what comes after it is an action's name. */
static const char *pick(struct arena *a, const struct json_object *types, const char *type)
{
    char *part = arena_strdup(a, type), *slash;

    for (;;) {
        for (size_t i = 0; i < json_count(types); i++) {
            const struct json_object *row = json_item(types, i);

            if (text_eq_nocase(json_text(row, "resourceType"), part))
                return sdk_newest(json_at(row, "apiVersions"));
        }
        slash = strrchr(part, '/');
        if (!slash)
            return NULL;
        *slash = '\0';
    }
}

static struct json_object *known(struct portolan *p, const char *name)
{
    struct json_object *types = NULL;

    pthread_mutex_lock(&p->lock);
    for (const struct sdk_versions *v = p->versions; v; v = v->next)
        if (text_eq_nocase(v->name, name))
            types = v->types; /* kept until the client is closed */
    pthread_mutex_unlock(&p->lock);
    return types;
}

/* Takes over the reference to types. */
static void remember(struct portolan *p, const char *name, struct json_object *types)
{
    struct sdk_versions *v = calloc(1, sizeof(*v));

    if (!v || !(v->name = strdup(name)))
        abort();
    v->types = types;
    pthread_mutex_lock(&p->lock);
    v->next = p->versions;
    p->versions = v;
    pthread_mutex_unlock(&p->lock);
}

static int learn(struct portolan *p, struct arena *a, const char *name, struct json_object **ret,
                 struct error *err)
{
    const char *where =
        p->subscription ? arena_printf(a, "/subscriptions/%s", p->subscription) : "";
    const char *url = arena_printf(a, "%s%s/providers/%s?api-version=" PROVIDERS_VERSION,
                                   p->management, where, text_percent_encode(a, name));
    struct client_response reply;
    struct json_object *body = NULL;

    if (sdk_exchange(p, a, "GET", url, NULL, &reply, err))
        return -1;
    if (json_parse_object(reply.body, reply.body_len, SDK_REPLY_MAX_BYTES, &body, err))
        return wrap(err, "provider");
    json_own(a, body);
    *ret = json_at(body, "resourceTypes");
    if (!*ret)
        return fail(err, &E_INVALID, "The service lists no types of %s.", name);
    remember(p, name, json_copy(*ret));
    return 0;
}

int sdk_api_version(struct portolan *p, struct arena *a, const char *path, const char **ret,
                    struct error *err)
{
    char *name, *type;
    struct json_object *types;
    const char *found;

    if (!sdk_type_of(a, path, &name, &type)) {
        name = arena_strdup(a, RESOURCES);
        resources_type(a, path, &type);
    }
    types = known(p, name);
    if (!types && learn(p, a, name, &types, err))
        return -1;
    found = pick(a, types, type);
    if (!found)
        return fail(err, &E_INVALID, "The service lists no api-version for %s/%s: name one.", name,
                    type);
    *ret = arena_strdup(a, found);
    return 0;
}
