/* Actions: a checked body in, the type's own function, an answer out. */
#include "controlplane/api/pipeline.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/json/fields.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/body.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/lro.h"
#include "controlplane/api/write.h"
#include "controlplane/store/operations.h"

enum stage_result load_for_action(struct call *c, struct error *err)
{
    enum stage_result result;

    if (c->action->is_on_subscription)
        return STAGE_NEXT;
    result = load_known(c, err);
    if (result != STAGE_NEXT)
        return result;
    return body_decode(c->arena, c->type, c->was->body, &c->decoded, err) ? STAGE_FAILED
                                                                          : STAGE_NEXT;
}

enum stage_result decode_action(struct call *c, struct error *err)
{
    struct json_object *body = NULL;
    struct error reason;

    if (!c->action->request)
        return STAGE_NEXT;
    if (c->req->body_len == 0)
        return fail(err, &E_INVALID_CONTENT, "The request needs a body, and has none.");
    if (json_parse_object(c->req->body, c->req->body_len, ARM_BODY_MAX_BYTES, &body, &reason))
        return fail(err, reason.code == &E_TOO_LARGE ? &E_BODY_TOO_LARGE : &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: '%.900s'.",
                    reason.message);
    c->request = json_own(c->arena, body);
    fields_default(c->action->request, body);
    return fields_check(c->arena, c->action->request, body, true, &E_INVALID_PARAMETER, err)
               ? STAGE_FAILED
               : STAGE_NEXT;
}

/* The operation is there before what it tells of is begun, so that nothing goes on unseen. */
static int open_operation(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct call *c = ctx;

    if (operation_open(conn, a, &c->caller, c->was, c->action->name, "Running", c->correlation_id,
                       &c->operation_id, err))
        return -1;
    return write_event(conn, c, c->was, c->action->rbac, true, err);
}

struct refusal {
    const struct call *c;
    const struct error *why;
};

static int end_operation(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct refusal *refusal = ctx;
    struct operation op = { .id = refusal->c->operation_id };
    struct json_object *failure = json_own(a, json_new_object());

    json_set_text(failure, "code", refusal->why->code->name);
    json_set_text(failure, "message", refusal->why->message);
    return operation_end(conn, a, &op, "Failed", failure, err) < 0 ? -1 : 0;
}

/* What could not be begun is over. At best: nobody is told of the operation. */
static void close_operation(struct call *c, const struct error *why)
{
    struct refusal refusal = { c, why };
    struct error failure;

    if (pg_transact(c->control->db, c->arena, end_operation, &refusal, &failure))
        log_failure(LOG_WARN, "end-operation", &failure);
}

static int add_event(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct call *c = ctx;

    (void)a;
    return write_event(conn, c, c->was, c->action->rbac, false, err);
}

/* The activity log tells of every POST on a resource; of one that goes on it has told. The action is
 * done: if the log cannot be written now, that is no reason to say that it failed. */
static void note(struct call *c)
{
    struct error err;

    if (!c->was || c->action->settle || !text_eq(c->verb->method, "POST"))
        return;
    if (pg_with(c->control->db, c->arena, add_event, c, &err))
        log_failure(LOG_ERROR, "activity-log", &err);
}

enum stage_result commit_action(struct call *c, struct error *err)
{
    struct action_run run = {
        .arena = c->arena,
        .control = c->control,
        .caller = &c->caller,
        .api_version = c->api_version,
        .subscription_id = c->subscription.id,
        .resource = c->was,
        .parent = c->parent,
        .decoded = c->decoded,
        .body = c->request,
        .query = c->action->query ? http_query_nocase(c->req, c->action->query) : NULL,
        .answer = json_own(c->arena, json_new_object()),
    };

    c->answer = run.answer;
    if (c->was && c->was->state == STATE_DELETING)
        return fail(err, &E_BEING_DELETED, "The resource '%s' is being deleted.", c->was->name);
    if (c->action->settle && pg_transact(c->control->db, c->arena, open_operation, c, err))
        return STAGE_FAILED;
    run.operation_id = c->operation_id;
    if (c->action->run(&run, err)) {
        if (c->action->settle)
            close_operation(c, err);
        return STAGE_FAILED;
    }
    c->answer = run.answer;
    note(c);
    return STAGE_NEXT;
}

enum stage_result encode_action(struct call *c, struct error *err)
{
    (void)err;
    if (c->action->settle) {
        lro_location_header(c, c->was, c->operation_id);
        reply_json_text(c, 202, "null", strlen("null"));
    } else if (c->answer) {
        reply_json(c, 200, c->answer);
    } else {
        http_reply_empty(c->req, 200);
    }
    return STAGE_ANSWERED;
}
