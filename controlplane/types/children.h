/* The types below a registry that need nothing but their table: all.c lists them, siblings refer to
 * some. */
#ifndef PORTOLAN_TYPES_CHILDREN_H
#define PORTOLAN_TYPES_CHILDREN_H

#include "controlplane/types/type.h"

extern const struct resource_type replication_type;
extern const struct resource_type webhook_type;
extern const struct resource_type cache_rule_type;
extern const struct resource_type credential_set_type;
extern const struct resource_type private_endpoint_connection_type;
extern const struct resource_type private_link_resource_type;
extern const struct resource_type connected_registry_type;
extern const struct resource_type export_pipeline_type;
extern const struct resource_type import_pipeline_type;
extern const struct resource_type pipeline_run_type;
extern const struct resource_type agent_pool_type;
extern const struct resource_type task_type;
extern const struct resource_type task_run_type;
extern const struct resource_type run_type;
extern const struct resource_type package_type; /* implied: in no list */
extern const struct resource_type archive_type;
extern const struct resource_type archive_version_type;

#endif
