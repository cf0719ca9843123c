/* Microsoft.Resources/deploymentStacks: a deployment that remembers what it made, so that what a
 * later template no longer has is deleted or let go. A stack is carried out by a deployment, whose
 * run (run.h) calls the functions below at its own end. */
#ifndef PORTOLAN_DEPLOYMENTS_STACK_H
#define PORTOLAN_DEPLOYMENTS_STACK_H

#include <stdbool.h>

#include "common/base/error.h"

struct arena;
struct call;
struct json_object;
struct place;
struct run;
struct stack;

#define STACK_RIGHT(what) "Microsoft.Resources/deploymentStacks/" what

extern const struct error_code E_STACK_NOT_FOUND;   /* 404 DeploymentStackNotFound */
extern const struct error_code E_STACK_ACTIVE;      /* 409 */
extern const struct error_code E_STACK_OUT_OF_SYNC; /* 409 DeploymentStackOutOfSync */

extern const char *const stack_versions[];

/* Which stack the path names; name NULL: the collection. */
MUST_CHECK int stack_place(struct call *c, struct place *ret, struct error *err);
struct json_object *show_stack(struct arena *a, const struct stack *s);

/* The permission that what becomes of the stack was asked for with. */
const char *stack_action(const struct stack *s);
/* Whether the run is of the deployment that carries a stack out (and none nested in it). */
bool run_has_stack(const struct run *r);
/* Adds nodes for what the stack lets go and has to delete. */
MUST_CHECK int stack_leftovers(struct run *r, struct error *err);
/* What becomes of the stack with this end of its deployment; to be written by stack_end(). */
MUST_CHECK int stack_outcome(struct run *r, const char *state, struct json_object *outputs,
                             struct json_object *error, struct stack **ret, struct error *err);

#endif
