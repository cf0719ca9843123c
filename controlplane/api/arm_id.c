/* Parsing and printing ARM ids: see the header. Pure text; knows no type. */
#include "controlplane/api/arm_id.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/base/text.h"

#include "controlplane/api/errors.h"

#define RESOURCES_PROVIDER "Microsoft.Resources"
#define GROUPS_TYPE "resourceGroups"
/* Segments of the longest path: scopes of extensions included. */
#define SEGMENTS_MAX 64

struct path {
    char **segments;
    size_t count;
    size_t at;
};

static const char *peek(const struct path *p)
{
    return p->at < p->count ? p->segments[p->at] : NULL;
}

static const char *next(struct path *p)
{
    return p->at < p->count ? p->segments[p->at++] : NULL;
}

/* Empty segments are dropped: clients write "/providers/X//registries/r". */
static int split(struct arena *a, const char *path, struct path *ret, struct error *err)
{
    char **all;
    size_t count;

    if (path[0] != '/' || strlen(path) > ARM_ID_MAX_BYTES)
        return fail(err, &E_NO_ROUTE, "The path of the request is not a resource id.");
    count = text_split(a, path, '/', &all);
    *ret = (struct path){ .segments = arena_array(a, count, sizeof(char *)) };
    for (size_t i = 0; i < count; i++) {
        if (all[i][0])
            ret->segments[ret->count++] = all[i];
    }
    if (ret->count == 0 || ret->count > SEGMENTS_MAX)
        return fail(err, &E_NO_ROUTE, "The path of the request is not a resource id.");
    return 0;
}

/* The text of the segments before `end`. */
static char *text_before(struct arena *a, const struct path *p, size_t end)
{
    struct str s;
    char *copy;

    str_init(&s, 2 * ARM_ID_MAX_BYTES);
    for (size_t i = 0; i < end; i++)
        str_printf(&s, "/%s", p->segments[i]);
    copy = str_copy(&s, a);
    str_done(&s);
    return copy;
}

static int parse_subscription(struct path *p, struct arm_id *id, struct error *err)
{
    if (!text_eq_nocase(peek(p), "subscriptions"))
        return 0;
    (void)next(p);
    id->subscription = next(p);
    if (id->subscription && !uuid_is_valid(id->subscription))
        return fail(err, &E_INVALID_SUBSCRIPTION,
                    "The provided subscription identifier '%.64s' is malformed or invalid.",
                    id->subscription);
    if (!id->subscription)
        id->tail = "subscriptions";
    return 0;
}

static void parse_group(struct path *p, struct arm_id *id)
{
    if (!id->subscription || !text_eq_nocase(peek(p), GROUPS_TYPE))
        return;
    (void)next(p);
    id->group = next(p);
    if (peek(p))
        return;
    id->is_group = true;
    id->provider = RESOURCES_PROVIDER;
    id->depth = 1;
    id->types[0] = GROUPS_TYPE;
    id->names[0] = id->group;
}

static int parse_provider(struct path *p, struct arm_id *id, struct error *err)
{
    (void)next(p); /* "providers" */
    id->provider = next(p);
    id->depth = 0;
    while (peek(p) && !text_eq_nocase(peek(p), "providers")) {
        if (id->depth == ARM_ID_DEPTH_MAX)
            return fail(err, &E_NO_ROUTE, "The resource id has too many segments.");
        id->types[id->depth] = next(p);
        id->names[id->depth] = next(p);
        id->depth++;
    }
    if (!id->provider)
        id->tail = "providers";
    return 0;
}

int arm_id_parse(struct arena *a, const char *path, struct arm_id *ret, struct error *err)
{
    struct path p = { 0 };
    struct arm_id id = { 0 };

    if (split(a, path, &p, err) || parse_subscription(&p, &id, err))
        return -1;
    parse_group(&p, &id);
    while (text_eq_nocase(peek(&p), "providers")) {
        size_t start = p.at;

        /* A second /providers/ starts an extension of what stands before it. */
        if (id.provider && (id.depth == 0 || !id.names[id.depth - 1]))
            return fail(err, &E_NO_ROUTE, "The path of the request is not a resource id.");
        if (id.provider)
            id.scope = text_before(a, &p, start);
        if (parse_provider(&p, &id, err))
            return -1;
    }
    if (peek(&p)) {
        id.tail = next(&p);
        if (peek(&p) || id.provider)
            return fail(err, &E_NO_ROUTE, "There is nothing at the path of the request.");
    }
    *ret = id;
    return 0;
}

bool arm_id_is_collection(const struct arm_id *id)
{
    return id->depth > 0 && !id->names[id->depth - 1];
}

char *arm_id_type(struct arena *a, const struct arm_id *id, size_t depth)
{
    struct str s;
    char *copy;

    str_init(&s, 2 * ARM_ID_MAX_BYTES);
    str_puts(&s, id->provider ? id->provider : "");
    for (size_t i = 0; i < depth && i < id->depth; i++)
        str_printf(&s, "/%s", id->types[i]);
    copy = str_copy(&s, a);
    str_done(&s);
    return copy;
}

char *arm_id_subscription(struct arena *a, const struct arm_id *id)
{
    return arena_printf(a, "/subscriptions/%s", text_lower(a, id->subscription));
}

char *arm_id_group(struct arena *a, const struct arm_id *id)
{
    if (!id->group)
        return NULL;
    return arena_printf(a, "%s/resourceGroups/%s", arm_id_subscription(a, id), id->group);
}

char *arm_id_text(struct arena *a, const struct arm_id *id, const char *type, size_t depth)
{
    const char *prefix = id->group          ? arm_id_group(a, id)
                         : id->subscription ? arm_id_subscription(a, id)
                                            : "";
    char **spelt;
    struct str s;
    char *copy;

    if (id->is_group)
        return arena_strdup(a, prefix);
    str_init(&s, 4 * ARM_ID_MAX_BYTES);
    str_printf(&s, "%s/providers/", id->scope ? id->scope : prefix);
    /* A type's spelling has its provider first, then one segment for each depth. */
    if (text_split(a, type ? type : arm_id_type(a, id, id->depth), '/', &spelt) <= depth)
        depth = 0;
    str_puts(&s, spelt[0]);
    for (size_t i = 0; i < depth && i < id->depth && id->names[i]; i++)
        str_printf(&s, "/%s/%s", spelt[i + 1], id->names[i]);
    copy = str_copy(&s, a);
    str_done(&s);
    return copy;
}

char *arm_id_key(struct arena *a, const struct arm_id *id, size_t depth)
{
    return text_lower(a, arm_id_text(a, id, NULL, depth));
}

const char *arm_id_group_of(struct arena *a, const char *key)
{
    static const char segment[] = "/resourcegroups/";
    const char *at = strstr(key, segment);

    if (!at || !text_starts(key, "/subscriptions/"))
        return NULL;
    at += sizeof(segment) - 1;
    return arena_strndup(a, at, strcspn(at, "/"));
}
