/* Requests from within the process: see the header. */
#include "common/http/local.h"

#include <stdio.h>
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/http/exchange.h"
#include "common/http/route.h"

int http_local_run(struct arena *a, const struct http_app *app, struct http_local *call,
                   void (*only)(struct http_request *req),
                   void (*prepare)(struct http_request *req, void *ctx), void *ctx)
{
    struct http_exchange *ex = ARENA_NEW(a, struct http_exchange);
    struct http_request *req = &ex->req;
    struct http_route_match match;

    call->status = 0;
    http_route_find(a, app->routes, call->method, call->path, &match);
    if (!match.route || (only && match.route->run != only))
        return 0;
    ex->local = call;
    ex->headers_tail = &ex->headers;
    *req = (struct http_request){
        .arena = a,
        .method = call->method,
        .target = call->path,
        .path = call->path,
        .query = call->query ? call->query : "",
        .host = "",
        .started_us = clock_mono_us(),
        .route = match.route,
        .body = call->body ? call->body : "",
        .body_len = call->body ? call->body_len : 0,
        .app = app->ctx,
        .plane = call->plane,
        .exchange = ex,
    };
    (void)snprintf(req->peer_text, sizeof(req->peer_text), "%s",
                   call->peer_text ? call->peer_text : "");
    uuid_new(req->id);
    for (size_t i = 0; i < HTTP_PARAMS_MAX; i++)
        req->params[i] = match.params[i];
    if (prepare)
        prepare(req, ctx);
    match.route->run(req);
    call->headers = ex->headers;
    return 1;
}

const char *http_local_header(const struct http_local *call, const char *name)
{
    for (const struct http_header_line *h = call->headers; h; h = h->next) {
        if (strcasecmp(h->name, name) == 0)
            return h->value;
    }
    return NULL;
}
