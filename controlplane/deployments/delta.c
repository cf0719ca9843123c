/* How two bodies differ: see the header. */
#include "controlplane/deployments/delta.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

struct walk {
    struct arena *arena;
    const struct json_object *other;
    const char *path;
    struct json_object *out;
    bool is_reverse; /* members that only `before` has */
};

static struct json_object *find(const struct json_object *object, const char *key);
static void compare(struct arena *a, const char *path, struct json_object *before,
                    struct json_object *after, struct json_object *out);

struct lookup {
    const char *key;
    struct json_object *found;
};

static void look(void *ctx, const char *key, struct json_object *value)
{
    struct lookup *l = ctx;

    if (text_eq(key, l->key))
        l->found = value;
}

/* Keys may hold dots (tags), which json_at() would take for a path. */
static struct json_object *find(const struct json_object *object, const char *key)
{
    struct lookup l = { .key = key };

    json_each(object, look, &l);
    return l.found;
}

static bool is_id(const char *s)
{
    return text_starts_nocase(s, "/subscriptions/") || text_starts_nocase(s, "/providers/");
}

static bool is_same_place(struct arena *a, const char *x, const char *y)
{
    char *left = text_lower(a, x), *right = text_lower(a, y);
    size_t n = 0;

    for (char *p = left; *p; p++)
        if (*p != ' ')
            left[n++] = *p;
    left[n] = '\0';
    n = 0;
    for (char *p = right; *p; p++)
        if (*p != ' ')
            right[n++] = *p;
    right[n] = '\0';
    return text_eq(left, right);
}

static bool is_same(struct arena *a, const char *path, const struct json_object *x,
                    const struct json_object *y)
{
    const char *left = json_text(x, ""), *right = json_text(y, "");

    if (json_equal(x, y))
        return true;
    if (!left || !right)
        return false;
    if (is_id(left) && is_id(right))
        return text_eq_nocase(left, right);
    return text_eq(path, "location") && is_same_place(a, left, right);
}

static struct json_object *entry(const char *path, const char *type, struct json_object *before,
                                 struct json_object *after)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "path", path);
    json_set_text(out, "propertyChangeType", type);
    if (before)
        json_set(out, "before", json_get(before));
    if (after)
        json_set(out, "after", json_get(after));
    return out;
}

static void walk_member(void *ctx, const char *key, struct json_object *value)
{
    struct walk *w = ctx;
    const char *path =
        w->path[0] ? arena_printf(w->arena, "%s.%s", w->path, key) : arena_strdup(w->arena, key);
    struct json_object *other = find(w->other, key);

    if (w->is_reverse && (other || !value))
        return;
    if (w->is_reverse)
        json_add(w->out, entry(path, "Delete", value, NULL));
    else
        compare(w->arena, path, other, value, w->out);
}

static void compare_objects(struct arena *a, const char *path, struct json_object *before,
                            struct json_object *after, struct json_object *out)
{
    struct walk w = { .arena = a, .other = before, .path = path, .out = out };

    json_each(after, walk_member, &w);
    w.other = after;
    w.is_reverse = true;
    json_each(before, walk_member, &w);
}

static void compare_arrays(struct arena *a, const char *path, struct json_object *before,
                           struct json_object *after, struct json_object *out)
{
    size_t old = json_count(before), new = json_count(after);
    struct json_object *children = json_own(a, json_new_array());
    struct json_object *one;

    for (size_t i = 0; i < old || i < new; i++) {
        const char *index = arena_printf(a, "%zu", i);
        struct json_object *inner;

        if (i >= old) {
            json_add(children, entry(index, "Create", NULL, json_item(after, i)));
        } else if (i >= new) {
            json_add(children, entry(index, "Delete", json_item(before, i), NULL));
        } else {
            inner = json_own(a, json_new_array());
            compare(a, "", json_item(before, i), json_item(after, i), inner);
            if (!json_count(inner))
                continue;
            one = entry(index, "Modify", json_item(before, i), json_item(after, i));
            if (json_kind(json_item(after, i)) == JSON_OBJECT)
                json_set(one, "children", json_get(inner));
            json_add(children, one);
        }
    }
    if (!json_count(children))
        return;
    one = entry(path, "Array", before, after);
    json_set(one, "children", json_get(children));
    json_add(out, one);
}

static void compare(struct arena *a, const char *path, struct json_object *before,
                    struct json_object *after, struct json_object *out)
{
    enum json_kind old = json_kind(before), new = json_kind(after);

    if ((!before && !after) || is_same(a, path, before, after))
        return;
    if (old == JSON_OBJECT && new == JSON_OBJECT)
        compare_objects(a, path, before, after, out);
    else if (old == JSON_ARRAY && new == JSON_ARRAY)
        compare_arrays(a, path, before, after, out);
    else
        json_add(out, entry(path, !before ? "Create" : !after ? "Delete" : "Modify", before,
                            after));
}

struct json_object *delta_of(struct arena *a, const struct json_object *before,
                             const struct json_object *after)
{
    struct json_object *out = json_own(a, json_new_array());

    compare_objects(a, "", (struct json_object *)(uintptr_t)before,
                    (struct json_object *)(uintptr_t)after, out);
    return out;
}
