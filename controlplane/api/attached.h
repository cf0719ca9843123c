/* User-assigned identities that a resource is given: see attached.c. */
#ifndef PORTOLAN_API_ATTACHED_H
#define PORTOLAN_API_ATTACHED_H

#include "common/base/cleanup.h"

struct call;
struct error;
struct json_object;

/* Puts principal and client id beside the id of each identity in `body` that was not attached before;
 * it must be there, and the caller must be allowed to assign it (ARM's linked access check). */
MUST_CHECK int attached_settle(struct call *c, struct json_object *body, struct error *err);

#endif
