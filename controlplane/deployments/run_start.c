/* Resources of a run: bodies finished, sent in the caller's name, and their ends noted. Some are sent
 * side by side; everything else is the run's own thread's. */
#include "controlplane/deployments/run_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/errors.h"
#include "controlplane/api/local.h"
#include "controlplane/control.h"
#include "controlplane/deployments/body.h"
#include "controlplane/deployments/failure.h"
#include "controlplane/deployments/runtime.h"
#include "controlplane/deployments/submission.h"
#include "templates/language/value.h"

#define TRIES_MAX 8
#define RETRY_MS 250
#define SENDERS 4 /* requests of a run at once */
#define DEPLOYMENT_TYPE "Microsoft.Resources/deployments"

struct write {
    struct run *run;
    const struct deployment_operation *ops;
    size_t count;
    bool is_begin;
    int done;
};

static int write_ops(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct write *w = ctx;
    const char *owner = w->run->owner;

    w->done = w->is_begin ? deployment_operations_begin(conn, a, owner, w->ops, w->count, err)
                          : deployment_operations_move(conn, a, owner, w->ops, w->count, err);
    return w->done < 0 ? -1 : 0;
}

static int put_ops(struct run *r, struct write *w, struct error *err)
{
    w->run = r;
    if (pg_with(r->control->db, r->scratch, write_ops, w, err))
        return -1;
    if (w->done == 0)
        r->is_lost = true;
    return 0;
}

int run_flush(struct run *r, struct error *err)
{
    struct write w = { .ops = r->moves, .count = r->move_count };

    if (r->move_count == 0)
        return 0;
    if (put_ops(r, &w, err))
        return -1; /* kept for the next try */
    r->move_count = 0;
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

static int begin(struct run *r, struct run_node *const *nodes, size_t count, struct error *err)
{
    struct arena *a = r->scratch;
    struct deployment_operation *ops = arena_array(a, count, sizeof(*ops));
    struct write w = { .ops = ops, .count = count, .is_begin = true };

    for (size_t i = 0; i < count; i++) {
        const struct run_node *n = nodes[i];
        char uid[UUID_TEXT_LEN + 1];

        uuid_new(uid);
        ops[i] = (struct deployment_operation){
            .uid = arena_strdup(a, uid),
            .node_key = n->key,
            .position = n - r->nodes,
            .kind = n->plan ? "Create" : "Delete",
            .target = target_json(a, n),
        };
    }
    return put_ops(r, &w, err);
}

static void move_op(struct run *r, const struct run_node *n, const char *state, const char *code,
                    struct json_object *message)
{
    if (r->move_count == r->move_cap) {
        size_t cap = r->move_cap ? r->move_cap * 2 : RUN_BATCH_MAX;
        struct deployment_operation *bigger = arena_array(r->arena, cap, sizeof(*bigger));

        if (r->move_count)
            memcpy(bigger, r->moves, r->move_count * sizeof(*bigger));
        r->moves = bigger;
        r->move_cap = cap;
    }
    r->moves[r->move_count++] = (struct deployment_operation){
        .node_key = n->key,
        .state = state,
        .status_code = code,
        .status_message = secrets_scrub(&r->secrets, r->arena, message),
        .request = n->request,
        .response = n->response,
        .awaits = n->awaits,
    };
}

static void fail_node(struct run *r, struct run_node *n, const char *code,
                      struct json_object *failure)
{
    struct json_object *message = json_own(r->arena, json_new_object());

    n->state = NODE_FAILED;
    n->awaits = NULL;
    n->failure = json_own(r->arena, json_copy(secrets_scrub(&r->secrets, r->scratch, failure)));
    json_set_text(message, "status", "Failed");
    json_set(message, "error", json_get(n->failure));
    move_op(r, n, "Failed", code, message);
}

static void end_node(struct run *r, struct run_node *n, const char *code)
{
    n->state = NODE_DONE;
    n->awaits = NULL;
    move_op(r, n, "Succeeded", code, NULL);
}

static void await(struct run *r, struct run_node *n, const char *id)
{
    n->state = NODE_RUNNING;
    n->awaits = arena_strdup(r->arena, id);
    move_op(r, n, "Running", NULL, NULL);
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

/* To be tried again later. */
static void put_off(struct run_node *n)
{
    n->tries++;
    n->state = NODE_WAITING;
    n->not_before_ms = clock_mono_ms() + ((int64_t)RETRY_MS << (n->tries < 6 ? n->tries : 6));
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
static void fail_body(struct run *r, struct arena *a, struct run_node *n, const struct asker *x,
                      const struct error *why)
{
    struct json_object *failure = json_own(
        a, failure_new("InvalidTemplate", NULL,
                       arena_printf(a,
                                    "Unable to process template language expressions for resource "
                                    "'%s' at line '%d' and column '%d'. '%s'",
                                    n->id, n->plan->line, n->plan->column, why->message)));

    if (json_kind(x->failure) == JSON_OBJECT)
        failure_add(failure, json_copy(x->failure));
    fail_node(r, n, "BadRequest", failure);
}

/* Nested deployments --------------------------------------------------------------------------- */

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
        .level = (int)json_int(r->payload, "level", 0) + 1,
        .parent_link = json_text(r->payload, "link"),
    };

    if (!scope_split(a, n->id, &scope, &name))
        return fail(err, &E_INVALID, "'%s' names no deployment.", n->id);
    /* A secure value handed to a parameter that is not secure stays secret. */
    if (n->plan->nested_parameters)
        secrets_add_marked(&r->secrets, n->plan->nested_parameters);
    s.scope_id = scope;
    s.name = name;
    s.inherited_secrets = json_own(a, secrets_json(&r->secrets));
    if (template && (template->marks & (MARK_SECURE | MARK_SECURE_INSIDE)))
        s.shown_template = json_print(a, json_own(a, template_json(template, true)));
    if (submit(&s, &made, &why) == 0) {
        await(r, n, made->uid);
        return 0;
    }
    if (why.code->status >= 500 && n->tries < TRIES_MAX) {
        put_off(n);
        return 0;
    }
    failure = s.failure ? s.failure : json_own(a, failure_of(&why));
    fail_node(r, n, error_status_name(why.code->status), failure);
    return 0;
}

/* ---------------------------------------------------------------------------------------------- */

static const char *version_of(const struct run_node *n)
{
    if (n->plan)
        return n->plan->api_version;
    return n->api_version ? n->api_version : arm_type_find(n->type).newest_version;
}

/* A request on its way; each has an arena of its own, because several are sent side by side. */
struct sending {
    struct run_node *node;
    struct arena *arena;
    struct arm_call call;
    struct error err;
    int rc;
};

struct batch {
    struct sending items[RUN_BATCH_MAX];
    size_t count;
    atomic_size_t next;
};

static void *send_some(void *ctx)
{
    struct batch *b = ctx;

    thread_set_patient(true); /* as who started it */
    for (size_t i; (i = atomic_fetch_add(&b->next, 1)) < b->count;)
        b->items[i].rc = arm_call(&b->items[i].call, &b->items[i].err);
    return NULL;
}

/* This thread sends as well; without others it sends all. */
static void send_all(struct batch *b)
{
    pthread_t others[SENDERS - 1];
    size_t started = 0;

    while (started < SENDERS - 1 && started + 1 < b->count &&
           pthread_create(&others[started], NULL, send_some, b) == 0)
        started++;
    (void)send_some(b);
    while (started > 0)
        (void)pthread_join(others[--started], NULL);
}

/* Contents for who debugs a deployment, without its secrets. */
static struct json_object *content(struct run *r, struct arena *a, bool is_wanted,
                                   struct json_object *value)
{
    if (!is_wanted || !value)
        return NULL;
    return json_own(r->arena, json_copy(secrets_scrub(&r->secrets, a, value)));
}

static int take_answer(struct run *r, struct sending *s, struct error *err)
{
    struct run_node *n = s->node;
    struct arm_call *call = &s->call;
    const char *state;

    if (s->rc) {
        *err = s->err;
        return -1;
    }
    n->response = content(r, s->arena, r->keeps_responses, call->answer);
    /* What is to be deleted may have gone with its group. */
    if (call->status == 404 && text_eq(call->method, "DELETE")) {
        end_node(r, n, "NoContent");
        return 0;
    }
    if (!arm_call_is_good(call)) {
        if (is_passing(call->status, json_text(call->answer, "code")) && n->tries < TRIES_MAX) {
            put_off(n);
            return 0;
        }
        if (json_kind(call->answer) != JSON_OBJECT)
            call->answer = json_own(s->arena, failure_new("NotFound", n->id,
                                                          "The resource type is not provided "
                                                          "here."));
        fail_node(r, n, error_status_name(call->status), call->answer);
        return 0;
    }
    state = json_text(call->answer, "properties.provisioningState");
    if (call->operation_id)
        await(r, n, call->operation_id);
    else if (text_eq(state, "Failed") || text_eq(state, "Canceled"))
        fail_node(r, n, "Conflict", terminal(s->arena, n, state, NULL));
    else
        end_node(r, n, error_status_name(call->status));
    return 0;
}

static void free_arena(void *a)
{
    arena_free(a);
}

/* Finishes the body and puts it into the batch, or deals with what cannot be sent. */
static int prepare(struct run *r, struct run_node *n, struct batch *b, struct error *err)
{
    struct arena *a = arena_new();
    struct asker asker = asker_of(r, a);
    struct json_object *body = NULL;
    struct error why = { 0 };
    int rc = 0;

    arena_defer(r->scratch, free_arena, a);
    if (n->plan && runtime_body(&asker, &r->context, n->plan->body, &body, &why)) {
        if (why.code->status >= 500 && n->tries < TRIES_MAX)
            put_off(n);
        else
            fail_body(r, a, n, &asker, &why);
    } else if (n->plan && text_eq_nocase(n->type, DEPLOYMENT_TYPE)) {
        rc = start_nested(r, a, n, node_body(body), err);
    } else {
        n->request = content(r, a, r->keeps_requests, body ? node_body(body) : NULL);
        b->items[b->count++] = (struct sending){
            .node = n,
            .arena = a,
            .call = { .arena = a,
                      .app = r->app,
                      .caller = &r->caller,
                      .correlation_id = r->row->correlation_id,
                      .peer_text = r->address,
                      .method = n->plan ? "PUT" : "DELETE",
                      .path = n->id,
                      .api_version = version_of(n),
                      .body = body ? node_body(body) : NULL },
        };
    }
    return rc;
}

int nodes_start(struct run *r, struct run_node *const *nodes, size_t count, struct error *err)
{
    struct batch *b = ARENA_NEW(r->scratch, struct batch);
    int rc = 0;

    *b = (struct batch){ 0 };
    if (begin(r, nodes, count, err))
        return -1;
    if (r->is_lost)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (prepare(r, nodes[i], b, err))
            return -1;
    send_all(b);
    for (size_t i = 0; i < b->count; i++)
        rc |= take_answer(r, &b->items[i], err);
    return rc ? -1 : run_flush(r, err);
}

void node_over(struct run *r, struct run_node *n, const struct deployment_wait *wait)
{
    if (text_eq(wait->status, "Succeeded"))
        end_node(r, n, "OK");
    else
        fail_node(r, n, "Conflict", terminal(r->scratch, n, wait->status, wait->error));
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
