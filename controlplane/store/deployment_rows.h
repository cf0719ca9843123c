/* How a row of `deployments` becomes a struct, for the files of this folder that select one. */
#ifndef PORTOLAN_STORE_DEPLOYMENT_ROWS_H
#define PORTOLAN_STORE_DEPLOYMENT_ROWS_H

#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct deployment;
struct error;
struct json_object;
struct pg_result;

/* Of `deployments d`, in the order deployment_from_row() reads them. */
#define DEPLOYMENT_COLUMNS                                                                         \
    "d.uid, d.key, d.id, d.name, d.scope_key, d.tenant_id, d.subscription_id, d.group_uid, "       \
    "d.parent_uid, d.operation_id, d.correlation_id, d.caller, d.location, d.mode, d.state, "      \
    "d.tags, d.shown, d.template, d.sealed, d.outputs, d.resources, d.error, d.accepted_at, "      \
    "d.ended_at, d.stack_uid"

/* A JSON column of deployments, their operations and stacks; NULL gives NULL. Owned by a. */
MUST_CHECK int deployment_json(const struct pg_result *r, size_t row, size_t col, struct arena *a,
                               struct json_object **ret, struct error *err);
MUST_CHECK int deployment_from_row(const struct pg_result *r, size_t row, struct arena *a,
                                   struct deployment *ret, struct error *err);

#endif
