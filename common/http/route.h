/* Looks a canonical path up in a table of routes. Pure: the table, a method and a path in, the row
 * and the parameters out. */
#ifndef PORTOLAN_HTTP_ROUTE_H
#define PORTOLAN_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/http/server.h"

struct arena;

struct http_route_match {
    const struct http_route *route; /* NULL: none */
    const char *params[HTTP_PARAMS_MAX]; /* in a, in the pattern's order */
    bool is_method_wrong; /* no row for this method, but rows for others */
    const char *allow;    /* then their methods, "GET, HEAD" */
};

void http_route_find(struct arena *a, const struct http_route *routes, const char *method,
                     const char *path, struct http_route_match *ret);
/* The methods of rows that fit but for the method, "GET, HEAD"; of all rows, or of those that run so.
 * NULL: there are none. */
const char *http_route_methods(struct arena *a, const struct http_route *routes, const char *path,
                               void (*run)(struct http_request *req));

#endif
