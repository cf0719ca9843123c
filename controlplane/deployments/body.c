/* Bodies of a plan's resources: see the header. */
#include "controlplane/deployments/body.h"

#include "common/base/text.h"
#include "common/json/json.h"

struct json_object *node_body(struct json_object *body)
{
    json_unset(body, "type");
    json_unset(body, "name");
    json_unset(body, "apiVersion");
    if (text_eq(json_text(body, "identity"), "")) /* what templates give for none */
        json_unset(body, "identity");
    return body;
}
