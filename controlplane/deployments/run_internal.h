/* The inside of a run, shared by run.c (the graph), run_start.c (one resource) and run_end.c
 * (outputs, errors, Complete mode). */
#ifndef PORTOLAN_DEPLOYMENTS_RUN_INTERNAL_H
#define PORTOLAN_DEPLOYMENTS_RUN_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "templates/language/template.h"

#include "controlplane/deployments/run.h"
#include "controlplane/deployments/secrets.h"
#include "controlplane/identity/identity.h"
#include "controlplane/store/deployments.h"

enum node_state {
    NODE_WAITING,
    NODE_RUNNING, /* begun; over when `awaits` is */
    NODE_DONE,
    NODE_FAILED,
    NODE_STATE_MAX
};

struct run_node {
    const struct plan_node *plan; /* NULL: something to delete */
    const char *key;              /* in the database */
    const char *id, *type, *name;
    const char *api_version; /* of something to delete; NULL: the type's newest */
    enum node_state state;
    const char *awaits;
    int tries;
    int64_t not_before_ms;       /* monotonic; a try that is put off */
    struct json_object *failure; /* owned by the run's arena, as what follows */
    struct json_object *request, *response; /* contents to keep; NULL: none */
};

enum run_phase { PHASE_OPEN, PHASE_DEPLOY, PHASE_CLEAN, PHASE_MAX };

struct run {
    struct arena *arena;
    struct control *control;
    const struct http_app *app;
    const char *owner;
    struct deployment *row;
    struct caller caller;
    const char *address;
    struct json_object *payload;
    struct template_context context;
    struct plan *plan;
    struct secrets secrets;
    struct run_node *nodes; /* beside plan->nodes, then what Complete mode deletes */
    size_t node_count, node_cap;
    enum run_phase phase;
    int64_t delay_ms;
    bool is_lost;
    bool keeps_requests, keeps_responses; /* as the debugSetting wants */
    struct arena *scratch; /* of the step under way */
    /* What is found out and not written yet. */
    struct deployment_operation *moves;
    size_t move_count, move_cap;
};

#define RUN_BATCH_MAX 16 /* resources that are begun at once */

/* run_start.c. Starts some nodes (at most RUN_BATCH_MAX) side by side, and writes what came of it. */
MUST_CHECK int nodes_start(struct run *r, struct run_node *const *nodes, size_t count,
                           struct error *err);
/* What the node waited for is over. To be written by run_flush(). */
void node_over(struct run *r, struct run_node *n, const struct deployment_wait *wait);
MUST_CHECK int run_flush(struct run *r, struct error *err);
void run_add_node(struct run *r, const struct run_node *n);
struct run_node *run_find_node(struct run *r, const char *key);

/* run_end.c */
/* Adds nodes for what Complete mode deletes. */
MUST_CHECK int run_leftovers(struct run *r, struct error *err);
/* Outputs, or the error; the row ends. */
MUST_CHECK int run_finish(struct run *r, struct error *err);
/* Ends the row as failed with this error (owned by the run's arena). */
MUST_CHECK int run_fail(struct run *r, struct json_object *error, struct error *err);

#endif
