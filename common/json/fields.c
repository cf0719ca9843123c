/* Walking a table over an object: finding rows, defaults, stripping, unknown members, and the proof
 * that a table is well formed. Checking and decoding have their own files. */
#include "common/json/fields.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/pattern.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"

#define PATH_LEN_MAX   255
#define DEFAULT_MAX    ((size_t)64 * 1024)
#define LIST_DEPTH_MAX 8

static const unsigned mutability = FIELD_RW | FIELD_CREATE_ONLY | FIELD_READ_ONLY;

/* Why the row itself, its neighbours aside, is not well formed; NULL when it is. */
static const char *flaw_of_row(const struct field *f)
{
    unsigned how = f->flags & mutability;
    bool is_texts = f->kind == FIELD_TEXT || f->kind == FIELD_TEXT_LIST;

    if (f->path[0] == '\0' || f->path[0] == '.' || text_ends(f->path, ".") ||
        strstr(f->path, "..") || strlen(f->path) > PATH_LEN_MAX)
        return "its path is malformed";
    if ((unsigned)f->kind >= FIELD_KIND_MAX)
        return "its kind is unknown";
    if (how == 0 || (how & (how - 1)) != 0)
        return "it needs exactly one mutability flag";
    if ((f->flags & FIELD_SECRET) && how == FIELD_READ_ONLY)
        return "a secret cannot be read-only";
    if ((f->oneof || f->pattern) && !is_texts)
        return "only texts have allowed values or a pattern";
    if ((f->flags & FIELD_NOCASE) && !f->oneof)
        return "NOCASE needs allowed values";
    if ((f->min != 0 || f->max != 0) && (f->kind == FIELD_BOOL || f->kind == FIELD_JSON))
        return "its kind has no range";
    if (f->max < f->min && (f->kind == FIELD_INT || f->max != 0))
        return "its range is empty";
    if ((f->kind == FIELD_LIST) != (f->of != NULL))
        return "FIELD_LIST, and nothing else, has rows of its own";
    return NULL;
}

static size_t size_of_kind(enum field_kind kind)
{
    switch (kind) {
    case FIELD_TEXT:
    case FIELD_TIME:
        return sizeof(char *);
    case FIELD_BOOL:
        return sizeof(bool);
    case FIELD_INT:
        return sizeof(int64_t);
    case FIELD_TEXT_LIST:
        return sizeof(struct field_texts);
    case FIELD_TEXT_MAP:
    case FIELD_JSON:
        return sizeof(struct json_object *);
    case FIELD_LIST:
        return sizeof(struct field_list);
    case FIELD_KIND_MAX:
        break;
    }
    return 0;
}

/* Whether `path` is a proper prefix of `longer`, by whole member names. */
static bool is_above(const char *path, size_t len, const char *longer)
{
    return strncmp(path, longer, len) == 0 && longer[len] == '.';
}

static int check_neighbours(const struct field *table, const struct field *f, struct error *err)
{
    for (const struct field *g = table; g->path; g++) {
        if (g != f && text_eq(f->path, g->path))
            return fail_cause(err, &E_INTERNAL, "field %s: there are two rows", f->path);
        if (is_above(f->path, strlen(f->path), g->path) && f->kind != FIELD_JSON)
            return fail_cause(err, &E_INTERNAL, "field %s: %s lies below it", f->path, g->path);
    }
    return 0;
}

static int check_place(const struct field *f, size_t struct_size, struct error *err)
{
    size_t size = size_of_kind(f->kind);

    if (f->offset == FIELD_NO_OFFSET)
        return 0;
    if (size > struct_size || f->offset > struct_size - size)
        return fail_cause(err, &E_INTERNAL, "field %s: its offset is outside the struct", f->path);
    return 0;
}

static int check_pattern(const struct field *f, struct error *err)
{
    return f->pattern && pattern_check(f->pattern, err) ? wrap(err, "field %s", f->path) : 0;
}

static int check_default(const struct field *f, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct field alone[2] = { *f };
    struct json_object *value = NULL;

    if (!f->def)
        return 0;
    struct json_object *object = json_own(a, json_new_object());
    if (json_parse(f->def, strlen(f->def), DEFAULT_MAX, JSON_STRICT, &value, err) < 0)
        return fail_cause(err, &E_INTERNAL, "field %s: its default: %s", f->path, err->message);
    json_put_at(object, f->path, value);
    if (!value && !(f->flags & FIELD_NULLABLE))
        return fail_cause(err, &E_INTERNAL, "field %s: its default is null", f->path);
    /* Rows that requests cannot set are not checked there, but their defaults are here. */
    alone[0].flags = (f->flags & ~mutability) | FIELD_RW;
    if (fields_check(a, alone, object, true, &E_INTERNAL, err) < 0)
        return fail_cause(err, &E_INTERNAL, "field %s: its default: %s", f->path, err->message);
    return 0;
}

static int check_table(const struct field *table, size_t struct_size, int depth, struct error *err)
{
    if (depth > LIST_DEPTH_MAX)
        return fail_cause(err, &E_INTERNAL, "lists are nested too deeply, or without end");
    for (const struct field *f = table; f->path; f++) {
        const char *flaw = flaw_of_row(f);
        if (flaw)
            return fail_cause(err, &E_INTERNAL, "field %s: %s", f->path, flaw);
        if (check_neighbours(table, f, err) < 0 || check_place(f, struct_size, err) < 0 ||
            check_pattern(f, err) < 0)
            return -1;
        if (f->kind == FIELD_LIST && check_table(f->of, f->of_size, depth + 1, err) < 0)
            return wrap(err, "items of %s", f->path);
        if (check_default(f, err) < 0)
            return -1;
    }
    return 0;
}

int fields_table_check(const struct field *table, size_t struct_size, struct error *err)
{
    return check_table(table, struct_size, 0, err);
}

const struct field *fields_find(const struct field *table, const char *path)
{
    for (; table->path; table++)
        if (strcmp(table->path, path) == 0)
            return table;
    return NULL;
}

/* Whether every object on the way to path is an object or missing, so that a member can be put
 * there without destroying anything. */
static bool is_reachable(const struct json_object *object, const char *path)
{
    char above[PATH_LEN_MAX + 1];

    for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t len = (size_t)(dot - path);
        if (len > PATH_LEN_MAX)
            return false;
        memcpy(above, path, len);
        above[len] = '\0';
        if (json_at(object, above) && json_kind(json_at(object, above)) != JSON_OBJECT)
            return false;
    }
    return true;
}

static void unset_at(struct json_object *object, const char *path)
{
    const char *dot = strrchr(path, '.');
    char above[PATH_LEN_MAX + 1];

    if (!dot) {
        json_unset(object, path);
        return;
    }
    size_t len = (size_t)(dot - path);
    if (len > PATH_LEN_MAX)
        return;
    memcpy(above, path, len);
    above[len] = '\0';
    json_unset(json_at(object, above), dot + 1);
}

static void default_row(const struct field *f, struct json_object *object)
{
    struct json_object *value = json_at(object, f->path);
    struct json_object *def = NULL;
    struct error err;

    if (f->kind == FIELD_LIST) {
        for (size_t i = 0; json_kind(value) == JSON_ARRAY && i < json_count(value); i++)
            if (json_kind(json_item(value, i)) == JSON_OBJECT)
                fields_default(f->of, json_item(value, i));
    }
    if (value || (json_has(object, f->path) && (f->flags & FIELD_NULLABLE)))
        return;
    /* fields_table_check() proves that a default parses. */
    if (f->def && is_reachable(object, f->path) &&
        json_parse(f->def, strlen(f->def), DEFAULT_MAX, JSON_STRICT, &def, &err) == 0)
        json_put_at(object, f->path, def);
    else
        unset_at(object, f->path);
}

void fields_default(const struct field *table, struct json_object *object)
{
    for (const struct field *f = table; f->path; f++)
        default_row(f, object);
}

void fields_strip(const struct field *table, struct json_object *object, unsigned flags)
{
    for (const struct field *f = table; f->path; f++) {
        const struct json_object *items = json_at(object, f->path);
        if (f->flags & flags) {
            unset_at(object, f->path);
            continue;
        }
        for (size_t i = 0;
             f->kind == FIELD_LIST && json_kind(items) == JSON_ARRAY && i < json_count(items); i++)
            fields_strip(f->of, json_item(items, i), flags);
    }
}

struct unknown {
    struct arena *a;
    const struct field *table;
    const char *prefix; /* with its dot or index; shown before the path */
    const char *path;   /* inside the table, with its dot */
    char **paths;
    size_t count;
    size_t cap;
};

static void unknown_member(void *ctx, const char *key, struct json_object *value);

static void add_unknown(struct unknown *u, char *path)
{
    if (u->count == u->cap) {
        size_t cap = u->cap ? 2 * u->cap : 8;
        char **paths = arena_array(u->a, cap, sizeof(*paths));
        if (u->count)
            memcpy(paths, u->paths, u->count * sizeof(*paths));
        u->paths = paths;
        u->cap = cap;
    }
    u->paths[u->count++] = path;
}

/* Goes through one object below; `prefix` and `path` are set for it and put back. */
static void walk_unknown(struct unknown *u, const struct field *table, const char *prefix,
                         const char *path, const struct json_object *object)
{
    struct unknown outer = *u;

    u->table = table;
    u->prefix = prefix;
    u->path = path;
    json_each(object, unknown_member, u);
    u->table = outer.table;
    u->prefix = outer.prefix;
    u->path = outer.path;
}

static void unknown_in_list(struct unknown *u, const struct field *f,
                            const struct json_object *list)
{
    for (size_t i = 0; json_kind(list) == JSON_ARRAY && i < json_count(list); i++)
        walk_unknown(u, f->of, arena_printf(u->a, "%s%s[%zu].", u->prefix, f->path, i), "",
                     json_item(list, i));
}

static void unknown_member(void *ctx, const char *key, struct json_object *value)
{
    struct unknown *u = ctx;
    /* A name with a dot in it must not be taken for a path. */
    bool is_plain = strchr(key, '.') == NULL;
    char *path = arena_printf(u->a, "%s%s", u->path, key);
    const struct field *f = is_plain ? fields_find(u->table, path) : NULL;

    if (f && f->kind == FIELD_LIST)
        unknown_in_list(u, f, value);
    if (f)
        return;
    for (f = u->table; is_plain && f->path; f++) {
        if (!is_above(path, strlen(path), f->path))
            continue;
        walk_unknown(u, u->table, u->prefix, arena_printf(u->a, "%s.", path), value);
        return;
    }
    add_unknown(u, arena_printf(u->a, "%s%s", u->prefix, path));
}

size_t fields_unknown(struct arena *a, const struct field *table, const struct json_object *object,
                      char ***ret_paths)
{
    struct unknown u = { .a = a };

    walk_unknown(&u, table, "", "", object);
    *ret_paths = u.paths;
    return u.count;
}
