/* Scope maps: named sets of rights on repositories that tokens refer to. */
#ifndef PORTOLAN_TYPES_SCOPE_MAP_H
#define PORTOLAN_TYPES_SCOPE_MAP_H

#include "controlplane/types/type.h"

extern const struct resource_type scope_map_type;

/* The maps that come with every registry, made in the transaction that makes the registry. */
MUST_CHECK int scope_maps_seed(const struct admission *registry, struct error *err);

#endif
