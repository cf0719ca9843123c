/* What a location offers to virtual networks. */
#ifndef PORTOLAN_API_NETWORK_OFFERS_H
#define PORTOLAN_API_NETWORK_OFFERS_H

#include "controlplane/api/endpoint.h"

extern const struct endpoint endpoint_services_list;
extern const struct endpoint endpoint_types_list;
extern const struct endpoint delegations_list;

#endif
