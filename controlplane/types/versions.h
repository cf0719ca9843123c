/* The api-versions each provider namespace answers to, newest first, stable ones before previews. */
#ifndef PORTOLAN_TYPES_VERSIONS_H
#define PORTOLAN_TYPES_VERSIONS_H

extern const char *const registry_versions[];  /* Microsoft.ContainerRegistry */
extern const char *const resources_versions[]; /* Microsoft.Resources: subscriptions, groups … */

#endif
