/* The part of a run that is the stack's: what it lets go is deleted after all else went well, and
 * what it manages from then on is noted with the end of the run. */
#include "controlplane/deployments/stack.h"

#include <string.h>
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/local.h"
#include "controlplane/control.h"
#include "controlplane/deployments/failure.h"
#include "controlplane/deployments/run_internal.h"
#include "controlplane/store/stacks.h"

#define DEPLOYMENT_TYPE "Microsoft.Resources/deployments"
#define DEPLOYMENT_VERSION "2021-04-01"
#define AUTHORIZATION_VERSION "2022-04-01"

struct list {
    struct arena *arena;
    struct stack_resource *items;
    size_t count, cap;
};

static void add(struct list *l, struct stack_resource one)
{
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 32;
        struct stack_resource *bigger = arena_array(l->arena, cap, sizeof(*bigger));

        if (l->count)
            memcpy(bigger, l->items, l->count * sizeof(*bigger));
        l->items = bigger;
        l->cap = cap;
    }
    l->items[l->count++] = one;
}

static bool has(const struct list *l, const char *id)
{
    for (size_t i = 0; i < l->count; i++)
        if (text_eq_nocase(l->items[i].id, id))
            return true;
    return false;
}

/* "Microsoft.X/a/b" of an id. */
static char *type_of(struct arena *a, const char *id)
{
    const char *at = NULL;
    char **parts = NULL, *type;
    size_t count;

    for (const char *p = id; (p = strcasestr(p, "/providers/")) != NULL; p++)
        at = p + strlen("/providers/");
    if (!at)
        return arena_strdup(a, "Microsoft.Resources/resourceGroups");
    count = text_split(a, at, '/', &parts);
    type = parts[0];
    for (size_t i = 1; i < count; i += 2)
        type = arena_printf(a, "%s/%s", type, parts[i]);
    return type;
}

static const char *version_of(const char *type)
{
    const char *newest = arm_type_find(type).newest_version;

    return newest ? newest : AUTHORIZATION_VERSION;
}

/* A linked template was planned elsewhere: its deployment tells what it made. */
static int add_linked(struct run *r, const struct plan_node *n, struct list *l, struct error *err)
{
    struct arm_call call = { .arena = r->arena, .app = r->app, .caller = &r->caller,
                             .method = "GET", .path = n->id, .api_version = DEPLOYMENT_VERSION };
    struct json_object *made;

    if (arm_call(&call, err))
        return -1;
    made = json_at(call.answer, "properties.outputResources");
    for (size_t i = 0; i < json_count(made); i++) {
        const char *id = json_text(json_item(made, i), "id");
        char *type = type_of(r->arena, id);

        add(l, (struct stack_resource){ id, type, version_of(type) });
    }
    return 0;
}

static int add_plan(struct run *r, const struct plan *p, struct list *l, struct error *err);

static int add_node(struct run *r, const struct plan_node *n, struct list *l, struct error *err)
{
    if (n->is_skipped || n->is_existing)
        return 0;
    if (n->nested)
        return add_plan(r, n->nested, l, err);
    if (text_eq_nocase(n->type, DEPLOYMENT_TYPE))
        return add_linked(r, n, l, err);
    add(l, (struct stack_resource){ n->id, n->type,
                                    n->api_version ? n->api_version : version_of(n->type) });
    return 0;
}

static int add_plan(struct run *r, const struct plan *p, struct list *l, struct error *err)
{
    for (size_t i = 0; i < p->node_count; i++)
        if (add_node(r, &p->nodes[i], l, err))
            return -1;
    return 0;
}

/* What the template has; after a failure only what may be there: a resource that was written, and all
 * of a nested template that was begun. */
static int deployed(struct run *r, struct list *l, struct error *err)
{
    for (size_t i = 0; i < r->node_count; i++) {
        const struct run_node *n = &r->nodes[i];
        bool may_be = n->state == NODE_DONE ||
                      (n->plan && n->plan->nested && n->state != NODE_WAITING);

        if (n->plan && may_be && add_node(r, n->plan, l, err))
            return -1;
    }
    return 0;
}

struct query {
    const char *uid;
    struct stack *stack;
    int found;
};

static int query(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;

    q->found = stack_by_uid(conn, a, q->uid, &q->stack, err);
    return q->found < 0 ? -1 : 0;
}

static int read_stack(struct run *r, struct stack **ret, struct error *err)
{
    struct query q = { .uid = r->row->stack_uid };

    if (pg_with(r->control->db, r->arena, query, &q, err))
        return -1;
    *ret = q.found ? q.stack : NULL;
    return 0;
}

static bool is_to_delete(const struct stack *s, const struct stack_resource *x)
{
    const char *member = "resources";

    if (text_eq_nocase(x->type, "Microsoft.Resources/resourceGroups") ||
        text_eq_nocase(x->type, "Microsoft.Resources/subscriptions/resourceGroups"))
        member = "resourceGroups";
    else if (text_eq_nocase(x->type, "Microsoft.Management/managementGroups"))
        member = "managementGroups";
    return text_eq(json_text(s->unmanage, member), "delete");
}

static bool is_below(const char *id, const char *above)
{
    size_t len = strlen(above);

    return strncasecmp(id, above, len) == 0 && id[len] == '/';
}

/* Of the ones to delete, the one whose end x ends with: itself, or the highest above it. */
static const char *goes_with(const struct list *gone, const struct stack_resource *x)
{
    const char *best = x->id;

    for (size_t i = 0; i < gone->count; i++)
        if (is_below(best, gone->items[i].id))
            best = gone->items[i].id;
    return best;
}

static char *delete_key(struct arena *a, const char *id)
{
    return arena_printf(a, "delete:%s", text_lower(a, id));
}

static struct list to_delete(struct arena *a, const struct stack *s, const struct list *kept)
{
    struct list gone = { .arena = a };

    for (size_t i = 0; i < s->resource_count; i++)
        if (!has(kept, s->resources[i].id) && is_to_delete(s, &s->resources[i]))
            add(&gone, s->resources[i]);
    return gone;
}

bool run_has_stack(const struct run *r)
{
    return r->row->stack_uid && !r->row->parent_uid;
}

int stack_leftovers(struct run *r, struct error *err)
{
    struct list kept = { .arena = r->arena }, gone;
    struct stack *s = NULL;

    if (read_stack(r, &s, err) || add_plan(r, r->plan, &kept, err))
        return -1;
    if (!s)
        return 0; /* its group is being deleted */
    gone = to_delete(r->arena, s, &kept);
    for (size_t i = 0; i < gone.count; i++) {
        const struct stack_resource *x = &gone.items[i];
        struct run_node n = { .key = delete_key(r->arena, x->id),
                              .id = x->id,
                              .type = x->type,
                              .name = strrchr(x->id, '/') + 1,
                              .api_version = x->api_version };

        if (goes_with(&gone, x) == x->id && !run_find_node(r, n.key))
            run_add_node(r, &n);
    }
    return 0;
}

/* Outcome -------------------------------------------------------------------------------------- */

static void add_id(struct json_object *list, const char *id, struct json_object *failure)
{
    struct json_object *one = json_new_object();

    json_set_text(one, "id", id);
    if (failure)
        json_set(one, "error", json_copy(failure));
    json_add(list, one);
}

/* What was let go: deleted, detached, or still there because it could not be deleted. */
static void settle(struct run *r, struct stack *s, const struct list *old, struct list *kept)
{
    struct list gone = to_delete(r->arena, s, kept), stuck = { .arena = r->arena };

    for (size_t i = 0; i < old->count; i++) {
        const struct stack_resource *x = &old->items[i];
        const struct run_node *n;

        if (has(kept, x->id))
            continue;
        if (!is_to_delete(s, x)) {
            add_id(s->detached, x->id, NULL);
            continue;
        }
        n = run_find_node(r, delete_key(r->arena, goes_with(&gone, x)));
        if (n && n->state == NODE_DONE) {
            add_id(s->deleted, x->id, NULL);
            continue;
        }
        add_id(s->failed, x->id, n ? n->failure : NULL);
        add(&stuck, *x);
    }
    for (size_t i = 0; i < stuck.count; i++)
        add(kept, stuck.items[i]);
}

static bool is_deployed(const struct run *r)
{
    for (size_t i = 0; i < r->node_count; i++)
        if (r->nodes[i].plan && r->nodes[i].state != NODE_DONE)
            return false;
    return r->phase == PHASE_CLEAN;
}

static struct json_object *deletes_failed(struct run *r)
{
    struct json_object *out = json_own(
        r->arena, failure_new("DeploymentStackDeleteResourcesFailed", NULL,
                              arena_printf(r->arena,
                                           "One or more resources could not be deleted. "
                                           "Correlation id: '%s'.",
                                           r->row->correlation_id)));

    for (size_t i = 0; i < r->node_count; i++)
        if (!r->nodes[i].plan && r->nodes[i].failure)
            failure_add(out, json_copy(r->nodes[i].failure));
    return out;
}

int stack_outcome(struct run *r, const char *state, struct json_object *outputs,
                  struct json_object *error, struct stack **ret, struct error *err)
{
    struct list kept = { .arena = r->arena }, old;
    struct stack *s = NULL;

    *ret = NULL;
    if (read_stack(r, &s, err))
        return -1;
    if (!s)
        return 0; /* gone with its group */
    if (deployed(r, &kept, err))
        return -1;
    old = (struct list){ .items = s->resources, .count = s->resource_count };
    s->state = text_eq(state, "Succeeded") ? "succeeded" : "failed";
    s->outputs = outputs;
    s->error = error;
    s->detached = json_own(r->arena, json_new_array());
    s->deleted = json_own(r->arena, json_new_array());
    s->failed = json_own(r->arena, json_new_array());
    if (is_deployed(r)) {
        settle(r, s, &old, &kept);
        if (json_count(s->failed))
            s->error = deletes_failed(r);
    } else {
        for (size_t i = 0; i < old.count; i++)
            if (!has(&kept, old.items[i].id))
                add(&kept, old.items[i]);
        for (size_t i = 0; i < r->node_count; i++)
            if (r->nodes[i].state == NODE_FAILED)
                add_id(s->failed, r->nodes[i].id, r->nodes[i].failure);
    }
    s->resources = kept.items;
    s->resource_count = kept.count;
    *ret = s;
    return 0;
}
