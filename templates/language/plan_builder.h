/* What reference() and list*() see of the plan being made: names become ids, and each use is an
 * edge of the graph. */
#ifndef PORTOLAN_TEMPLATES_PLAN_BUILDER_H
#define PORTOLAN_TEMPLATES_PLAN_BUILDER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"
#include "templates/language/engine.h"
#include "templates/language/template.h"

struct error;
struct name_entry;
struct template_file;

/* A node while the plan is made. */
struct build_node {
    struct plan_node *node;
    const struct value *decl;       /* the resource as written */
    const struct value *depends_on; /* its dependsOn as written, or NULL */
    const struct copy_frame *copy;  /* loops it is in */
    size_t edge_cap;
    int64_t batch; /* of a serial loop; 0: parallel */
};

struct plan_builder {
    struct template_file *file;
    struct plan *plan;
    struct build_node *builds; /* beside plan->nodes */
    size_t count, cap;
    int level;                  /* of nested deployments */
    struct name_entry *entries; /* what nodes are called, by hash */
    size_t *heads, head_count, entry_count;
};

/* The resource that `name` means: a symbol, a name, type/name, or an id. 1 found, 0 none, -1. */
MUST_CHECK int builder_find(struct plan_builder *b, struct env *env, const char *name,
                            size_t *ret_node, struct error *err);
/* The instances of a copy loop or the elements of a symbolic loop, in order; 0 when none. */
size_t builder_loop(struct plan_builder *b, const char *name, size_t **ret_nodes);
/* node waits for other. */
void builder_edge(struct plan_builder *b, size_t node, size_t other, bool is_implied);

#endif
