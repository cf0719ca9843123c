/* What clients ask before anything else: /metadata/endpoints. */
#ifndef PORTOLAN_API_METADATA_H
#define PORTOLAN_API_METADATA_H

#include "controlplane/api/endpoint.h"

extern const struct endpoint metadata_endpoints;

#endif
