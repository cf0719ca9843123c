/* Reading, comparing and writing scopes. A pattern covers a name, or a narrower pattern, only at a
 * path boundary: "team/" followed by "*" covers "team/a", neither "team" nor "teamx/a". */
#include "dataplane/auth/scope.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "dataplane/oci/reference.h"

#define SCOPE_TEXT_MAX 1024

static const struct action {
    const char *name;
    unsigned bits;
} actions[] = {
    { "pull", ACT_PULL },
    { "push", ACT_PUSH },
    { "delete", ACT_DELETE },
    { "metadata_read", ACT_METADATA_READ },
    { "metadata_write", ACT_METADATA_WRITE },
    { "deleted_read", ACT_DELETED_READ },
    { "deleted_restore", ACT_DELETED_RESTORE },
    { "quarantine_read", ACT_QUARANTINE_READ },
    { "quarantine_write", ACT_QUARANTINE_WRITE },
    /* Only read: what older az asks for, and everything. */
    { "metadataRead", ACT_METADATA_READ },
    { "metadataWrite", ACT_METADATA_WRITE },
    { "*", ACT_ALL },
};
#define WRITTEN_ACTIONS 9

static unsigned read_action(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (strlen(actions[i].name) == len && memcmp(actions[i].name, name, len) == 0)
            return actions[i].bits;
    }
    return 0;
}

static unsigned read_actions(const char *list)
{
    unsigned bits = 0;

    for (const char *p = list;; p++) {
        size_t len = strcspn(p, ",");
        bits |= read_action(p, len);
        p += len;
        if (*p == '\0')
            return bits;
    }
}

/* "a", "a/b", "*" or "a/" followed by "*". */
static bool is_pattern(const char *name)
{
    size_t len = strlen(name);
    char prefix[REPOSITORY_NAME_MAX + 1];

    if (text_eq(name, "*"))
        return true;
    if (len < 3 || len - 2 > REPOSITORY_NAME_MAX || !text_ends(name, "/*"))
        return repository_name_is_valid(name);
    memcpy(prefix, name, len - 2);
    prefix[len - 2] = '\0';
    return repository_name_is_valid(prefix);
}

static bool covers(const char *pattern, const char *name)
{
    size_t len = strlen(pattern);

    if (strcmp(pattern, name) == 0 || strcmp(pattern, "*") == 0)
        return true;
    if (len < 3 || pattern[len - 1] != '*' || pattern[len - 2] != '/')
        return false;
    return strncmp(pattern, name, len - 1) == 0 && name[len - 1] != '\0';
}

/* Fills everything but the actions; false for what is not known here. */
static bool read_subject(const char *type, const char *name, struct scope *ret)
{
    if (text_eq(type, "repository") || text_eq(type, "artifact-repository")) {
        *ret = (struct scope){ .kind = SCOPE_REPOSITORY, .name = name };
        return is_pattern(name);
    }
    if (!text_eq(type, "registry"))
        return false;
    *ret = (struct scope){ .name = "" };
    if (text_eq(name, "catalog"))
        ret->kind = SCOPE_CATALOG;
    else if (text_eq(name, "deleted_catalog"))
        ret->kind = SCOPE_DELETED_CATALOG;
    else
        return false;
    return true;
}

/* type[(class)]:name:actions, split at the first and the last colon. */
static bool read_scope(char *text, struct scope *ret)
{
    char *first = strchr(text, ':'), *last = strrchr(text, ':');
    char *class = NULL;

    if (!first || first == last)
        return false;
    *first = *last = '\0';
    class = strchr(text, '(');
    if (class)
        *class = '\0';
    if (!read_subject(text, first + 1, ret))
        return false;
    ret->actions = read_actions(last + 1);
    return ret->actions != 0;
}

void scopes_parse(struct arena *a, const char *const *texts, size_t count, struct scopes *ret)
{
    *ret = (struct scopes){ .items = arena_array(a, SCOPES_MAX, sizeof(*ret->items)) };
    for (size_t i = 0; i < count; i++) {
        const char *p = texts[i];
        for (p += strspn(p, " "); *p && ret->count < SCOPES_MAX; p += strspn(p, " ")) {
            size_t len = strcspn(p, " ");
            if (len <= SCOPE_TEXT_MAX &&
                read_scope(arena_strndup(a, p, len), &ret->items[ret->count]))
                ret->count++;
            p += len;
        }
    }
}

void scopes_read(struct arena *a, const struct json_object *list, struct scopes *ret)
{
    size_t count = json_kind(list) == JSON_ARRAY ? json_count(list) : 0;

    *ret = (struct scopes){ .items = arena_array(a, count + 1, sizeof(*ret->items)) };
    for (size_t i = 0; i < count; i++) {
        const struct json_object *item = json_item(list, i);
        const struct json_object *names = json_at(item, "actions");
        const char *type = json_text(item, "type"), *name = json_text(item, "name");
        struct scope scope = { 0 };
        if (!type || !name || !read_subject(type, arena_strdup(a, name), &scope))
            continue;
        for (size_t j = 0; json_kind(names) == JSON_ARRAY && j < json_count(names); j++) {
            const char *action = json_text(json_item(names, j), "");
            scope.actions |= action ? read_action(action, strlen(action)) : 0;
        }
        if (scope.actions)
            ret->items[ret->count++] = scope;
    }
}

static const char *kind_name(enum scope_kind kind)
{
    switch (kind) {
    case SCOPE_CATALOG:
        return "catalog";
    case SCOPE_DELETED_CATALOG:
        return "deleted_catalog";
    case SCOPE_REPOSITORY:
    case SCOPE_KIND_MAX:
        break;
    }
    return "";
}

struct json_object *scopes_json(const struct scopes *scopes)
{
    struct json_object *list = json_new_array();

    for (size_t i = 0; i < scopes->count; i++) {
        const struct scope *scope = &scopes->items[i];
        bool is_repository = scope->kind == SCOPE_REPOSITORY;
        struct json_object *entry = json_new_object(), *names = json_new_array();
        json_set_text(entry, "type", is_repository ? "repository" : "registry");
        json_set_text(entry, "name", is_repository ? scope->name : kind_name(scope->kind));
        if (scope->actions == ACT_ALL)
            json_add_text(names, "*");
        for (size_t j = 0; scope->actions != ACT_ALL && j < WRITTEN_ACTIONS; j++) {
            if (scope->actions & actions[j].bits)
                json_add_text(names, actions[j].name);
        }
        json_set(entry, "actions", names);
        json_add(list, entry);
    }
    return list;
}

static unsigned actions_on(const struct scopes *scopes, enum scope_kind kind, const char *name)
{
    unsigned bits = 0;

    for (size_t i = 0; i < scopes->count; i++) {
        const struct scope *scope = &scopes->items[i];
        if (scope->kind == kind && (kind != SCOPE_REPOSITORY || covers(scope->name, name)))
            bits |= scope->actions;
    }
    return bits;
}

void scopes_intersect(struct arena *a, const struct scopes *asked, const struct scopes *allowed,
                      struct scopes *ret)
{
    const struct scopes from = *asked; /* ret may be asked */

    *ret = (struct scopes){ .items = arena_array(a, from.count + 1, sizeof(*ret->items)) };
    for (size_t i = 0; i < from.count; i++) {
        struct scope scope = from.items[i];
        scope.actions &= actions_on(allowed, scope.kind, scope.name);
        if (scope.actions)
            ret->items[ret->count++] = scope;
    }
}

bool scopes_allow(const struct scopes *scopes, enum scope_kind kind, const char *name,
                  unsigned wanted)
{
    return (actions_on(scopes, kind, name) & wanted) == wanted;
}

char *scope_text(struct arena *a, enum scope_kind kind, const char *name, unsigned wanted)
{
    _cleanup_(str_done) struct str s = { 0 };

    if (kind != SCOPE_REPOSITORY)
        return arena_printf(a, "registry:%s:*", kind_name(kind));
    str_init(&s, SCOPE_TEXT_MAX);
    str_printf(&s, "repository:%s:", name);
    for (size_t i = 0, written = 0; i < WRITTEN_ACTIONS; i++) {
        if (wanted & actions[i].bits)
            str_printf(&s, "%s%s", written++ ? "," : "", actions[i].name);
    }
    return str_copy(&s, a);
}

const char *scope_action_name(unsigned wanted)
{
    const char *name = "*";

    for (size_t i = 0; i < WRITTEN_ACTIONS; i++) {
        if (wanted & actions[i].bits)
            name = actions[i].name;
    }
    return name;
}
