/* Failed entries of the activity log: see the header. */
#include "controlplane/api/refusal.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/arm_id.h"
#include "controlplane/api/call.h"
#include "controlplane/api/endpoint.h"
#include "controlplane/api/pipeline.h"
#include "controlplane/store/operations.h"

struct refusal {
    struct call *call;
    struct resource about;
    struct event event;
};

/* Who is not known, comes too often, or meets a database that is away, leaves no entry. */
static bool is_told(const struct call *c, int status)
{
    const char *method = c->req->method;

    /* An action that had begun has told of its end. */
    bool is_over = c->action && c->action->settle && c->operation_id;

    return c->is_authenticated && c->has_subscription && !c->instead && !is_over &&
           status != 401 && status != 429 && status != 503 && !text_eq(method, "GET") &&
           !text_eq(method, "HEAD");
}

/* The permission that what was asked for needs; NULL of what changes nothing, and of what is not known. */
static const char *operation_of(const struct call *c)
{
    const struct endpoint *e = c->req->route->plane;
    const char *right = e ? endpoint_right(c) : c->type && c->verb ? call_rbac(c) : NULL;

    if (!right || right[0] == '{' || text_ends(right, "/read") || (e && e->is_question))
        return NULL;
    return right;
}

static int add(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct refusal *r = ctx;

    return event_add(conn, a, &r->call->caller, &r->about, &r->event, err);
}

void refusal_note(struct call *c, int status, struct json_object *error)
{
    const char *operation = is_told(c, status) ? operation_of(c) : NULL;
    const char *id = c->resource_id ? c->resource_id : c->req->path;
    struct json_object *details;
    struct refusal r = { .call = c };
    struct error err;

    if (!operation)
        return;
    details = json_own(c->arena, json_new_object());
    json_set_int(details, "status", status);
    json_set_text(details, "code", json_text(error, "code"));
    json_set_text(details, "message", json_text(error, "message"));
    r.about = (struct resource){ .id = id,
                                 .key = text_lower(c->arena, id),
                                 .subscription_id = c->subscription.id };
    r.about.group_key = arm_id_group_of(c->arena, r.about.key);
    r.event = (struct event){ .operation_name = operation,
                              .status = "Failed",
                              .correlation_id = c->correlation_id,
                              .client_address = c->req->peer_text,
                              .details = details };
    if (pg_with(c->control->db, c->arena, add, &r, &err))
        log_failure(LOG_WARN, "activity-log", &err);
}
