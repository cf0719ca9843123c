/* Requests on resources of any type: one array of stages, one row of stage functions per verb. */
#ifndef PORTOLAN_API_PIPELINE_H
#define PORTOLAN_API_PIPELINE_H

#include "controlplane/api/call.h"

/* What a path means. */
enum target { TARGET_ITEM, TARGET_COLLECTION, TARGET_ACTION, TARGET_MAX };

/* A method on a target. The stages that all verbs share (authenticate, parse, authorise …) are not
 * repeated here; NULL: nothing to do at that stage. */
struct verb {
    const char *method;
    enum target target;
    const char *rbac; /* what follows the type's name; NULL: the action's own */
    const char *does; /* for failures: "write" */
    enum stage_result (*load)(struct call *c, struct error *err);
    enum stage_result (*decode)(struct call *c, struct error *err);
    enum stage_result (*commit)(struct call *c, struct error *err);
    enum stage_result (*encode)(struct call *c, struct error *err);
};

extern const struct verb verbs[]; /* ended by a NULL method */

/* The RBAC action of the request: "<type>/read"; an action's own name where it has a provider of its
 * own. */
const char *call_rbac(const struct call *c);

/* Takes a request through the stages and replies. */
void pipeline_run(struct http_request *req);

/* Stage functions, one file each for read, write, remove, list and action. */
/* Queues load_item()'s questions, for who asks the database before; nothing where it has none. */
MUST_CHECK int load_ahead(struct pg_conn *conn, struct call *c, struct error *err);
enum stage_result load_item(struct call *c, struct error *err);  /* absent is fine: was is NULL */
enum stage_result load_known(struct call *c, struct error *err); /* absent is 404 */
enum stage_result load_shown(struct call *c, struct error *err); /* the same, JSON not yet parsed */
/* What a collection is below. Where rows are listed it is looked for, by check_above(), only when there
 * are none. */
enum stage_result load_above(struct call *c, struct error *err);
MUST_CHECK int check_above(struct call *c, struct error *err);
/* Whether the group that the path names is there. */
MUST_CHECK int check_group(struct call *c, struct error *err);
enum stage_result encode_item(struct call *c, struct error *err);
enum stage_result encode_presence(struct call *c, struct error *err);
enum stage_result decode_put(struct call *c, struct error *err);
enum stage_result decode_patch(struct call *c, struct error *err);
enum stage_result commit_write(struct call *c, struct error *err);
enum stage_result encode_write(struct call *c, struct error *err);
enum stage_result commit_delete(struct call *c, struct error *err);
enum stage_result encode_delete(struct call *c, struct error *err);
enum stage_result load_for_action(struct call *c, struct error *err);
enum stage_result decode_action(struct call *c, struct error *err);
enum stage_result commit_action(struct call *c, struct error *err);
enum stage_result encode_action(struct call *c, struct error *err);
enum stage_result encode_list(struct call *c, struct error *err);

/* Shared by stages: the row of the group a resource is in must be there. */
MUST_CHECK int fail_group_missing(const struct call *c, struct error *err);
MUST_CHECK int fail_parent_missing(const struct call *c, struct error *err);

#endif
