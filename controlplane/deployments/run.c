/* The graph of a run: which resources are ready, which are over, and when to look again. */
#include "controlplane/deployments/run.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/deployments/failure.h"
#include "controlplane/deployments/run_internal.h"
#include "controlplane/deployments/seal.h"
#include "controlplane/deployments/stack.h"
#include "controlplane/deployments/submission.h"

#define DELAY_MIN_MS 5
#define DELAY_MAX_MS 200
#define PAYLOAD_MAX ((size_t)64 << 20)
#define DELETE_PREFIX "delete:"

struct run *run_new(struct control *control, const struct http_app *app, struct arena *arena,
                    struct deployment *row, const char *owner)
{
    struct run *r = ARENA_NEW(arena, struct run);
    const struct json_object *who = row->caller;

    *r = (struct run){
        .arena = arena,
        .control = control,
        .app = app,
        .owner = arena_strdup(arena, owner),
        .row = row,
        .caller = {
            .tenant_id = json_text(who, "tenantId"),
            .object_id = json_text(who, "objectId"),
            .app_id = json_text(who, "appId"),
            .name = json_text(who, "name"),
            .kind = json_text(who, "kind"),
            .stack_uid = row->stack_uid,
        },
        .address = json_text(who, "address"),
        .secrets = { .arena = arena },
        .delay_ms = DELAY_MIN_MS,
    };
    return r;
}

void run_free(struct run *r)
{
    if (r)
        arena_free(r->arena);
}

/* Opening -------------------------------------------------------------------------------------- */

struct history {
    const char *deployment_uid;
    struct deployment_operation *ops;
    size_t count;
};

static int read_history(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct history *h = ctx;

    return deployment_operations(conn, a, h->deployment_uid, &h->ops, &h->count, err);
}

/* What a run before this one had got done. */
static void take_up(struct run *r, const struct deployment_operation *op)
{
    struct run_node *n = run_find_node(r, op->node_key);

    if (!n && text_starts(op->node_key, DELETE_PREFIX) && json_text(op->target, "id")) {
        struct run_node gone = {
            .key = op->node_key,
            .id = json_text(op->target, "id"),
            .type = json_text(op->target, "resourceType"),
            .name = json_text(op->target, "resourceName"),
            .api_version = json_text(op->target, "apiVersion"),
        };

        run_add_node(r, &gone);
        n = &r->nodes[r->node_count - 1];
    }
    if (!n)
        return;
    if (text_eq(op->state, "Succeeded"))
        n->state = NODE_DONE;
    else if (text_eq(op->state, "Failed"))
        n->state = NODE_FAILED;
    else if (op->awaits)
        n->state = NODE_RUNNING;
    n->awaits = op->awaits;
    n->failure = json_at(op->status_message, "error");
}

static void make_nodes(struct run *r)
{
    for (size_t i = 0; i < r->plan->node_count; i++) {
        const struct plan_node *p = &r->plan->nodes[i];
        struct run_node n = { .plan = p,
                              .key = text_lower(r->arena, p->id),
                              .id = p->id,
                              .type = p->type,
                              .name = p->name,
                              .state = p->is_skipped || p->is_existing ? NODE_DONE
                                                                       : NODE_WAITING };

        run_add_node(r, &n);
    }
}

static int plan(struct run *r, struct error *err)
{
    struct json_object *json = NULL;
    const char *level;
    char *text = NULL;
    struct template_fault fault = { 0 };

    if (unseal_text(r->arena, r->control, r->row->uid, SEAL_RUN, r->row->sealed, &text, err) ||
        json_parse(text, strlen(text), PAYLOAD_MAX, JSON_TEMPLATE, &json, err))
        return -1;
    r->payload = json_own(r->arena, json);
    level = json_text(r->row->shown, "debugSetting.detailLevel");
    r->keeps_requests = level && strcasestr(level, "requestContent");
    r->keeps_responses = level && strcasestr(level, "responseContent");
    secrets_add(&r->secrets, json_at(r->payload, "secrets"));
    return payload_plan(r->arena, r->payload, &r->context, &r->plan, &fault, err);
}

/* A sealed text that does not open will not open the next time either. */
static int open_run(struct run *r, struct error *err)
{
    struct history h = { .deployment_uid = r->row->uid };
    struct error why = { 0 };

    if (plan(r, &why))
        return run_fail(r, json_own(r->arena, failure_of(&why)), err);
    if (pg_with(r->control->db, r->arena, read_history, &h, err))
        return -1;
    make_nodes(r);
    for (size_t i = 0; i < h.count; i++)
        take_up(r, &h.ops[i]);
    r->phase = PHASE_DEPLOY;
    return 0;
}

/* Steps ---------------------------------------------------------------------------------------- */

struct waits {
    const char **ids;
    size_t count;
    struct deployment_wait *over;
    size_t over_count;
};

static int read_waits(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct waits *w = ctx;

    return deployment_waits_over(conn, a, w->ids, w->count, &w->over, &w->over_count, err);
}

/* How many nodes came to their end, or -1. */
static int poll_nodes(struct run *r, struct arena *a, struct error *err)
{
    struct waits w = { .ids = arena_array(a, r->node_count + 1, sizeof(char *)) };

    for (size_t i = 0; i < r->node_count; i++)
        if (r->nodes[i].state == NODE_RUNNING)
            w.ids[w.count++] = r->nodes[i].awaits;
    if (w.count == 0)
        return 0;
    if (pg_with(r->control->db, a, read_waits, &w, err))
        return -1;
    for (size_t i = 0; i < w.over_count; i++)
        for (size_t k = 0; k < r->node_count; k++)
            if (r->nodes[k].state == NODE_RUNNING && text_eq(r->nodes[k].awaits, w.over[i].id))
                node_over(r, &r->nodes[k], &w.over[i]);
    return run_flush(r, err) ? -1 : (int)w.over_count;
}

static bool is_ready(const struct run *r, const struct run_node *n)
{
    if (n->state != NODE_WAITING || n->not_before_ms > clock_mono_ms())
        return false;
    for (size_t i = 0; n->plan && i < n->plan->edge_count; i++)
        if (r->nodes[n->plan->edges[i].node].state != NODE_DONE)
            return false;
    return true;
}

/* Starts what is ready, what became ready meanwhile included. */
static int start_nodes(struct run *r, int *ret_changed, struct error *err)
{
    struct run_node *ready[RUN_BATCH_MAX];
    size_t count;

    do {
        count = 0;
        for (size_t i = 0; i < r->node_count && count < RUN_BATCH_MAX; i++)
            if (is_ready(r, &r->nodes[i]))
                ready[count++] = &r->nodes[i];
        if (count && nodes_start(r, ready, count, err))
            return -1;
        *ret_changed += (int)count;
    } while (count && !r->is_lost);
    return 0;
}

/* Whether anything runs, or will. */
static bool is_live(const struct run *r)
{
    for (size_t i = 0; i < r->node_count; i++) {
        const struct run_node *n = &r->nodes[i];

        if (n->state == NODE_RUNNING || is_ready(r, n) ||
            (n->state == NODE_WAITING && n->not_before_ms > clock_mono_ms()))
            return true;
    }
    return false;
}

static bool has_failed(const struct run *r)
{
    for (size_t i = 0; i < r->node_count; i++)
        if (r->nodes[i].state == NODE_FAILED)
            return true;
    return false;
}

/* Whether something may have to go once all is there. */
static bool cleans(const struct run *r)
{
    return run_has_stack(r) || text_eq(r->row->mode, "Complete");
}

static int step(struct run *r, struct arena *a, int *ret_changed, struct error *err)
{
    r->scratch = a;
    if (run_flush(r, err))
        return -1;
    if (r->phase == PHASE_OPEN && open_run(r, err))
        return -1;
    if (r->is_lost)
        return 0;
    *ret_changed = poll_nodes(r, a, err);
    if (*ret_changed < 0 || start_nodes(r, ret_changed, err))
        return -1;
    if (r->is_lost || is_live(r))
        return 0;
    if (r->phase == PHASE_DEPLOY && !has_failed(r) && cleans(r)) {
        if (run_has_stack(r) ? stack_leftovers(r, err) : run_leftovers(r, err))
            return -1;
        r->phase = PHASE_CLEAN;
        *ret_changed = 1;
        return 0;
    }
    return run_finish(r, err);
}

enum run_verdict run_step(struct run *r, int64_t *ret_delay_ms, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    int changed = 0;

    if (step(r, a, &changed, err))
        return RUN_FAILED;
    if (r->is_lost)
        return RUN_OVER;
    r->delay_ms = changed ? DELAY_MIN_MS
                          : r->delay_ms * 2 > DELAY_MAX_MS ? DELAY_MAX_MS : r->delay_ms * 2;
    *ret_delay_ms = r->delay_ms;
    return RUN_AGAIN;
}
