/* What the endpoints of deployments and stacks share: which one a request's path names, its body,
 * refusals, and the versions the API answers to. */
#ifndef PORTOLAN_DEPLOYMENTS_PLACE_H
#define PORTOLAN_DEPLOYMENTS_PLACE_H

#include "common/base/cleanup.h"

struct call;
struct deploy_scope;
struct error;
struct json_object;
struct submission;

struct place {
    const char *scope_id; /* as the path spells it; "" for the tenant */
    const char *name;     /* NULL: the collection */
    const char *key;      /* of the deployment, in lower case; NULL: the collection */
    const char *id;
};

extern const char *const deployment_versions[];

/* The scope that a path spells somehow, where requests are counted if it is in a subscription. */
MUST_CHECK int place_scope(struct call *c, const char *scope, struct deploy_scope *ret,
                           struct error *err);
MUST_CHECK int place_of(struct call *c, struct place *ret, struct error *err);
/* As az sends it too, which is not quite JSON; owned by the call's arena. */
MUST_CHECK int request_body(struct call *c, struct json_object **ret, struct error *err);
/* Sends the error that holds more than `err` can; 0 is right to return then, else -1. */
MUST_CHECK int reply_refusal(struct call *c, const struct submission *s, const struct error *err);

#endif
