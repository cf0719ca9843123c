/* The order of deployment: dependsOn in all its forms, serial loops, and a topological sort that
 * keeps the order of the file where it can. */
#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "templates/language/evaluate.h"
#include "templates/language/expand.h"
#include "templates/language/faults.h"
#include "templates/language/file.h"

static int depend_on(struct plan_builder *b, size_t node, const char *name, struct error *err)
{
    size_t other, *loop;
    size_t price = b->builds[node].node->edge_count / 16 + 1; /* an edge is looked for first */
    struct engine *g = b->file->home.engine;
    if (engine_steps(g, price + b->count / 16, err) < 0)
        return -1;
    int rc = builder_find(b, NULL, name, &other, err);
    if (rc < 0)
        return -1;
    if (rc > 0) {
        builder_edge(b, node, other, false);
        return 0;
    }
    size_t count = builder_loop(b, name, &loop);
    if (engine_bytes(g, count * sizeof(*loop), err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (engine_steps(g, b->builds[node].node->edge_count / 16 + 1, err) < 0)
            return -1;
        builder_edge(b, node, loop[i], false);
    }
    if (loop)
        return 0;
    return fail(err, &E_INVALID_TEMPLATE,
                "Deployment template validation failed: 'The resource '%s' is not defined in the "
                "template." USAGE("arm-template") "'.",
                name);
}

static int read_depends_on(struct plan_builder *b, size_t node, struct error *err)
{
    struct env env = builder_env(b, node, ALLOW_SCOPE);
    const struct value *list;
    if (evaluate_deep(&env, b->builds[node].depends_on, &list, err) < 0)
        return -1;
    if (list->kind == VALUE_NULL)
        return 0;
    if (list->kind != VALUE_ARRAY)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The property 'dependsOn' is not valid. Expected 'Array'. Actual '%s'." USAGE(
                        "arm-template"),
                    value_kind_name(list));
    for (size_t i = 0; i < list->count; i++) {
        const struct value *v = list->items[i];
        if (v->kind != VALUE_TEXT)
            return fail(err, &E_TEMPLATE_EXPRESSION,
                        "An element of the property 'dependsOn' is not valid. Expected 'String'. "
                        "Actual '%s'." USAGE("arm-template"),
                        value_kind_name(v));
        if (engine_steps(env.engine, 4, err) < 0)
            return -1;
        if (v->count && depend_on(b, node, v->text, err) < 0) {
            engine_blame(env.engine, b->file->source, v->at);
            return -1;
        }
    }
    return 0;
}

/* Each instance of a serial loop waits for all of the batch before its own. */
static void chain_batches(struct plan_builder *b, size_t node)
{
    const struct plan_node *n = b->builds[node].node;
    int64_t batch = b->builds[node].batch;
    if (!batch || n->loop_index < batch)
        return;
    int64_t first = (n->loop_index / batch - 1) * batch;
    size_t *loop;
    size_t count = builder_loop(b, n->loop, &loop);
    for (size_t i = 0; i < count; i++) {
        int64_t index = b->builds[loop[i]].node->loop_index;
        if (index >= first && index < first + batch)
            builder_edge(b, node, loop[i], false);
    }
}

enum visit { VISIT_NONE, VISIT_OPEN, VISIT_DONE };

struct sorter {
    struct plan_builder *b;
    unsigned char *state;
    size_t *stack, *edge; /* the path being walked, and the edge each node is at */
    size_t depth;
    bool with_implied;
};

static void visit_node(struct sorter *s, size_t node)
{
    s->state[node] = VISIT_OPEN;
    s->stack[s->depth] = node;
    s->edge[s->depth] = 0;
    s->depth++;
}

/* SIZE_MAX when done; else a node on a cycle. The walk keeps its own stack: chains are long. */
static size_t walk(struct sorter *s, size_t start)
{
    struct plan *p = s->b->plan;
    if (s->state[start] != VISIT_NONE)
        return SIZE_MAX;
    visit_node(s, start);
    while (s->depth) {
        size_t node = s->stack[s->depth - 1];
        const struct plan_node *n = s->b->builds[node].node;
        size_t *at = &s->edge[s->depth - 1];
        if (*at == n->edge_count) {
            s->state[node] = VISIT_DONE;
            p->order[p->node_count++] = node;
            s->depth--;
            continue;
        }
        const struct plan_edge *e = &n->edges[(*at)++];
        if (e->is_implied && !s->with_implied)
            continue;
        if (s->state[e->node] == VISIT_OPEN)
            return e->node;
        if (s->state[e->node] == VISIT_NONE)
            visit_node(s, e->node);
    }
    return SIZE_MAX;
}

static size_t sort_nodes(struct plan_builder *b, bool with_implied, struct sorter *s)
{
    struct arena *a = b->file->home.engine->arena;
    size_t count = b->count;
    *s = (struct sorter){ .b = b, .with_implied = with_implied };
    s->state = arena_array(a, count + 1, 1);
    s->stack = arena_array(a, count + 1, sizeof(size_t));
    s->edge = arena_array(a, count + 1, sizeof(size_t));
    b->plan->node_count = 0;
    for (size_t i = 0; i < count; i++) {
        size_t cycle = walk(s, i);
        if (cycle != SIZE_MAX)
            return cycle;
    }
    return SIZE_MAX;
}

/* Ids in reference() make edges for convenience; where they would close a circle they do not. */
static void drop_implied(struct plan_builder *b)
{
    for (size_t i = 0; i < b->count; i++) {
        struct plan_node *n = b->builds[i].node;
        size_t kept = 0;
        for (size_t k = 0; k < n->edge_count; k++)
            if (!n->edges[k].is_implied)
                n->edges[kept++] = n->edges[k];
        n->edge_count = kept;
    }
}

static int circular(struct plan_builder *b, const struct sorter *s, size_t node, struct error *err)
{
    struct str path;
    str_init(&path, 600);
    size_t from = 0;
    while (from < s->depth && s->stack[from] != node)
        from++;
    for (size_t i = from; i < s->depth; i++)
        str_printf(&path, "%s -> ", b->builds[s->stack[i]].node->name);
    str_puts(&path, b->builds[node].node->name);
    engine_blame(b->file->home.engine, b->file->source, b->builds[node].decl->at);
    fail(err, &E_INVALID_TEMPLATE,
         "Deployment template validation failed: 'Circular dependency detected on resource: '%s' "
         "(%s)." USAGE("arm-syntax-resources") "'.",
         b->builds[node].node->id, path.data);
    str_done(&path);
    return -1;
}

int expand_graph(struct plan_builder *b, struct error *err)
{
    for (size_t i = 0; i < b->count; i++) {
        chain_batches(b, i);
        if (b->builds[i].depends_on && read_depends_on(b, i, err) < 0)
            return builder_blame(b, b->builds[i].node->name, b->builds[i].decl->at, err);
    }
    struct sorter s;
    b->plan->order = arena_array(b->file->home.engine->arena, b->count + 1, sizeof(size_t));
    size_t cycle = sort_nodes(b, true, &s);
    if (cycle != SIZE_MAX) {
        cycle = sort_nodes(b, false, &s);
        if (cycle != SIZE_MAX)
            return circular(b, &s, cycle, err);
        drop_implied(b);
    }
    return 0;
}
