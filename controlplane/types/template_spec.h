/* Microsoft.Resources/templateSpecs and their versions: see template_spec.c. */
#ifndef PORTOLAN_TYPES_TEMPLATE_SPEC_H
#define PORTOLAN_TYPES_TEMPLATE_SPEC_H

#include "controlplane/types/type.h"

extern const struct resource_type template_spec_type;
extern const struct resource_type template_spec_version_type;

#endif
