/* Microsoft.Resources/deployments and deploymentStacks: one endpoint per row of the API, at every
 * scope. */
#ifndef PORTOLAN_DEPLOYMENTS_ENDPOINTS_H
#define PORTOLAN_DEPLOYMENTS_ENDPOINTS_H

#include "controlplane/api/endpoint.h"

extern const struct endpoint deployment_put_one;
extern const struct endpoint deployment_show;
extern const struct endpoint deployment_delete;
extern const struct endpoint deployment_cancel_one;
extern const struct endpoint deployment_validate;
extern const struct endpoint deployment_what_if;
extern const struct endpoint deployment_export;
extern const struct endpoint deployment_status;
extern const struct endpoint deployment_answer;
extern const struct endpoint deployment_list_all;
extern const struct endpoint deployment_operation_list;
extern const struct endpoint deployment_operation_show;
extern const struct endpoint deployment_hash;
extern const struct endpoint group_export;

extern const struct endpoint stack_put_one;
extern const struct endpoint stack_validate;
extern const struct endpoint stack_delete;
extern const struct endpoint stack_show_one;
extern const struct endpoint stack_export;
extern const struct endpoint stack_status;
extern const struct endpoint stack_result;
extern const struct endpoint stack_list_all;

#endif
