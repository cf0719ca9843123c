/* Actions that go on after their answer: looks whether they are over, and closes their operations. */
#ifndef PORTOLAN_RECONCILE_SETTLE_H
#define PORTOLAN_RECONCILE_SETTLE_H

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;

/* One round over those that are open. Several control planes may do it at once. */
MUST_CHECK int settle_actions(struct control *control, struct arena *a, struct error *err);

#endif
