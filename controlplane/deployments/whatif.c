/* What a deployment would change: every resource of the plan is taken through the pipeline as far
 * as its transaction, and what is there is compared with what would be written. Both sides come
 * from the same tables, so defaults, read-only members and spellings make no difference. */
#include "controlplane/deployments/whatif.h"

#include <stdint.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"
#include "templates/language/template.h"

#include "controlplane/api/local.h"
#include "controlplane/control.h"
#include "controlplane/deployments/body.h"
#include "controlplane/deployments/delta.h"
#include "controlplane/deployments/failure.h"
#include "controlplane/deployments/linked.h"
#include "controlplane/deployments/routed.h"
#include "controlplane/deployments/runtime.h"
#include "controlplane/deployments/submission.h"
#include "controlplane/store/deployments.h"

#define DEPLOYMENT_TYPE "Microsoft.Resources/deployments"
#define TEMPLATES_MAX 500 /* nested ones that are looked into */
#define LOOK_MAX_MS 60000

struct look {
    struct submission *s; /* what is being looked at; of a linked template its own */
    struct json_object *changes, *diagnostics;
    const char *deployment_id; /* of the deployment inside that is being looked at; NULL: none */
    size_t templates;          /* seen so far */
    int64_t until_ms;          /* monotonic */
    bool is_brief;             /* ResourceIdOnly */
};

static struct json_object *change_new(const struct look *x, const char *id, const char *type)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "resourceId", id);
    if (x->deployment_id)
        json_set_text(out, "deploymentId", x->deployment_id);
    json_set_text(out, "changeType", type);
    return out;
}

/* With what every resource is shown with. */
static struct json_object *dressed(const struct plan_node *n, const struct json_object *body)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "apiVersion", n->api_version);
    json_set_text(out, "id", n->id);
    json_set_text(out, "type", n->type);
    json_set_text(out, "name", strrchr(n->name, '/') ? strrchr(n->name, '/') + 1 : n->name);
    json_merge_patch(out, body);
    return out;
}

static void add_change(struct look *x, const struct plan_node *n, const char *type,
                       const struct json_object *before, const struct json_object *after,
                       struct json_object *delta)
{
    struct json_object *one = change_new(x, n->id, x->is_brief ? "Deploy" : type);

    if (n->symbol)
        json_set_text(one, "symbolicName", n->symbol);
    if (!x->is_brief && before)
        json_set(one, "before", dressed(n, before));
    if (!x->is_brief && after)
        json_set(one, "after", dressed(n, after));
    if (!x->is_brief && json_count(delta))
        json_set(one, "delta", json_get(delta));
    json_add(x->changes, one);
}

/* The body with what can be known now; expressions that ask for what is not there yet stay. */
static int body_now(struct look *x, const struct plan *p, const struct plan_node *n,
                    struct json_object **ret, bool *ret_known, struct error *err)
{
    struct submission *s = x->s;
    struct error why = { 0 };
    struct asker asker = {
        .app = s->app,
        .caller = s->caller,
        .correlation_id = s->correlation_id,
        .peer_text = s->peer_text,
        .arena = s->arena,
        .secrets = &s->secrets,
    };

    *ret_known = true;
    if (runtime_body(&asker, &p->context, n->body, ret, &why) == 0)
        return 0;
    if (why.code->status >= 500) {
        *err = why;
        return -1;
    }
    *ret_known = false;
    *ret = json_own(s->arena, template_json(n->body, true));
    return 0;
}

static int add_unknown(struct look *x, const struct plan_node *n, const char *reason)
{
    struct json_object *one = change_new(x, n->id, "Unsupported");

    json_set_text(one, "unsupportedReason", reason);
    json_add(x->changes, one);
    return 0;
}

/* What has no table: what is there is compared as far as the template speaks of it. */
static int look_beside(struct look *x, const struct plan_node *n, struct json_object *body,
                       struct error *err)
{
    struct arena *a = x->s->arena;
    struct arm_call call = { .arena = a, .app = x->s->app, .caller = x->s->caller,
                             .correlation_id = x->s->correlation_id,
                             .api_version = n->api_version };
    struct json_object *before = NULL, *delta;

    if (routed_read(&call, n, body, &before, err))
        return -1;
    if (call.status == 404) {
        add_change(x, n, "Create", NULL, body, NULL);
        return 0;
    }
    if (!before)
        return add_unknown(x, n, "The resource cannot be read.");
    delta = delta_of(a, before, body);
    add_change(x, n, json_count(delta) ? "Modify" : "NoChange", before, body, delta);
    return 0;
}

static int look_at(struct look *x, const struct plan *p, const struct plan_node *n,
                   struct error *err)
{
    struct json_object *body = NULL, *before, *after, *delta;
    bool is_known = false;
    struct arm_call call = {
        .arena = x->s->arena,
        .app = x->s->app,
        .caller = x->s->caller,
        .correlation_id = x->s->correlation_id,
        .peer_text = x->s->peer_text,
        .method = "PUT",
        .path = n->id,
        .api_version = n->api_version,
        .depth = ARM_CHECK,
    };

    if (!submission_provides(x->s->arena, n))
        return add_unknown(x, n, "This service does not provide the resource type.");
    if (body_now(x, p, n, &body, &is_known, err))
        return -1;
    if (!is_known) /* it leans on what this deployment makes: so it is made as well, or changed */
        return look_beside(x, n, node_body(body), err);
    call.body = node_body(json_own(x->s->arena, json_copy(body)));
    if (arm_call(&call, err))
        return -1;
    if (!call.is_known)
        return look_beside(x, n, node_body(body), err);
    if (!arm_call_is_good(&call)) { /* what it is below is to be made first */
        add_change(x, n, "Create", NULL, body, NULL);
        return 0;
    }
    before = json_at(call.answer, "before");
    after = json_at(call.answer, "after");
    if (!before) {
        add_change(x, n, "Create", NULL, after, NULL);
        return 0;
    }
    delta = delta_of(x->s->arena, before, after);
    add_change(x, n, json_count(delta) ? "Modify" : "NoChange", before, after, delta);
    return 0;
}

static int look_through(struct look *x, const struct plan *p, struct error *err);

/* A deployment inside that cannot be seen into: what it holds is missing from the answer. */
static void add_diagnostic(struct look *x, const struct plan_node *n, const char *why)
{
    struct json_object *one = json_new_object();

    json_set_text(one, "level", "Warning");
    json_set_text(one, "code", "NestedDeploymentShortCircuited");
    json_set_text(one, "target", n->id);
    json_set_text(one, "message",
                  arena_printf(x->s->arena,
                               "The resources of the nested deployment '%s' are not looked at. %s",
                               n->name, why));
    json_add(x->diagnostics, one);
}

static int look_at_linked(struct look *x, const struct plan_node *n, struct error *err)
{
    struct submission *outer = x->s, *inner = NULL;
    struct error why = { 0 };
    int rc = linked_plan(outer, n, &inner, &why);

    if (rc < 0 && why.code->status >= 500) {
        *err = why;
        return -1;
    }
    if (rc <= 0) {
        add_diagnostic(x, n, rc < 0 ? why.message
                                    : n->nested_error ? n->nested_error
                                                      : "It is known when the deployment runs.");
        return 0;
    }
    x->s = inner;
    rc = look_through(x, inner->plan, err);
    x->s = outer;
    secrets_add(&outer->secrets, json_own(outer->arena, secrets_json(&inner->secrets)));
    return rc;
}

static int look_inside(struct look *x, const struct plan_node *n, struct error *err)
{
    const char *outer = x->deployment_id;
    int rc;

    if (++x->templates > TEMPLATES_MAX || clock_mono_ms() > x->until_ms) {
        add_diagnostic(x, n, "There are more nested deployments than what-if looks at.");
        return 0;
    }
    x->deployment_id = n->id;
    rc = n->nested ? look_through(x, n->nested, err) : look_at_linked(x, n, err);
    x->deployment_id = outer;
    return rc;
}

static int look_through(struct look *x, const struct plan *p, struct error *err)
{
    for (size_t i = 0; i < p->node_count; i++) {
        const struct plan_node *n = &p->nodes[i];

        if (n->is_skipped || n->is_existing)
            continue;
        if (text_eq_nocase(n->type, DEPLOYMENT_TYPE) ? look_inside(x, n, err)
                                                     : look_at(x, p, n, err))
            return -1;
    }
    return 0;
}

/* What else is in the group -------------------------------------------------------------------- */

struct rest {
    struct submission *s;
    const char *const *types;
    size_t type_count;
    struct deployment_leftover *rows;
    size_t count;
};

static int read_rows(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct rest *x = ctx;

    return deployment_group_rows(conn, a, x->s->scope.subscription_id,
                                 text_lower(a, x->s->scope.group), x->types, x->type_count,
                                 &x->rows, &x->count, err);
}

static bool is_told(const struct json_object *changes, const char *id)
{
    for (size_t i = 0; i < json_count(changes); i++)
        if (text_eq_nocase(json_text(json_item(changes, i), "resourceId"), id))
            return true;
    return false;
}

static int add_rest(struct look *x, struct error *err)
{
    struct rest r = { .s = x->s };
    const char *type = text_eq(x->s->mode, "Complete") ? "Delete" : "Ignore";

    if (x->s->scope.level != LEVEL_GROUP)
        return 0;
    r.types = arm_types(x->s->arena, true, &r.type_count);
    if (pg_with(x->s->control->db, x->s->arena, read_rows, &r, err))
        return -1;
    for (size_t i = 0; i < r.count; i++) {
        struct arm_call call = { .arena = x->s->arena, .app = x->s->app, .caller = x->s->caller,
                                 .method = "GET", .path = r.rows[i].id };
        struct json_object *one;

        if (is_told(x->changes, r.rows[i].id) || r.rows[i].is_system)
            continue;
        call.api_version = arm_type_find(r.rows[i].type_key).newest_version;
        if (arm_call(&call, err))
            return -1;
        if (!arm_call_is_good(&call))
            continue; /* not for the caller's eyes, or gone meanwhile */
        one = change_new(x, r.rows[i].id, type);
        if (!x->is_brief)
            json_set(one, "before", json_copy(call.answer));
        json_add(x->changes, one);
    }
    return 0;
}

int whatif(struct submission *s, struct json_object **ret, struct error *err)
{
    const char *format =
        json_text(s->request, "properties.whatIfSettings.resultFormat");
    struct look x = { .s = s,
                      .changes = json_own(s->arena, json_new_array()),
                      .diagnostics = json_own(s->arena, json_new_array()),
                      .until_ms = clock_mono_ms() + LOOK_MAX_MS,
                      .is_brief = text_eq_nocase(format, "ResourceIdOnly") };
    struct json_object *out = json_own(s->arena, json_new_object());
    struct json_object *properties = json_new_object();

    json_set(out, "properties", properties);
    s->ahead_count = 0; /* those of the preflight */
    if (look_through(&x, s->plan, err) || add_rest(&x, err))
        return -1;
    json_set_text(out, "status", "Succeeded");
    json_set_text(properties, "correlationId", s->correlation_id);
    json_set(properties, "changes",
             json_get(secrets_scrub(&s->secrets, s->arena, x.changes)));
    if (json_count(x.diagnostics))
        json_set(properties, "diagnostics",
                 json_get(secrets_scrub(&s->secrets, s->arena, x.diagnostics)));
    *ret = out;
    return 0;
}
