/* Imports are carried out by the registry's data plane: asked for in its region's database, looked
 * after there. */
#ifndef PORTOLAN_PROVISION_IMPORTS_H
#define PORTOLAN_PROVISION_IMPORTS_H

#include "common/base/cleanup.h"

struct action_end;
struct arena;
struct control;
struct error;
struct json_object;
struct operation;
struct resource;

/* request: as dataplane/imports reads it; secret: JSON, or NULL. */
MUST_CHECK int import_begin(struct control *control, struct arena *a,
                            const struct resource *registry, const char *operation_id,
                            struct json_object *request, const struct json_object *secret,
                            struct error *err);
/* Whether it is over; wakes a data plane that has not begun. */
MUST_CHECK int import_settle(struct control *control, struct arena *a, const struct operation *op,
                             struct action_end *ret, struct error *err);

#endif
