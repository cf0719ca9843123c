/* Long-running operations and the activity log. An operation is opened in the transaction that
 * writes the desired state, and closed in the one that settles it. */
#ifndef PORTOLAN_STORE_OPERATIONS_H
#define PORTOLAN_STORE_OPERATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct caller;
struct error;
struct json_object;
struct pg_conn;
struct resource;

struct operation {
    const char *id;
    const char *tenant_id;
    const char *subscription_id;
    const char *resource_uid;
    const char *resource_id;
    const char *resource_key;
    const char *type_key;
    const char *location;
    const char *verb; /* "PUT", "PATCH", "DELETE", or an action's name */
    int64_t generation;
    const char *status;          /* Creating … Succeeded, Failed, Canceled */
    struct json_object *result;  /* NULL */
    struct json_object *error;   /* NULL, or {code, message} */
    int64_t started_us;
    int64_t ended_us;            /* 0 while open */
};

/* The three that write are queued: see pg_queue(). status is Creating, Updating, Deleting or Running, or
 * Succeeded for one that is over at once. */
MUST_CHECK int operation_open(struct pg_conn *conn, struct arena *a, const struct caller *caller,
                              const struct resource *r, const char *verb, const char *status,
                              const char *correlation_id, const char **ret_id, struct error *err);
MUST_CHECK int operation_get(struct pg_conn *conn, struct arena *a, const char *id,
                             struct operation **ret, struct error *err); /* 1/0/-1 */
/* Closes every open operation of the resource whose generation is at most `generation`. */
MUST_CHECK int operation_close(struct pg_conn *conn, struct arena *a, const char *resource_uid,
                               int64_t generation, const char *status, struct error *err);
/* The same once the work is over, with an entry of the activity log for each. */
MUST_CHECK int operation_settle(struct pg_conn *conn, struct arena *a, const char *resource_uid,
                                int64_t generation, const char *status, struct json_object *error,
                                struct error *err);
/* Operations that actions opened, and that are not over; oldest first. Their verbs are the actions'
 * names, and no write of the resource closes them. */
MUST_CHECK int operation_open_actions(struct pg_conn *conn, struct arena *a, int64_t limit,
                                      struct operation **ret, size_t *ret_count,
                                      struct error *err);
/* Closes one, with the entry of the activity log that belongs to it. 1, or 0 when it is over. */
MUST_CHECK int operation_end(struct pg_conn *conn, struct arena *a, const struct operation *op,
                             const char *status, struct json_object *error, struct error *err);
/* Removes operations that ended more than a day ago, and events older than 90 days; at most 1,000
 * each a call. */
MUST_CHECK int operation_prune(struct pg_conn *conn, struct arena *a, struct error *err);

struct event {
    const char *operation_name; /* "Microsoft.ContainerRegistry/registries/write" */
    const char *status;         /* Accepted, Started, Succeeded, Failed */
    const char *correlation_id;
    const char *operation_id;   /* NULL */
    const char *client_address;
    struct json_object *details; /* NULL */
};
MUST_CHECK int event_add(struct pg_conn *conn, struct arena *a, const struct caller *caller,
                         const struct resource *r, const struct event *event, struct error *err);

#endif
