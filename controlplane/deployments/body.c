/* Bodies of a plan's resources: see the header. */
#include "controlplane/deployments/body.h"

#include "common/json/json.h"

struct json_object *node_body(struct json_object *body)
{
    json_unset(body, "type");
    json_unset(body, "name");
    json_unset(body, "apiVersion");
    return body;
}
