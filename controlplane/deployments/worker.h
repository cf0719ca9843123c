/* The threads that carry deployments out. A few workers take turns with any number of claimed runs,
 * so a deployment that waits for nested ones never keeps them from running. */
#ifndef PORTOLAN_DEPLOYMENTS_WORKER_H
#define PORTOLAN_DEPLOYMENTS_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct control;
struct deployer;
struct error;
struct http_app;

/* app is the management API's; both must outlive the deployer. */
MUST_CHECK int deployer_start(struct control *control, const struct http_app *app,
                              struct deployer **ret, struct error *err);
/* Finishes the steps under way, gives every claim back. True when all threads have ended and *d is
 * freed; else they still use the control plane: end the process without freeing anything. */
bool deployer_stop(struct deployer *d, int64_t grace_ms);

#endif
