/* What is known of a replication: whether a data plane of the registry is placed in its region. */
#ifndef PORTOLAN_PROVISION_REPLICATION_STATUS_H
#define PORTOLAN_PROVISION_REPLICATION_STATUS_H

#include "controlplane/types/type.h"

/* A step: puts properties.status as it is observed. */
enum verdict replication_observe(struct step_run *run, struct error *err);

#endif
