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
/* Claims the most overdue resource, calls claimed(ctx) (may be NULL) and does what it needs. PASS_ENDED
 * or PASS_PUT_OFF (it is due again soon), 0 nothing is due, -1 the database failed. */
#define PASS_ENDED 1
#define PASS_PUT_OFF 2
MUST_CHECK int pass_once(struct control *control, struct arena *a, struct watch *watch,
                         const char *const *type_keys, void (*claimed)(void *ctx), void *ctx,
                         struct error *err);

#endif
