/* The activity log of deployments: see the header. */
#include "controlplane/deployments/journal.h"

#include "common/base/arena.h"
#include "common/base/text.h"

#include "controlplane/api/arm_id.h"
#include "controlplane/store/operations.h"
#include "controlplane/store/resources.h"

int journal_add(struct pg_conn *conn, struct arena *a, const struct journal *j, struct error *err)
{
    const char *key = text_lower(a, j->id);
    const struct resource what = {
        .id = j->id,
        .key = key,
        .subscription_id = j->subscription_id,
        .group_key = arm_id_group_of(a, key),
    };
    const struct event event = {
        .operation_name = j->action,
        .status = j->status,
        .correlation_id = uuid_is_valid(j->correlation_id) ? j->correlation_id : NULL,
        .client_address = j->address,
    };

    return event_add(conn, a, j->caller, &what, &event, err);
}
