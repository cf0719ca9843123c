/* One resource of a run: its body finished, sent in the caller's name, and its end noted. */
#include "controlplane/deployments/run_internal.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/local.h"
#include "controlplane/control.h"
#include "controlplane/deployments/body.h"
#include "controlplane/deployments/failure.h"
#include "controlplane/deployments/runtime.h"
#include "controlplane/deployments/submission.h"
#include "templates/language/value.h"

#define TRIES_MAX 8
#define RETRY_MS 250
#define DEPLOYMENT_TYPE "Microsoft.Resources/deployments"

struct write {
    struct run *run;
    struct deployment_operation op;
    bool is_begin;
    int done;
};

static int write_op(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct write *w = ctx;

    w->done = w->is_begin ? deployment_operation_begin(conn, a, w->run->owner, &w->op, err)
                          : deployment_operation_move(conn, a, w->run->owner, &w->op, err);
    return w->done < 0 ? -1 : 0;
}

static int put_op(struct run *r, struct arena *a, struct write *w, struct error *err)
{
    if (pg_with(r->control->db, a, write_op, w, err))
        return -1;
    if (w->done == 0)
        r->is_lost = true;
    return 0;
}

static struct json_object *target_json(struct arena *a, const struct run_node *n)
{
    struct json_object *out = json_own(a, json_new_object());

    json_set_text(out, "id", n->id);
    json_set_text(out, "resourceType", n->type);
    json_set_text(out, "resourceName", n->name);
    if (n->plan && n->plan->symbol)
        json_set_text(out, "symbolicName", n->plan->symbol);
    if (n->api_version)
        json_set_text(out, "apiVersion", n->api_version);
    return out;
}

static int begin(struct run *r, struct arena *a, const struct run_node *n, struct error *err)
{
    char uid[UUID_TEXT_LEN + 1];
    struct write w = { .run = r, .is_begin = true };

    uuid_new(uid);
    w.op = (struct deployment_operation){
        .uid = uid,
        .node_key = n->key,
        .position = n - r->nodes,
        .kind = n->plan ? "Create" : "Delete",
        .target = target_json(a, n),
    };
    return put_op(r, a, &w, err);
}

static int move_op(struct run *r, struct arena *a, const struct run_node *n, const char *state,
                   const char *code, struct json_object *message, struct error *err)
{
    struct write w = { .run = r };

    w.op = (struct deployment_operation){
        .deployment_uid = r->row->uid,
        .node_key = n->key,
        .state = state,
        .status_code = code,
        .status_message = secrets_scrub(&r->secrets, a, message),
        .awaits = n->awaits,
    };
    return put_op(r, a, &w, err);
}

static const char *status_name(int status)
{
    static const struct {
        int status;
        const char *name;
    } names[] = {
        { 200, "OK" },         { 201, "Created" },        { 202, "Accepted" },
        { 204, "NoContent" },  { 400, "BadRequest" },     { 401, "Unauthorized" },
        { 403, "Forbidden" },  { 404, "NotFound" },       { 405, "MethodNotAllowed" },
        { 409, "Conflict" },   { 412, "PreconditionFailed" }, { 429, "TooManyRequests" },
        { 500, "InternalServerError" }, { 503, "ServiceUnavailable" },
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].status == status)
            return names[i].name;
    return "BadRequest";
}

static int fail_node(struct run *r, struct arena *a, struct run_node *n, const char *code,
                     struct json_object *failure, struct error *err)
{
    struct json_object *message = json_own(a, json_new_object());

    n->state = NODE_FAILED;
    n->awaits = NULL;
    n->failure = json_own(r->arena, json_copy(secrets_scrub(&r->secrets, a, failure)));
    json_set_text(message, "status", "Failed");
    json_set(message, "error", json_get(n->failure));
    return move_op(r, a, n, "Failed", code, message, err);
}

static int end_node(struct run *r, struct arena *a, struct run_node *n, const char *code,
                    struct error *err)
{
    n->state = NODE_DONE;
    n->awaits = NULL;
    return move_op(r, a, n, "Succeeded", code, NULL, err);
}

static int await(struct run *r, struct arena *a, struct run_node *n, const char *id,
                 struct error *err)
{
    n->state = NODE_RUNNING;
    n->awaits = arena_strdup(r->arena, id);
    return move_op(r, a, n, "Running", NULL, NULL, err);
}

/* The terminal state a resource reached is a failure of the deployment's own kind around it. */
static struct json_object *terminal(struct arena *a, const struct run_node *n, const char *status,
                                    const struct json_object *inner)
{
    struct json_object *out = failure_new(
        "ResourceDeploymentFailure", n->id,
        arena_printf(a,
                     "The resource %s operation failed to complete successfully, because it "
                     "reached terminal provisioning state '%s'.",
                     n->plan ? "write" : "delete", status));

    if (json_kind(inner) == JSON_OBJECT)
        failure_add(out, json_copy(inner));
    return json_own(a, out);
}

static bool is_passing(int status, const char *code)
{
    return status == 429 || status >= 500 || text_eq(code, "Conflict") ||
           text_eq(code, "AnotherOperationInProgress");
}

/* 0: to be tried again later. */
static int put_off(struct run_node *n)
{
    n->tries++;
    n->state = NODE_WAITING;
    n->not_before_ms = clock_mono_ms() + ((int64_t)RETRY_MS << (n->tries < 6 ? n->tries : 6));
    return 0;
}

static struct asker asker_of(struct run *r, struct arena *a)
{
    return (struct asker){
        .app = r->app,
        .caller = &r->caller,
        .correlation_id = r->row->correlation_id,
        .peer_text = r->address,
        .arena = a,
        .secrets = &r->secrets,
    };
}

/* An expression that could not be evaluated at run time. */
static int fail_body(struct run *r, struct arena *a, struct run_node *n, const struct asker *x,
                     const struct error *why, struct error *err)
{
    struct json_object *failure = json_own(
        a, failure_new("InvalidTemplate", NULL,
                       arena_printf(a,
                                    "Unable to process template language expressions for resource "
                                    "'%s' at line '%d' and column '%d'. '%s'",
                                    n->id, n->plan->line, n->plan->column, why->message)));

    if (json_kind(x->failure) == JSON_OBJECT)
        failure_add(failure, json_copy(x->failure));
    return fail_node(r, a, n, "BadRequest", failure, err);
}

/* Nested deployments --------------------------------------------------------------------------- */

/* A secure value handed to a parameter that is not secure stays secret. */
static void pass_secrets(struct run *r, const struct plan_node *p)
{
    char **paths = NULL;
    size_t count = p->nested_parameters
                       ? template_secure_paths(r->arena, p->nested_parameters, &paths)
                       : 0;
    struct json_object *all;

    if (count == 0)
        return;
    all = json_own(r->arena, template_json_final(p->nested_parameters));
    for (size_t i = 0; i < count; i++)
        if (json_at(all, paths[i]))
            secrets_add(&r->secrets, json_at(all, paths[i]));
}

static int submit(struct submission *s, struct deployment **ret, struct error *err)
{
    bool is_replaced = false;

    if (submission_plan(s, err) || submission_preflight(s, err))
        return -1;
    return submission_accept(s, ret, &is_replaced, err);
}

static int start_nested(struct run *r, struct arena *a, struct run_node *n,
                        struct json_object *body, struct error *err)
{
    const struct value *template = value_get(value_get(n->plan->body, "properties"), "template");
    struct deployment *made = NULL;
    struct error why = { 0 };
    struct json_object *failure;
    char *scope = NULL, *name = NULL;
    struct submission s = {
        .arena = a,
        .control = r->control,
        .app = r->app,
        .caller = &r->caller,
        .correlation_id = r->row->correlation_id,
        .peer_text = r->address,
        .request = body,
        .parent_uid = r->row->uid,
        .stack_uid = r->row->stack_uid,
        .parent_link = json_text(r->payload, "link"),
    };

    if (!scope_split(a, n->id, &scope, &name))
        return fail(err, &E_INVALID, "'%s' names no deployment.", n->id);
    pass_secrets(r, n->plan);
    s.scope_id = scope;
    s.name = name;
    s.inherited_secrets = json_own(a, secrets_json(&r->secrets));
    if (template && (template->marks & (MARK_SECURE | MARK_SECURE_INSIDE)))
        s.shown_template = json_print(a, json_own(a, template_json(template, true)));
    if (submit(&s, &made, &why) == 0)
        return await(r, a, n, made->uid, err) ? -1 : 1;
    if (why.code->status >= 500 && n->tries < TRIES_MAX)
        return put_off(n);
    failure = s.failure ? s.failure : json_own(a, failure_of(&why));
    return fail_node(r, a, n, status_name(why.code->status), failure, err) ? -1 : 1;
}

/* ---------------------------------------------------------------------------------------------- */

static const char *version_of(const struct run_node *n)
{
    if (n->plan)
        return n->plan->api_version;
    return n->api_version ? n->api_version : arm_type_find(n->type).newest_version;
}

static int send_node(struct run *r, struct arena *a, struct run_node *n, struct json_object *body,
                struct error *err)
{
    struct arm_call call = {
        .arena = a,
        .app = r->app,
        .caller = &r->caller,
        .correlation_id = r->row->correlation_id,
        .peer_text = r->address,
        .method = n->plan ? "PUT" : "DELETE",
        .path = n->id,
        .api_version = version_of(n),
        .body = body,
    };
    const char *state;

    if (arm_call(&call, err))
        return -1;
    if (!arm_call_is_good(&call)) {
        if (is_passing(call.status, json_text(call.answer, "code")) && n->tries < TRIES_MAX)
            return put_off(n);
        if (json_kind(call.answer) != JSON_OBJECT)
            call.answer = json_own(a, failure_new("NotFound", n->id, "The resource type is not "
                                                                     "provided here."));
        return fail_node(r, a, n, status_name(call.status), call.answer, err) ? -1 : 1;
    }
    if (call.operation_id)
        return await(r, a, n, call.operation_id, err) ? -1 : 1;
    state = json_text(call.answer, "properties.provisioningState");
    if (text_eq(state, "Failed") || text_eq(state, "Canceled"))
        return fail_node(r, a, n, "Conflict", terminal(a, n, state, NULL), err) ? -1 : 1;
    return end_node(r, a, n, status_name(call.status), err) ? -1 : 1;
}

int node_start(struct run *r, struct run_node *n, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct asker asker = asker_of(r, a);
    struct json_object *body = NULL;
    struct error why = { 0 };

    if (begin(r, a, n, err))
        return -1;
    if (r->is_lost)
        return 1;
    if (n->plan && runtime_body(&asker, &r->context, n->plan->body, &body, &why)) {
        if (why.code->status >= 500 && n->tries < TRIES_MAX)
            return put_off(n);
        return fail_body(r, a, n, &asker, &why, err) ? -1 : 1;
    }
    if (n->plan && text_eq_nocase(n->type, DEPLOYMENT_TYPE))
        return start_nested(r, a, n, node_body(body), err);
    return send_node(r, a, n, body ? node_body(body) : NULL, err);
}

int node_over(struct run *r, struct run_node *n, const struct deployment_wait *wait,
              struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();

    if (text_eq(wait->status, "Succeeded"))
        return end_node(r, a, n, "OK", err);
    return fail_node(r, a, n, "Conflict", terminal(a, n, wait->status, wait->error), err);
}

void run_add_node(struct run *r, const struct run_node *n)
{
    if (r->node_count == r->node_cap) {
        size_t cap = r->node_cap ? r->node_cap * 2 : 32;
        struct run_node *bigger = arena_array(r->arena, cap, sizeof(*bigger));

        if (r->node_count)
            memcpy(bigger, r->nodes, r->node_count * sizeof(*bigger));
        r->nodes = bigger;
        r->node_cap = cap;
    }
    r->nodes[r->node_count++] = *n;
}

struct run_node *run_find_node(struct run *r, const char *key)
{
    for (size_t i = 0; i < r->node_count; i++)
        if (text_eq(r->nodes[i].key, key))
            return &r->nodes[i];
    return NULL;
}
