/* The end of a run: what Complete mode deletes, outputs, and the error that gathers all others. */
#include "controlplane/deployments/run_internal.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/local.h"
#include "controlplane/control.h"
#include "controlplane/deployments/endpoints.h"
#include "controlplane/deployments/failure.h"
#include "controlplane/deployments/journal.h"
#include "controlplane/deployments/rerun.h"
#include "controlplane/deployments/runtime.h"
#include "controlplane/deployments/stack.h"
#include "controlplane/store/stacks.h"

#define DEPLOYMENT_TYPE "Microsoft.Resources/deployments"

struct finish {
    struct run *run;
    struct stack *stack; /* NULL: none */
    struct deployment row;
    struct deployment_operation op;
    int done;
};

static int log_end(struct pg_conn *conn, struct arena *a, const struct run *r, const char *id,
                   const char *action, const char *status, struct error *err)
{
    return journal_add(conn, a,
                       &(struct journal){ .caller = &r->caller,
                                          .id = id,
                                          .subscription_id = r->row->subscription_id,
                                          .action = action,
                                          .status = status,
                                          .correlation_id = r->row->correlation_id,
                                          .address = r->address },
                       err);
}

static int write_end(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct finish *f = ctx;

    if (f->op.uid) {
        if (deployment_operations_begin(conn, a, f->run->owner, &f->op, 1, err) < 0 ||
            deployment_operations_move(conn, a, f->run->owner, &f->op, 1, err) < 0)
            return -1;
    }
    f->done = deployment_finish(conn, a, f->run->owner, &f->row, err);
    if (f->done <= 0)
        return f->done;
    if (f->stack && (stack_end(conn, a, f->stack, err) ||
                     log_end(conn, a, f->run, f->stack->id, stack_action(f->stack), f->row.state,
                             err)))
        return -1;
    return log_end(conn, a, f->run, f->run->row->id, deployment_put_one.right, f->row.state, err);
}

static int end(struct run *r, struct finish *f, struct error *err)
{
    f->run = r;
    if (run_has_stack(r) &&
        stack_outcome(r, f->row.state, f->row.outputs, f->row.error, &f->stack, err))
        return -1;
    /* Before the row ends: who takes up the run after a crash here begins it, or finds it begun. */
    if (text_eq(f->row.state, "Failed"))
        rerun_on_error(r);
    if (pg_transact(r->control->db, r->arena, write_end, f, err))
        return -1;
    r->is_lost = true; /* there is nothing more to do for this claim */
    return 0;
}

/* Ids that the template deployed, nested ones' included. */
static void add_deployed(struct run *r, const struct plan *p, struct json_object *list)
{
    for (size_t i = 0; i < p->node_count; i++) {
        const struct plan_node *n = &p->nodes[i];
        struct json_object *one;

        if (n->is_skipped || n->is_existing)
            continue;
        if (n->nested) {
            add_deployed(r, n->nested, list);
            continue;
        }
        if (text_eq_nocase(n->type, DEPLOYMENT_TYPE))
            continue;
        one = json_new_object();
        json_set_text(one, "id", n->id);
        json_add(list, one);
    }
}

static struct asker asker_of(struct run *r)
{
    return (struct asker){
        .app = r->app,
        .caller = &r->caller,
        .correlation_id = r->row->correlation_id,
        .peer_text = r->address,
        .arena = r->arena,
        .secrets = &r->secrets,
    };
}

/* Linked templates were planned elsewhere: their deployments tell what they made. */
static int add_linked(struct run *r, const struct plan *p, struct json_object *list,
                      struct error *err)
{
    for (size_t i = 0; i < p->node_count; i++) {
        const struct plan_node *n = &p->nodes[i];
        struct arm_call call = { .arena = r->arena, .app = r->app, .caller = &r->caller,
                                 .method = "GET", .path = n->id, .api_version = "2021-04-01" };
        struct json_object *made;

        if (n->is_skipped || n->nested || !text_eq_nocase(n->type, DEPLOYMENT_TYPE))
            continue;
        if (arm_call(&call, err))
            return -1;
        made = json_at(call.answer, "properties.outputResources");
        for (size_t k = 0; k < json_count(made); k++)
            json_add(list, json_copy(json_item(made, k)));
    }
    return 0;
}

/* Complete mode -------------------------------------------------------------------------------- */

struct leftovers {
    struct run *run;
    const char *const *types;
    size_t type_count;
    struct deployment_leftover *rows;
    size_t count;
};

static int read_rows(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct leftovers *x = ctx;
    const char *group = text_lower(a, x->run->context.resource_group);

    return deployment_group_rows(conn, a, x->run->row->subscription_id, group, x->types,
                                 x->type_count, &x->rows, &x->count, err);
}

static bool is_kept(const struct json_object *list, const struct deployment_leftover *row)
{
    size_t len = strlen(row->key);

    for (size_t i = 0; i < json_count(list); i++) {
        const char *id = json_text(json_item(list, i), "id");

        /* Whatever has a child in the template stays as well. */
        if (strncasecmp(id, row->key, len) == 0 && (id[len] == '\0' || id[len] == '/'))
            return true;
    }
    return false;
}

int run_leftovers(struct run *r, struct error *err)
{
    struct leftovers x = { .run = r };
    struct json_object *kept = json_own(r->arena, json_new_array());
    const char *above = NULL;

    x.types = arm_types(r->arena, true, &x.type_count);
    add_deployed(r, r->plan, kept);
    if (add_linked(r, r->plan, kept, err) ||
        pg_with(r->control->db, r->arena, read_rows, &x, err))
        return -1;
    for (size_t i = 0; i < x.count; i++) {
        const struct deployment_leftover *row = &x.rows[i];
        struct run_node n = { .key = arena_printf(r->arena, "delete:%s", row->key),
                              .id = row->id,
                              .type = row->type_key,
                              .name = strrchr(row->id, '/') + 1 };
        size_t len = above ? strlen(above) : 0;

        if (row->is_system || is_kept(kept, row) ||
            (above && strncmp(row->key, above, len) == 0 && row->key[len] == '/'))
            continue; /* what is below one that goes, goes with it */
        above = row->key;
        if (!run_find_node(r, n.key)) /* a run before this one may have begun it */
            run_add_node(r, &n);
    }
    return 0;
}

/* Outputs -------------------------------------------------------------------------------------- */

static int add_output(struct run *r, struct asker *asker, const struct plan_output *o,
                      struct json_object *outputs, struct error *err)
{
    struct json_object *one = json_new_object(), *value = NULL;
    char **paths = NULL;
    size_t secure = 0;

    json_set(outputs, o->name, one);
    json_set_text(one, "type", o->type);
    if (runtime_value(asker, &r->context, o->value, &value, &paths, &secure, err))
        return -1;
    if (o->is_secure) /* what it asks for has to be there, and for the caller to see, all the same */
        return 0;
    if (secure > 0) {
        /* A secret of list*(): its place is told, not its value. */
        value = json_own(r->arena, json_copy(value));
        for (size_t i = 0; i < secure; i++) {
            if (paths[i][0] == '\0' || strchr(paths[i], '['))
                return 0;
            json_put_at(value, paths[i], NULL);
        }
    }
    json_set(one, "value", value ? json_get(value) : NULL);
    return 0;
}

static struct json_object *whole_error(struct run *r)
{
    struct json_object *error = json_own(
        r->arena,
        failure_new("DeploymentFailed", r->row->id,
                    "At least one resource deployment operation failed. Please list deployment "
                    "operations for details. Please see https://aka.ms/arm-deployment-operations "
                    "for usage details."));

    for (size_t i = 0; i < r->node_count; i++)
        if (r->nodes[i].state == NODE_FAILED && r->nodes[i].failure)
            failure_add(error, json_copy(r->nodes[i].failure));
    return error;
}

int run_fail(struct run *r, struct json_object *error, struct error *err)
{
    struct finish f = { .row = { .state = "Failed",
                                 .error = secrets_scrub(&r->secrets, r->arena, error) } };

    return end(r, &f, err);
}

static int fail_outputs(struct run *r, const struct asker *asker, const struct error *why,
                        struct error *err)
{
    struct json_object *error = json_own(
        r->arena, failure_new("DeploymentOutputEvaluationFailed", r->row->id,
                              "Unable to evaluate template outputs. Please see error details and "
                              "deployment operations."));

    failure_add(error, failure_of(why));
    if (json_kind(asker->failure) == JSON_OBJECT)
        failure_add(error, json_copy(asker->failure));
    return run_fail(r, error, err);
}

int run_finish(struct run *r, struct error *err)
{
    struct json_object *outputs = json_own(r->arena, json_new_object());
    struct json_object *made = json_own(r->arena, json_new_array());
    struct asker asker = asker_of(r);
    char uid[UUID_TEXT_LEN + 1];
    struct finish f = { .row = { .state = "Succeeded", .resources = made } };
    struct error why = { 0 };

    for (size_t i = 0; i < r->node_count; i++)
        if (r->nodes[i].state == NODE_FAILED)
            return run_fail(r, whole_error(r), err);
    for (size_t i = 0; i < r->plan->output_count; i++) {
        if (add_output(r, &asker, &r->plan->outputs[i], outputs, &why) == 0)
            continue;
        if (why.code->status >= 500) {
            *err = why;
            return -1;
        }
        return fail_outputs(r, &asker, &why, err);
    }
    add_deployed(r, r->plan, made);
    if (add_linked(r, r->plan, made, err))
        return -1;
    f.row.outputs = secrets_scrub(&r->secrets, r->arena, outputs);
    if (!deployment_json_fits(r->arena, f.row.outputs)) {
        (void)fail(&why, &E_DEPLOYMENT_REFERENCE,
                   "The outputs have more values than can be kept in the history.");
        return fail_outputs(r, &asker, &why, err);
    }
    uuid_new(uid);
    f.op = (struct deployment_operation){
        .uid = uid,
        .deployment_uid = r->row->uid,
        .node_key = "outputs",
        .position = (int64_t)r->node_count,
        .kind = "EvaluateDeploymentOutput",
        .state = "Succeeded",
        .status_code = "OK",
    };
    return end(r, &f, err);
}
