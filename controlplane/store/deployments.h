/* Rows of `deployments`, `deployment_operations` and `deployment_answers`. What a run writes is
 * guarded by its lease: a row that was canceled, deleted or claimed by another control plane takes
 * nothing more, and the call says 0. */
#ifndef PORTOLAN_STORE_DEPLOYMENTS_H
#define PORTOLAN_STORE_DEPLOYMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;
struct pg_conn;

#define DEPLOYMENT_LEASE_MS 10000
#define DEPLOYMENT_HISTORY_MAX 800  /* per scope */
#define DEPLOYMENT_HISTORY_KEEP 790 /* what pruning leaves */

struct deployment {
    const char *uid;
    const char *key, *id, *name;
    const char *scope_key;       /* of the scope's id, in lower case; "" for the tenant */
    const char *tenant_id;
    const char *subscription_id; /* NULL above subscriptions */
    const char *group_uid;       /* NULL outside groups */
    const char *parent_uid;      /* NULL unless nested */
    const char *stack_uid;       /* NULL unless it carries out a stack, or is nested in one */
    const char *operation_id, *correlation_id;
    struct json_object *caller;  /* {tenantId, objectId, appId, name, kind} */
    const char *location;
    const char *mode;  /* Incremental, Complete */
    const char *state; /* Accepted, Running, Succeeded, Failed, Canceled */
    struct json_object *tags, *shown;
    const char *template_sealed; /* NULL: none kept */
    const char *sealed;
    struct json_object *outputs, *resources, *error;
    int64_t accepted_us, ended_us; /* 0: not over */
};

struct deployment_operation {
    const char *uid, *deployment_uid, *node_key;
    int64_t position;
    const char *kind;  /* Create, Delete, EvaluateDeploymentOutput, … */
    const char *state;
    struct json_object *target;
    const char *status_code;
    struct json_object *status_message;
    struct json_object *request, *response; /* contents; NULL unless a debugSetting wants them */
    const char *awaits;
    int64_t started_us, ended_us;
};

/* Whether a JSON value can be read back from these rows: it may hold so many members and no more. */
bool deployment_json_fits(struct arena *a, const struct json_object *value);

/* Look-ups: 1 found, 0 absent, -1 failed. */
MUST_CHECK int deployment_get(struct pg_conn *conn, struct arena *a, const char *key, bool lock,
                              struct deployment **ret, struct error *err);
MUST_CHECK int deployment_by_uid(struct pg_conn *conn, struct arena *a, const char *uid,
                                 struct deployment **ret, struct error *err);
/* Newest successful one of a scope, other than `but_key`. */
MUST_CHECK int deployment_last_good(struct pg_conn *conn, struct arena *a, const char *scope_key,
                                    const char *but_key, struct deployment **ret,
                                    struct error *err);
/* By key, after `after_key` (NULL: from the start), in one state (NULL: any). */
MUST_CHECK int deployment_list(struct pg_conn *conn, struct arena *a, const char *scope_key,
                               const char *after_key, const char *state, int64_t limit,
                               struct deployment **ret, size_t *ret_count, struct error *err);
#define DEPLOYMENT_NO_ROOM 2
/* In the place of an ended one of the same name; prunes the scope's history first, unless a lock is
 * in the way. 1 done, 0 when one of that name is active: *ret_active then tells which,
 * DEPLOYMENT_NO_ROOM. *ret_replaced: there was one. Belongs into a transaction. */
MUST_CHECK int deployment_put(struct pg_conn *conn, struct arena *a, const struct deployment *d,
                              bool *ret_replaced, struct deployment **ret_active,
                              struct error *err);
/* 1 removed, 0 there is none, or it is active (*ret_active). */
MUST_CHECK int deployment_remove(struct pg_conn *conn, struct arena *a, const char *key,
                                 bool *ret_active, struct error *err);
/* Ends an active deployment and those below it. Returns the number in *ret_count. */
MUST_CHECK int deployment_cancel(struct pg_conn *conn, struct arena *a, const char *uid,
                                 struct json_object *error, int64_t *ret_count,
                                 struct error *err);

/* Claims the oldest due one; only nested ones when is_nested_only. 1/0/-1. */
MUST_CHECK int deployment_claim(struct pg_conn *conn, struct arena *a, const char *owner,
                                bool is_nested_only, struct deployment **ret, struct error *err);
/* Extends the leases of the owners; those that still hold one come back. */
MUST_CHECK int deployment_extend(struct pg_conn *conn, struct arena *a, const char *const *owners,
                                 size_t count, const char ***ret, size_t *ret_count,
                                 struct error *err);
/* Gives a claim back: another control plane may go on at once. */
MUST_CHECK int deployment_release(struct pg_conn *conn, struct arena *a, const char *owner,
                                  struct error *err);
/* The end of a run: what was sealed goes. 1/0/-1. */
MUST_CHECK int deployment_finish(struct pg_conn *conn, struct arena *a, const char *owner,
                                 const struct deployment *d, struct error *err);

/* 1 written, 0 the lease is lost. begin takes up rows of the same nodes that are not over; it reads
 * uid, node_key, position, kind and target, move the rest. */
MUST_CHECK int deployment_operations_begin(struct pg_conn *conn, struct arena *a,
                                           const char *owner,
                                           const struct deployment_operation *ops, size_t count,
                                           struct error *err);
MUST_CHECK int deployment_operations_move(struct pg_conn *conn, struct arena *a, const char *owner,
                                          const struct deployment_operation *ops, size_t count,
                                          struct error *err);
MUST_CHECK int deployment_operations(struct pg_conn *conn, struct arena *a,
                                     const char *deployment_uid,
                                     struct deployment_operation **ret, size_t *ret_count,
                                     struct error *err);

/* Of what resources wait for, the part that is over. */
struct deployment_wait {
    const char *id;
    const char *status;        /* Succeeded, Failed, Canceled */
    struct json_object *error; /* NULL */
};
MUST_CHECK int deployment_waits_over(struct pg_conn *conn, struct arena *a, const char *const *ids,
                                     size_t count, struct deployment_wait **ret,
                                     size_t *ret_count, struct error *err);

/* Rows of a group that Complete mode looks through: {id, type_key}. Children come after parents. */
struct deployment_leftover {
    const char *id, *key, *type_key;
    bool is_system;
};
MUST_CHECK int deployment_group_rows(struct pg_conn *conn, struct arena *a,
                                     const char *subscription_id, const char *group_key,
                                     const char *const *type_keys, size_t type_count,
                                     struct deployment_leftover **ret, size_t *ret_count,
                                     struct error *err);

MUST_CHECK int deployment_answer_put(struct pg_conn *conn, struct arena *a, const char *id,
                                     const char *caller_id, struct json_object *body,
                                     struct error *err);
MUST_CHECK int deployment_answer_get(struct pg_conn *conn, struct arena *a, const char *id,
                                     const char *caller_id, struct json_object **ret,
                                     struct error *err);

#endif
