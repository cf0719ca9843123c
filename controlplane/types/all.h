/* What holds for every resource type's table, beside type.h's own look-ups. */
#ifndef PORTOLAN_TYPES_ALL_H
#define PORTOLAN_TYPES_ALL_H

#include "controlplane/types/type.h"

bool type_has_version(const char *const *versions, const char *api_version);
/* The name RBAC actions use: "<this>/read". */
const char *type_rbac(const struct resource_type *type);
/* E_INVALID_NAME with the type's own explanation unless the whole name fits its pattern. */
MUST_CHECK int type_name_check(const struct resource_type *type, const char *name,
                               struct error *err);

#endif
