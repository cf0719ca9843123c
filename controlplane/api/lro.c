/* Status URLs. The guid at their end is the operation's id; the rest must fit the operation, so that
 * nobody reads one resource's operation under another's rights. */
#include "controlplane/api/lro.h"

#include <ctype.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/store/operations.h"
#include "controlplane/types/all.h"

/* Seconds between polls; 0 would mean "the default of 30" to some clients. */
#define RETRY_AFTER "1"

/* "registries" of "microsoft.containerregistry/registries". */
static const char *collection_of(const char *type_key)
{
    const char *slash = strrchr(type_key, '/');

    return slash ? slash + 1 : type_key;
}

static char *provider_of(struct arena *a, const char *type_key)
{
    const struct resource_type *type = type_find(type_key);
    const char *name = type ? type->name : type_key;

    return arena_strndup(a, name, strcspn(name, "/"));
}

static char *upper(struct arena *a, const char *s)
{
    char *out = arena_strdup(a, s);

    for (char *p = out; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    return out;
}

static char *status_path(struct call *c, const char *resource_id, const char *type_key,
                         const char *operation_id)
{
    return arena_printf(c->arena, "%s/operationStatuses/%s-%s", resource_id,
                        collection_of(type_key), operation_id);
}

/* What is in no provider's hands (groups) has its results at the subscription. */
static char *result_path(struct call *c, const char *type_key, const char *subscription_id,
                         const char *location, const char *operation_id)
{
    const struct resource_type *type = type_find(type_key);

    if (!type || type->scope == SCOPE_SUBSCRIPTION)
        return arena_printf(c->arena, "/subscriptions/%s/operationresults/%s", subscription_id,
                            operation_id);
    return arena_printf(c->arena,
                        "/subscriptions/%s/providers/%s/locations/%s/operationResults/%s-%s",
                        subscription_id, provider_of(c->arena, type_key),
                        upper(c->arena, location ? location : "global"), collection_of(type_key),
                        operation_id);
}

void lro_status_header(struct call *c, const struct resource *r, const char *operation_id)
{
    http_reply_header(c->req, "Azure-AsyncOperation",
                      call_url(c, status_path(c, r->id, r->type_key, operation_id)));
    http_reply_header(c->req, "Retry-After", RETRY_AFTER);
}

void lro_location_header(struct call *c, const struct resource *r, const char *operation_id)
{
    http_reply_header(c->req, "Location",
                      call_url(c, result_path(c, r->type_key, r->subscription_id, r->location,
                                              operation_id)));
    http_reply_header(c->req, "Retry-After", RETRY_AFTER);
}

struct query {
    const char *id;
    struct operation *op;
    int found;
};

static int query(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;

    q->found = operation_get(conn, a, q->id, &q->op, err);
    return q->found < 0 ? -1 : 0;
}

static int find(struct call *c, struct operation **ret, struct error *err)
{
    const char *last = strrchr(c->req->path, '/') + 1;
    size_t len = strlen(last);
    struct query q = { .id = len >= UUID_TEXT_LEN ? last + len - UUID_TEXT_LEN : last };
    const struct resource_type *type;

    if (uuid_is_valid(q.id) && pg_with(c->control->db, c->arena, query, &q, err))
        return -1;
    if (!q.found || !text_eq_nocase(q.op->subscription_id, c->subscription.id))
        return fail(err, &E_OPERATION_NOT_FOUND, "The operation '%.100s' could not be found.",
                    last);
    type = type_find(q.op->type_key);
    if (access_check(c->control, c->arena, &c->caller,
                     arena_printf(c->arena, "%s/read", type ? type_rbac(type) : q.op->type_key),
                     q.op->resource_id, err))
        return -1;
    *ret = q.op;
    return 0;
}

static struct json_object *failure_of(const struct operation *op)
{
    struct json_object *error = json_new_object();
    const char *code = json_text(op->error, "code");
    const char *message = json_text(op->error, "message");

    json_set_text(error, "code", code ? code : op->status);
    json_set_text(error, "message", message ? message : "The operation did not succeed.");
    return error;
}

static bool is_good(const struct operation *op)
{
    return text_eq(op->status, "Succeeded");
}

static struct json_object *status_body(struct call *c, const struct operation *op)
{
    struct json_object *body = json_new_object();
    const char *last = strrchr(c->req->path, '/') + 1;

    json_set_text(body, "id", status_path(c, op->resource_id, op->type_key, op->id));
    json_set_text(body, "name", last);
    json_set_text(body, "status", op->status);
    json_set_text(body, "startTime", clock_arm(c->arena, op->started_us));
    if (op->ended_us)
        json_set_text(body, "endTime", clock_arm(c->arena, op->ended_us));
    if (op->ended_us && !is_good(op))
        json_set(body, "error", failure_of(op));
    return body;
}

static int show_status(struct call *c, struct error *err)
{
    struct operation *op = NULL;

    if (find(c, &op, err))
        return -1;
    if (!text_eq_nocase(c->req->path, status_path(c, op->resource_id, op->type_key, op->id)))
        return fail(err, &E_OPERATION_NOT_FOUND, "The operation '%s' is not of this resource.",
                    op->id);
    if (!op->ended_us) {
        http_reply_header(c->req, "Azure-AsyncOperation",
                          call_url(c, status_path(c, op->resource_id, op->type_key, op->id)));
        http_reply_header(c->req, "Retry-After", RETRY_AFTER);
    }
    reply_json(c, 200, json_own(c->arena, status_body(c, op)));
    return 0;
}

/* 202 until done; then what the operation was for. */
static int show_result(struct call *c, struct error *err)
{
    struct operation *op = NULL;
    struct json_object *body;

    if (find(c, &op, err))
        return -1;
    if (!op->ended_us) {
        http_reply_header(c->req, "Location",
                          call_url(c, result_path(c, op->type_key, op->subscription_id,
                                                  op->location, op->id)));
        http_reply_header(c->req, "Retry-After", RETRY_AFTER);
        http_reply_empty(c->req, 202);
        return 0;
    }
    if (is_good(op)) {
        if (op->result)
            reply_json(c, 200, op->result);
        else
            http_reply_empty(c->req, 200); /* also of deletes: some libraries know no 204 here */
        return 0;
    }
    body = json_own(c->arena, json_new_object());
    json_set(body, "error", failure_of(op));
    json_set_text(body, "status", op->status);
    reply_json(c, 409, body);
    return 0;
}

/* An operation is read under whichever version its operation was started with: the client repeats
 * the URL it was given. */
static int with_any_version(struct call *c, int (*show)(struct call *c, struct error *err),
                            struct error *err)
{
    const char *version = http_query_nocase(c->req, "api-version");
    const struct resource_type *const *t = all_types;

    while (version && *t && !type_has_version((*t)->api_versions, version))
        t++;
    if (!*t)
        t = all_types;
    if (call_api_version(c, (*t)->api_versions, err))
        return -1;
    return show(c, err);
}

static int run_status(struct call *c, struct error *err)
{
    return with_any_version(c, show_status, err);
}

static int run_result(struct call *c, struct error *err)
{
    return with_any_version(c, show_result, err);
}

const struct endpoint operation_status = {
    .subscription = 1,
    .right = "{type}/read",
    .description = "The state of a long-running operation",
    .run = run_status,
};

const struct endpoint operation_result = {
    .subscription = 1,
    .right = "{type}/read",
    .description = "The result of a long-running operation",
    .run = run_result,
};

const struct endpoint group_result = {
    .subscription = 1,
    .right = "{type}/read",
    .description = "The result of a long-running operation on a resource group",
    .run = run_result,
};
