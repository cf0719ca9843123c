/* Deployments that are there: shown, listed, cancelled, forgotten, exported; and the polls of what
 * endpoints.c began. */
#include "controlplane/deployments/endpoints.h"

#include <string.h>
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/extension.h"
#include "controlplane/deployments/answers.h"
#include "controlplane/deployments/failure.h"
#include "controlplane/deployments/journal.h"
#include "controlplane/deployments/place.h"
#include "controlplane/deployments/scope.h"
#include "controlplane/deployments/seal.h"
#include "controlplane/deployments/show.h"
#include "controlplane/store/deployments.h"
#include "controlplane/store/stacks.h"

const char *const deployment_versions[] = {
    "2026-06-01", "2025-04-01", "2025-03-01", "2024-11-01", "2024-07-01", "2024-03-01",
    "2023-07-01", "2022-09-01", "2021-04-01", "2021-01-01", "2020-10-01", "2020-08-01",
    "2020-06-01", "2019-10-01", "2019-08-01", "2019-07-01", "2019-05-10", "2019-05-01",
    "2019-03-01", "2018-05-01", "2018-02-01", "2017-05-10", "2016-09-01", "2016-07-01",
    "2016-02-01", "2015-11-01", NULL,
};

/* The group's own form of operations has no provider in its path. */
static const char *with_provider(struct arena *a, const char *path)
{
    const char *at = strcasestr(path, "/deployments/");

    if (!at || strcasestr(path, "/providers/Microsoft.Resources/deployments"))
        return path;
    return arena_printf(a, "%.*s/providers/Microsoft.Resources%s", (int)(at - path), path, at);
}

int place_scope(struct call *c, const char *scope, struct deploy_scope *ret, struct error *err)
{
    if (scope_load(c->control, c->arena, c->caller.tenant_id, scope, ret, err))
        return -1;
    return ret->subscription_id ? call_subscription(c, ret->subscription_id, err) : 0;
}

int place_of(struct call *c, struct place *ret, struct error *err)
{
    char *scope = NULL, *name = NULL;
    struct deploy_scope known;

    if (!scope_split(c->arena, with_provider(c->arena, c->req->path), &scope, &name))
        return fail(err, &E_NO_ROUTE, "There is nothing at the path of the request.");
    /* Spelled as stored, so that keys agree; and not another tenant's. */
    if (place_scope(c, scope, &known, err))
        return -1;
    *ret = (struct place){ .scope_id = known.id, .name = name };
    if (name) {
        ret->id = scope_deployment_id(c->arena, &known, name);
        ret->key = text_lower(c->arena, ret->id);
    }
    return 0;
}

struct query {
    const char *key;
    struct deployment *row;
    struct deployment_operation *ops;
    size_t op_count;
    bool wants_ops;
    int found;
};

static int query(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;

    q->found = deployment_get(conn, a, q->key, false, &q->row, err);
    if (q->found <= 0 || !q->wants_ops)
        return q->found < 0 ? -1 : 0;
    return deployment_operations(conn, a, q->row->uid, &q->ops, &q->op_count, err);
}

static int fail_missing(const struct place *p, struct error *err)
{
    return fail(err, &E_DEPLOYMENT_NOT_FOUND, "Deployment '%.64s' could not be found.", p->name);
}

/* Rights, then the row. */
static int find(struct call *c, struct place *place, struct query *q, struct error *err)
{
    if (place_of(c, place, err) ||
        access_check(c->control, c->arena, &c->caller, endpoint_right(c), place->id, err))
        return -1;
    q->key = place->key;
    return pg_with(c->control->db, c->arena, query, q, err);
}

static int find_known(struct call *c, struct place *place, struct query *q, struct error *err)
{
    if (find(c, place, q, err))
        return -1;
    return q->found ? 0 : fail_missing(place, err);
}

static int run_show(struct call *c, struct error *err)
{
    struct place place;
    struct query q = { 0 };

    if (find_known(c, &place, &q, err))
        return -1;
    reply_json(c, 200, show_deployment(c->arena, q.row));
    return 0;
}

/* A deployment's entry in the activity log. */
static int note(struct pg_conn *conn, struct call *c, const char *id, const char *action,
                const char *status, struct error *err)
{
    return journal_add(conn, c->arena,
                       &(struct journal){ .caller = &c->caller,
                                          .id = id,
                                          .subscription_id =
                                              text_starts_nocase(id, "/subscriptions/")
                                                  ? arena_strndup(c->arena,
                                                                  id + strlen("/subscriptions/"),
                                                                  UUID_TEXT_LEN)
                                                  : NULL,
                                          .action = action,
                                          .status = status,
                                          .correlation_id = c->correlation_id,
                                          .address = c->req->peer_text },
                       err);
}

struct removal {
    struct call *call;
    const char *key, *id;
    bool is_active;
    int done;
};

static int remove_row(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct removal *x = ctx;

    x->done = deployment_remove(conn, a, x->key, &x->is_active, err);
    if (x->done <= 0)
        return x->done;
    return note(conn, x->call, x->id, endpoint_right(x->call), "Succeeded", err);
}

static int run_delete(struct call *c, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    struct place place;
    struct removal x = { 0 };

    if (place_of(c, &place, err) ||
        access_check(c->control, c->arena, &c->caller, endpoint_right(c), place.id, err) ||
        lock_guard(c, place.id, endpoint_right(c), endpoint_deletes(c), err))
        return -1;
    x = (struct removal){ .call = c, .key = place.key, .id = place.id };
    if (pg_transact(c->control->db, c->arena, remove_row, &x, err))
        return -1;
    if (x.is_active)
        return fail(err, &E_DEPLOYMENT_ACTIVE,
                    "Unable to delete deployment '%s': it is still active. Cancel it first.",
                    place.name);
    if (!x.done) {
        http_reply_empty(c->req, 204);
        return 0;
    }
    uuid_new(id);
    http_reply_header(c->req, "Location",
                      call_url(c, arena_printf(c->arena, "%s/operationResults/%s", place.id, id)));
    http_reply_header(c->req, "Retry-After", RETRY_AFTER);
    http_reply_empty(c->req, 202);
    return 0;
}

struct cancel {
    struct call *call;
    const char *uid, *id;
    struct json_object *error;
    int64_t count;
};

static int cancel_rows(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct cancel *x = ctx;

    if (deployment_cancel(conn, a, x->uid, x->error, &x->count, err))
        return -1;
    if (stack_cancel(conn, a, x->uid, x->error, err))
        return -1;
    return note(conn, x->call, x->id, endpoint_right(x->call), "Succeeded", err);
}

static int run_cancel(struct call *c, struct error *err)
{
    struct place place;
    struct query q = { 0 };
    struct cancel x = { 0 };

    if (find_known(c, &place, &q, err) || lock_guard(c, place.id, endpoint_right(c), false, err))
        return -1;
    if (q.row->ended_us)
        return fail(err, &E_NOT_CANCELABLE,
                    "The deployment '%s' cannot be cancelled because its provisioning state is "
                    "'%s'.",
                    place.name, q.row->state);
    x.call = c;
    x.id = q.row->id;
    x.uid = q.row->uid;
    x.error = json_own(c->arena, failure_new("DeploymentCanceled", q.row->id,
                                             "The deployment was canceled."));
    if (pg_transact(c->control->db, c->arena, cancel_rows, &x, err))
        return -1;
    http_reply_empty(c->req, 204);
    return 0;
}

static int run_export(struct call *c, struct error *err)
{
    struct json_object *out = json_own(c->arena, json_new_object()), *template = NULL;
    struct place place;
    struct query q = { 0 };

    if (find_known(c, &place, &q, err) ||
        unseal_template(c->arena, c->control, q.row->uid, q.row->template_sealed, &template, err))
        return -1;
    json_set(out, "template", template);
    reply_json(c, 200, out);
    return 0;
}

/* Polls ---------------------------------------------------------------------------------------- */

static int run_status(struct call *c, struct error *err)
{
    struct place place;
    struct query q = { 0 };

    if (find_known(c, &place, &q, err))
        return -1;
    return reply_progress(c, &(struct progress){ .operation_id = q.row->operation_id,
                                                 .state = q.row->state,
                                                 .began_us = q.row->accepted_us,
                                                 .ended_us = q.row->ended_us,
                                                 .error = q.row->error }, err);
}

struct answer {
    const char *id, *caller_id;
    struct json_object *body;
    int found;
};

static int read_answer(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct answer *x = ctx;

    x->found = deployment_answer_get(conn, a, x->id, x->caller_id, &x->body, err);
    return x->found < 0 ? -1 : 0;
}

/* What a what-if found; of a delete, that it is over. */
static int run_answer(struct call *c, struct error *err)
{
    struct answer x = { .id = last_segment(c), .caller_id = c->caller.object_id };
    struct place place;

    if (place_of(c, &place, err) ||
        access_check(c->control, c->arena, &c->caller, endpoint_right(c), place.id, err))
        return -1;
    if (!uuid_is_valid(x.id))
        return fail(err, &E_OPERATION_NOT_FOUND, "The operation '%.64s' could not be found.", x.id);
    if (pg_with(c->control->db, c->arena, read_answer, &x, err))
        return -1;
    if (x.found)
        reply_json(c, 200, x.body);
    else
        http_reply_empty(c->req, 204);
    return 0;
}

/* Lists ---------------------------------------------------------------------------------------- */

struct page {
    const char *scope_key, *after, *state;
    int64_t limit;
    struct deployment *rows;
    size_t count;
};

static int read_page(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct page *p = ctx;

    return deployment_list(conn, a, p->scope_key, p->after, p->state, p->limit + 1, &p->rows,
                           &p->count, err);
}

/* provisioningState eq 'Failed' */
static int read_filter(struct call *c, struct page *p, struct error *err)
{
    const char *text = http_query_nocase(c->req, "$filter");
    char *state;
    size_t len;

    if (!text || !text[0])
        return 0;
    if (text_starts_nocase(text, "provisioningState eq '")) {
        state = arena_strdup(c->arena, text + strlen("provisioningState eq '"));
        len = strlen(state);
        if (len > 1 && len < 32 && state[len - 1] == '\'' && !memchr(state, '\'', len - 1)) {
            state[len - 1] = '\0';
            p->state = state;
            return 0;
        }
    }
    return fail(err, &E_INVALID_FILTER, "Invalid $filter '%.200s' specified in the query string.",
                text);
}

static int read_paging(struct call *c, struct page *p, struct error *err)
{
    const char *top = http_query_nocase(c->req, "$top");
    uint64_t size = PAGE_MAX;

    if (top && (!text_parse_u64(top, &size) || size == 0))
        return fail(err, &E_INVALID_TOP, "Invalid $top '%.40s' specified in the query string.",
                    top);
    p->limit = size > PAGE_MAX ? PAGE_MAX : (int64_t)size;
    return page_after(c, &p->after, err);
}

static void add_next(struct call *c, const struct page *p, struct json_object *out)
{
    const char *filter = http_query_nocase(c->req, "$filter");
    char *url = arena_printf(c->arena, "%s&$top=%lld&%s", call_url(c, c->req->path),
                             (long long)p->limit, page_token(c, p->rows[p->limit - 1].key));

    if (filter && filter[0])
        url = arena_printf(c->arena, "%s&$filter=%s", url, text_percent_encode(c->arena, filter));
    json_set_text(out, "nextLink", url);
}

static int run_list(struct call *c, struct error *err)
{
    struct json_object *out = json_own(c->arena, json_new_object());
    struct json_object *value = json_new_array();
    struct place place;
    struct page p = { 0 };

    json_set(out, "value", value);
    if (place_of(c, &place, err) ||
        access_check(c->control, c->arena, &c->caller, endpoint_right(c), place.scope_id, err) ||
        read_filter(c, &p, err) || read_paging(c, &p, err))
        return -1;
    p.scope_key = text_lower(c->arena, place.scope_id);
    if (pg_with(c->control->db, c->arena, read_page, &p, err))
        return -1;
    for (size_t i = 0; i < p.count && i < (size_t)p.limit; i++)
        json_add(value, json_get(show_deployment(c->arena, &p.rows[i])));
    if (p.count > (size_t)p.limit)
        add_next(c, &p, out);
    reply_json(c, 200, out);
    return 0;
}

static int run_operations(struct call *c, struct error *err)
{
    struct json_object *out = json_own(c->arena, json_new_object());
    struct json_object *value = json_new_array();
    const char *top = http_query_nocase(c->req, "$top");
    struct query q = { .wants_ops = true };
    uint64_t most = UINT64_MAX;
    struct place place;

    json_set(out, "value", value);
    if (top && (!text_parse_u64(top, &most) || most == 0))
        return fail(err, &E_INVALID_TOP, "Invalid $top '%.40s' specified in the query string.",
                    top);
    if (find_known(c, &place, &q, err))
        return -1;
    for (size_t i = 0; i < q.op_count && i < most; i++)
        json_add(value, json_get(show_operation(c->arena, q.row, &q.ops[i])));
    reply_json(c, 200, out);
    return 0;
}

static int run_operation(struct call *c, struct error *err)
{
    struct query q = { .wants_ops = true };
    struct place place;

    if (find_known(c, &place, &q, err))
        return -1;
    for (size_t i = 0; i < q.op_count; i++) {
        if (text_eq_nocase(q.ops[i].uid, last_segment(c))) {
            reply_json(c, 200, show_operation(c->arena, q.row, &q.ops[i]));
            return 0;
        }
    }
    return fail(err, &E_OPERATION_NOT_FOUND, "The operation '%.64s' could not be found.",
                last_segment(c));
}

DEPLOYMENT_ENDPOINT(deployment_show, run_show, "read", "A deployment", .is_item = true);
DEPLOYMENT_ENDPOINT(deployment_delete, run_delete, "delete", "Removes a deployment from the history");
DEPLOYMENT_ENDPOINT(deployment_cancel_one, run_cancel, "cancel/action", "Cancels a deployment");
DEPLOYMENT_ENDPOINT(deployment_export, run_export, "exportTemplate/action", "The template of a deployment",
                    .is_question = true);
DEPLOYMENT_ENDPOINT(deployment_status, run_status, "operationStatuses/read", "The state of a deployment");
DEPLOYMENT_ENDPOINT(deployment_answer, run_answer, "read", "The answer of a what-if");
DEPLOYMENT_ENDPOINT(deployment_list_all, run_list, "read", "Deployments of a scope");
DEPLOYMENT_ENDPOINT(deployment_operation_list, run_operations, "operations/read",
                    "Operations of a deployment");
DEPLOYMENT_ENDPOINT(deployment_operation_show, run_operation, "operations/read",
                    "An operation of a deployment");
