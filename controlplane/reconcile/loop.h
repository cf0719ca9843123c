/* The reconcile loop of a control plane: workers that claim due resources and run their steps, a
 * listener that wakes them at once, a heartbeat for what they hold, and a housekeeper. */
#ifndef PORTOLAN_RECONCILE_LOOP_H
#define PORTOLAN_RECONCILE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct control;
struct error;
struct reconcile;

MUST_CHECK int reconcile_start(struct control *control, struct reconcile **ret, struct error *err);
/* Claims nothing more and waits up to grace_ms for running passes. True when every thread has ended
 * and *r is freed; else threads still use the control plane, and what they hold is left to the
 * leases: end the process without freeing anything. */
bool reconcile_stop(struct reconcile *r, int64_t grace_ms);

#endif
