/* The steps of making a plan, in order. Internal. */
#ifndef PORTOLAN_TEMPLATES_EXPAND_H
#define PORTOLAN_TEMPLATES_EXPAND_H

#include "common/base/cleanup.h"
#include "templates/language/plan_builder.h"

struct error;
struct json_object;
struct value;

/* All of them for one opened template whose parameters are given; nested templates call it again.
 */
MUST_CHECK int plan_expand(struct template_file *f, int level, struct plan **ret,
                           struct error *err);

/* Loops, conditions, types, names, ids: fills plan->nodes. */
MUST_CHECK int expand_resources(struct plan_builder *b, struct error *err);
/* The bodies; reference() and list*() make edges. */
MUST_CHECK int expand_bodies(struct plan_builder *b, struct error *err);
MUST_CHECK int expand_outputs(struct plan_builder *b, struct error *err);
/* dependsOn, serial loops, cycles; fills plan->order. */
MUST_CHECK int expand_graph(struct plan_builder *b, struct error *err);

/* The body of a Microsoft.Resources/deployments resource, and its plan when that can be made now.
 * env is where its expressions stand. */
MUST_CHECK int expand_nested(struct plan_builder *b, struct env *env, size_t node,
                             const struct value *properties, const struct value **ret,
                             struct error *err);

/* The findings of template_lint(). */
MUST_CHECK int lint_file(struct template_file *f, struct template_finding **ret, struct error *err);

/* Where a resource is evaluated: its frames and what it may call. */
struct env builder_env(struct plan_builder *b, size_t node, unsigned allow);
/* Once all nodes are there: the table that builder_find() looks in. */
void builder_index(struct plan_builder *b);
/* As file_blame() for a resource. */
int builder_blame(struct plan_builder *b, const char *name, uint32_t at, struct error *err);

#endif
