/* Microsoft.Authorization/roleAssignments and roleDefinitions. */
#ifndef PORTOLAN_API_ROLE_ASSIGNMENTS_H
#define PORTOLAN_API_ROLE_ASSIGNMENTS_H

#include "controlplane/api/endpoint.h"

extern const struct endpoint role_assignment_put, role_assignment_show, role_assignment_remove,
    role_assignments_list;
extern const struct endpoint role_definition_put, role_definition_show, role_definition_remove,
    role_definitions_list;

extern const char *const role_versions[];

#endif
