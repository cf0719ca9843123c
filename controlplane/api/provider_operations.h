/* Operations that roles can allow, read off the types' tables: as a provider lists its own, and as
 * Microsoft.Authorization tells of all (az provider operation). */
#ifndef PORTOLAN_API_PROVIDER_OPERATIONS_H
#define PORTOLAN_API_PROVIDER_OPERATIONS_H

#include "controlplane/api/endpoint.h"

extern const struct endpoint provider_operations; /* /providers/{ns}/operations */
extern const struct endpoint provider_metadata_list;
extern const struct endpoint provider_metadata_show;

#endif
