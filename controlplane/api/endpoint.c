/* authenticate → api-version → subscription → authorise → the endpoint's own work. */
#include "controlplane/api/endpoint.h"

#include "common/base/arena.h"
#include "common/base/text.h"

#include "controlplane/api/call.h"

static int authorise(struct call *c, const struct endpoint *e, struct error *err)
{
    const char *scope = arena_printf(c->arena, "/subscriptions/%s", c->subscription.id);
    struct error ignored;

    if (access_check(c->control, c->arena, &c->caller, e->action, scope, err) == 0)
        return 0;
    if (err->code != &E_AUTHORIZATION_FAILED || !e->is_for_any)
        return -1;
    return access_any(c->control, c->arena, &c->caller, scope, &ignored) > 0 ? 0 : -1;
}

static int run(struct call *c, const struct endpoint *e, struct error *err)
{
    if (!e->is_open && call_authenticate(c, err))
        return -1;
    if (e->versions && call_api_version(c, e->versions, err))
        return -1;
    if (e->subscription &&
        call_subscription(c, c->req->params[e->subscription - 1], err))
        return -1;
    if (e->action && authorise(c, e, err))
        return -1;
    return e->run(c, err);
}

const char *endpoint_right(const struct call *c)
{
    const struct endpoint *e = c->req->route->plane;

    return e->right ? e->right : e->action;
}

bool endpoint_deletes(const struct call *c)
{
    const struct endpoint *e = c->req->route->plane;

    return text_ends(e->right, "/delete") && !e->is_change;
}

void endpoint_run(struct http_request *req)
{
    struct call *c = call_of(req);
    struct error err = { 0 };

    if (run(c, req->route->plane, &err))
        reply_failure(req, &err);
}
