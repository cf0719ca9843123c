/* Bodies of a plan's resources as they are sent. */
#ifndef PORTOLAN_DEPLOYMENTS_BODY_H
#define PORTOLAN_DEPLOYMENTS_BODY_H

struct json_object;

/* Without what the path and the query of the request say already. Changes and returns body. */
struct json_object *node_body(struct json_object *body);

#endif
