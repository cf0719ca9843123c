/* The steps that turn a registry's desired state into a running data plane: secrets, published
 * projection, service, edge route. */
#ifndef PORTOLAN_PROVISION_REGISTRY_STEPS_H
#define PORTOLAN_PROVISION_REGISTRY_STEPS_H

#include "controlplane/types/type.h"

extern const struct step registry_steps[];
/* Publishes what was just written: data planes obey a rule although nobody reconciles. */
int registry_hasten(struct step_run *run, struct error *err);
/* The same of an update that changes nothing but rules, and all there is to do of it. */
int registry_brief(struct step_run *run, struct error *err);

#endif
