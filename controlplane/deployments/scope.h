/* Where a deployment lives: a resource group, a subscription, a management group, the tenant. */
#ifndef PORTOLAN_DEPLOYMENTS_SCOPE_H
#define PORTOLAN_DEPLOYMENTS_SCOPE_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct json_object;

enum deploy_level {
    LEVEL_GROUP,
    LEVEL_SUBSCRIPTION,
    LEVEL_MANAGEMENT_GROUP,
    LEVEL_TENANT,
    LEVEL_MAX
};

struct deploy_scope {
    enum deploy_level level;
    const char *id;  /* "/subscriptions/…/resourceGroups/…"; "" for the tenant */
    const char *key; /* in lower case */
    const char *subscription_id, *subscription_name; /* NULL above subscriptions */
    const char *group, *group_uid, *group_location, *group_managed_by; /* NULL outside groups */
    struct json_object *group_tags;
    const char *management_group; /* NULL unless in one */
};

#define DEPLOYMENTS_PATH "/providers/Microsoft.Resources/deployments/"

/* Splits the path of a deployment, or of something below one, at its last DEPLOYMENTS_PATH: the
 * scope's text and the deployment's name (NULL when the path has none). */
bool scope_split(struct arena *a, const char *path, char **ret_scope, char **ret_name);
/* The same for another type of Microsoft.Resources, "deploymentStacks". */
bool scope_split_at(struct arena *a, const char *path, const char *type, char **ret_scope,
                    char **ret_name);
/* Looks the scope up. The refusals are those of any request on it. */
MUST_CHECK int scope_load(struct control *control, struct arena *a, const char *tenant_id,
                          const char *id, struct deploy_scope *ret, struct error *err);
/* The id of a deployment in it. */
char *scope_deployment_id(struct arena *a, const struct deploy_scope *scope, const char *name);

#endif
