/* What a request does at once with what it has just committed, before its answer, so that it holds even
 * if this control plane dies right then. */
#ifndef PORTOLAN_API_HASTEN_H
#define PORTOLAN_API_HASTEN_H

#include <stdbool.h>

#include "controlplane/store/resources.h"

struct call;

/* How long the steps leave a brief update (type.h) to the request that makes it. */
#define BRIEF_MS 2000

/* Whether the update of the call is one, of a row that is in that state now. */
bool hasten_is_brief(const struct call *c, enum resource_state now);
/* After the commit of an update. */
void hasten_update(struct call *c, bool is_brief);
/* After the commit of a delete. */
void hasten_delete(struct call *c);

#endif
