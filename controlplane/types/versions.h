/* The api-versions each provider namespace answers to, newest first, stable ones before previews. */
#ifndef PORTOLAN_TYPES_VERSIONS_H
#define PORTOLAN_TYPES_VERSIONS_H

extern const char *const registry_versions[];  /* Microsoft.ContainerRegistry */
extern const char *const resources_versions[]; /* Microsoft.Resources: subscriptions, groups … */

/* Kinds of children, each from the version that brought it. */
extern const char *const geo_versions[];         /* replications, webhooks */
extern const char *const scope_map_versions[];   /* scopeMaps, tokens */
extern const char *const private_link_versions[];
extern const char *const connected_versions[];   /* connectedRegistries */
extern const char *const cache_versions[];       /* cacheRules, credentialSets */
extern const char *const transfer_versions[];    /* pipelines and their runs */
extern const char *const archive_versions[];     /* packages */
extern const char *const task_versions[];        /* tasks, runs, agent pools: a family of their own */

#endif
