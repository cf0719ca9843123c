/* Deployments inside one that its own plan does not hold: their template is linked, or an expression
 * makes it. Planned here ahead of their run, so that preflight and what-if see into them. */
#ifndef PORTOLAN_DEPLOYMENTS_LINKED_H
#define PORTOLAN_DEPLOYMENTS_LINKED_H

#include "common/base/cleanup.h"

struct error;
struct json_object;
struct plan_node;
struct submission;

/* Plans the deployment that n is, with what can be known now. 1 with *ret; 0 when only its run can
 * tell; -1 with *err when it is refused, with (*ret)->failure as submission_plan() leaves it. */
MUST_CHECK int linked_plan(struct submission *s, const struct plan_node *n,
                           struct submission **ret, struct error *err);

#endif
