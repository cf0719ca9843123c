/* Microsoft.ContainerRegistry/registries: the decoded desired state, for its steps and actions. */
#ifndef PORTOLAN_TYPES_REGISTRY_H
#define PORTOLAN_TYPES_REGISTRY_H

#include "controlplane/types/type.h"

struct registry_ip_rule {
    char *action;
    char *value; /* IPv4 address or CIDR */
};

struct registry_vnet_rule {
    char *action;
    char *id;        /* api-versions up to 2021-12-01-preview */
    char *subnet_id; /* from 2026-03-01-preview on */
};

/* Texts are never NULL where the table has a default. Policies' states are "enabled"/"disabled". */
struct registry {
    char *sku_name; /* Basic, Standard, Premium */
    char *identity_type; /* NULL: none */
    struct json_object *user_assigned_identities; /* NULL */
    bool is_admin_enabled;
    char *default_action; /* "Allow", "Deny" */
    struct field_list ip_rules;   /* of struct registry_ip_rule */
    struct field_list vnet_rules; /* of struct registry_vnet_rule */
    char *quarantine_status;
    char *trust_type;
    char *trust_status;
    int64_t retention_days;
    char *retention_status;
    char *export_status;
    char *arm_audience_status;
    int64_t soft_delete_days;
    char *soft_delete_status;
    char *encryption_status;
    char *key_identifier; /* NULL */
    char *key_identity;   /* NULL */
    bool has_data_endpoint;
    char *public_network_access; /* "Enabled", "Disabled" */
    char *network_bypass;        /* "AzureServices", "None" */
    bool may_tasks_bypass;
    char *zone_redundancy; /* "Enabled", "Disabled" */
    bool is_anonymous_pull;
    char *metadata_search;
    char *label_scope;
    char *regional_endpoints;
    char *endpoint_protocol; /* "IPv4", "IPv4AndIPv6" */
    char *writable_cache_repos;
    char *role_assignment_mode; /* "LegacyRegistryPermissions", "AbacRepositoryPermissions" */
};

extern const struct resource_type registry_type;

/* Names of its secrets in resource_secrets; wrapped under "resource/<uid>/<name>". */
#define REGISTRY_PASSWORD "password"
#define REGISTRY_PASSWORD2 "password2"

/* "<name in lower case>.cr.<domain>[:port]" */
char *registry_login_server(struct arena *a, const struct control *control, const char *name);
/* The context under which a resource's secret is wrapped. */
char *resource_secret_context(struct arena *a, const char *uid, const char *name);

#endif
