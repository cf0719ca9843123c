/* Microsoft.Resources/resourceGroups. */
#ifndef PORTOLAN_TYPES_RESOURCE_GROUP_H
#define PORTOLAN_TYPES_RESOURCE_GROUP_H

#include "controlplane/types/type.h"

extern const struct resource_type resource_group_type;

#endif
