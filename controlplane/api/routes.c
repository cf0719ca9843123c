/* The management API's routes. What is no resource has a row of its own; resources of every type
 * share the last rows, and the pipeline finds type and verb from the path. */
#include "controlplane/api/routes.h"

#include "controlplane/api/activity_log.h"
#include "controlplane/api/call.h"
#include "controlplane/api/list.h"
#include "controlplane/api/locks.h"
#include "controlplane/api/lro.h"
#include "controlplane/api/metadata.h"
#include "controlplane/api/moves.h"
#include "controlplane/api/network_offers.h"
#include "controlplane/api/pipeline.h"
#include "controlplane/api/provider_operations.h"
#include "controlplane/api/providers.h"
#include "controlplane/api/role_assignments.h"
#include "controlplane/api/subscriptions.h"
#include "controlplane/api/tags.h"
#include "controlplane/api/vaults.h"
#include "controlplane/deployments/endpoints.h"

#define SUB "/subscriptions/{subscription}"
#define GROUP SUB "/resourceGroups/{group}"
#define ENDPOINT(m, p, e)                                                                          \
    { .method = m, .pattern = p, .run = endpoint_run, .plane = &(e), .is_nocase = true,            \
      .answers_head = true }
#define VAULTS "/providers/Microsoft.KeyVault/"
#define NETWORK_AT "/providers/Microsoft.Network/locations/{location}/"
/* An extension resource at any scope, and at the tenant. */
#define AUTH "/providers/Microsoft.Authorization/"
#define EXTENSION(m, t, e) ENDPOINT(m, "/{scope*}" AUTH t, e), ENDPOINT(m, AUTH t, e)
#define EXTENSION_BODY(m, t, e)                                                                    \
    { .method = m, .pattern = "/{scope*}" AUTH t, .body = HTTP_BODY_BUFFER,                        \
      .max_body = EXTENSION_MAX_BYTES, .run = endpoint_run, .plane = &(e), .is_nocase = true },    \
    { .method = m, .pattern = AUTH t, .body = HTTP_BODY_BUFFER, .max_body = EXTENSION_MAX_BYTES,   \
      .run = endpoint_run, .plane = &(e), .is_nocase = true }
#define EXTENSION_MAX_BYTES 262144
/* At any scope but the tenant. */
#define SCOPED(m, p, e) ENDPOINT(m, "/{scope*}" p, e)
#define SCOPED_BODY(m, p, e)                                                                       \
    { .method = m, .pattern = "/{scope*}" p, .body = HTTP_BODY_BUFFER,                             \
      .max_body = EXTENSION_MAX_BYTES, .run = endpoint_run, .plane = &(e), .is_nocase = true }
#define TAGS "/providers/Microsoft.Resources/tags/default"
#define INSIGHTS "/providers/Microsoft.Insights/"
#define RESOURCES(m, b, cap)                                                                       \
    { .method = m, .pattern = "/subscriptions/{rest*}", .body = b, .max_body = cap,                \
      .run = pipeline_run, .is_nocase = true }

#define BODY(m, p, e)                                                                              \
    { .method = m, .pattern = p, .body = HTTP_BODY_BUFFER, .max_body = ARM_BODY_MAX_BYTES,         \
      .run = endpoint_run, .plane = &(e), .is_nocase = true, .deadline_ms = 300000 }
#define ALL "/providers/Microsoft.Resources/deployments"
#define ONE ALL "/{deployment}"
#define DEPLOYMENTS(s)                                                                             \
    ENDPOINT("GET", s ALL, deployment_list_all),                                                   \
        ENDPOINT("GET", s ALL "/", deployment_list_all),                                           \
        BODY("PUT", s ONE, deployment_put_one), ENDPOINT("GET", s ONE, deployment_show),           \
        ENDPOINT("DELETE", s ONE, deployment_delete),                                              \
        ENDPOINT("POST", s ONE "/cancel", deployment_cancel_one),                                  \
        BODY("POST", s ONE "/validate", deployment_validate),                                      \
        BODY("POST", s ONE "/whatIf", deployment_what_if),                                         \
        ENDPOINT("POST", s ONE "/exportTemplate", deployment_export),                              \
        ENDPOINT("GET", s ONE "/operations", deployment_operation_list),                           \
        ENDPOINT("GET", s ONE "/operations/{operation}", deployment_operation_show),               \
        ENDPOINT("GET", s ONE "/operationStatuses/{operation}", deployment_status),                \
        ENDPOINT("GET", s ONE "/operationResults/{operation}", deployment_answer)

#define STACK_ALL "/providers/Microsoft.Resources/deploymentStacks"
#define STACK STACK_ALL "/{stack}"
#define STACKS(s)                                                                                  \
    ENDPOINT("GET", s STACK_ALL, stack_list_all), BODY("PUT", s STACK, stack_put_one),             \
        ENDPOINT("GET", s STACK, stack_show_one), ENDPOINT("DELETE", s STACK, stack_delete),       \
        BODY("POST", s STACK "/validate", stack_validate),                                         \
        ENDPOINT("POST", s STACK "/exportTemplate", stack_export),                                 \
        ENDPOINT("GET", s STACK "/operationStatuses/{operation}", stack_status),                   \
        ENDPOINT("GET", s STACK "/operationResults/{operation}", stack_result)

const struct http_route arm_routes[] = {
    DEPLOYMENTS(GROUP),
    DEPLOYMENTS(SUB),
    DEPLOYMENTS("/providers/Microsoft.Management/managementGroups/{management}"),
    DEPLOYMENTS(""),
    STACKS(GROUP),
    STACKS(SUB),
    STACKS("/providers/Microsoft.Management/managementGroups/{management}"),
    ENDPOINT("GET", GROUP "/deployments/{deployment}/operations", deployment_operation_list),
    ENDPOINT("GET", GROUP "/deployments/{deployment}/operations/{operation}",
             deployment_operation_show),
    BODY("POST", GROUP "/exportTemplate", group_export),
    BODY("POST", GROUP "/moveResources", resources_move),
    BODY("POST", GROUP "/validateMoveResources", resources_move_check),
    BODY("POST", "/providers/Microsoft.Resources/calculateTemplateHash", deployment_hash),
    ENDPOINT("GET", "/metadata/endpoints", metadata_endpoints),
    ENDPOINT("GET", "/tenants", tenants_list),
    ENDPOINT("GET", "/providers", tenant_providers_list),
    ENDPOINT("GET", "/providers/{provider}", tenant_provider_show),
    ENDPOINT("GET", "/providers/{provider}/operations", provider_operations),
    ENDPOINT("GET", "/providers/Microsoft.Authorization/providerOperations",
             provider_metadata_list),
    ENDPOINT("GET", "/providers/Microsoft.Authorization/providerOperations/{provider}",
             provider_metadata_show),
    ENDPOINT("GET", "/subscriptions", subscriptions_list),
    ENDPOINT("GET", SUB, subscription_show),
    ENDPOINT("GET", SUB "/locations", locations_list),
    ENDPOINT("GET", SUB "/providers", providers_list),
    ENDPOINT("GET", SUB "/providers/{provider}", provider_show),
    ENDPOINT("GET", SUB "/providers/{provider}/providerPermissions", provider_permissions),
    ENDPOINT("POST", SUB "/providers/{provider}/register", provider_register),
    ENDPOINT("POST", SUB "/providers/{provider}/unregister", provider_unregister),
    ENDPOINT("GET", SUB "/resources", subscription_resources),
    ENDPOINT("GET", GROUP "/resources", group_resources),
    ENDPOINT("GET", SUB "/operationresults/{operation}", group_result),
    ENDPOINT("GET", SUB "/providers/{provider}/locations/{location}/operationResults/{operation}",
             operation_result),
    ENDPOINT("GET", SUB "/{resource*}/operationStatuses/{operation}", operation_status),
    ENDPOINT("GET", SUB VAULTS "deletedVaults", deleted_vaults_list),
    ENDPOINT("GET", SUB VAULTS "locations/{location}/deletedVaults/{vault}", deleted_vault_show),
    ENDPOINT("POST", SUB VAULTS "locations/{location}/deletedVaults/{vault}/purge",
             deleted_vault_remove),
    ENDPOINT("GET", SUB VAULTS "managedHSMs", hsm_list),
    ENDPOINT("GET", SUB VAULTS "deletedManagedHSMs", hsm_list),
    ENDPOINT("GET", SUB NETWORK_AT "virtualNetworkAvailableEndpointServices", endpoint_services_list),
    ENDPOINT("GET", SUB NETWORK_AT "availablePrivateEndpointTypes", endpoint_types_list),
    ENDPOINT("GET", SUB NETWORK_AT "availableDelegations", delegations_list),
    BODY("PUT", GROUP VAULTS "vaults/{vault}/accessPolicies/{kind}", vault_policies_put),
    ENDPOINT("GET", SUB "/tagNames", tag_names_list),
    ENDPOINT("PUT", SUB "/tagNames/{name}", tag_name_put),
    ENDPOINT("DELETE", SUB "/tagNames/{name}", tag_name_drop),
    ENDPOINT("PUT", SUB "/tagNames/{name}/tagValues/{value}", tag_value_put),
    ENDPOINT("DELETE", SUB "/tagNames/{name}/tagValues/{value}", tag_value_drop),
    SCOPED("GET", TAGS, tags_show),
    SCOPED_BODY("PUT", TAGS, tags_write),
    SCOPED_BODY("PATCH", TAGS, tags_patch),
    SCOPED("DELETE", TAGS, tags_remove),
    ENDPOINT("GET", SUB INSIGHTS "eventtypes/management/values", activity_log),
    SCOPED("GET", INSIGHTS "diagnosticSettings", diagnostics_list),
    SCOPED("GET", INSIGHTS "diagnosticSettings/{name}", diagnostic_show),
    SCOPED_BODY("PUT", INSIGHTS "diagnosticSettings/{name}", diagnostic_write),
    SCOPED("DELETE", INSIGHTS "diagnosticSettings/{name}", diagnostic_remove),
    SCOPED("GET", INSIGHTS "diagnosticSettingsCategories", diagnostic_categories),
    EXTENSION("GET", "roleDefinitions", role_definitions_list),
    EXTENSION("GET", "roleDefinitions/{name}", role_definition_show),
    EXTENSION_BODY("PUT", "roleDefinitions/{name}", role_definition_put),
    EXTENSION("DELETE", "roleDefinitions/{name}", role_definition_remove),
    EXTENSION("GET", "roleAssignments", role_assignments_list),
    EXTENSION("GET", "roleAssignments/{name}", role_assignment_show),
    EXTENSION_BODY("PUT", "roleAssignments/{name}", role_assignment_put),
    EXTENSION("DELETE", "roleAssignments/{name}", role_assignment_remove),
    EXTENSION("GET", "locks", locks_list),
    EXTENSION("GET", "locks/{name}", lock_show),
    EXTENSION_BODY("PUT", "locks/{name}", lock_put),
    EXTENSION("DELETE", "locks/{name}", lock_remove),
    RESOURCES("GET", HTTP_BODY_NONE, 0),
    RESOURCES("HEAD", HTTP_BODY_NONE, 0),
    RESOURCES("DELETE", HTTP_BODY_NONE, 0),
    RESOURCES("PUT", HTTP_BODY_BUFFER, ARM_BODY_MAX_BYTES),
    RESOURCES("PATCH", HTTP_BODY_BUFFER, ARM_BODY_MAX_BYTES),
    RESOURCES("POST", HTTP_BODY_BUFFER, ARM_BODY_MAX_BYTES),
    { 0 },
};
