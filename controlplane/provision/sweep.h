/* Looks for what stands outside the control database without a resource there, and removes it. */
#ifndef PORTOLAN_PROVISION_SWEEP_H
#define PORTOLAN_PROVISION_SWEEP_H

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;

/* Services, published projections and edge entries of registries that no longer exist. Safe beside
 * running passes: what a resource owns is made after its row, and the row goes last. Everything is
 * tried; the first failure is returned. */
MUST_CHECK int sweep_orphans(struct control *control, struct arena *a, struct error *err);

#endif
