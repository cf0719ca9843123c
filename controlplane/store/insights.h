/* The activity log as it is read, diagnostic settings, and what tags there are. */
#ifndef PORTOLAN_STORE_INSIGHTS_H
#define PORTOLAN_STORE_INSIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;
struct pg_conn;

struct event_row {
    const char *id;
    const char *at; /* RFC 3339 */
    const char *tenant_id, *group_key;
    const char *resource_id, *operation_name, *status;
    const char *caller_id, *caller_name, *client_address; /* NULL */
    const char *correlation_id, *operation_id;            /* NULL */
    struct json_object *details; /* of a failure: code, message, and status where it was refused */
};
struct event_filter {
    const char *subscription_id;
    const char *from, *to;       /* RFC 3339; NULL: any time */
    const char *group_key;       /* NULL: any; so of those below */
    const char *resource_key;    /* and what is below it */
    const char *provider_key;    /* lower case */
    const char *correlation_id;
    const char *caller;          /* name or object id */
    const char *status;
    const char *before_at, *before_id; /* paging; NULL: from the newest */
    int64_t limit;
};
/* Newest first. */
MUST_CHECK int event_list(struct pg_conn *conn, struct arena *a, const struct event_filter *filter,
                          struct event_row **ret, size_t *ret_count, struct error *err);

struct diagnostic_row {
    const char *scope, *scope_key;
    const char *name, *name_key;
    struct json_object *properties;
};
MUST_CHECK int diagnostic_put(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                              const struct diagnostic_row *row, struct error *err);
/* Of one scope; name_key NULL: all of them. */
MUST_CHECK int diagnostic_list(struct pg_conn *conn, struct arena *a, const char *scope_key,
                               const char *name_key, struct diagnostic_row **ret,
                               size_t *ret_count, struct error *err);
/* 1/0/-1 */
MUST_CHECK int diagnostic_delete(struct pg_conn *conn, struct arena *a, const char *scope_key,
                                 const char *name_key, struct error *err);

/* Tags of a resource or, with a NULL key, of the subscription, and the id as it is stored, with the row
 * locked. 1/0/-1 */
MUST_CHECK int tags_get(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                        const char *key, struct json_object **ret, const char **ret_id,
                        struct error *err);
/* The generation moves, so that a write that has read other tags starts again; what is settled stays
 * settled. */
MUST_CHECK int tags_put(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                        const char *key, const struct json_object *tags, struct error *err);

/* A value (or with value "", the name) with how many resources have it. */
struct tag_row {
    const char *name, *value;
    int64_t count;
};
/* By name, the name itself before its values. */
MUST_CHECK int tag_name_list(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                             struct tag_row **ret, size_t *ret_count, struct error *err);
/* value "": the name alone. 1 added, 0 known. */
MUST_CHECK int tag_name_add(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                            const char *name, const char *value, struct error *err);
/* value "": the name with all its values. 1/0/-1 */
MUST_CHECK int tag_name_remove(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                               const char *name, const char *value, struct error *err);

#endif
