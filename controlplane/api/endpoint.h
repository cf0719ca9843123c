/* Endpoints that are no resources (subscriptions, providers, operations …): a route's `plane` is one
 * of these rows, and endpoint_run() takes the request through the stages they share. */
#ifndef PORTOLAN_API_ENDPOINT_H
#define PORTOLAN_API_ENDPOINT_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct call;
struct error;
struct http_request;
struct pg_conn;
struct resource;

struct endpoint {
    bool is_open;                  /* without a token */
    const char *const *versions;   /* NULL: the handler looks itself */
    int subscription;              /* 1 + the number of the parameter that names it; 0: none */
    /* The permission it needs; NULL of both: none beyond signing in. `action` is checked on the
     * subscription before the handler runs; `right`, by endpoint_right(), by the handler at the scope
     * that the path names. {provider} is the call's, {type} the type of what it is about. */
    const char *action, *right;
    bool is_change;                /* for locks, though it is a right to delete: what it stands on stays */
    bool is_item;                  /* one thing: HEAD asks whether it is there */
    bool is_question;              /* changes nothing, whatever its method */
    bool is_for_any;               /* whoever may see something there may call it */
    const char *description;
    int (*run)(struct call *c, struct error *err); /* replies, or fails */
};

void endpoint_run(struct http_request *req);
/* The permission of the call's row; and whether it deletes, for locks. */
const char *endpoint_right(const struct call *c);
bool endpoint_deletes(const struct call *c);
/* An entry of the activity log: the permission of the call's row was made use of. */
MUST_CHECK int endpoint_event(struct pg_conn *conn, struct call *c, const struct resource *about,
                              struct error *err);

#endif
