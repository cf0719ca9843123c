/* Every statement table of this folder's files, so that a test can have the server prepare each
 * one against the migrated database. */
#ifndef PORTOLAN_STORE_STATEMENTS_H
#define PORTOLAN_STORE_STATEMENTS_H

#include "common/pg/pg.h"

extern const struct pg_stmt state_statements[];
extern const struct pg_stmt resources_statements[];
extern const struct pg_stmt resources_write_statements[];
extern const struct pg_stmt resource_pages_statements[];
extern const struct pg_stmt related_statements[];
extern const struct pg_stmt webhook_events_statements[];
extern const struct pg_stmt secrets_statements[];
extern const struct pg_stmt operations_statements[];
extern const struct pg_stmt subscriptions_statements[];
extern const struct pg_stmt lease_statements[];
extern const struct pg_stmt placement_statements[];
extern const struct pg_stmt region_statements[];
extern const struct pg_stmt attached_statements[];
extern const struct pg_stmt network_rules_statements[];
extern const struct pg_stmt deployment_statements[];
extern const struct pg_stmt deployment_run_statements[];
extern const struct pg_stmt stack_statements[];
extern const struct pg_stmt authorization_statements[];
extern const struct pg_stmt directory_statements[];
extern const struct pg_stmt credential_statements[];
extern const struct pg_stmt provider_statements[];
extern const struct pg_stmt vault_statements[];
extern const struct pg_stmt vault_rotation_statements[];
extern const struct pg_stmt insights_statements[];
extern const struct pg_stmt move_statements[];
extern const struct pg_stmt network_statements[];
/* Against a region's database. */
extern const struct pg_stmt published_statements[];
extern const struct pg_stmt published_many_statements[];
extern const struct pg_stmt published_tokens_statements[];
extern const struct pg_stmt published_imports_statements[];

#endif
