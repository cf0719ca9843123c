/* What a deployment would change. */
#ifndef PORTOLAN_DEPLOYMENTS_WHATIF_H
#define PORTOLAN_DEPLOYMENTS_WHATIF_H

#include "common/base/cleanup.h"

struct error;
struct json_object;
struct submission;

/* Of a planned submission: {status, properties: {correlationId, changes}}, owned by its arena. */
MUST_CHECK int whatif(struct submission *s, struct json_object **ret, struct error *err);

#endif
