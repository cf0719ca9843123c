/* Entries of the activity log that deployments and stacks leave. */
#ifndef PORTOLAN_DEPLOYMENTS_JOURNAL_H
#define PORTOLAN_DEPLOYMENTS_JOURNAL_H

#include "common/base/cleanup.h"

struct arena;
struct caller;
struct error;
struct pg_conn;

struct journal {
    const struct caller *caller;
    const char *id;              /* of the deployment or the stack */
    const char *subscription_id; /* NULL above subscriptions */
    const char *action;          /* "Microsoft.Resources/deployments/write" */
    const char *status;          /* Accepted, Succeeded, Failed, Canceled */
    const char *correlation_id;
    const char *address;         /* NULL: not known */
};

/* In the transaction of what it tells of. */
MUST_CHECK int journal_add(struct pg_conn *conn, struct arena *a, const struct journal *j,
                           struct error *err);

#endif
