/* What a registry and its repositories use, in bytes: an addition to ACR's API, below a name that
 * no repository can have. Each answer is of one moment and equal to a full recount. */
#include "common/base/error.h"
#include "common/json/json.h"
#include "dataplane/acr/render.h"
#include "dataplane/acr/routes.h"
#include "dataplane/call.h"
#include "dataplane/oci/reply.h"
#include "dataplane/plane.h"
#include "dataplane/store/snapshot.h"
#include "dataplane/store/usage.h"

void acr_registry_usage(struct http_request *req)
{
    const struct call *call = call_of(req);
    struct error err = { 0 };
    int64_t bytes = 0;

    if (usage_read(&call->plane->store, req->arena, &bytes, &err) != 0) {
        reply_error(req, &err);
        return;
    }
    struct json_object *body = json_new_object();
    json_set_text(body, "registry", call->snapshot->login_server);
    json_set_int(body, "usedBytes", bytes);
    if (call->snapshot->storage_limit > 0)
        json_set_int(body, "limitBytes", call->snapshot->storage_limit);
    reply_json(req, 200, body);
}

void acr_repository_usage(struct http_request *req)
{
    const char *repository = reply_repository(req);
    struct repository_usage usage;
    struct error err = { 0 };

    if (!repository)
        return;
    int status =
        usage_of_repository(&call_of(req)->plane->store, req->arena, repository, &usage, &err);
    if (status == 0)
        (void)fail(&err, &E_NAME_UNKNOWN, "repository \"%s\" is not found", repository);
    if (status != 1) {
        reply_error(req, &err);
        return;
    }
    struct json_object *body = acr_envelope(req, repository);
    json_set_int(body, "uniqueBytes", usage.unique_bytes);
    json_set_int(body, "sharedBytes", usage.shared_bytes);
    json_set_int(body, "manifestBytes", usage.manifest_bytes);
    reply_json(req, 200, body);
}
