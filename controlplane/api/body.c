/* The algebra of desired states: see the header. */
#include "controlplane/api/body.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/fields.h"
#include "common/json/json.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"

#define TAGS_MAX          50
#define TAG_KEY_MAX       512
#define TAG_VALUE_MAX     256
#define DEFAULT_MAX_BYTES 65536
#define GATED_MAX_BYTES   900

/* Members every resource has; the engine's own, not the tables'. */
static const char *const common_members[] = { "id",         "name",      "type",
                                              "location",   "tags",      "etag",
                                              "systemData", "managedBy", "apiVersion" };

void body_unset(struct arena *a, struct json_object *object, const char *path)
{
    const char *dot = strrchr(path, '.');

    if (dot)
        json_unset(json_at(object, arena_strndup(a, path, (size_t)(dot - path))), dot + 1);
    else
        json_unset(object, path);
}

struct tag_check {
    const char *bad;
    const char *why;
};

static void check_tag(void *ctx, const char *key, struct json_object *value)
{
    struct tag_check *check = ctx;
    const char *text = json_text(value, "");

    if (key[0] == '\0' || strlen(key) > TAG_KEY_MAX)
        check->why = "a tag name has 1 to 512 characters.";
    else if (!text)
        check->why = "a tag value is a text.";
    else if (strlen(text) > TAG_VALUE_MAX)
        check->why = "a tag value has at most 256 characters.";
    else
        return;
    check->bad = key;
}

int body_check_tags(const struct json_object *tags, struct error *err)
{
    struct tag_check check = { 0 };

    if (json_kind(tags) != JSON_OBJECT)
        return fail_at(err, &E_INVALID_TAGS, "tags", "The tags must be an object of texts.");
    if (json_count(tags) > TAGS_MAX)
        return fail_at(err, &E_INVALID_TAGS, "tags", "A resource has at most %d tags.", TAGS_MAX);
    json_each(tags, check_tag, &check);
    if (check.bad)
        return fail_at(err, &E_INVALID_TAGS, "tags", "The tag '%.100s' is invalid: %s", check.bad,
                       check.why);
    return 0;
}

static int read_tags(struct arena *a, struct json_object *object, struct body_request *ret,
                     struct error *err)
{
    struct json_object *tags = json_at(object, "tags");

    ret->has_tags = json_has(object, "tags");
    if (!ret->has_tags)
        return 0;
    if (!tags) { /* null empties the map */
        ret->tags = json_own(a, json_new_object());
        return 0;
    }
    if (body_check_tags(tags, err))
        return -1;
    ret->tags = json_own(a, json_get(tags));
    return 0;
}

static int read_common(struct arena *a, const struct resource_type *type,
                       struct json_object *object, struct body_request *ret, struct error *err)
{
    if (json_has(object, "location") && json_at(object, "location")) {
        ret->location = arena_strdup(a, json_text(object, "location"));
        if (!ret->location)
            return fail_at(err, &E_INVALID_CONTENT, "location", "The location must be a text.");
    }
    if (type->is_tracked && read_tags(a, object, ret, err))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(common_members); i++) {
        if (!fields_find(type->fields, common_members[i]))
            json_unset(object, common_members[i]);
    }
    return 0;
}

/* What this version does not show is to it an unknown member. */
static void hide_newer(struct arena *a, const struct resource_type *type, const char *api_version,
                       struct json_object *object, struct body_request *ret)
{
    char **known = ret->unknown;
    size_t rows = 0;

    for (const struct field *f = type->fields; f->path; f++)
        rows++;
    ret->unknown = arena_array(a, ret->unknown_count + rows + 1, sizeof(char *));
    if (ret->unknown_count)
        memcpy(ret->unknown, known, ret->unknown_count * sizeof(char *));
    for (const struct field *f = type->fields; f->path; f++) {
        if (since_shows(f->since, api_version) || !json_has(object, f->path))
            continue;
        if (!(f->flags & FIELD_READ_ONLY))
            ret->unknown[ret->unknown_count++] = arena_strdup(a, f->path);
        body_unset(a, object, f->path);
    }
}

int body_read(struct arena *a, const struct resource_type *type, const char *api_version,
              const char *text, size_t len, struct body_request *ret, struct error *err)
{
    struct json_object *object = NULL;
    struct error reason;

    *ret = (struct body_request){ 0 };
    if (type->is_body_optional && len == 0) {
        text = "{}";
        len = strlen(text);
    }
    if (!text || len == 0)
        return fail(err, &E_INVALID_CONTENT, "The request needs a body, and has none.");
    if (json_parse_object(text, len, ARM_BODY_MAX_BYTES, &object, &reason)) {
        if (reason.code == &E_TOO_LARGE)
            return fail(err, &E_BODY_TOO_LARGE, "%s", reason.message);
        return fail(err, &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: '%.900s'.",
                    reason.message);
    }
    ret->members = json_own(a, object);
    if (read_common(a, type, object, ret, err))
        return -1;
    if (type->reshape)
        type->reshape(object);
    ret->unknown_count = fields_unknown(a, type->fields, object, &ret->unknown);
    hide_newer(a, type, api_version, object, ret);
    fields_strip(type->fields, object, FIELD_READ_ONLY);
    return 0;
}

int body_decode(struct arena *a, const struct resource_type *type, const struct json_object *body,
                void **ret, struct error *err)
{
    struct json_object *whole = json_own(a, json_copy(body));

    fields_default(type->fields, whole);
    *ret = arena_alloc(a, type->size);
    return fields_decode(a, type->fields, whole, *ret, err);
}

static bool may_be_absent(const struct body_change *c, const struct field *f)
{
    return (f->flags & FIELD_CREATE_ONLY) || !since_shows(f->since, c->api_version);
}

/* A PUT leaves alone what it cannot change or cannot see, and keeps nulls that mean something. */
static void preserve(const struct body_change *c, struct json_object *body)
{
    for (const struct field *f = c->type->fields; f->path; f++) {
        if ((f->flags & FIELD_NULLABLE) && json_has(c->request, f->path) &&
            !json_at(c->request, f->path))
            json_put_at(body, f->path, NULL);
        if (!c->was || (f->flags & FIELD_READ_ONLY) || !may_be_absent(c, f) ||
            json_at(c->request, f->path) || !json_at(c->was, f->path))
            continue;
        json_put_at(body, f->path, json_copy(json_at(c->was, f->path)));
    }
}

static int check_unchanged(struct arena *a, const struct body_change *c,
                           const struct json_object *body, struct error *err)
{
    struct json_object *was;

    if (!c->was)
        return 0;
    was = json_own(a, json_copy(c->was));
    fields_default(c->type->fields, was);
    for (const struct field *f = c->type->fields; f->path; f++) {
        if (!(f->flags & FIELD_CREATE_ONLY) ||
            json_equal(json_at(was, f->path), json_at(body, f->path)))
            continue;
        return fail_at(err, &E_CHANGE_NOT_ALLOWED, f->path,
                       "Changing property '%s' is not allowed.", f->path);
    }
    return 0;
}

/* Whether a member has a value other than its default, and may not in this SKU. */
static int is_gated(struct arena *a, const struct field *f, enum sku sku,
                    const struct json_object *body, struct error *err)
{
    struct json_object *def = NULL;

    if (f->gate <= (int)sku || !f->def)
        return 0;
    if (json_parse(f->def, strlen(f->def), DEFAULT_MAX_BYTES, JSON_STRICT, &def, err))
        return wrap(err, "default of %s", f->path);
    return !json_equal(json_own(a, def), json_at(body, f->path));
}

/* Names every member that stands in the way. */
static int check_gates(struct arena *a, const struct body_change *c, enum sku sku,
                       const struct json_object *body, struct error *err)
{
    _cleanup_(str_done) struct str names;
    const char *first = NULL;

    str_init(&names, GATED_MAX_BYTES);
    for (const struct field *f = c->type->fields; f->path; f++) {
        int is_in_the_way = is_gated(a, f, sku, body, err);

        if (is_in_the_way < 0)
            return -1;
        if (!is_in_the_way)
            continue;
        str_printf(&names, "%s'%s' (%s)", first ? ", " : "", f->path,
                   sku_text((enum sku)f->gate));
        if (!first)
            first = f->path;
    }
    if (!first)
        return 0;
    return fail_at(err, &E_SKU_NOT_SUPPORTED, first,
                   "The SKU %s is not supported. A higher one is needed for %s.", sku_text(sku),
                   names.data);
}

static int check_table(struct arena *a, const struct body_change *c, struct json_object *body,
                       struct error *err)
{
    if (c->type->precheck && c->type->precheck(a, body, err))
        return -1;
    return fields_check(a, c->type->fields, body, true, &E_INVALID_PARAMETER, err);
}

/* A copy with nothing but what the table knows, in lists as well: unknown members are named to the
 * client and never stored. Nulls with a meaning are kept. */
static struct json_object *pick(const struct field *table, const struct json_object *from)
{
    struct json_object *out = json_new_object();

    for (const struct field *f = table; f->path; f++) {
        struct json_object *value = json_at(from, f->path);
        struct json_object *items;

        if (!value) {
            if ((f->flags & FIELD_NULLABLE) && json_has(from, f->path))
                json_put_at(out, f->path, NULL);
            continue;
        }
        if (f->kind != FIELD_LIST) {
            json_put_at(out, f->path, json_get(value));
            continue;
        }
        items = json_new_array();
        for (size_t i = 0; i < json_count(value); i++)
            json_add(items, pick(f->of, json_item(value, i)));
        json_put_at(out, f->path, items);
    }
    return out;
}

static struct json_object *item_named(const struct json_object *list, const char *name)
{
    for (size_t i = 0; name && i < json_count(list); i++) {
        const char *other = json_text(json_item(list, i), "name");

        if (other && text_eq_nocase(other, name))
            return json_item(list, i);
    }
    return NULL;
}

static void add_others(struct json_object *items, const struct json_object *was,
                       const struct json_object *now)
{
    for (size_t i = 0; i < json_count(was); i++) {
        if (!item_named(now, json_text(json_item(was, i), "name")))
            json_add(items, json_copy(json_item(was, i)));
    }
}

/* A merge patch replaces lists (RFC 7396); what rows tell apart by name is patched item by item. */
static void merge_items(const struct body_change *c, struct json_object *body)
{
    for (const struct field *f = c->type->fields; f->path; f++) {
        struct json_object *was = f->flags & FIELD_BY_NAME ? json_at(c->was, f->path) : NULL;
        struct json_object *now = was ? json_at(c->request, f->path) : NULL;
        struct json_object *items;

        if (json_kind(now) != JSON_ARRAY)
            continue;
        items = json_new_array();
        if (f->flags & FIELD_ADDED_TO)
            add_others(items, was, now);
        for (size_t i = 0; i < json_count(now); i++) {
            struct json_object *patch = json_item(now, i);
            struct json_object *old = item_named(was, json_text(patch, "name"));
            struct json_object *item =
                json_copy(old && json_kind(patch) == JSON_OBJECT ? old : patch);

            if (old && json_kind(patch) == JSON_OBJECT)
                json_merge_patch(item, patch);
            json_add(items, item);
        }
        json_put_at(body, f->path, items);
    }
}

/* What is true or false may be written as a word: az sends the defaults of its own options so. */
static void read_words(const struct field *table, struct json_object *body)
{
    for (const struct field *f = table; f->path; f++) {
        const char *word = f->kind == FIELD_BOOL ? json_text(body, f->path) : NULL;

        if (word && (text_eq_nocase(word, "true") || text_eq_nocase(word, "false")))
            json_put_at(body, f->path, json_new_bool(text_eq_nocase(word, "true")));
    }
}

/* The checks come before anything is picked from the body or laid into it, so that what must be
 * objects are. */
static int merge(struct arena *a, const struct body_change *c, struct json_object **ret,
                 struct error *err)
{
    struct json_object *body =
        json_own(a, c->is_patch && c->was ? json_copy(c->was) : json_new_object());

    json_merge_patch(body, c->request);
    if (c->is_patch && c->was)
        merge_items(c, body);
    read_words(c->type->fields, body);
    fields_default(c->type->fields, body);
    if (check_table(a, c, body, err))
        return -1;
    body = json_own(a, pick(c->type->fields, body));
    if (!c->is_patch)
        preserve(c, body);
    fields_strip(c->type->fields, body, FIELD_READ_ONLY);
    *ret = body;
    return 0;
}

int body_desired(struct arena *a, const struct body_change *change, struct json_object **ret,
                 void **ret_decoded, struct error *err)
{
    const struct resource_type *type = change->type;
    struct json_object *body = NULL;
    void *was = NULL;
    void *now = NULL;

    if (merge(a, change, &body, err) || check_unchanged(a, change, body, err) ||
        body_decode(a, type, body, &now, err))
        return -1;
    if (change->was && body_decode(a, type, change->was, &was, err))
        return -1;
    if (type->validate && type->validate(a, was, now, err))
        return -1;
    if (check_gates(a, change, type->sku ? type->sku(body) : change->parent_sku, body, err))
        return -1;
    if (type->stamp)
        type->stamp(a, change->was, body, change->time);
    *ret = body;
    *ret_decoded = now;
    return 0;
}
