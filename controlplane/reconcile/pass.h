/* One unit of reconcile work: claim, run, finish. */
#ifndef PORTOLAN_RECONCILE_PASS_H
#define PORTOLAN_RECONCILE_PASS_H

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct watch;

/* Keys of the types that have steps, NULL-terminated, in the arena. */
const char *const *pass_type_keys(struct arena *a);
/* Claims the most overdue resource and does what it needs. 1 something was done, 0 nothing is due,
 * -1 the database failed. */
MUST_CHECK int pass_once(struct control *control, struct arena *a, struct watch *watch,
                         const char *const *type_keys, struct error *err);

#endif
