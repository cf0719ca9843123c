/* Asking for a deployment: PUT, validate, whatIf, and the template's hash. What only reads or ends
 * deployments is in endpoints_read.c. */
#include "controlplane/deployments/endpoints.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/extension.h"
#include "controlplane/api/refusal.h"
#include "controlplane/api/routes.h"
#include "controlplane/deployments/answers.h"
#include "controlplane/deployments/failure.h"
#include "controlplane/deployments/payload.h"
#include "controlplane/deployments/place.h"
#include "controlplane/deployments/show.h"
#include "controlplane/deployments/submission.h"
#include "controlplane/deployments/whatif.h"
#include "controlplane/store/deployments.h"

int request_body(struct call *c, struct json_object **ret, struct error *err)
{
    struct json_object *body = NULL;
    struct error reason;

    if (json_parse(c->req->body, c->req->body_len, ARM_BODY_MAX_BYTES, JSON_TEMPLATE, &body,
                   &reason))
        return fail(err, reason.code == &E_TOO_LARGE ? &E_BODY_TOO_LARGE : &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: '%.900s'.",
                    reason.message);
    *ret = json_own(c->arena, body);
    if (json_kind(body) != JSON_OBJECT)
        return fail(err, &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: 'An object is "
                    "expected.'.");
    return 0;
}

int reply_refusal(struct call *c, const struct submission *s, const struct error *err)
{
    int status = s->failure_status ? s->failure_status : err->code->status;
    struct json_object *body;

    if (!s->failure)
        return -1;
    body = json_own(c->arena, json_new_object());
    json_set(body, "error", json_get(s->failure));
    refusal_note(c, status, s->failure);
    reply_json(c, status, body);
    return 0;
}

static int start(struct call *c, struct submission *s, struct error *err)
{
    struct http_app *app = ARENA_NEW(c->arena, struct http_app);
    struct json_object *request = NULL;
    struct place place;

    if (place_of(c, &place, err) || request_body(c, &request, err))
        return -1;
    *app = (struct http_app){ .routes = arm_routes, .ctx = c->arm };
    *s = (struct submission){
        .arena = c->arena,
        .control = c->control,
        .app = app,
        .caller = &c->caller,
        .correlation_id = c->correlation_id,
        .peer_text = c->req->peer_text,
        .scope_id = place.scope_id,
        .name = place.name,
        .request = request,
        .request_text = c->req->body,
        .request_len = c->req->body_len,
    };
    return 0;
}

static int run_put(struct call *c, struct error *err)
{
    struct deployment *made = NULL;
    bool is_replaced = false;
    struct submission s;

    if (start(c, &s, err))
        return -1;
    if (submission_plan(&s, err) || submission_preflight(&s, err))
        return reply_refusal(c, &s, err);
    if (lock_guard(c, s.id, endpoint_right(c), false, err) ||
        submission_accept(&s, &made, &is_replaced, err))
        return -1;
    http_reply_header(c->req, "Azure-AsyncOperation",
                      call_url(c, arena_printf(c->arena, "%s/operationStatuses/%s", made->id,
                                               made->operation_id)));
    http_reply_header(c->req, "Retry-After", RETRY_AFTER);
    reply_json(c, is_replaced ? 200 : 201, show_deployment(c->arena, made));
    return 0;
}

static int run_validate(struct call *c, struct error *err)
{
    struct json_object *properties, *out;
    struct submission s;

    if (start(c, &s, err))
        return -1;
    if (submission_plan(&s, err) ||
        access_check(c->control, c->arena, &c->caller, endpoint_right(c), s.id, err) ||
        submission_preflight(&s, err))
        return reply_refusal(c, &s, err);
    properties = json_copy(submission_shown(&s));
    json_set_text(properties, "provisioningState", "Succeeded");
    json_set_text(properties, "timestamp", clock_arm(c->arena, clock_wall_us()));
    json_set_text(properties, "duration", "PT0S");
    json_set_text(properties, "correlationId", c->correlation_id);
    json_set(properties, "validatedResources", json_get(submission_resources(&s)));
    out = json_own(c->arena, json_new_object());
    json_set_text(out, "id", s.id);
    json_set_text(out, "name", s.name);
    json_set_text(out, "type", "Microsoft.Resources/deployments");
    json_set(out, "properties", properties);
    reply_json(c, 200, out);
    return 0;
}

struct answer {
    const char *id, *caller_id;
    struct json_object *body;
};

static int keep_answer(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct answer *x = ctx;

    return deployment_answer_put(conn, a, x->id, x->caller_id, x->body, err);
}

static int run_what_if(struct call *c, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    struct answer answer = { .id = id, .caller_id = c->caller.object_id };
    struct submission s;

    if (start(c, &s, err))
        return -1;
    if (submission_plan(&s, err) ||
        access_check(c->control, c->arena, &c->caller, endpoint_right(c), s.id, err) ||
        submission_preflight(&s, err))
        return reply_refusal(c, &s, err);
    if (whatif(&s, &answer.body, err))
        return -1;
    uuid_new(id);
    if (pg_transact(c->control->db, c->arena, keep_answer, &answer, err))
        return -1;
    http_reply_header(c->req, "Location",
                      call_url(c, arena_printf(c->arena, "%s/operationResults/%s", s.id, id)));
    http_reply_header(c->req, "Retry-After", RETRY_AFTER);
    http_reply_empty(c->req, 202);
    return 0;
}

static int run_hash(struct call *c, struct error *err)
{
    struct json_object *body = NULL, *out = NULL;

    if (request_body(c, &body, err) ||
        payload_hash(c->arena, c->req->body, c->req->body_len, &out, err))
        return -1;
    reply_json(c, 200, out);
    return 0;
}

DEPLOYMENT_ENDPOINT(deployment_put_one, run_put, "write", "Deploys a template");
DEPLOYMENT_ENDPOINT(deployment_validate, run_validate, "validate/action",
                    "Checks a template against the installation", .is_question = true);
DEPLOYMENT_ENDPOINT(deployment_what_if, run_what_if, "whatIf/action",
                    "What a deployment would change", .is_question = true);

const struct endpoint deployment_hash = {
    .versions = deployment_versions,
    .description = "The hash of a template",
    .run = run_hash,
};
