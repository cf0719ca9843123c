/* Which deployment a request's path names, and the versions the API answers to. */
#ifndef PORTOLAN_DEPLOYMENTS_PLACE_H
#define PORTOLAN_DEPLOYMENTS_PLACE_H

#include "common/base/cleanup.h"

struct call;
struct error;

struct place {
    const char *scope_id; /* as the path spells it; "" for the tenant */
    const char *name;     /* NULL: the collection */
    const char *key;      /* of the deployment, in lower case; NULL: the collection */
    const char *id;
};

extern const char *const deployment_versions[];

MUST_CHECK int place_of(struct call *c, struct place *ret, struct error *err);

#endif
