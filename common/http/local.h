/* A request that comes from within the process: routed and handled as one from the wire, on the
 * caller's thread, its reply kept instead of sent. For work that goes on with a caller's rights after
 * the caller's own request has been answered. */
#ifndef PORTOLAN_HTTP_LOCAL_H
#define PORTOLAN_HTTP_LOCAL_H

#include <stddef.h>

#include "common/http/server.h"

struct http_header_line;

struct http_local {
    /* Given. path is canonical and decoded; query without '?'. */
    const char *method, *path, *query;
    const char *body;
    size_t body_len;
    const char *peer_text;
    void *plane; /* becomes req->plane */
    /* The reply; texts live in the arena. status 0: no route answered. */
    int status;
    const char *reply;
    size_t reply_len;
    const struct http_header_line *headers;
};

/* Runs the handler of the route that fits. Neither admit nor done is called: the caller vouches for
 * the request. With `only`, other routes' handlers are not run. 1 ran, 0 no such route. */
int http_local_run(struct arena *a, const struct http_app *app, struct http_local *call,
                   void (*only)(struct http_request *req),
                   void (*prepare)(struct http_request *req, void *ctx), void *ctx);
/* Value of a header of the reply, or NULL. */
const char *http_local_header(const struct http_local *call, const char *name);

#endif
