/* Extension resources, of Microsoft.Authorization and others: what their endpoints share. The scope
 * is whatever stands before the last /providers/ of the path: nothing (the tenant), a subscription,
 * a group, a resource or a child of one. */
#ifndef PORTOLAN_API_EXTENSION_H
#define PORTOLAN_API_EXTENSION_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct call;
struct error;
struct json_object;
struct pg_conn;

#define AUTHORIZATION "Microsoft.Authorization"

struct extension {
    const char *scope; /* canonical; "/" of the tenant */
    const char *key;   /* lower case, "" of the tenant */
    const char *name;  /* NULL of a collection */
    bool is_tenant;
    bool is_subscription;
};

/* Parses the path, checks the subscription, then that the caller has the right of the call's row
 * over the scope. Writes are refused under a ReadOnly lock, deletes under any, except where is_lock:
 * locks do not lock themselves. */
MUST_CHECK int extension_open(struct call *c, bool is_lock, struct extension *ret,
                              struct error *err);
/* Inside the transaction that writes: the scope is there, and stays until it ends. */
MUST_CHECK int extension_hold(struct pg_conn *conn, struct call *c, const struct extension *x,
                              struct error *err);
/* Rows at the scope, above, or below are shown to a caller that may read there: a list asks for the
 * right at the scope, or for any right in it (then each row is asked for on its own). */
MUST_CHECK int extension_body(struct call *c, struct json_object **ret, struct error *err);
/* An entry of the activity log, about the id. */
MUST_CHECK int extension_event(struct pg_conn *conn, struct call *c, const struct extension *x,
                               const char *id, struct error *err);
/* "<scope>/providers/Microsoft.Authorization/<type>/<name>". */
char *extension_id(struct call *c, const char *scope, const char *type, const char *name);
/* "atScope()", "assignedTo('x')", "principalId eq 'x'", "roleName eq 'x'" …, joined by `and`: true
 * when the term is there; *ret_value is what stands in quotes, or NULL. */
bool extension_filter(struct call *c, const char *term, const char **ret_value);
/* Pages go by key of the scope, then by that of the name: where the one that was asked for begins (nothing
 * is set for the first), and the link to the one behind a last row with these keys. */
MUST_CHECK int extension_after(struct call *c, const char **ret_scope, const char **ret_name,
                               struct error *err);
void extension_next(struct call *c, const char *scope, const char *name, struct json_object *body);

/* locks.c. Refuses with ScopeLocked when a lock stands in the way of a change, or a delete, at the id,
 * and when a deployment stack denies the action. */
MUST_CHECK int lock_guard(struct call *c, const char *id, const char *action, bool is_delete,
                          struct error *err);
/* The same of what stands at `at` and has an id that goes on with `tail`: deleting it does not delete what
 * else there is. */
MUST_CHECK int lock_guard_at(struct call *c, const char *at, const char *tail, const char *action,
                             bool is_delete, struct error *err);

#endif
