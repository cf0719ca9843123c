/* Deployments and their operations as the API shows them. */
#ifndef PORTOLAN_DEPLOYMENTS_SHOW_H
#define PORTOLAN_DEPLOYMENTS_SHOW_H

#include <stdint.h>

struct arena;
struct deployment;
struct deployment_operation;
struct json_object;

/* Each is owned by the arena. */
struct json_object *show_deployment(struct arena *a, const struct deployment *d);
struct json_object *show_operation(struct arena *a, const struct deployment *d,
                                   const struct deployment_operation *op);
/* "PT8.83S" */
char *show_duration(struct arena *a, int64_t from_us, int64_t to_us);

#endif
