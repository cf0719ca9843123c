/* The ARM application: admission before a body is read, answers where no route fits, the access
 * log. */
#include "controlplane/api/arm.h"

#include "common/base/arena.h"
#include "common/base/log.h"
#include "common/base/text.h"

#include "controlplane/api/call.h"
#include "controlplane/api/endpoint.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/routes.h"
#include "controlplane/api/shown_cache.h"
#include "controlplane/api/subscription_cache.h"
#include "controlplane/api/rate_limit.h"

/* Nobody gets a body read, or learns which paths exist, without a token. */
static void admit(struct http_request *req)
{
    const struct endpoint *endpoint = req->route ? req->route->plane : NULL;
    struct call *c = call_of(req);
    struct error err;

    if (endpoint && endpoint->is_open)
        return;
    if (!http_header(req, "Authorization") && call_authenticate(c, &err))
        reply_failure(req, &err);
}

static void missing(struct http_request *req, bool is_method_wrong)
{
    struct error err;

    if (is_method_wrong)
        (void)fail(&err, &E_METHOD, "The method %s is not allowed here.", req->method);
    else
        (void)fail(&err, &E_NO_ROUTE, "There is nothing at the path of the request.");
    reply_failure(req, &err);
}

static void fault(struct http_request *req, const struct error *err)
{
    reply_failure(req, err);
}

static void done(struct http_request *req)
{
    const struct call *c = req->plane;
    struct log_line line;

    http_log_start(&line, "request", req);
    log_text(&line, "caller", c && c->is_authenticated ? c->caller.object_id : NULL);
    log_text(&line, "rule", c ? c->rule : NULL);
    log_end(&line);
}

void arm_app(struct control *control, struct http_app *ret)
{
    struct arm *arm = calloc(1, sizeof(*arm));

    if (!arm)
        abort();
    arm->control = control;
    arm->subscriptions = subscription_cache_new();
    arm->shown = shown_cache_new();
    arm->rate_limiter = rate_limiter_new((const int64_t[RATE_KIND_MAX]){
        [RATE_READS] = control->settings->reads_per_minute,
        [RATE_WRITES] = control->settings->writes_per_minute,
        [RATE_DELETES] = control->settings->deletes_per_minute,
    });
    *ret = (struct http_app){
        .routes = arm_routes,
        .admit = admit,
        .missing = missing,
        .fault = fault,
        .done = done,
        .has_slow_writes = true,
        .ctx = arm,
    };
}

void arm_app_done(struct http_app *app)
{
    struct arm *arm = app->ctx;

    if (!arm)
        return;
    subscription_cache_free(arm->subscriptions);
    shown_cache_free(arm->shown);
    rate_limiter_free(arm->rate_limiter);
    free(arm);
    app->ctx = NULL;
}
