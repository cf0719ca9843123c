/* Microsoft.Authorization/locks at any scope, and the guard that changes pass. A ReadOnly lock
 * stops every change at its scope and below, a CanNotDelete lock deletes only; deleting what holds
 * something locked is stopped as well. What deployment stacks deny passes the same guard. */
#include "controlplane/api/locks.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/extension.h"
#include "controlplane/api/pipeline.h"
#include "controlplane/store/authorization.h"
#include "controlplane/store/stacks.h"

#define NAME_MAX_CHARS  260
#define NOTES_MAX_BYTES 512
#define PAGE_MAX        200

static const struct error_code E_SCOPE_LOCKED = { "ScopeLocked", 409 };
static const struct error_code E_DENIED = { "DenyAssignmentAuthorizationFailed", 403 };
static const struct error_code E_LOCK_NOT_FOUND = { "LockNotFound", 404 };

const char *const lock_versions[] = { "2020-05-01", "2017-04-01", "2016-09-01", "2015-01-01",
                                      NULL };

struct work {
    struct call *call;
    struct extension at;
    struct lock_row row;
    struct lock_filter filter;
    struct lock_row *rows;
    size_t count;
    const char *scope, *action, *locked_key;
    struct stack_denial denial;
    bool is_delete, is_denied;
    int found;
};

static int read_blocking(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    bool has_denials = false;
    int denied = 0;

    if (load_ahead(conn, w->call, err))
        return -1;
    w->found = lock_row_blocking(conn, a, w->call->caller.tenant_id, w->locked_key, w->is_delete,
                                 &w->scope, &has_denials, err);
    if (w->found == 0 && has_denials)
        denied = stack_denies(conn, a, &w->call->caller, w->action, w->at.key, w->is_delete,
                              &w->denial, err);
    w->is_denied = denied > 0;
    return w->found < 0 || denied < 0 ? -1 : 0;
}

static int fail_denied(const struct work *w, const char *id, struct error *err)
{
    const struct caller *caller = &w->call->caller;

    return fail(err, &E_DENIED,
                "The client '%.100s' with object id '%s' has permission to perform action '%s' on "
                "scope '%.400s'; however, the access is denied because of the deny assignment "
                "with name 'Deny assignment '%s' created by Deployment Stack '%.300s'.' at scope "
                "'%.400s'.",
                caller->name, caller->object_id, w->action, id, w->denial.stack_uid,
                w->denial.stack_id, w->denial.scope);
}

int lock_guard(struct call *c, const char *id, const char *action, bool is_delete,
               struct error *err)
{
    return lock_guard_at(c, id, "", action, is_delete, err);
}

int lock_guard_at(struct call *c, const char *at, const char *tail, const char *action,
                  bool is_delete, struct error *err)
{
    const char *id = arena_printf(c->arena, "%s%s", at, tail);
    struct work w = { .call = c, .at.key = text_lower(c->arena, at), .action = action,
                      .locked_key = text_lower(c->arena, id), .is_delete = is_delete };

    if (pg_with(c->control->db, c->arena, read_blocking, &w, err))
        return -1;
    if (w.is_denied)
        return fail_denied(&w, id, err);
    if (!w.found)
        return 0;
    return fail(err, &E_SCOPE_LOCKED,
                "The scope '%.400s' cannot perform %s operation because following scope(s) are "
                "locked: '%.400s'. Please remove the lock and try again.",
                id, is_delete ? "delete" : "write", w.scope);
}

static struct json_object *show(struct call *c, const struct lock_row *row)
{
    struct json_object *out = json_new_object(), *properties = json_new_object();

    json_set_text(properties, "level", row->level);
    if (row->notes)
        json_set_text(properties, "notes", row->notes);
    json_set(out, "properties", properties);
    json_set_text(out, "id", extension_id(c, row->scope, "locks", row->name));
    json_set_text(out, "type", AUTHORIZATION "/locks");
    json_set_text(out, "name", row->name);
    return json_own(c->arena, out);
}

static int check_name(const char *name, struct error *err)
{
    static const char refused[] = "<>%&:\\?/#";

    if (strlen(name) > NAME_MAX_CHARS || strpbrk(name, refused))
        return fail(err, &E_INVALID_NAME,
                    "The lock name '%.60s' is invalid: it may have 1 to 260 characters, and none "
                    "of <, >, %%, &, :, \\, ?, /, #.",
                    name);
    return 0;
}

static int put(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    const char *id = extension_id(w->call, w->row.scope, "locks", w->row.name);

    if (extension_hold(conn, w->call, &w->at, err))
        return -1;
    w->found = lock_row_put(conn, a, w->call->caller.tenant_id, &w->row, err);
    return w->found < 0 ? -1 : extension_event(conn, w->call, &w->at, id, err);
}

static int run_put(struct call *c, struct error *err)
{
    struct work w = { .call = c };
    struct json_object *body = NULL;
    const char *level;

    if (extension_open(c, true, &w.at, err) || check_name(w.at.name, err) ||
        extension_body(c, &body, err))
        return -1;
    level = json_text(body, "properties.level");
    level = text_eq_nocase(level, "CanNotDelete") ? "CanNotDelete"
            : text_eq_nocase(level, "ReadOnly")   ? "ReadOnly"
                                                  : NULL;
    w.row = (struct lock_row){ .scope = w.at.scope,
                               .scope_key = w.at.key,
                               .name = w.at.name,
                               .name_key = text_lower(c->arena, w.at.name),
                               .level = level,
                               .notes = json_text(body, "properties.notes") };
    if (!level)
        return fail_at(err, &E_INVALID_CONTENT, "properties.level",
                       "The level of a lock is 'CanNotDelete' or 'ReadOnly'.");
    if (w.row.notes && strlen(w.row.notes) > NOTES_MAX_BYTES)
        return fail_at(err, &E_INVALID_CONTENT, "properties.notes",
                       "The notes of a lock may have up to %d bytes.", NOTES_MAX_BYTES);
    if (pg_transact(c->control->db, c->arena, put, &w, err))
        return -1;
    reply_json(c, w.found ? 201 : 200, show(c, &w.row));
    return 0;
}

static int get(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    w->found = lock_row_get(conn, a, w->call->caller.tenant_id, w->at.key,
                            text_lower(a, w->at.name), &w->row, err);
    return w->found < 0 ? -1 : 0;
}

static int run_get(struct call *c, struct error *err)
{
    struct work w = { .call = c };

    if (extension_open(c, true, &w.at, err) ||
        pg_with(c->control->db, c->arena, get, &w, err))
        return -1;
    if (!w.found)
        return fail(err, &E_LOCK_NOT_FOUND, "The lock '%.100s' could not be found.", w.at.name);
    reply_json(c, 200, show(c, &w.row));
    return 0;
}

static int list(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    return lock_row_list(conn, a, &w->filter, &w->rows, &w->count, err);
}

static int run_list(struct call *c, struct error *err)
{
    struct work w = { .call = c };
    struct json_object *body, *value;

    if (extension_open(c, true, &w.at, err) ||
        extension_after(c, &w.filter.after_scope, &w.filter.after_name, err))
        return -1;
    w.filter.tenant_id = c->caller.tenant_id;
    w.filter.scope_key = w.at.key;
    w.filter.is_below = !extension_filter(c, "atScope()", NULL);
    w.filter.limit = PAGE_MAX + 1;
    if (pg_with(c->control->db, c->arena, list, &w, err))
        return -1;
    body = json_own(c->arena, json_new_object());
    value = json_new_array();
    for (size_t i = 0; i < w.count && i < PAGE_MAX; i++)
        json_add(value, json_get(show(c, &w.rows[i])));
    json_set(body, "value", value);
    if (w.count > PAGE_MAX)
        extension_next(c, w.rows[PAGE_MAX - 1].scope_key, w.rows[PAGE_MAX - 1].name_key, body);
    reply_json(c, 200, body);
    return 0;
}

static int drop(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    const char *id = extension_id(w->call, w->at.scope, "locks", w->at.name);

    w->found = lock_row_delete(conn, a, w->call->caller.tenant_id, w->at.key,
                               text_lower(a, w->at.name), err);
    if (w->found <= 0)
        return w->found;
    return extension_event(conn, w->call, &w->at, id, err);
}

static int run_delete(struct call *c, struct error *err)
{
    struct work w = { .call = c };

    if (extension_open(c, true, &w.at, err) ||
        pg_transact(c->control->db, c->arena, drop, &w, err))
        return -1;
    http_reply_empty(c->req, w.found ? 200 : 204);
    return 0;
}

const struct endpoint lock_put = { .versions = lock_versions,
                                   .right = AUTHORIZATION "/locks/write",
                                   .description = "Create or replace a lock",
                                   .run = run_put };
const struct endpoint lock_show = { .versions = lock_versions,
                                    .right = AUTHORIZATION "/locks/read",
                                    .is_item = true,
                                    .description = "A lock",
                                    .run = run_get };
const struct endpoint lock_remove = { .versions = lock_versions,
                                      .right = AUTHORIZATION "/locks/delete",
                                      .description = "Remove a lock",
                                      .run = run_delete };
const struct endpoint locks_list = { .versions = lock_versions,
                                     .right = AUTHORIZATION "/locks/read",
                                     .description = "Locks at a scope, above and below it",
                                     .run = run_list };
