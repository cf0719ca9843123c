/* Rows of `deployment_stacks` and `deployment_stack_resources`. A stack changes only with the
 * deployment that carries it out: it begins in the transaction that accepts that deployment, and
 * ends in the one that ends it. */
#ifndef PORTOLAN_STORE_STACKS_H
#define PORTOLAN_STORE_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct caller;
struct error;
struct json_object;
struct pg_conn;

struct stack_resource {
    const char *id, *type, *api_version;
};

struct stack {
    const char *uid;
    const char *key, *id, *name;
    const char *scope_key;
    const char *tenant_id;
    const char *subscription_id; /* NULL above subscriptions */
    const char *group_uid;       /* NULL outside groups */
    const char *location;
    struct json_object *tags, *shown;
    const char *template_sealed;
    const char *goal;             /* deploy, delete */
    struct json_object *unmanage; /* {resources, resourceGroups, managementGroups} */
    const char *state;
    const char *operation_id, *correlation_id;
    const char *deployment_uid, *deployment_id;
    struct json_object *outputs, *detached, *deleted, *failed, *error;
    bool is_out_of_sync;
    const char *deny_mode;
    const char *const *deny_principals, *const *deny_actions;
    size_t deny_principal_count, deny_action_count;
    bool deny_children;
    int64_t started_us, ended_us; /* 0: not over */
    struct stack_resource *resources;
    size_t resource_count;
};

/* Look-ups: 1 found, 0 absent, -1 failed. With what it manages. */
MUST_CHECK int stack_get(struct pg_conn *conn, struct arena *a, const char *key, bool lock,
                         struct stack **ret, struct error *err);
MUST_CHECK int stack_by_uid(struct pg_conn *conn, struct arena *a, const char *uid,
                            struct stack **ret, struct error *err);
MUST_CHECK int stack_list(struct pg_conn *conn, struct arena *a, const char *scope_key,
                          const char *after_key, int64_t limit, struct stack **ret,
                          size_t *ret_count, struct error *err);

/* Makes the row, or takes up one that is over: *ret_replaced then, and s->uid becomes its uid. 1
 * done; 0 when it is not over. */
MUST_CHECK int stack_begin(struct pg_conn *conn, struct arena *a, struct stack *s,
                           bool *ret_replaced, struct error *err);
/* The end: of a delete that went well the row goes, and its deployment with it. */
MUST_CHECK int stack_end(struct pg_conn *conn, struct arena *a, const struct stack *s,
                         struct error *err);
/* Its deployment was canceled: what it manages is not known for sure. */
MUST_CHECK int stack_cancel(struct pg_conn *conn, struct arena *a, const char *deployment_uid,
                            struct json_object *error, struct error *err);

/* A change that a stack denies. */
struct stack_denial {
    const char *stack_uid, *stack_id, *scope;
};
/* Whether a stack other than but_uid (NULL: any) denies the action to the principal. 1/0/-1. */
MUST_CHECK int stack_denies(struct pg_conn *conn, struct arena *a, const struct caller *caller,
                            const char *action, const char *key, bool is_delete,
                            struct stack_denial *ret, struct error *err);

#endif
