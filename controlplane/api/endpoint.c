/* authenticate → api-version → subscription → authorise → the endpoint's own work. */
#include "controlplane/api/endpoint.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"

#include "controlplane/api/call.h"
#include "controlplane/store/operations.h"

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
    if (!e->is_open && (call_authenticate(c, err) || call_media_type(c, err)))
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
    static const char provider[] = "{provider}";
    const struct endpoint *e = c->req->route->plane;
    const char *right = e->right ? e->right : e->action;

    if (!c->provider || !text_starts(right, provider))
        return right;
    return arena_printf(c->arena, "%s%s", c->provider, right + strlen(provider));
}

bool endpoint_deletes(const struct call *c)
{
    const struct endpoint *e = c->req->route->plane;

    return text_ends(e->right, "/delete") && !e->is_change;
}

int endpoint_event(struct pg_conn *conn, struct call *c, const struct resource *about,
                   struct error *err)
{
    const struct event event = { .operation_name = endpoint_right(c),
                                 .status = "Succeeded",
                                 .correlation_id = c->correlation_id,
                                 .client_address = c->req->peer_text };

    return event_add(conn, c->arena, &c->caller, about, &event, err);
}

void endpoint_run(struct http_request *req)
{
    struct call *c = call_of(req);
    struct error err = { 0 };

    if (run(c, req->route->plane, &err))
        reply_failure(req, &err);
}
