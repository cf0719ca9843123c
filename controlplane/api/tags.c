/* Tags on their own: see the header. Whoever may write tags need not be able to write the resource. */
#include "controlplane/api/tags.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/body.h"
#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/extension.h"
#include "controlplane/store/insights.h"
#include "controlplane/types/all.h"
#include "controlplane/types/versions.h"

#define TAGS "Microsoft.Resources/tags"
#define NAME_MAX_BYTES  512
#define VALUE_MAX_BYTES 256

enum change_kind { TAGS_REPLACE, TAGS_MERGE, TAGS_DELETE };

struct work {
    struct call *call;
    struct extension at;
    const char *key; /* NULL: the subscription's */
    enum change_kind change;
    const struct json_object *asked;
    struct json_object *tags;
    struct tag_row *rows;
    size_t count;
    const char *name, *value;
    int found;
};

static void reply(struct work *w)
{
    struct call *c = w->call;
    struct json_object *out = json_own(c->arena, json_new_object());
    struct json_object *properties = json_new_object();

    json_set_text(out, "id",
                  arena_printf(c->arena, "%s/providers/" TAGS "/default", w->at.scope));
    json_set_text(out, "name", "default");
    json_set_text(out, "type", TAGS);
    json_set(properties, "tags", json_get(w->tags));
    json_set(out, "properties", properties);
    reply_json(c, 200, out);
}

static int open_scope(struct call *c, struct work *w, struct error *err)
{
    const struct resource_type *type;

    *w = (struct work){ .call = c };
    if (extension_open(c, false, &w->at, err))
        return -1;
    if (w->at.is_tenant)
        return fail(err, &E_NO_ROUTE, "A tenant has no tags.");
    if (w->at.is_subscription)
        return 0;
    w->key = w->at.key;
    type = type_find(arm_id_type(c->arena, &c->id, c->id.depth));
    if (!type || !type->is_tracked)
        return fail(err, &E_NOT_SUPPORTED, "Resources of the type '%s' have no tags.",
                    type ? type->name : "");
    return 0;
}

static int load(struct pg_conn *conn, struct work *w, struct error *err)
{
    struct call *c = w->call;

    w->found = tags_get(conn, c->arena, c->subscription.id, w->key, &w->tags, &w->at.scope, err);
    if (w->found != 0)
        return w->found < 0 ? -1 : 0;
    if (c->id.is_group)
        return fail(err, &E_GROUP_NOT_FOUND, "Resource group '%s' could not be found.",
                    c->id.group);
    return fail(err, &E_RESOURCE_NOT_FOUND, "The resource %s could not be found.",
                c->id.names[c->id.depth - 1]);
}

static int read_tags(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    (void)a;
    return load(conn, ctx, err);
}

static int run_show(struct call *c, struct error *err)
{
    struct work w;

    if (open_scope(c, &w, err) ||
        pg_transact(c->control->db, c->arena, read_tags, &w, err))
        return -1;
    reply(&w);
    return 0;
}

/* Names of tags are the same whatever their case. */
struct seek {
    const char *key;
    const char *text; /* NULL: not there */
};

static void seek_one(void *ctx, const char *key, struct json_object *value)
{
    struct seek *s = ctx;

    if (text_eq_nocase(key, s->key))
        s->text = json_text(value, "");
}

struct merge {
    struct work *work;
    struct json_object *into;
};

/* What was there stays unless it is set anew, or is to go with the value it has. */
static void keep_one(void *ctx, const char *key, struct json_object *value)
{
    struct merge *m = ctx;
    struct seek asked = { .key = key };

    json_each(m->work->asked, seek_one, &asked);
    if (asked.text && (m->work->change == TAGS_MERGE || text_eq_nocase(asked.text,
                                                                       json_text(value, ""))))
        return;
    json_set(m->into, key, json_get(value));
}

static void add_one(void *ctx, const char *key, struct json_object *value)
{
    struct merge *m = ctx;

    json_set(m->into, key, json_get(value));
}

static int write_tags(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    struct merge m = { .work = w, .into = json_own(a, json_new_object()) };

    if (load(conn, w, err))
        return -1;
    if (w->change != TAGS_REPLACE)
        json_each(w->tags, keep_one, &m);
    if (w->change != TAGS_DELETE)
        json_each(w->asked, add_one, &m);
    w->tags = m.into;
    if (body_check_tags(w->tags, err) ||
        tags_put(conn, a, w->call->subscription.id, w->key, w->tags, err))
        return -1;
    return extension_event(conn, w->call, &w->at, w->at.scope, err);
}

static int change(struct call *c, bool is_patch, struct error *err)
{
    struct json_object *body = NULL;
    const char *operation;
    struct work w;

    if (open_scope(c, &w, err) || extension_body(c, &body, err))
        return -1;
    w.asked = json_at(body, "properties.tags");
    if (!w.asked)
        w.asked = json_own(c->arena, json_new_object());
    operation = is_patch ? json_text(body, "operation") : "Replace";
    if (text_eq_nocase(operation, "Merge"))
        w.change = TAGS_MERGE;
    else if (text_eq_nocase(operation, "Delete"))
        w.change = TAGS_DELETE;
    else if (!text_eq_nocase(operation, "Replace"))
        return fail_at(err, &E_INVALID_CONTENT, "operation",
                       "The operation on tags is 'Replace', 'Merge' or 'Delete'.");
    if (body_check_tags(w.asked, err) ||
        pg_transact(c->control->db, c->arena, write_tags, &w, err))
        return -1;
    reply(&w);
    return 0;
}

static int run_put(struct call *c, struct error *err)
{
    return change(c, false, err);
}

static int run_patch(struct call *c, struct error *err)
{
    return change(c, true, err);
}

static int run_remove(struct call *c, struct error *err)
{
    struct work w;

    if (open_scope(c, &w, err))
        return -1;
    w.asked = json_own(c->arena, json_new_object());
    if (pg_transact(c->control->db, c->arena, write_tags, &w, err))
        return -1;
    http_reply_empty(c->req, 200);
    return 0;
}

/* Names of a subscription -------------------------------------------------------------------------- */

static struct json_object *show_count(int64_t n)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "type", "Total");
    json_set_int(out, "value", n);
    return out;
}

static struct json_object *show_name(struct call *c, const char *name, int64_t n)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "id", arena_printf(c->arena, "/subscriptions/%s/tagNames/%s",
                                          c->subscription.id, name));
    json_set_text(out, "tagName", name);
    json_set(out, "count", show_count(n));
    json_set(out, "values", json_new_array());
    return out;
}

static struct json_object *show_value(struct call *c, const char *name, const char *value,
                                      int64_t n)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "id", arena_printf(c->arena, "/subscriptions/%s/tagNames/%s/tagValues/%s",
                                          c->subscription.id, name, value));
    json_set_text(out, "tagValue", value);
    json_set(out, "count", show_count(n));
    return out;
}

static int list_names(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    return tag_name_list(conn, a, w->call->subscription.id, &w->rows, &w->count, err);
}

static int run_names(struct call *c, struct error *err)
{
    struct work w = { .call = c };
    struct json_object *body = json_own(c->arena, json_new_object()), *list = json_new_array();
    struct json_object *name = NULL;

    if (pg_with(c->control->db, c->arena, list_names, &w, err))
        return -1;
    for (size_t i = 0; i < w.count; i++) {
        const struct tag_row *row = &w.rows[i];

        if (row->value[0] == '\0') {
            name = show_name(c, row->name, row->count);
            json_add(list, name);
        } else if (name) {
            json_add(json_at(name, "values"), show_value(c, row->name, row->value, row->count));
        }
    }
    json_set(body, "value", list);
    reply_json(c, 200, body);
    return 0;
}

static int log_name(struct pg_conn *conn, struct work *w, struct error *err)
{
    const struct extension at = { .is_subscription = true };
    const char *id = arena_printf(w->call->arena, "/subscriptions/%s/tagNames/%s",
                                  w->call->subscription.id, w->name);

    return extension_event(conn, w->call, &at, id, err);
}

static int put_name(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    w->found = tag_name_add(conn, a, w->call->subscription.id, w->name, w->value, err);
    return w->found < 0 ? -1 : log_name(conn, w, err);
}

static int drop_name(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    w->found = tag_name_remove(conn, a, w->call->subscription.id, w->name, w->value, err);
    return w->found <= 0 ? w->found : log_name(conn, w, err);
}

static int run_name(struct call *c, bool is_put, bool has_value, struct error *err)
{
    struct work w = { .call = c,
                      .name = c->req->params[1],
                      .value = has_value ? c->req->params[2] : "" };

    if (strlen(w.name) > NAME_MAX_BYTES || strlen(w.value) > VALUE_MAX_BYTES)
        return fail(err, &E_INVALID_TAGS, "A tag name has at most %d characters, a value %d.",
                    NAME_MAX_BYTES, VALUE_MAX_BYTES);
    if (lock_guard(c, arena_printf(c->arena, "/subscriptions/%s", c->subscription.id),
                   endpoint_right(c), !is_put, err) ||
        pg_transact(c->control->db, c->arena, is_put ? put_name : drop_name, &w, err))
        return -1;
    if (!is_put) {
        http_reply_empty(c->req, w.found ? 200 : 204);
        return 0;
    }
    reply_json(c, w.found ? 201 : 200,
               json_own(c->arena, has_value ? show_value(c, w.name, w.value, 0)
                                            : show_name(c, w.name, 0)));
    return 0;
}

static int run_name_put(struct call *c, struct error *err)
{
    return run_name(c, true, false, err);
}

static int run_name_drop(struct call *c, struct error *err)
{
    return run_name(c, false, false, err);
}

static int run_value_put(struct call *c, struct error *err)
{
    return run_name(c, true, true, err);
}

static int run_value_drop(struct call *c, struct error *err)
{
    return run_name(c, false, true, err);
}

const struct endpoint tags_show = { .versions = resources_versions,
                                    .right = TAGS "/read",
                                    .is_item = true,
                                    .description = "Tags of what is at the scope",
                                    .run = run_show };
const struct endpoint tags_write = { .versions = resources_versions,
                                     .right = TAGS "/write",
                                     .description = "Replace the tags",
                                     .run = run_put };
const struct endpoint tags_patch = { .versions = resources_versions,
                                     .right = TAGS "/write",
                                     .description = "Replace, merge or delete tags",
                                     .run = run_patch };
const struct endpoint tags_remove = { .versions = resources_versions,
                                      .right = TAGS "/delete",
                                      .is_change = true,
                                      .description = "Remove all tags",
                                      .run = run_remove };

#define NAMES(action_, description_, run_)                                                         \
    { .versions = resources_versions, .subscription = 1,                                           \
      .action = "Microsoft.Resources/subscriptions/tagNames/" action_,                             \
      .description = description_, .run = run_ }
const struct endpoint tag_names_list = NAMES("read", "Names and values of tags", run_names);
const struct endpoint tag_name_put = NAMES("write", "Set up a tag name", run_name_put);
const struct endpoint tag_name_drop = NAMES("delete", "Forget a tag name", run_name_drop);
const struct endpoint tag_value_put = NAMES("tagValues/write", "Set up a tag value", run_value_put);
const struct endpoint tag_value_drop = NAMES("tagValues/delete", "Forget a tag value",
                                             run_value_drop);
