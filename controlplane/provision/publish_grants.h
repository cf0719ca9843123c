/* Publishing a change of role assignments, wherever it holds. */
#ifndef PORTOLAN_PROVISION_PUBLISH_GRANTS_H
#define PORTOLAN_PROVISION_PUBLISH_GRANTS_H

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;

/* Role assignments at scope changed: when this returns, the regions know of it for every registry at or
 * below it, however many there are, and all of them are due. What could not be told to a region that is
 * away is logged, and follows from the reconcile loop. */
MUST_CHECK int publish_grants_changed(struct control *control, struct arena *a, const char *scope,
                                      struct error *err);

#endif
